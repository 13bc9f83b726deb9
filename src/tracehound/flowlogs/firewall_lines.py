"""In: the message of one firewall line, without its time. Out: what it says of a packet or a connection, or None: it is no such line.
Never here: times, files, what belongs together (firewall_log.py).

Sources: the Linux kernel's nf_log (iptables, nftables, ufw); Cisco's "ASA Series Syslog Messages"; OpenBSD's and FreeBSD's pflog as
tcpdump prints it; pfSense's "Raw Filter Log Format"."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

DENIED: Final = "deny"
REJECTED: Final = "reject"
ALLOWED: Final = "allow"
BUILT: Final = "built"
TEARDOWN: Final = "teardown"


@dataclass(slots=True)
class Said:
    """What a line says. None = not told.

    action      DENIED, REJECTED (the sender was told so), ALLOWED, BUILT, TEARDOWN, or None where the line does not say
    src, dst    as written; of a BUILT line src is who began
    flags       TCP flags
    size        IP bytes of the packet; of a TEARDOWN payload of both sides
    packets     how many packets the line stands for
    word        the firewall's own word: prefix, rule, reason
    key         name of the connection (BUILT, TEARDOWN)
    duration_s  of a TEARDOWN
    icmp        type and code
    about       of an ICMP error: what the packet that it answers said"""

    action: str | None
    src: str
    dst: str
    proto: str
    sport: int | None = None
    dport: int | None = None
    flags: int | None = None
    size: int | None = None
    packets: int = 1
    ttl: int | None = None
    word: str | None = None
    key: str | None = None
    duration_s: int | None = None
    icmp: tuple[int, int] | None = None
    about: Said | None = None
    whole: bool = True
    """False: who began is not told by the line."""


def _number(text: str | None, most: int) -> int | None:
    return int(text) if text and len(text) < 12 and text.isascii() and text.isdecimal() and int(text) <= most else None


_FLAG: Final = {"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16, "URG": 32, "ECE": 64, "CWR": 128}
_LETTER: Final = {"F": 1, "S": 2, "R": 4, "P": 8, ".": 16, "A": 16, "U": 32, "E": 64, "W": 128, "C": 128}


def _letters(text: str) -> int:
    bits = 0
    for letter in text:
        bits |= _LETTER.get(letter, 0)
    return bits


# -- netfilter -------------------------------------------------------------------------------------------------------------------

_PAIR: Final = re.compile(r"\b([A-Z]+)=(\S*)")
_INNER: Final = re.compile(r"\[(SRC=[^\]]*)\]")
_DENY_WORDS: Final = re.compile(r"DROP|BLOCK|DENY|DENIED|INVALID|BLACKLIST|\bBAN\b", re.IGNORECASE)
_REJECT_WORDS: Final = re.compile(r"REJECT|REFUSE|PROHIBIT", re.IGNORECASE)
_ALLOW_WORDS: Final = re.compile(r"ALLOW|ACCEPT|PASS|PERMIT|AUDIT", re.IGNORECASE)
_UPTIME: Final = re.compile(r"^.*?kernel: (?:\[ *\d+\.\d+\] ?)?")


def _action(prefix: str) -> str | None:
    """Of a rule's prefix ("[UFW BLOCK]", "iptables DROP:"); the kernel itself does not say what became of the packet."""
    for pattern, action in ((_REJECT_WORDS, REJECTED), (_DENY_WORDS, DENIED), (_ALLOW_WORDS, ALLOWED)):
        if pattern.search(prefix):
            return action
    return None


def _packet(fields: dict[str, str], text: str) -> Said:
    proto = fields.get("PROTO", "")
    flags = None
    if proto == "TCP":
        flags = 0
        for name, bit in _FLAG.items():
            if f" {name} " in text:
                flags |= bit
        flags = flags or None
    said = Said(
        None, fields["SRC"], fields["DST"], proto, _number(fields.get("SPT"), 65535), _number(fields.get("DPT"), 65535), flags,
        _number(fields.get("LEN"), 65535), ttl=_number(fields.get("TTL") or fields.get("HOPLIMIT"), 255),
    )  # fmt: skip
    kind, code = _number(fields.get("TYPE"), 255), _number(fields.get("CODE"), 255)
    if kind is not None:
        said.icmp = (kind, code or 0)
    return said


