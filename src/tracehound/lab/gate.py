"""In: the tokens of a rule, samples it was made of, requests of everything else. Out: whether they are particular enough, and if not,
what is missing. Never here: writing the rule.

Rules made from single short strings are what users of indicator feeds complain of most: `t.co` and `rs.sh` match everywhere, `GET /` is
every request. So one token must be long enough and no word of the web, all together must hold enough bytes, and the tokens as a whole
may match next to nothing of the traffic that is not malicious."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from tracehound.findings.template import Sample

LEAST_TOKEN_BYTES: Final = 5
LEAST_TOTAL_BYTES: Final = 8
LEAST_DISTINCT: Final = 4
"""Different bytes of the longest token: a run of one byte is no pattern."""
MOST_BENIGN_SHARE: Final = 1e-4
"""Share of other requests that all tokens together may match: one false alarm in 10,000."""
SMALL_POOL: Final = 1_000
COMMON: Final = frozenset(
    w.encode() for w in (
        "get /", "post /", "http/1.0", "http/1.1", "index.html", "index.php", "index.htm", "/index", "favicon.ico", "/images/", "/img/",
        ".html", ".php?", ".aspx", ".asp?", "/api/", "?id=", "&id=", "login", "/login", "search", "/search", "/static/", "/assets/",
        "mozilla/4.0", "mozilla/5.0", "compatible", "text/html", "application/", "keep-alive", "connection", "user-agent", "content-",
        "accept", "gzip, deflate", "www.", ".com/", "http://", "https://", "/cgi-bin/", "/wp-content/", "/wp-admin/", "jquery",
        "robots.txt", "update", "/update",
        "version", "?version=", "/download", "download", ".exe",
    )
)  # fmt: skip
"""Words of the web, lower case: alone they make no rule."""


class Token(NamedTuple):
    """A constant stretch of one buffer. low, high: bytes between it and the token before (the start for the first); high None =
    nobody knows. last: the buffer ends with it."""

    buffer: str
    data: bytes
    first: bool
    low: int
    high: int | None
    last: bool


@dataclass(frozen=True, slots=True)
class Gate:
    """`refused` empty = the tokens may become a rule. `matched` of `pool` other requests hold all tokens."""

    refused: str
    needs: str
    matched: int
    pool: int
    notes: tuple[str, ...] = ()


def strength(data: bytes) -> int:
    """How much a literal tells: its length with runs of one byte taken as one (a run is found everywhere, and is slow to look for)."""
    return sum(i == 0 or data[i] != data[i - 1] for i in range(len(data)))


def field_of(s: Sample, buffer: str) -> bytes:
    """The bytes of a sample that a buffer's token is looked for in."""
    if buffer in ("http.uri", "http.uri.raw"):
        return s.uri.encode("latin-1", "replace")
    if buffer == "http.user_agent":
        found = next((v for n, v in zip(s.header_names, s.header_values, strict=False) if n.lower() == "user-agent"), "")
        return found.encode("latin-1", "replace")
    return s.payload


def holds(s: Sample, tokens: Sequence[Token]) -> bool:
    """Whether a sample holds all tokens in order, each in its buffer; anchors of the first are kept."""
    at: dict[str, int] = {}
    for t in tokens:
        data = field_of(s, t.buffer)
        if t.first and t.low == t.high == 0:
            if not data.startswith(t.data):
                return False
            at[t.buffer] = len(t.data)
            continue
        found = data.find(t.data, at.get(t.buffer, 0) + t.low)
        if found < 0:
            return False
        at[t.buffer] = found + len(t.data)
    return True


def judged(tokens: Sequence[Token], samples: Sequence[Sample], others: Sequence[Sample]) -> Gate:
    """Whether these tokens may become a rule."""
    if not tokens:
        return Gate("nothing is the same in all of them", "samples of one kind only, or more of the payload", 0, len(others))
    best = max(tokens, key=lambda t: strength(t.data))
    total = sum(len(t.data) for t in tokens)
    shown = best.data[:40].decode("latin-1")
    if strength(best.data) < LEAST_TOKEN_BYTES or len(set(best.data)) < LEAST_DISTINCT:
        why = f"the longest constant part is {shown!r}: too short to tell anything"
        return Gate(why, "requests in which more is the same, or headers and bodies beside the URI", 0, len(others))
    if best.data.lower().strip(b"/") in COMMON or best.data.lower() in COMMON:
        why = f"the longest constant part is {shown!r}: a word of the web"
        return Gate(why, "requests in which something particular is the same", 0, len(others))
    if total < LEAST_TOTAL_BYTES:
        why = f"only {total} bytes are the same in all of them ({shown!r})"
        return Gate(why, f"at least {LEAST_TOTAL_BYTES} constant bytes: other headers, the body, the answer", 0, len(others))
    matched = [s for s in others if holds(s, tokens)]
    if len(matched) > MOST_BENIGN_SHARE * len(others):
        m = matched[0]
        example = f"{m.method} {m.uri[:60]}" if m.method is not None else repr(m.payload[:24])
        why = f"{len(matched):,} of {len(others):,} other requests hold all of it, for instance {example}"
        return Gate(why, "what tells the malicious from those: headers, body, order, rate, or the answer", len(matched), len(others))
    notes = []
    if len(others) < SMALL_POOL:
        notes.append(f"weighed against {len(others):,} other requests only: a zero there says little")
    if len(samples) < 3:
        notes.append(f"made of {len(samples)} samples")
    return Gate("", "", len(matched), len(others), tuple(notes))
