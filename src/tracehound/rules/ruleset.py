"""In: texts of rule files, variables. Out: the rules that mean something, the refused with place and reason, the disabled counted.
Never here: opening files (edges/rule_files.py), matching, or judging whether a rule is good (checks/).

A rule that comes again with the same gid and sid replaces the earlier one if its revision is higher, as in Suricata; otherwise
the later one is refused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal

from tracehound.errors import RuleError
from tracehound.rules.grammar import Disabled, Include, Setting, items
from tracehound.rules.keywords.assembly import Assembly
from tracehound.rules.keywords.catalog import COMMON, SNORT3
from tracehound.rules.keywords.keyword import KeywordError, NeverError
from tracehound.rules.rule import ANY_ADDRESS, ANY_PORT, AddressSet, Header, PortSet, Protocol, Rule, Written
from tracehound.rules.variables import Variables

_SERVICES_TCP: Final = (
    "http", "http1", "http2", "tls", "ftp", "ftp-data", "smtp", "imap", "pop3", "smb", "ssh", "telnet", "rfb", "mqtt", "rdp",
    "pgsql", "mysql", "websocket", "modbus", "dnp3", "s7commplus", "mms", "irc",
)  # fmt: skip
_SERVICES_UDP: Final = ("tftp", "ntp", "dhcp", "snmp", "quic", "bittorrent-dht", "mdns", "llmnr", "ike", "gtp")
_SERVICES_BOTH: Final = ("dns", "doh2", "dcerpc", "krb5", "nfs", "sip", "ldap", "enip")
TCP: Final = 6
UDP: Final = 17

PROTOCOLS: Final[dict[str, Protocol]] = {
    "ip": Protocol("ip"),
    "pkthdr": Protocol("pkthdr"),
    "tcp": Protocol("tcp", (TCP,)),
    "tcp-pkt": Protocol("tcp-pkt", (TCP,), only="packet"),
    "tcp-stream": Protocol("tcp-stream", (TCP,), only="stream"),
    "udp": Protocol("udp", (UDP,)),
    "icmp": Protocol("icmp", (1, 58)),
    "icmpv4": Protocol("icmpv4", (1,), family="ipv4"),
    "icmpv6": Protocol("icmpv6", (58,), family="ipv6"),
    "sctp": Protocol("sctp", (132,)),
    "ipv4": Protocol("ipv4", family="ipv4"),
    "ipv6": Protocol("ipv6", family="ipv6"),
    "igmp": Protocol("igmp", (2,)),
    "ether": Protocol("ether"),
    "arp": Protocol("arp"),
    **{s: Protocol(s, (TCP,), service=s) for s in _SERVICES_TCP},
    **{s: Protocol(s, (UDP,), service=s) for s in _SERVICES_UDP},
    **{s: Protocol(s, (TCP, UDP), service=s) for s in _SERVICES_BOTH},
    "file": Protocol("file"),
    "user": Protocol("user"),
}
"""Word in a rule's header -> what it asks for."""
ALIASES: Final[dict[str, str]] = {
    "ip4": "ipv4", "ip6": "ipv6", "icmp4": "icmpv4", "icmp6": "icmpv6", "ssl": "tls", "ikev2": "ike", "https": "tls",
    "ethernet": "ether",
}  # fmt: skip
_ACTIONS: Final[dict[str, str]] = {"block": "drop", "sdrop": "drop"}
_DIRECTIONS: Final[dict[str, Literal["->", "<>", "=>"]]] = {"->": "->", "<>": "<>", "=>": "=>"}
_NO_ACTION: Final[dict[str, str]] = {
    "activate": "activate and dynamic rules were given up for flowbits and tag",
    "dynamic": "activate and dynamic rules were given up for flowbits and tag",
    "react": "acts on live traffic; in evidence nothing can be answered",
    "rewrite": "acts on live traffic; in evidence nothing can be rewritten",
    "accept": "belongs to firewall rules, which are not read",
}


@dataclass(frozen=True, slots=True)
class RuleSet:
    """What came of some rule files, in their order."""

    rules: tuple[Rule, ...] = ()
    refused: tuple[RuleError, ...] = ()
    disabled: tuple[Disabled, ...] = ()
    variables: Variables = field(default_factory=Variables)
    """With those that the files define."""
    includes: tuple[Include, ...] = ()
    """Included files, as written, that were not given (edges/rule_files.py gives them)."""
    replaced: tuple[Rule, ...] = ()
    """Rules that a higher revision of the same sid replaced."""


@lru_cache(maxsize=256)
def _protocol(word: str) -> Protocol:
    name = word.lower()
    name = ALIASES.get(name, name)
    found = PROTOCOLS.get(name)
    if found is None:
        if ":" in name and name.partition(":")[0] in PROTOCOLS:
            raise NeverError(f"{word[:40]!r} hooks into a stage of the engine; firewall rules are not read")
        raise KeywordError(f"{word[:40]!r} is no protocol that is known")
    return found