def netfilter(message: str) -> Said | None:
    """"[prefix]IN=eth0 OUT= MAC=... SRC=... DST=... LEN=60 TOS=0x00 ... PROTO=TCP SPT=... DPT=... WINDOW=... SYN URGP=0"; an ICMP
    error quotes what it answers in brackets."""
    begin = message.find("IN=")
    if begin < 0 or message.find("SRC=", begin) < 0:
        return None
    prefix = _UPTIME.sub("", message[:begin]).strip()
    text = message[begin:] + " "
    inner = _INNER.search(text)
    outer = text if inner is None else text[: inner.start()] + " " + text[inner.end() :]
    fields: dict[str, str] = {}
    for name, value in _PAIR.findall(outer):
        # A second LEN is that of the UDP datagram.
        fields.setdefault(name, value)
    if not {"SRC", "DST", "PROTO"} <= set(fields):
        return None
    said = _packet(fields, outer)
    said.action, said.word = _action(prefix), prefix.strip(" :[]") or None
    if inner is not None and said.icmp is not None:
        quoted: dict[str, str] = {}
        for name, value in _PAIR.findall(inner[1]):
            quoted.setdefault(name, value)
        if {"SRC", "DST", "PROTO"} <= set(quoted):
            said.about = _packet(quoted, inner[1] + " ")
    return said


# -- Cisco ASA, FTD, PIX ---------------------------------------------------------------------------------------------------------

_ASA: Final = re.compile(r"%(?:ASA|FTD|PIX)-(?:\w+-)?\d-(\d{6}): ?(.*)$")
_IP: Final = r"[0-9a-fA-F.:]+"
_DENY_SRC_DST: Final = re.compile(
    rf"^Deny (?:inbound )?(?:protocol )?(?P<proto>\S+) src (?:[^:\s]+:)?(?P<src>{_IP}?)(?:/(?P<sp>\d+))?(?:\([^)]*\))? "
    rf"dst (?:[^:\s]+:)?(?P<dst>{_IP}?)(?:/(?P<dp>\d+))?(?:\([^)]*\))?(?: \(type (?P<type>\d+), code (?P<code>\d+)\))?(?= |$)(?P<rest>.*)"
)
_DENY_FROM_TO: Final = re.compile(
    rf"(?:connection denied|Deny(?: inbound)? (?P<proto>\S+)(?: \(no connection\)| reverse path check| connection spoof)?) from "
    rf"(?P<src>{_IP})(?:/(?P<sp>\d+))? to (?:[^:\s/]+:)?(?P<dst>{_IP})(?:/(?P<dp>\d+))?(?: flags (?P<flags>[A-Z ]+?))?"
    r"(?: on interface|,? due|$)"
)
_ACL: Final = re.compile(
    rf"^access-list (?P<acl>\S+) (?P<action>permitted|denied|est-allowed) (?P<proto>\S+) "
    rf"[^/\s]+/(?P<src>{_IP})\((?P<sp>\d+)\)(?:\([^)]*\))? -> "
    rf"[^/\s]+/(?P<dst>{_IP})\((?P<dp>\d+)\)(?:\([^)]*\))? hit-cnt (?P<hits>\d+)"
)
_BUILT: Final = re.compile(
    rf"^Built (?P<way>inbound|outbound) (?:(?P<proto>TCP|UDP|GRE|SCTP) )?connection (?P<id>\d+) for [^:\s]+:(?P<a>{_IP})/(?P<ap>\d+)"
    rf".{{0,200}}? to [^:\s]+:(?P<b>{_IP})/(?P<bp>\d+)"
)
_TEARDOWN: Final = re.compile(
    rf"^Teardown (?:(?P<proto>TCP|UDP|GRE|SCTP) )?connection (?P<id>\d+) (?:for|from) [^:\s]+:(?P<a>{_IP})/(?P<ap>\d+).{{0,200}}? to "
    rf"[^:\s]+:(?P<b>{_IP})/(?P<bp>\d+).{{0,200}}? duration (?P<h>\d+):(?P<m>\d+):(?P<s>\d+) bytes (?P<bytes>\d+)(?P<reason>.*)$"
)
_ICMP: Final = re.compile(
    rf"^(?P<what>Built|Teardown)(?: (?P<way>inbound|outbound))? ICMP connection for faddr (?P<a>{_IP})/(?P<ap>\d+)(?:\([^)]*\))? gaddr \S+ "
    rf"laddr (?P<b>{_IP})/(?P<bp>\d+)(?:.* type (?P<type>\d+) code (?P<code>\d+))?"
)
_DENIED_ICMP: Final = re.compile(rf"^Denied ICMP type=(?P<type>\d+), code=(?P<code>\d+) from (?P<src>{_IP})")
_ACCESS: Final = re.compile(
    rf"^(?P<proto>TCP|UDP) access (?P<action>permitted|denied by ACL|requested) from (?P<src>{_IP})/(?P<sp>\d+) "
    rf"to [^:\s]+:(?P<dst>{_IP})/(?P<dp>\w+)"
)


