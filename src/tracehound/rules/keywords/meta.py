"""In: the values of the options that say what a rule is called, and what happens besides the alert. Out: their parts of the
assembly. Never here: anything that decides whether a rule matches, but `requires`.

Sources: Suricata 8 user guide (meta keywords, config rules), Snort 2.9 manual 3.4, Snort 3 reference."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Literal, cast

from tracehound.rules.keywords.assembly import Assembly, as_int
from tracehound.rules.keywords.keyword import Keyword, KeywordError
from tracehound.rules.keywords.payload import no_value, quoted, required, unquoted

SPEAKS_AS: Final = (8, 0, 3)
"""The Suricata version whose keywords are read; `requires: version` is answered with it."""
FEATURES: Final = frozenset({"ja3", "ja4", "magic", "hyperscan"})
"""Optional parts of Suricata that are always here; `requires: feature`."""
_ESCAPES: Final = re.compile(r'\\([;:"\\/])')


def _number(value: str | None, low: int, high: int) -> int:
    n = as_int(required(value))
    if n is None or not low <= n <= high:
        raise KeywordError(f"{value!r} is no number of {low} to {high}")
    return n


def _msg(a: Assembly, value: str | None) -> None:
    a.once("msg")
    text = required(value)
    if text[0] == '"':
        negated, text = quoted(text)
        if negated:
            raise KeywordError("cannot be negated")
    elif not a.snort3 and '"' in text:
        raise KeywordError("has a quote at one end only")
    a.msg = _ESCAPES.sub(r"\1", text) if "\\" in text else text


def _sid(a: Assembly, value: str | None) -> None:
    a.once("sid")
    a.sid = _number(unquoted(value), 1, 2**32 - 1)


def _gid(a: Assembly, value: str | None) -> None:
    a.once("gid")
    a.gid = _number(unquoted(value), 0, 2**32 - 1)


def _rev(a: Assembly, value: str | None) -> None:
    a.once("rev")
    a.rev = _number(unquoted(value), 0, 2**32 - 1)


def _classtype(a: Assembly, value: str | None) -> None:
    a.once("classtype")
    a.classtype = required(value)
    if not re.fullmatch(r"[\w.\-]+", a.classtype):
        raise KeywordError(f"{value!r} is no name of a class")


def _priority(a: Assembly, value: str | None) -> None:
    a.once("priority")
    a.priority = _number(value, 1, 255)


def _reference(a: Assembly, value: str | None) -> None:
    kind, comma, text = required(value).partition(",")
    kind, text = kind.strip(), text.strip()
    if not comma or not kind or not text or not re.fullmatch(r"[\w.\-]+", kind):
        raise KeywordError("needs a kind and, after a comma, what is referred to")
    a.references.append((kind.lower(), text))


def _metadata(a: Assembly, value: str | None) -> None:
    a.metadata += [word for part in required(value).split(",") if (word := " ".join(part.split()))]


def _target(a: Assembly, value: str | None) -> None:
    a.once("target")
    if value not in ("src_ip", "dest_ip"):
        raise KeywordError(f"{value!r} is neither src_ip nor dest_ip")
    a.target = cast('Literal["src_ip", "dest_ip"]', value)


def _noalert(a: Assembly, value: str | None) -> None:
    no_value(value)
    a.noalert = True


def _alert(a: Assembly, value: str | None) -> None:
    no_value(value)


def _prefilter(a: Assembly, value: str | None) -> None:
    no_value(value)
    if a.option < 1:
        raise KeywordError("stands after no option")
    a.prefilter = "on"


def _kept(keyword: str, *, bare: bool = False) -> Callable[[Assembly, str | None], None]:
    """A reader for an option without influence on alerts, which only prints back."""

    def read(a: Assembly, value: str | None) -> None:
        if bare:
            no_value(value)
        a.extra.append((keyword, value or ""))

    return read


_VERSION: Final = re.compile(r"(>=|<=|>|<)\s*(\d+(?:\.\d+){0,2})[\w.\-]*")


def _version_holds(text: str) -> bool:
    for alternative in text.split("|"):
        found = _VERSION.findall(alternative)
        if not found or _VERSION.sub("", alternative).strip():
            raise KeywordError(f"{alternative.strip()[:40]!r} compares with no version")
        holds = True
        for operator, words in found:
            version = (*(int(w) for w in words.split(".")), 0, 0)[:3]
            holds &= {
                ">=": version <= SPEAKS_AS, "<=": version >= SPEAKS_AS, ">": version < SPEAKS_AS, "<": version > SPEAKS_AS,
            }[operator]  # fmt: skip
        if holds:
            return True
    return False


def _requires(a: Assembly, value: str | None) -> None:
    for part in required(value).split(","):
        word = part.strip()
        kind, _, rest = word.partition(" ")
        rest = rest.strip()
        if kind == "version":
            if not _version_holds(rest):
                raise KeywordError(f"the rule is for version {rest}; keywords are read as of {'.'.join(map(str, SPEAKS_AS))}")
        elif kind == "keyword":
            # Whether there is such a keyword is looked up in ruleset.py, which knows them all.
            if not rest:
                raise KeywordError("names no keyword")
        elif kind == "feature":
            if rest not in FEATURES:
                raise KeywordError(f"feature {rest[:40]!r} is not here; there are {', '.join(sorted(FEATURES))}")
        else:
            raise KeywordError(f"{word[:40]!r} asks for nothing that is known")
        a.requires.append(word)


def _service(a: Assembly, value: str | None) -> None:
    words = tuple(dict.fromkeys(_SERVICE_NAMES.get(w.strip(), w.strip()) for w in required(value).split(",")))
    if not all(re.fullmatch(r"[A-Za-z][\w.\-]*", w) for w in words):
        raise KeywordError("needs names of services")
    a.named_services = words
    a.need("service")


_SERVICE_NAMES: Final = {"ssl": "tls", "netbios-ssn": "smb", "dce_http_server": "dcerpc", "ftp-data": "ftp-data", "https": "tls"}
"""Snort's names of services -> ours, where they differ."""


