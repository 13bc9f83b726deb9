"""In: a malicious request and the tokens that a rule is made of. Out: near misses, each with one token changed. Never here: trying them.

A twin that the rule still fires on says that the token contributes nothing; a rule whose twins stay silent is no tighter than it
looks. Twins keep the request's shape: letters become other letters, digits other digits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tracehound.findings.template import Sample
from tracehound.lab.gate import Token


def _other(byte: int) -> int:
    """Another byte of the same kind."""
    for low, high in ((48, 57), (65, 90), (97, 122)):
        if low <= byte <= high:
            return low + (byte - low + 1) % (high - low + 1)
    return byte ^ 1 if 32 < byte ^ 1 < 127 else (byte + 1) & 0xFF


def changed(data: bytes, token: bytes) -> bytes | None:
    """`data` with the middle byte of the token's first place changed; None where the token is not in it."""
    at = data.find(token)
    if at < 0:
        return None
    middle = at + len(token) // 2
    return data[:middle] + bytes([_other(data[middle])]) + data[middle + 1 :]


def twins(sample: Sample, tokens: Sequence[Token]) -> Iterator[tuple[str, Sample]]:
    """(what was changed, the near miss) for every token of the URI, the agent and the payload."""
    for t in tokens:
        shown = t.data[:32].decode("latin-1")
        if t.buffer.startswith("http.uri"):
            made = changed(sample.uri.encode("latin-1", "replace"), t.data)
            if made is not None:
                yield f"{t.buffer}: {shown}", replace(sample, uri=made.decode("latin-1"))
        elif t.buffer == "http.user_agent":
            values = tuple(
                (changed(v.encode("latin-1", "replace"), t.data) or b"").decode("latin-1") if n.lower() == "user-agent" else v
                for n, v in zip(sample.header_names, sample.header_values, strict=False)
            )
            yield f"{t.buffer}: {shown}", replace(sample, header_values=values)
        else:
            made = changed(sample.payload, t.data)
            if made is not None:
                yield f"{t.buffer}: {shown}", replace(sample, payload=made)


def request(sample: Sample) -> bytes:
    """A sample as the bytes of one request."""
    if sample.method is None:
        return sample.payload
    version = f" HTTP/{sample.version}" if sample.version and sample.version != "0.9" else ""
    head = f"{sample.method} {sample.uri}{version}\r\n"
    head += "".join(f"{n}: {v}\r\n" for n, v in zip(sample.header_names, sample.header_values, strict=False))
    return (head + "\r\n").encode("latin-1", "replace") + sample.payload