def asa(message: str) -> Said | None:
    """"%ASA-4-106023: Deny tcp src outside:192.0.2.1/1234 dst inside:10.0.0.5/80 by access-group ..." and its relatives."""
    found = _ASA.search(message)
    if found is None:
        return None
    number, text = found[1], found[2].strip()
    reader = _ASA_READERS.get(number)
    said = reader(text) if reader is not None else None
    if said is not None and said.word is None:
        said.word = number
    return said


def _deny_src_dst(text: str) -> Said | None:
    m = _DENY_SRC_DST.match(text)
    if m is None:
        return None
    icmp = (int(m["type"]) & 255, int(m["code"]) & 255) if m["type"] and len(m["type"] + m["code"]) < 7 else None
    return Said(DENIED, m["src"], m["dst"], m["proto"], _number(m["sp"], 65535), _number(m["dp"], 65535), icmp=icmp)


def _deny_from_to(text: str) -> Said | None:
    m = _DENY_FROM_TO.search(text)
    if m is None:
        return None
    flags = 0
    for name in (m["flags"] or "").split():
        flags |= _FLAG.get(name, 0)
    proto = m["proto"] or text.split(" connection denied", maxsplit=1)[0].rsplit(" ", 1)[-1]
    return Said(DENIED, m["src"], m["dst"], proto, _number(m["sp"], 65535), _number(m["dp"], 65535), flags or None)


def _acl(text: str) -> Said | None:
    m = _ACL.match(text)
    if m is None:
        return None
    action = DENIED if m["action"] == "denied" else ALLOWED
    said = Said(action, m["src"], m["dst"], m["proto"], word=m["acl"], packets=max(_number(m["hits"], 10**9) or 1, 1))
    if m["proto"].lower() in ("icmp", "icmp6"):
        said.icmp = (int(m["sp"][-5:]) & 255, int(m["dp"][-5:]) & 255)
    else:
        said.sport, said.dport = _number(m["sp"], 65535), _number(m["dp"], 65535)
    return said


def _built(text: str) -> Said | None:
    m = _BUILT.match(text)
    if m is None:
        return None
    # "inbound": the host named first began; "outbound": the one behind "to" did.
    a, b = (m["a"], _number(m["ap"], 65535)), (m["b"], _number(m["bp"], 65535))
    (src, sport), (dst, dport) = (a, b) if m["way"] == "inbound" else (b, a)
    return Said(BUILT, src, dst, m["proto"] or "TCP", sport, dport, key=m["id"])


def _teardown(text: str) -> Said | None:
    m = _TEARDOWN.match(text)
    if m is None:
        return None
    seconds = int(m["h"][-6:]) * 3600 + int(m["m"][-4:]) * 60 + int(m["s"][-4:])
    return Said(
        TEARDOWN, m["a"], m["b"], m["proto"] or "TCP", _number(m["ap"], 65535), _number(m["bp"], 65535),
        size=int(m["bytes"]) if len(m["bytes"]) < 16 else None, word=m["reason"].strip() or None, key=m["id"], duration_s=seconds,
        whole=False,
    )  # fmt: skip