def _config(a: Assembly, value: str | None) -> None:
    words = [w.strip() for w in required(value).split(",")]
    if a.header.action != "config":
        raise KeywordError("belongs to rules with the action config")
    if words[0] not in ("logging disable", "tracking disable") or not any(w.startswith("type ") for w in words):
        raise KeywordError("needs `logging disable` or `tracking disable`, type, scope")
    a.extra.append(("config", required(value)))
    a.need("action:config")


def _never(a: Assembly, value: str | None) -> None:
    """The catalogue's `never` refuses the rule before this is called."""


_INLINE_ONLY: Final = "acts on live traffic; in evidence nothing can be answered"

KEYWORDS: Final = (
    Keyword("msg", "meta", "what an alert says", _msg, dialects="s23"),
    Keyword("sid", "meta", "the rule's number", _sid, dialects="s23"),
    Keyword("gid", "meta", "the generator's number", _gid, dialects="s23"),
    Keyword("rev", "meta", "the rule's revision", _rev, dialects="s23"),
    Keyword("classtype", "meta", "class of the attack, with a priority of its own", _classtype, dialects="s23"),
    Keyword("priority", "meta", "priority of the alert, 1 the highest", _priority, dialects="s23"),
    Keyword("reference", "meta", "where to read more", _reference, dialects="s23"),
    Keyword("metadata", "meta", "words about the rule", _metadata, dialects="s23"),
    Keyword("target", "meta", "which side is the target of the attack", _target),
    Keyword("rem", "meta", "a remark", _kept("rem"), dialects="3"),
    Keyword("requires", "meta", "what reads the rule must be of that version or have that keyword", _requires),
    Keyword("noalert", "action", "carries out what the rule sets, without an alert", _noalert),
    Keyword("alert", "action", "alerts after all, in a rule that passes", _alert),
    Keyword("prefilter", "action", "looks at the option before it first; no influence on what matches", _prefilter),
    Keyword("bypass", "action", "the rest of the flow needs no look; evidence is read whole", _kept("bypass", bare=True)),
    Keyword("filestore", "action", "keeps the file; `files --extract` does that here", _kept("filestore")),
    Keyword("tls.store", "action", "keeps the certificate", _kept("tls.store", bare=True), (), ("tls_store",)),
    Keyword("config", "action", "changes what is logged of the flow or transaction", _config),
    Keyword("logto", "action", "another file for the alert", _kept("logto"), dialects="2"),
    Keyword("session", "action", "prints what was said", _kept("session"), dialects="2"),
    Keyword("service", "header", "application protocols of the flow", _service, dialects="3"),
    Keyword("nfq_set_mark", "action", "marks the packet for the firewall", _kept("nfq_set_mark")),
    Keyword("resp", "action", "answers", _never, dialects="2", never=_INLINE_ONLY),
    Keyword("react", "action", "answers", _never, dialects="2", never=_INLINE_ONLY),
    Keyword("activates", "action", "another rule begins", _never, dialects="2", never="was given up for flowbits and tag"),
    Keyword("activated_by", "action", "another rule begins this", _never, dialects="2", never="was given up for flowbits and tag"),
    Keyword("count", "action", "packets of an activated rule", _never, dialects="2", never="was given up for flowbits and tag"),
    Keyword("lua", "payload", "a Lua script decides", _never, (), ("luajit",), never="rules do not run programs here"),
    Keyword("so", "payload", "a compiled program decides", _never, (), ("soid",), "23", never="rules do not run programs here"),
)  # fmt: skip
"""Keywords of this file."""
