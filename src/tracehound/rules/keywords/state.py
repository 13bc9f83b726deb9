"""In: the values of the options that remember: flowbits, flowint, xbits, hostbits, threshold, detection_filter, tag.
Out: their parts of the assembly. Never here: remembering (the engine does).

Sources: Suricata 8 user guide (flow keywords, xbits, thresholding, tag), Snort 2.9 manual 3.6.10, 3.7, 3.8."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Literal, cast

from tracehound.rules.keywords.assembly import Assembly, as_int
from tracehound.rules.keywords.keyword import Keyword, KeywordError
from tracehound.rules.keywords.payload import required
from tracehound.rules.rule import Bits, FlowInt, Tag, Threshold, Value

Command = Literal["set", "unset", "toggle", "isset", "isnotset"]
_COMMANDS: Final = ("set", "unset", "toggle", "isset", "isnotset")


def _flowbits(a: Assembly, value: str | None) -> None:
    words = [w.strip() for w in required(value).split(",")]
    command = words[0]
    if command == "noalert":
        if len(words) > 1:
            raise KeywordError("noalert takes no name")
        a.noalert = True
        return
    if command in ("reset", "setx"):
        raise KeywordError(f"{command} is not known to any engine that is still kept up")
    if command not in _COMMANDS or not 2 <= len(words) <= 3:
        raise KeywordError(f"{command[:40]!r} is not {', '.join(_COMMANDS)} with a name, nor noalert")
    text = words[1]
    join: Literal["|", "&"] = "&" if "&" in text else "|"
    names = tuple(n.strip() for n in text.split(join))
    if any(not n or " " in n or "|" in n for n in names):
        raise KeywordError(f"{text[:60]!r} is no name, nor names with | or & between them")
    if len(names) > 1 and command == "toggle":
        raise KeywordError("toggle takes one name")
    if len(names) > 1 and join == "|" and command in ("set", "unset"):
        raise KeywordError(f"{command} takes no alternatives")
    a.states.append(Bits("flowbits", cast("Command", command), names, join))
    a.need("flowbits")


_FLOWINT: Final = re.compile(r"([^\s,]+)\s*,\s*(\+|-|==|!=|>=|<=|<|>|=|isset|notset|isnotset)\s*(?:,\s*([^\s,]+))?")


def _flowint(a: Assembly, value: str | None) -> None:
    m = _FLOWINT.fullmatch(required(value))
    if m is None:
        raise KeywordError("needs a name, an operator and, for all but isset and notset, a value")
    tests_presence = m[2] in ("isset", "notset", "isnotset")
    if tests_presence == (m[3] is not None):
        raise KeywordError(f"{m[2]} {'takes no' if tests_presence else 'needs a'} value")
    operand: Value | None = None
    if m[3] is not None:
        n = as_int(m[3])
        operand = m[3] if n is None else n
        if isinstance(operand, int) and not 0 <= operand < 2**32:
            raise KeywordError(f"{operand} is not within 0 to 4294967295")
    a.states.append(FlowInt(m[1], "notset" if m[2] == "isnotset" else m[2], operand))
    a.need("flowint")


def _xbits(a: Assembly, value: str | None) -> None:
    words = [w.strip() for w in required(value).split(",")]
    if words == ["noalert"]:
        a.noalert = True
        return
    if words[0] not in _COMMANDS or len(words) < 2:
        raise KeywordError(f"{words[0][:40]!r} is not {', '.join(_COMMANDS)} with a name, nor noalert")
    track, expire = "", None
    for word in words[2:]:
        name, _, rest = word.partition(" ")
        rest = rest.strip()
        if name == "track" and rest in ("ip_src", "ip_dst", "ip_pair", "tx"):
            track = rest
        elif name == "expire" and rest.isdecimal() and int(rest) > 0:
            expire = int(rest)
        else:
            raise KeywordError(f"{word[:40]!r} is neither `track ip_src|ip_dst|ip_pair|tx` nor `expire SECONDS`")
    if not track:
        raise KeywordError("needs track ip_src, ip_dst, ip_pair or tx")
    if track == "tx" and (expire is not None or words[0] not in ("set", "isset")):
        raise KeywordError("track tx goes with set and isset, without expire")
    if expire is not None and words[0] != "set":
        raise KeywordError("expire goes with set")
    a.states.append(Bits("xbits", cast("Command", words[0]), (words[1],), "|", track, expire))
    a.need("xbits:tx" if track == "tx" else "xbits")


def _hostbits(a: Assembly, value: str | None) -> None:
    words = [w.strip() for w in required(value).split(",")]
    if words == ["noalert"]:
        a.noalert = True
        return
    if words[0] not in _COMMANDS or not 2 <= len(words) <= 4 or not words[1]:
        raise KeywordError(f"{words[0][:40]!r} is not {', '.join(_COMMANDS)} with a name, nor noalert")
    track = words[2] if len(words) > 2 else "src"
    if track not in ("src", "dst", "both") or (len(words) > 3 and not words[3].isdecimal()):
        raise KeywordError("the host is src, dst or both, then seconds")
    a.states.append(Bits("hostbits", cast("Command", words[0]), (words[1],), "|", track, int(words[3]) if len(words) > 3 else None))
    a.need("hostbits")


_TRACKS: Final = {
    "by_src": "by_src", "by_dst": "by_dst", "by_both": "by_both", "by_rule": "by_rule", "by_flow": "by_flow",
    "by_source": "by_src", "by_destination": "by_dst",
}  # fmt: skip
Kind = Literal["limit", "threshold", "both", "backoff", "detection_filter"]


def read_threshold(words: list[str], kind: str) -> Threshold:
    """`type limit, track by_src, count 1, seconds 60` from its words; also for a threshold.config. Raises KeywordError."""
    given: dict[str, str] = {"type": kind} if kind else {}
    for word in words:
        name, _, rest = word.strip().partition(" ")
        if name not in ("type", "track", "count", "seconds", "multiplier", "unique_on"):
            raise KeywordError(f"{word.strip()[:40]!r} is none of its options")
        if name in given:
            raise KeywordError(f"{name} is given twice")
        given[name] = rest.strip()
    kind = given.get("type", "")
    if kind not in ("limit", "threshold", "both", "backoff", "detection_filter"):
        raise KeywordError(f"type {kind!r} is not limit, threshold, both or backoff" if kind else "type is missing")
    track = _TRACKS.get(given.get("track", ""))
    if track is None:
        raise KeywordError(f"track is {', '.join(_TRACKS)}")
    counts = {}
    for name in ("count", "seconds", "multiplier"):
        n = as_int(given[name]) if name in given else None
        if name in given and (n is None or not 0 < n < 2**32):
            raise KeywordError(f"{name} {given[name][:20]!r} is no number above 0")
        counts[name] = n or 0
    if not counts["count"]:
        raise KeywordError("count is missing")
    if kind == "backoff":
        if track != "by_flow" or not counts["multiplier"] or counts["seconds"]:
            raise KeywordError("backoff goes with track by_flow and a multiplier, without seconds")
    elif counts["multiplier"]:
        raise KeywordError("multiplier goes with backoff")
    elif not counts["seconds"]:
        raise KeywordError("seconds is missing")
    unique = given.get("unique_on", "")
    if unique not in ("", "src_port", "dst_port") or (unique and kind != "detection_filter"):
        raise KeywordError("unique_on is src_port or dst_port, of a detection_filter")
    return Threshold(
        cast("Kind", kind),
        cast('Literal["by_src", "by_dst", "by_both", "by_rule", "by_flow"]', track),
        counts["count"],
        counts["seconds"],
        counts["multiplier"],
        cast('Literal["", "src_port", "dst_port"]', unique),
    )


def _threshold(a: Assembly, value: str | None) -> None:
    a.once("threshold")
    if a.detection_filter is not None:
        raise KeywordError("cannot stand with detection_filter")
    a.threshold = read_threshold(required(value).split(","), "")
    if a.threshold.kind == "detection_filter":
        raise KeywordError("type 'detection_filter' is not limit, threshold, both or backoff")
    a.need("threshold:backoff" if a.threshold.kind == "backoff" else "threshold")


def _detection_filter(a: Assembly, value: str | None) -> None:
    a.once("detection_filter")
    if a.threshold is not None:
        raise KeywordError("cannot stand with threshold")
    a.detection_filter = read_threshold(required(value).split(","), "detection_filter")
    if a.detection_filter.unique_on:
        if not set(a.header.protocol.ip_protocols) & {6, 17, 132} and not a.header.protocol.service:
            raise KeywordError("unique_on needs a protocol with ports")
        a.need("detection_filter:unique_on")
    else:
        a.need("detection_filter")


def _tag(a: Assembly, value: str | None) -> None:
    words = [w.strip() for w in required(value).split(",")]
    scope = words[0]
    if scope in ("host_src", "host_dst") or (len(words) == 2 and " " in words[1]):
        # Snort 3: `tag:host_src, packets 10`.
        metric, _, number = words[1].partition(" ") if len(words) > 1 else ("packets", "", "256")
        words = [scope.partition("_")[0], number.strip(), metric, *([scope.partition("_")[2]] if "_" in scope else [])]
        scope = words[0]
    if scope not in ("session", "host"):
        raise KeywordError(f"{scope[:40]!r} is neither session nor host")
    direction = ""
    if words[-1] in ("src", "dst"):
        direction = words.pop()
    if scope == "host" and len(words) > 1 and not direction:
        # Without a count the host is the destination (user guide, tag).
        raise KeywordError("host needs src or dst")
    if scope == "session" and direction:
        raise KeywordError("session takes no direction")
    count, metric = (256, "packets") if scope == "session" and len(words) == 1 else (0, "")
    if len(words) == 3 and words[1].isdecimal() and int(words[1]) > 0 and words[2] in ("packets", "seconds", "bytes"):
        count, metric = int(words[1]), words[2]
    elif len(words) == 1 and scope == "host":
        count, metric, direction = 256, "packets", direction or "dst"
    if not metric:
        raise KeywordError("needs session or host, a count, packets, seconds or bytes, and for host src or dst")
    a.tags.append(
        Tag(
            cast('Literal["session", "host"]', scope),
            count,
            cast('Literal["packets", "seconds", "bytes"]', metric),
            cast('Literal["", "src", "dst"]', direction),
        )
    )
    a.need("tag")


def _variable(keyword: str) -> Callable[[Assembly, str | None], None]:
    def read(a: Assembly, value: str | None) -> None:
        name, comma, rest = required(value).partition(",")
        if not comma or not name.strip() or not rest.strip():
            raise KeywordError("needs a name and a value")
        a.extra.append((keyword, required(value)))
        a.need(keyword)

    return read


KEYWORDS: Final = (
    Keyword("flowbits", "state", "marks of the flow: set, unset, toggle, isset, isnotset; `|`, `&`", _flowbits, dialects="s23"),
    Keyword("flowint", "state", "numbers of the flow", _flowint),
    Keyword("xbits", "state", "marks of an address or a pair of them", _xbits),
    Keyword("hostbits", "state", "marks of an address", _hostbits),
    Keyword("flowvar", "state", "text of the flow that a pcre kept", _variable("flowvar")),
    Keyword("pktvar", "state", "text of the packet that a pcre kept", _variable("pktvar")),
    Keyword("threshold", "state", "how often a match alerts: limit, threshold, both, backoff", _threshold, dialects="s2"),
    Keyword("detection_filter", "state", "alerts only above a rate", _detection_filter, dialects="s23"),
    Keyword("tag", "state", "packets kept after the alert", _tag, dialects="s23"),
)  # fmt: skip
"""Keywords of this file."""