def _icmp(text: str) -> Said | None:
    m = _ICMP.match(text)
    if m is None or m["what"] == "Teardown":
        return None
    src, dst = (m["b"], m["a"]) if m["way"] == "outbound" else (m["a"], m["b"])
    icmp = (int(m["type"][-4:]) & 255, int(m["code"][-4:]) & 255) if m["type"] else None
    return Said(ALLOWED, src, dst, "icmp", icmp=icmp)


def _access(text: str) -> Said | None:
    m = _ACCESS.match(text)
    if m is None:
        return None
    action = DENIED if m["action"].startswith("denied") else ALLOWED
    port = _number(m["dp"], 65535) or {"ssh": 22, "telnet": 23, "https": 443, "http": 80, "snmp": 161, "www": 80}.get(m["dp"])
    return Said(action, m["src"], m["dst"], m["proto"], _number(m["sp"], 65535), port)


_ASA_READERS: Final[dict[str, Callable[[str], Said | None]]] = {
    "106001": _deny_from_to, "106002": _deny_from_to, "106006": _deny_from_to, "106007": _deny_from_to, "106010": _deny_src_dst,
    "106014": _deny_src_dst, "106015": _deny_from_to, "106017": _deny_from_to, "106021": _deny_from_to, "106023": _deny_src_dst,
    "106100": _acl, "106102": _acl, "106103": _acl, "302013": _built, "302014": _teardown, "302015": _built, "302016": _teardown,
    "302017": _built, "302018": _teardown, "302020": _icmp, "302021": _icmp, "302303": _built, "302304": _teardown,
    "710002": _access, "710003": _access, "710005": _access,
}  # fmt: skip


# -- pf --------------------------------------------------------------------------------------------------------------------------

_PF: Final = re.compile(
    r"\brule (?P<rule>[^\s(]*?)/?\(?(?P<reason>[a-z-]*)\)?(?: \[[^\]]*\],?)?:? "
    r"(?P<action>block|pass|match|nat|rdr|binat|scrub) (?P<way>in|out) on "
    r"(?P<iface>[^\s:]+): (?:\([^)]*\) ?)?(?:IP6? )?(?P<rest>.*)$"
)
_PF_ENDS: Final = re.compile(r"(?P<a>[0-9a-fA-F.:]+) > (?P<b>[0-9a-fA-F.:]+): ?(?P<what>.*)$")
_PF_FLAGS: Final = re.compile(r"^(?:Flags \[([^\]]*)\]|([SFRPUEW.]+) (?:\d|ack|win))")
_PF_LENGTH: Final = re.compile(r"\blength:? (\d{1,6})\b")
_ICMP_NAMES: Final = {
    "echo request": (8, 0), "echo reply": (0, 0), "time exceeded": (11, 0), "redirect": (5, 0), "source quench": (4, 0),
    "timestamp query": (13, 0), "router advertisement": (9, 0), "net unreachable": (3, 0), "host unreachable": (3, 1),
    "protocol unreachable": (3, 2), "unreachable": (3, 3),
}  # fmt: skip
_ICMP6_NAMES: Final = {
    "echo request": (128, 0), "echo reply": (129, 0), "router solicitation": (133, 0), "router advertisement": (134, 0),
    "neighbor solicitation": (135, 0), "neighbor advertisement": (136, 0), "unreachable": (1, 0), "time exceeded": (3, 0),
}  # fmt: skip


def _split_port(token: str) -> tuple[str, int | None]:
    """"192.0.2.1.80" and "2001:db8::1.80" as address and port."""
    if ":" in token:
        address, dot, port = token.rpartition(".")
        return (address, _number(port, 65535)) if dot and "." not in address else (token, None)
    parts = token.split(".")
    return (".".join(parts[:4]), _number(parts[4], 65535)) if len(parts) == 5 else (token, None)


