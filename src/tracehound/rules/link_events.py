"""In: a frame and its LINKTYPE. Out: the names of what is wrong with its link layer, as decode-event knows them.
Never here: IP and what it carries (events.py), rules.

Conditions as in Suricata's decoders (decode-ethernet.c, -vlan.c, -mpls.c, -ppp.c, -pppoe.c, -null.c, -raw.c, -sll.c, -nsh.c, -arp.c);
IEEE 802.3, 802.1Q, RFC 3032, 1661, 2516, 8300, 826; https://www.tcpdump.org/linktypes.html."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

LINK: Final[frozenset[str]] = frozenset((
    "ethernet.pkt_too_small", "ethernet.unknown_ethertype", "vlan.header_too_small", "vlan.unknown_type", "vlan.too_many_layers",
    "vntag.header_too_small", "vntag.unknown_type", "ieee8021ah.header_too_small",
    "mpls.header_too_small", "mpls.pkt_too_small", "mpls.bad_label_router_alert", "mpls.bad_label_implicit_null",
    "mpls.bad_label_reserved", "mpls.unknown_payload_type", "ppp.pkt_too_small", "ppp.vju_pkt_too_small", "ppp.ip4_pkt_too_small",
    "ppp.ip6_pkt_too_small", "ppp.wrong_type", "ppp.unsup_proto", "pppoe.pkt_too_small", "pppoe.wrong_code", "pppoe.malformed_tags",
    "ltnull.pkt_too_small", "ltnull.unsupported_type", "ipraw.invalid_ip_version", "sll.pkt_too_small", "sll2.pkt_too_small",
    "chdlc.pkt_too_small", "nsh.header_too_small", "nsh.unsupported_version", "nsh.bad_header_length", "nsh.reserved_type",
    "nsh.unsupported_type", "nsh.unknown_payload", "arp.pkt_too_small", "arp.unsupported_hardware", "arp.unsupported_protocol",
    "arp.invalid_pkt", "arp.invalid_hardware_size", "arp.invalid_protocol_size", "arp.unsupported_opcode",
))  # fmt: skip
_MAX_STEPS: Final = 16
_MAX_VLANS: Final = 3
_VLAN: Final = (0x8100, 0x88A8, 0x9100)
_QUIET: Final = frozenset((0x0800, 0x86DD, 0x8903, 0x88BE, 0x22EB, 0x6558))
"""EtherTypes that Suricata goes on with: IP, data centre Ethernet, ERSPAN, transparent bridging."""

Step = tuple[int, bytes] | None
"""What comes next: an EtherType and what stands behind it; None: the end, or IP."""


def _vlan(data: bytes, out: list[str], layers: int) -> Step:
    if len(data) < 4:
        out.append("vlan.header_too_small")
        return None
    if layers >= _MAX_VLANS:
        out.append("vlan.too_many_layers")
        return None
    return int.from_bytes(data[2:4], "big"), data[4:]


def _vntag(data: bytes, out: list[str], _layers: int) -> Step:
    if len(data) < 6:
        out.append("vntag.header_too_small")
        return None
    return int.from_bytes(data[4:6], "big"), data[6:]


def _pbb(data: bytes, out: list[str], _layers: int) -> Step:
    # IEEE 802.1ah: flags and I-SID 4, then a frame with its own addresses.
    if len(data) < 18:
        out.append("ieee8021ah.header_too_small")
        return None
    return int.from_bytes(data[16:18], "big"), data[18:]


def _mpls(data: bytes, out: list[str], _layers: int) -> Step:
    """RFC 3032 2.1: label 20 bits, traffic class 3, bottom of stack 1, TTL 8."""
    for _ in range(_MAX_STEPS):
        if len(data) < 4:
            out.append("mpls.header_too_small")
            return None
        word = int.from_bytes(data[:4], "big")
        data, label = data[4:], word >> 12
        if not word >> 8 & 1:
            if label in (0, 2):
                # Explicit NULL stands at the bottom (RFC 3032 2.1).
                return (0x0800, data) if label == 0 else (0x86DD, data)
            continue
        if label in (0, 2):
            return None
        if label == 1:
            out.append("mpls.bad_label_router_alert")
        elif label == 3:
            out.append("mpls.bad_label_implicit_null")
        elif 4 <= label <= 15:
            out.append("mpls.bad_label_reserved")
        elif not data:
            out.append("mpls.pkt_too_small")
        elif data[0] >> 4 == 0 and len(data) >= 4 + 14:
            # RFC 4385: a pseudowire control word before a frame.
            return int.from_bytes(data[16:18], "big"), data[18:]
        elif data[0] >> 4 not in (4, 6):
            out.append("mpls.unknown_payload_type")
        return None
    return None


_PPP_UNSUPPORTED: Final = frozenset((
    0x0023, 0x0025, 0x0027, 0x0029, 0x002B, 0x0033, 0x0035, 0x002D, 0x0031, 0x003D, 0x003F, 0x0041, 0x0049, 0x8023, 0x8025, 0x8027,
    0x8029, 0x802B, 0x8033, 0x8035, 0x803F, 0x8049, 0x8281,
))  # fmt: skip
_PPP_CONTROL: Final = frozenset((0x8021, 0x8057, 0x80FD, 0x80FB, 0xC021, 0xC023, 0xC025, 0xC223, 0xC227))
"""Link, authentication and network control (RFC 1661, 1332, 5072, 1962, 1994, 3748): how a link is set up, nothing odd."""


def ppp(data: bytes, out: list[str]) -> None:
    """RFC 1661: protocol 2, behind address and control where they are not left out."""
    if data[:2] == b"\xff\x03":
        data = data[2:]
    if len(data) < 2:
        out.append("ppp.pkt_too_small")
        return
    kind, size = (data[0], 1) if data[0] & 1 else (int.from_bytes(data[:2], "big"), 2)
    rest = data[size:]
    if kind == 0x002F:
        if len(rest) < 20:
            out.append("ppp.vju_pkt_too_small")
    elif kind == 0x0021:
        if len(rest) < 20:
            out.append("ppp.ip4_pkt_too_small")
    elif kind == 0x0057:
        if len(rest) < 40:
            out.append("ppp.ip6_pkt_too_small")
    elif kind in _PPP_UNSUPPORTED:
        out.append("ppp.unsup_proto")
    elif kind not in _PPP_CONTROL and kind != 0x0281:
        out.append("ppp.wrong_type")


def _pppoe_session(data: bytes, out: list[str], _layers: int) -> Step:
    # RFC 2516 4: version and type 1, code 1, session 2, length 2; then PPP without address and control.
    if len(data) < 8:
        out.append("pppoe.pkt_too_small")
        return None
    ppp(data[6:], out)
    return None


def _pppoe_discovery(data: bytes, out: list[str], _layers: int) -> Step:
    if len(data) < 6:
        out.append("pppoe.pkt_too_small")
        return None
    if data[1] not in (0x07, 0x09, 0x19, 0x65, 0xA7):
        out.append("pppoe.wrong_code")
        return None
    left = int.from_bytes(data[4:6], "big")
    if left > len(data) - 6:
        out.append("pppoe.malformed_tags")
        return None
    at, end = 6, 6 + left
    while at < end:
        if at + 4 > end:
            out.append("pppoe.malformed_tags")
            return None
        at += 4 + int.from_bytes(data[at + 2 : at + 4], "big")
    if at > end:
        out.append("pppoe.malformed_tags")
    return None


def _nsh(data: bytes, out: list[str], _layers: int) -> Step:
    # RFC 8300 2.2: version 2 bits, O, U, TTL 6, length 6 (in 4 bytes), U 4, MD type 4, next protocol 8; service path 4.
    if len(data) < 8:
        out.append("nsh.header_too_small")
        return None
    version, length, kind, following = data[0] >> 6, (data[1] & 0x3F) * 4, data[2] & 15, data[3]
    if version:
        out.append("nsh.unsupported_version")
        return None
    if length > len(data):
        out.append("nsh.bad_header_length")
        return None
    if kind in (0, 15):
        out.append("nsh.reserved_type")
        return None
    if kind not in (1, 2):
        out.append("nsh.unsupported_type")
        return None
    if (kind == 1 and length != 24) or length < 8:
        out.append("nsh.bad_header_length")
        return None
    if following == 3:
        frame = data[length:]
        return (int.from_bytes(frame[12:14], "big"), frame[14:]) if len(frame) >= 14 else None
    if following not in (1, 2, 5):
        out.append("nsh.unknown_payload")
    return None


def _arp(data: bytes, out: list[str], _layers: int) -> Step:
    # RFC 826: hardware 2, protocol 2, their lengths 1 and 1, operation 2, then four addresses.
    if len(data) < 8:
        out.append("arp.pkt_too_small")
        return None
    checks = (
        ("unsupported_hardware", data[:2] != b"\0\x01"), ("unsupported_protocol", data[2:4] != b"\x08\0"),
        ("invalid_hardware_size", data[4] != 6), ("invalid_protocol_size", data[5] != 4), ("invalid_pkt", len(data) < 28),
        ("unsupported_opcode", not 1 <= int.from_bytes(data[6:8], "big") <= 10),
    )  # fmt: skip
    out += [f"arp.{name}" for name, wrong in checks if wrong][:1]
    return None


_STEPS: Final[dict[int, Callable[[bytes, list[str], int], Step]]] = {
    **dict.fromkeys(_VLAN, _vlan), 0x8926: _vntag, 0x88E7: _pbb, 0x8847: _mpls, 0x8848: _mpls, 0x8864: _pppoe_session,
    0x8863: _pppoe_discovery, 0x894F: _nsh, 0x0806: _arp,
}  # fmt: skip


def _typed(kind: int, data: bytes, out: list[str]) -> None:
    """Follow EtherTypes."""
    below, layers = "ethernet", 0
    for _ in range(_MAX_STEPS):
        step = _STEPS.get(kind)
        if step is None:
            if kind not in _QUIET:
                out.append({"ethernet": "ethernet.unknown_ethertype", "vntag": "vntag.unknown_type"}.get(below, "vlan.unknown_type"))
            return
        found = step(data, out, layers)
        if found is None:
            return
        layers += kind in _VLAN
        below = "vlan" if kind in _VLAN else "vntag" if kind == 0x8926 else "ethernet"
        kind, data = found


def _ethernet(frame: bytes, out: list[str]) -> None:
    if len(frame) < 14:
        out.append("ethernet.pkt_too_small")
        return
    _typed(int.from_bytes(frame[12:14], "big"), frame[14:], out)


def _null(frame: bytes, out: list[str]) -> None:
    # The address family in the byte order of the machine that captured.
    if len(frame) < 4:
        out.append("ltnull.pkt_too_small")
    elif not {int.from_bytes(frame[:4], "big"), int.from_bytes(frame[:4], "little")} & {2, 10, 23, 24, 26, 28, 30}:
        out.append("ltnull.unsupported_type")


def _raw(frame: bytes, out: list[str]) -> None:
    if not frame or frame[0] >> 4 not in (4, 6):
        out.append("ipraw.invalid_ip_version")


def _sll(frame: bytes, out: list[str]) -> None:
    if len(frame) < 16:
        out.append("sll.pkt_too_small")
    else:
        _typed(int.from_bytes(frame[14:16], "big"), frame[16:], out)


def _sll2(frame: bytes, out: list[str]) -> None:
    if len(frame) < 20:
        out.append("sll2.pkt_too_small")
    else:
        _typed(int.from_bytes(frame[:2], "big"), frame[20:], out)


def _chdlc(frame: bytes, out: list[str]) -> None:
    if len(frame) < 4:
        out.append("chdlc.pkt_too_small")
    elif frame[:2] == b"\x0f\0":
        _typed(int.from_bytes(frame[2:4], "big"), frame[4:], out)


_LINKS: Final[dict[int, Callable[[bytes, list[str]], None]]] = {
    0: _null, 108: _null, 1: _ethernet, 9: ppp, 50: ppp, 104: _chdlc, 12: _raw, 14: _raw, 101: _raw, 228: _raw, 229: _raw,
    113: _sll, 276: _sll2,
}  # fmt: skip


def link_events(frame: bytes, link_type: int) -> list[str]:
    """What is wrong with a frame below IP."""
    out: list[str] = []
    follow = _LINKS.get(link_type)
    if follow is not None:
        follow(frame, out)
    return out
