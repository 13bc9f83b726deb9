"""In: the rules and what the engine says it can do. Out: which rules can be honoured exactly, and for the others the option
that stands in the way; the table of keywords for docs/rule-keywords.md. Never here: matching or reading text.

The engine exports one `HONOURS: frozenset[str]` (rules/honours.py: the union of what its modules verify), the names of what
it verifies exactly. A name that ends with `*` stands for all names with that beginning. The names (`Rule.needs`):

    content, pcre, byte_test, byte_jump, byte_extract, byte_math, isdataat, bsize, base64_decode, dataset, datarep, entropy,
    asn1, hash                        steps of rule.py, by class; `other:KEYWORD` for Other
    absent                            Group.absent
    buffer:NAME                       a buffer of keywords/buffers.py (buffer:http.uri, buffer:payload)
    transform:NAME                    transform:to_lowercase
    test:KEYWORD                      NumberTest, FlagTest, WordTest, HashList by keyword (test:ttl, test:tcp.flags, test:filemd5)
    event:KIND:NAME                   event:app-layer:http.request_chunk_extension, event:decode:ipv4.unknown_protocol
    flow                              the flow option; flow:only_frag, flow:no_frag besides
    flowbits, xbits, hostbits, flowint
    threshold, threshold:backoff, detection_filter, detection_filter:unique_on, tag
    protocol:NAME                     the header's word (protocol:tcp, protocol:http, protocol:pkthdr)
    direction:=>                      transactional rules
    action:NAME                       action:config (alert, drop, pass, reject, log are always understood)
    frame:NAME                        frame:http1.response"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

from tracehound.rules.keywords.buffers import ALSO, BUFFERS
from tracehound.rules.keywords.catalog import ALL
from tracehound.rules.keywords.keyword import Keyword
from tracehound.rules.rule import Need, Rule


def missing(rule: Rule, honours: Collection[str], prefixes: tuple[str, ...] = ()) -> Need | None:
    """The first thing that `rule` needs and the engine cannot do; None if all is well. `prefixes`: see `prefixes_of`."""
    for need in rule.needs:
        if need.name not in honours and not (prefixes and need.name.startswith(prefixes)):
            return need
    return None


def prefixes_of(honours: Collection[str]) -> tuple[str, ...]:
    """The beginnings that names with a `*` stand for."""
    return tuple(sorted(name[:-1] for name in honours if name.endswith("*")))


# -- the table of keywords ------------------------------------------------------------------------------------------------------

_ALWAYS: Final = ("meta", "action")
_STEPS: Final[dict[str, str]] = {
    "uricontent": "content", "bufferlen": "bsize", "base64_data": "buffer:base64_data", "md5": "hash", "sha256": "hash",
    "sha512": "hash", "rpc": "other:rpc", "cvs": "other:cvs", "ber_data": "other:ber_data", "ber_skip": "other:ber_skip",
}  # fmt: skip
_OTHERS: Final[dict[str, str]] = {
    "flow": "flow", "service": "service", "config": "action:config", "flow.pkts_toserver": "test:flow.pkts",
    "flow.pkts_toclient": "test:flow.pkts", "flow.bytes_toserver": "test:flow.bytes", "flow.bytes_toclient": "test:flow.bytes",
    "app-layer-protocol": "test:app-layer-protocol", "frame": "frame:*", "pkt_data": "buffer:payload",
    "tls.subject": "buffer:tls.cert_subject", "tls.issuerdn": "buffer:tls.cert_issuer",
    "tls.fingerprint": "buffer:tls.cert_fingerprint", "ssh.softwareversion": "buffer:ssh.software", "ssh.protoversion": "buffer:ssh.proto",
}  # fmt: skip
_MODIFIER_OF: Final = {b.modifier: b.name for b in BUFFERS.values() if b.modifier} | ALSO


def verified_by(keyword: Keyword) -> str:
    """The name of what the engine must be able to do for a keyword; "" where there is nothing to verify. `event:KIND:*` where it
    depends on the value."""
    if keyword.name in _OTHERS:
        return _OTHERS[keyword.name]
    if keyword.kind in _ALWAYS:
        return ""
    if keyword.kind == "buffer":
        return _STEPS.get(keyword.name, "buffer:" + keyword.name)
    if keyword.kind == "modifier":
        return "buffer:" + _MODIFIER_OF[keyword.name] if keyword.name in _MODIFIER_OF else "content"
    if keyword.kind == "payload":
        return _STEPS.get(keyword.name, keyword.name)
    if keyword.kind == "transform":
        return "transform:" + keyword.name
    if keyword.kind == "event":
        return f"event:{keyword.name.removesuffix('-event')}:*"
    if keyword.kind == "state":
        return keyword.name
    return "test:" + keyword.name


@dataclass(frozen=True, slots=True)
class Supported:
    """One row of the table: status yes, some (of its values), not yet, never; and why."""

    keyword: Keyword
    status: Literal["yes", "some", "not yet", "never"]
    reason: str


def table(honours: Collection[str]) -> list[Supported]:
    """Every keyword with what becomes of rules that have it."""
    return [_supported(k, honours) for k in ALL]


def _supported(keyword: Keyword, honours: Collection[str]) -> Supported:
    if keyword.never:
        return Supported(keyword, "never", keyword.never)
    name = verified_by(keyword)
    if name.endswith(":*"):
        known = sorted(h.removeprefix(name[:-1]) for h in honours if h.startswith(name[:-1]))
        return Supported(keyword, "some", ", ".join(known)) if known else Supported(keyword, "not yet", "none is seen here")
    if not name or name in honours or any(h.endswith("*") and name.startswith(h[:-1]) for h in honours):
        return Supported(keyword, "yes", "")
    return Supported(keyword, "not yet", _why_not(keyword))


def _why_not(keyword: Keyword) -> str:
    buffer = BUFFERS.get(keyword.name)
    if buffer is not None and buffer.protocols:
        return f"this part of {' and '.join(buffer.protocols)} is not read by the rule engine"
    return {
        "protocol": "this field is not read by the rule engine",
        "buffer": "nothing fills this buffer",
        "header": "this field is not read by the rule engine",
        "file": "nothing here tells this of a file",
        "transform": "nothing here does this",
    }.get(keyword.kind, "nothing here verifies it")