def pf(message: str) -> Said | None:
    """"rule 5/0(match): block in on em0: 192.0.2.1.1234 > 10.0.0.5.22: Flags [S], ..., length 0"."""
    found = _PF.search(message)
    ends = _PF_ENDS.search(found["rest"]) if found is not None else None
    if found is None or ends is None:
        return None
    (src, sport), (dst, dport) = _split_port(ends["a"]), _split_port(ends["b"])
    what = ends["what"]
    action = {"block": DENIED, "pass": ALLOWED}.get(found["action"])
    said = Said(action, src, dst, "", sport, dport, word=f"rule {found['rule']}" if found["rule"] else None)
    flags = _PF_FLAGS.match(what)
    if flags is not None:
        said.proto, said.flags = "tcp", _letters(flags[1] if flags[1] is not None else flags[2]) or None
    elif what.startswith(("ICMP", "icmp")):
        six = what.startswith(("ICMP6", "icmp6")) or ":" in src
        said.proto = "icmp6" if six else "icmp"
        names = _ICMP6_NAMES if six else _ICMP_NAMES
        said.icmp = next((code for name, code in names.items() if name in what), None)
    elif sport is not None or what.startswith(("UDP", "udp")):
        # tcpdump names no protocol where it knows what a datagram carries.
        said.proto = "udp"
    else:
        said.proto = what.split(" ")[0].strip(",:").lower()
    length = _PF_LENGTH.search(what)
    said.size = _number(length[1], 65535) if length is not None and said.proto not in ("tcp", "udp") else None
    return said


_FILTERLOG: Final = re.compile(r"\bfilterlog(?:\[\d+\])?: (.*)$")


def filterlog(message: str) -> Said | None:
    """pfSense and OPNsense: rule, sub-rule, anchor, tracker, interface, reason, action, direction, IP version, then what that version
    and the protocol have."""
    found = _FILTERLOG.search(message) or re.search(r"(?:^|: )((?:\d+,){2}.*)$", message)
    f = found[1].split(",") if found is not None else []
    if len(f) < 17 or f[6] not in ("block", "pass", "match", "reject", "nat", "rdr") or f[8] not in ("4", "6"):
        return None
    # 4: tos, ecn, ttl, id, offset, flags, number, name, length, source, destination; 6: class, flow label, hop limit, name, number,
    # length, source, destination
    ttl, proto = (f[11], f[16]) if f[8] == "4" else (f[11], f[12])
    at = 17 if f[8] == "4" else 14
    if len(f) < at + 3:
        return None
    size, src, dst = f[at], f[at + 1], f[at + 2]
    rest = f[at + 3 :]
    action = {"block": DENIED, "pass": ALLOWED, "reject": REJECTED}.get(f[6])
    said = Said(action, src, dst, proto, size=_number(size, 65535), ttl=_number(ttl, 255), word=f"rule {f[0]}" if f[0] else None)
    kind = proto.lower()
    if kind in ("tcp", "udp", "sctp") and len(rest) >= 2:
        said.sport, said.dport = _number(rest[0], 65535), _number(rest[1], 65535)
        if kind == "tcp" and len(rest) >= 4:
            said.flags = _letters(rest[3]) or None
    elif kind.startswith("icmp") and rest:
        six = kind != "icmp" or ":" in src
        names = {"request": (128, 0) if six else (8, 0), "reply": (129, 0) if six else (0, 0), "unreach": (1, 0) if six else (3, 0),
                 "unreachproto": (3, 2), "unreachport": (1, 4) if six else (3, 3), "timexceed": (3, 0) if six else (11, 0)}  # fmt: skip
        said.icmp = names.get(rest[0])
    return said


READERS: Final[tuple[tuple[str, str, Callable[[str], Said | None]], ...]] = (
    ("SRC=", "netfilter", netfilter),
    ("%ASA-", "asa", asa),
    ("%FTD-", "asa", asa),
    ("%PIX-", "asa", asa),
    ("filterlog", "filterlog", filterlog),
    (" on ", "pf", pf),
)
"""What a line must hold before its reader is asked, the source's name, and the reader."""


def read(message: str) -> tuple[str, Said] | None:
    """Which firewall wrote the line, and what it says."""
    for sign, source, reader in READERS:
        if sign in message:
            said = reader(message)
            if said is not None:
                return source, said
    return None
