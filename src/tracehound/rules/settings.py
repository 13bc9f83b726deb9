"""In: the texts of suricata.yaml, snort.conf, classification.config, reference.config, threshold.config. Out: what they set:
variables, classes, references, suppressions, event and rate filters, the files they name. Never here: opening files (edges/
rule_files.py) or applying filters (the engine).

Sources: Suricata 8 user guide (suricata.yaml, global thresholds, classification); Snort 2.9 manual 2.4, 2.5."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import yaml

from tracehound.errors import RuleError
from tracehound.rules.classes import ADDRESS_VARIABLES, CLASSES, DEFAULT_PRIORITY, PORT_VARIABLES, REFERENCES
from tracehound.rules.grammar import Include, Setting, decoded, items
from tracehound.rules.keywords.assembly import as_int
from tracehound.rules.keywords.keyword import KeywordError
from tracehound.rules.keywords.state import read_threshold
from tracehound.rules.rule import AddressSet, Rule, Threshold
from tracehound.rules.variables import Variables


@dataclass(frozen=True, slots=True)
class Suppression:
    """`suppress`: alerts of these rules (sid 0: all of the generator; gid 0: of all) are not reported, or not for addresses."""

    gid: int
    sid: int
    track: Literal["", "by_src", "by_dst", "by_either"] = ""
    addresses: AddressSet | None = None


@dataclass(frozen=True, slots=True)
class EventFilter:
    """`threshold` or `event_filter`: takes the place of the rule's own threshold."""

    gid: int
    sid: int
    threshold: Threshold


@dataclass(frozen=True, slots=True)
class RateFilter:
    """`rate_filter`: above the rate the rule has another action, for some seconds."""

    gid: int
    sid: int
    threshold: Threshold
    new_action: str
    timeout_s: int


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user's configuration says, on top of Suricata's defaults."""

    variables: Variables = field(default_factory=lambda: Variables(dict(ADDRESS_VARIABLES), dict(PORT_VARIABLES)))
    classes: Mapping[str, tuple[str, int]] = field(default_factory=lambda: dict(CLASSES))
    references: Mapping[str, str] = field(default_factory=lambda: dict(REFERENCES))
    suppressions: tuple[Suppression, ...] = ()
    event_filters: tuple[EventFilter, ...] = ()
    rate_filters: tuple[RateFilter, ...] = ()
    rule_folder: str = ""
    rule_files: tuple[str, ...] = ()
    classification_file: str = ""
    reference_file: str = ""
    threshold_file: str = ""
    includes: tuple[str, ...] = ()
    midstream: bool = False
    """stream.midstream"""

    def priority_of(self, rule: Rule) -> int:
        """Priority of a rule's alerts: its own, else its class's."""
        if rule.priority is not None:
            return rule.priority
        return self.classes.get(rule.classtype, ("", DEFAULT_PRIORITY))[1]

    def category_of(self, rule: Rule) -> str:
        """What an alert calls the rule's class; empty without one."""
        return self.classes.get(rule.classtype, ("", 0))[0]

    def reference_url(self, kind: str, text: str) -> str:
        """The address of a reference; the text itself where the kind is not known."""
        prefix = self.references.get(kind)
        if prefix is None:
            return text
        return text if prefix.endswith("://") and re.match(r"https?://", text) else prefix + text


def with_variable(settings: Settings, assignment: str) -> Settings:
    """`HOME_NET=any`, `vars.port-groups.HTTP_PORTS=[80,8080]` from a command line; raises KeywordError."""
    name, sign, value = assignment.partition("=")
    path = name.strip().split(".")
    if not sign or not path[-1] or not value.strip():
        raise KeywordError(f"{assignment!r} is not NAME=VALUE")
    name, value = path[-1], value.strip()
    if path[:-1] in (["vars", "address-groups"], ["address-groups"]):
        kinds: tuple[bool, bool] = (True, False)
    elif path[:-1] in (["vars", "port-groups"], ["port-groups"]):
        kinds = (False, True)
    elif path[:-1] in ([], ["vars"]):
        is_port = name in settings.variables.ports and name not in settings.variables.addresses
        is_port |= name not in settings.variables.addresses and name.endswith("_PORTS")
        kinds = (not is_port, is_port)
    elif path == ["stream", "midstream"]:
        return replace(settings, midstream=value.lower() in ("true", "yes", "1", "on"))
    else:
        raise KeywordError(f"{'.'.join(path)} is no setting that is read")
    variables = settings.variables.with_values({name: value} if kinds[0] else {}, {name: value} if kinds[1] else {})
    if kinds[0]:
        variables.address_set("$" + name)
    else:
        variables.port_set("$" + name)
    return replace(settings, variables=variables)