def _header(written: Written, variables: Variables) -> Header:
    if written.action in _NO_ACTION:
        raise NeverError(_NO_ACTION[written.action])
    protocol = _protocol(written.protocol or "ip")
    src: AddressSet = variables.address_set(written.src) if written.src else ANY_ADDRESS
    dst: AddressSet = variables.address_set(written.dst) if written.dst else ANY_ADDRESS
    sports: PortSet = variables.port_set(written.src_ports) if written.src_ports else ANY_PORT
    dports: PortSet = variables.port_set(written.dst_ports) if written.dst_ports else ANY_PORT
    action = _ACTIONS.get(written.action, written.action)
    # Without a direction (Snort 3's service rules) both are meant.
    direction = written.direction or "<>"
    return Header(action, protocol, src, sports, _DIRECTIONS[direction], dst, dports)


def meaning(written: Written, variables: Variables) -> Rule:
    """What a rule means; raises RuleError with the place of the option that cannot be honoured."""
    assembly: Assembly | None = None
    try:
        header = _header(written, variables)
        snort3 = written.dialect == "snort3"
        table = SNORT3 if snort3 else COMMON
        assembly = Assembly(header, snort3=snort3)
        _skip_if_required_is_missing(written, assembly)
        assembly.need("protocol:" + header.protocol.name)
        if header.direction == "=>":
            assembly.need("direction:=>")
        if header.action == "config":
            assembly.need("action:config")
        for index, option in enumerate(written.options):
            keyword = table.get(option.name)
            if keyword is None:
                raise RuleError(
                    written.source, option.line, "is no keyword that is known",
                    column=option.column, keyword=option.name, kind="unknown-keyword",
                )  # fmt: skip
            assembly.option = index
            if keyword.never:
                raise NeverError(keyword.never)
            for need in keyword.needs:
                assembly.need(need)
            keyword.read(assembly, option.value)
        return assembly.finish(written)
    except KeywordError as wrong:
        if assembly is None or assembly.option < 0:
            raise RuleError(written.source, written.line, str(wrong), column=written.column, kind=wrong.kind) from None
        option = written.options[assembly.option]
        raise RuleError(
            written.source, option.line, str(wrong), column=option.column, keyword=option.name, kind=wrong.kind
        ) from None


def _skip_if_required_is_missing(written: Written, assembly: Assembly) -> None:
    """`requires` is looked at first, so that a rule for another version is refused for that and not for its new keywords."""
    for index, option in enumerate(written.options):
        if option.name == "requires":
            assembly.option = index
            COMMON["requires"].read(assembly, option.value)
            for word in assembly.requires:
                name = word.removeprefix("keyword ").strip()
                if word.startswith("keyword ") and (name not in COMMON or COMMON[name].never):
                    raise KeywordError(f"the rule needs keyword {name[:40]!r}, which is not known")
            assembly.requires.clear()
    assembly.option = -1


def parse_rule(text: bytes | str, variables: Variables | None = None, source: str = "rule") -> Rule:
    """One rule from its text (continued lines joined); raises RuleError."""
    found = [x for x in items(text, source) if not isinstance(x, Disabled | Setting | Include)]
    if len(found) != 1:
        raise RuleError(source, 1, "not one rule", column=1)
    one = found[0]
    if isinstance(one, RuleError):
        raise one
    assert isinstance(one, Written)
    return meaning(one, variables or Variables())


def parse_rules(files: Iterable[tuple[str, bytes | str]], variables: Variables) -> RuleSet:
    """The rules of some files, given as (name, text), in order; variables that a file defines hold from there on."""
    refused: list[RuleError] = []
    disabled: list[Disabled] = []
    includes: list[Include] = []
    replaced: list[Rule] = []
    kept: dict[tuple[int, int], Rule] = {}
    for source, text in files:
        for item in items(text, source):
            if isinstance(item, Written):
                try:
                    rule = meaning(item, variables)
                except RuleError as wrong:
                    refused.append(wrong)
                    continue
                key = (rule.gid, rule.sid)
                earlier = kept.get(key)
                if earlier is None:
                    kept[key] = rule
                elif rule.rev > earlier.rev:
                    replaced.append(earlier)
                    del kept[key]
                    kept[key] = rule
                else:
                    refused.append(_twice(rule, earlier))
            elif isinstance(item, RuleError):
                refused.append(item)
            elif isinstance(item, Setting):
                variables = _with_setting(variables, item)
            elif isinstance(item, Include):
                includes.append(item)
            else:
                disabled.append(item)
    return RuleSet(tuple(kept.values()), tuple(refused), tuple(disabled), variables, tuple(includes), tuple(replaced))


def _twice(rule: Rule, earlier: Rule) -> RuleError:
    w = rule.written
    at = next((o for o in w.options if o.name == "sid"), w.options[0])
    where = f"{earlier.written.source}:{earlier.written.line}"
    cause = f"{rule.gid}:{rule.sid} stands in {where} already"
    return RuleError(w.source, at.line, cause, column=at.column, keyword="sid", kind="duplicate-sid")


def _with_setting(variables: Variables, setting: Setting) -> Variables:
    addresses = {setting.name: setting.value} if setting.kind != "portvar" else {}
    ports = {setting.name: setting.value} if setting.kind != "ipvar" else {}
    return variables.with_values(addresses, ports)