# -- suricata.yaml ----------------------------------------------------------------------------------------------------------


def _texts(value: object, source: str, what: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RuleError(source, 1, f"{what} is no table of names")
    return {str(name): str(text) for name, text in value.items() if text is not None}


def read_yaml(text: bytes | str, source: str, settings: Settings) -> Settings:
    """Settings of a suricata.yaml: vars, rule files, and the names of the other files. What has no bearing is not looked at."""
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as wrong:
        mark = getattr(wrong, "problem_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, None)
        raise RuleError(source, line, f"is no YAML: {getattr(wrong, 'problem', None) or wrong}", column=column) from None
    except (ValueError, RecursionError) as wrong:
        raise RuleError(source, 1, f"is no YAML: {wrong}") from None
    if tree is None:
        return settings
    if not isinstance(tree, dict):
        raise RuleError(source, 1, "is no table of settings")
    groups = tree.get("vars") or {}
    if not isinstance(groups, dict):
        raise RuleError(source, 1, "vars is no table of names")
    variables = settings.variables.with_values(
        _texts(groups.get("address-groups"), source, "vars.address-groups"),
        _texts(groups.get("port-groups"), source, "vars.port-groups"),
    )
    files = tree.get("rule-files")
    includes = tree.get("include")
    stream = tree.get("stream")
    midstream = stream.get("midstream") if isinstance(stream, dict) else None

    def name(key: str, before: str) -> str:
        value = tree.get(key)
        return str(value) if value else before

    return replace(
        settings,
        variables=variables,
        rule_folder=name("default-rule-path", settings.rule_folder),
        rule_files=tuple(str(f) for f in files if f) if isinstance(files, list) else settings.rule_files,
        classification_file=name("classification-file", settings.classification_file),
        reference_file=name("reference-config-file", settings.reference_file),
        threshold_file=name("threshold-file", settings.threshold_file),
        includes=tuple(str(i) for i in ([includes] if isinstance(includes, str) else includes if isinstance(includes, list) else [])),
        midstream=settings.midstream if midstream is None else bool(midstream),
    )


# -- snort.conf ---------------------------------------------------------------------------------------------------------------


def read_snort_conf(text: bytes | str, source: str, settings: Settings) -> Settings:
    """Variables and included files of a snort.conf; rules in it are left to whoever reads rules."""
    addresses: dict[str, str] = {}
    ports: dict[str, str] = {}
    includes: list[str] = []
    for item in items(text, source):
        if isinstance(item, Setting):
            if item.kind != "portvar":
                addresses[item.name] = item.value
            if item.kind != "ipvar":
                ports[item.name] = item.value
        elif isinstance(item, Include):
            includes.append(item.path)
    folder = addresses.get("RULE_PATH", settings.rule_folder)
    files = tuple(i for i in includes if i.endswith(".rules"))
    others = [i for i in includes if not i.endswith(".rules")]

    def named(end: str, before: str) -> str:
        return next((i for i in others if i.endswith(end)), before)

    return replace(
        settings,
        variables=settings.variables.with_values(addresses, ports),
        rule_folder=folder,
        rule_files=tuple(f.replace("$RULE_PATH/", "") for f in files),
        classification_file=named("classification.config", settings.classification_file),
        reference_file=named("reference.config", settings.reference_file),
        threshold_file=named("threshold.conf", settings.threshold_file),
    )


# -- classification.config, reference.config ------------------------------------------------------------------------------------

_CLASS: Final = re.compile(r"config\s+classification\s*:\s*([^,\s]+)\s*,\s*(.*?)\s*,\s*(\d+)\s*\Z")
_REFERENCE: Final = re.compile(r"config\s+reference\s*:\s*([\w.\-]+)\s+(\S.*?)\s*\Z")


def _numbered(text: bytes | str) -> list[tuple[int, str]]:
    lines = decoded(text).split("\n")
    return [(n, line.strip()) for n, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")]


def read_classification(text: bytes | str, source: str, settings: Settings) -> Settings:
    """`config classification: name,description,priority` lines; they take the place of the defaults."""
    found: dict[str, tuple[str, int]] = {}
    for n, line in _numbered(text):
        m = _CLASS.fullmatch(line)
        if m is None:
            raise RuleError(source, n, "is not `config classification: name,description,priority`")
        if not 1 <= int(m[3]) <= 255:
            raise RuleError(source, n, f"priority {m[3]} is not within 1 to 255")
        found.setdefault(m[1].lower(), (m[2], int(m[3])))
    return replace(settings, classes=found)


def read_references(text: bytes | str, source: str, settings: Settings) -> Settings:
    """`config reference: kind address` lines; they take the place of the defaults."""
    found: dict[str, str] = {}
    for n, line in _numbered(text):
        m = _REFERENCE.fullmatch(line)
        if m is None:
            raise RuleError(source, n, "is not `config reference: kind address`")
        found[m[1].lower()] = m[2]
    return replace(settings, references=found)


# -- threshold.config -------------------------------------------------------------------------------------------------------------

_SUPPRESSED: Final[dict[str, Literal["", "by_src", "by_dst", "by_either"]]] = {
    "": "", "by_src": "by_src", "by_dst": "by_dst", "by_either": "by_either", "by_both": "by_either",
}  # fmt: skip
_FILTER: Final = re.compile(r"(suppress|threshold|event_filter|rate_filter)\s*:?\s+(.*)", re.DOTALL)


def read_thresholds(text: bytes | str, source: str, settings: Settings) -> Settings:
    """`suppress`, `threshold`, `event_filter`, `rate_filter` lines; a backslash continues a line. Raises RuleError."""
    suppressions: list[Suppression] = list(settings.suppressions)
    events: list[EventFilter] = list(settings.event_filters)
    rates: list[RateFilter] = list(settings.rate_filters)
    joined = re.sub(r"\\[ \t]*\r?\n", lambda m: " \x00", decoded(text))
    n = 1
    for raw in joined.split("\n"):
        at, n = n, n + 1 + raw.count("\x00")
        line = raw.replace("\x00", "").strip()
        if not line or line.startswith("#"):
            continue
        m = _FILTER.fullmatch(line)
        try:
            if m is None:
                raise KeywordError("begins with none of suppress, threshold, event_filter, rate_filter")
            _read_filter(m[1], m[2], settings.variables, suppressions, events, rates)
        except KeywordError as wrong:
            raise RuleError(source, at, str(wrong), keyword=m[1] if m else "") from None
    return replace(settings, suppressions=tuple(suppressions), event_filters=tuple(events), rate_filters=tuple(rates))


def _read_filter(
    kind: str,
    text: str,
    variables: Variables,
    suppressions: list[Suppression],
    events: list[EventFilter],
    rates: list[RateFilter],
) -> None:
    given: dict[str, str] = {}
    others: list[str] = []
    for word in _outside_brackets(text):
        name, _, rest = word.strip().partition(" ")
        if name in ("gen_id", "sig_id", "ip", "new_action", "timeout") or (name == "track" and kind == "suppress"):
            if name in given:
                raise KeywordError(f"{name} is given twice")
            given[name] = rest.strip()
        else:
            others.append(word)
    gid, sid = (_id(given, name) for name in ("gen_id", "sig_id"))
    if kind == "suppress":
        if others:
            raise KeywordError(f"{others[0].strip()[:40]!r} is none of its options")
        track, ip = given.get("track", ""), given.get("ip", "")
        if track not in _SUPPRESSED or bool(track) != bool(ip):
            raise KeywordError("track by_src, by_dst or by_either goes with ip and an address")
        addresses = variables.address_set(ip) if ip else None
        suppressions.append(Suppression(gid, sid, _SUPPRESSED[track], addresses))
        return
    if kind == "rate_filter":
        action = given.get("new_action", "")
        timeout = as_int(given.get("timeout", ""))
        if action not in ("alert", "drop", "pass", "reject", "log", "sdrop") or timeout is None or timeout < 0:
            raise KeywordError("needs new_action alert, drop, pass or reject, and timeout in seconds")
        rates.append(RateFilter(gid, sid, read_threshold(others, "detection_filter"), action, timeout))
        return
    events.append(EventFilter(gid, sid, read_threshold(others, "")))


def _outside_brackets(text: str) -> list[str]:
    words, depth, start = [], 0, 0
    for i, c in enumerate(text):
        depth += (c == "[") - (c == "]")
        if c == "," and depth == 0:
            words.append(text[start:i])
            start = i + 1
    return [*words, text[start:]]


def _id(given: dict[str, str], name: str) -> int:
    n = as_int(given.get(name, ""))
    if n is None or not 0 <= n < 2**32:
        raise KeywordError(f"{name} is missing or no number")
    return n
