"""In: a packet from its IP header on. Out: the names of what is wrong with it, as decode-event and stream-event know them.
Never here: the link layer (link_events.py), packets that are well, rules.

Conditions as in Suricata's decoders (decode-*.c); RFC 791, 8200, 4302, 9293, 768, 792, 4443, 2784, 2637, 9260, 4303. Only what can
be told from one packet is here; each name stands for one test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tracehound.rules.packet import ICMP, ICMPV6, SCTP, TCP, UDP, Packet

_IPV4: Final = (
    "pkt_too_small", "hlen_too_small", "iplen_smaller_than_hlen", "trunc_pkt", "wrong_ip_version", "unknown_protocol", "opt_invalid_len",
    "opt_malformed", "opt_pad_required", "opt_eol_required", "opt_duplicate", "opt_unknown", "icmpv6", "frag_pkt_too_large",
)  # fmt: skip
_IPV6: Final = (
    "pkt_too_small", "trunc_pkt", "wrong_ip_version", "unknown_next_header", "ipv6_in_ipv6_wrong_version", "ipv6_in_ipv6_too_small",
    "ipv4_in_ipv6_too_small", "ipv4_in_ipv6_wrong_version", "trunc_exthdr", "exthdr_dupl_fh", "exthdr_useless_fh", "exthdr_dupl_rh",
    "exthdr_dupl_hh", "exthdr_dupl_dh", "exthdr_dupl_ah", "exthdr_invalid_optlen", "exthdr_ah_res_not_null",
    "hopopts_unknown_opt", "hopopts_only_padding", "dstopts_unknown_opt", "dstopts_only_padding", "rh_type_0", "zero_len_padn",
    "fh_non_zero_reserved_field", "data_after_none_header", "icmpv4", "frag_pkt_too_large", "frag_invalid_length",
)  # fmt: skip
_OTHERS: Final = (
    "tcp.pkt_too_small", "tcp.hlen_too_small", "tcp.invalid_optlen", "tcp.opt_invalid_len", "tcp.opt_duplicate",
    "udp.pkt_too_small", "udp.hlen_too_small", "udp.hlen_invalid", "udp.len_invalid",
    "icmpv4.pkt_too_small", "icmpv4.unknown_type", "icmpv4.unknown_code", "icmpv4.ipv4_trunc_pkt", "icmpv4.ipv4_unknown_ver",
    "icmpv6.pkt_too_small", "icmpv6.unknown_type", "icmpv6.unknown_code", "icmpv6.ipv6_unknown_version", "icmpv6.ipv6_trunc_pkt",
    "icmpv6.mld_message_with_invalid_hl", "icmpv6.unassigned_type", "icmpv6.experimentation_type",
    "gre.pkt_too_small", "gre.wrong_version", "gre.version0_recur", "gre.version0_flags", "gre.version0_hdr_too_big",
    "gre.version0_malformed_sre_hdr", "gre.version1_chksum", "gre.version1_route", "gre.version1_ssr", "gre.version1_recur",
    "gre.version1_flags", "gre.version1_no_key", "gre.version1_wrong_protocol", "gre.version1_malformed_sre_hdr",
    "gre.version1_hdr_too_big", "sctp.pkt_too_small", "sctp.too_many_chunks", "esp.pkt_too_small",
)  # fmt: skip
PACKET: Final[frozenset[str]] = frozenset(
    {f"ipv4.{n}" for n in _IPV4} | {f"ipv6.{n}" for n in _IPV6} | set(_OTHERS)
)  # fmt: skip
REASSEMBLY: Final[frozenset[str]] = frozenset(("3whs_syn_flood", "reassembly_seq_gap", "reassembly_depth_reached"))
"""Events of the stream that reassembly itself tells; the others: tcp_events.py."""
SYN_QUEUE: Final = 10
"""SYNs with another sequence number that are remembered for one handshake (stream.max-syn-queued)."""
_MAX_CHUNKS: Final = 64
_KNOWN: Final = frozenset((0, 1, 2, 4, 6, 17, 41, 43, 44, 47, 50, 51, 58, 59, 60, 132, 135, 139, 140))
_MAX_HEADERS: Final = 32


# -- transports -------------------------------------------------------------------------------------------------------

_TCP_OPTIONS: Final = {2: 4, 3: 3, 4: 2, 8: 10}
"""Lengths of MSS, window scale, SACK permitted, timestamps (RFC 9293 3.2, RFC 7323, RFC 2018)."""


def _tcp(data: bytes, out: list[str], _p: Packet) -> None:
    if len(data) < 20:
        out.append("tcp.pkt_too_small")
        return
    header = (data[12] >> 4) * 4
    if header > len(data):
        out.append("tcp.hlen_too_small")
        return
    if header < 20:
        out.append("tcp.invalid_optlen")
        return
    at, seen = 20, set()
    while at < header and data[at] != 0:
        kind = data[at]
        if kind == 1:
            at += 1
            continue
        if at + 1 >= header:
            return
        size = data[at + 1]
        if size < 2 or at + size > header:
            out.append("tcp.opt_invalid_len")
            return
        if kind == 5:
            # RFC 2018: blocks of 8 bytes.
            if size < 10 or size > 34 or (size - 2) % 8:
                out.append("tcp.opt_invalid_len")
            elif kind in seen:
                out.append("tcp.opt_duplicate")
        elif kind in _TCP_OPTIONS:
            if size != _TCP_OPTIONS[kind]:
                out.append("tcp.opt_invalid_len")
            elif kind in seen:
                out.append("tcp.opt_duplicate")
        seen.add(kind)
        at += size


def _udp(data: bytes, out: list[str], _p: Packet) -> None:
    if len(data) < 8:
        out.append("udp.hlen_too_small")
        return
    size = int.from_bytes(data[4:6], "big")
    if 0 < size < 8:
        out.append("udp.len_invalid")
    elif size > len(data):
        out.append("udp.pkt_too_small")
    elif size != len(data) and size:
        out.append("udp.hlen_invalid")


_ICMP_CODES: Final = {0: 0, 3: 15, 4: 0, 5: 3, 8: 0, 10: 0, 11: 1, 12: 2, 13: 0, 14: 0, 15: 0, 16: 0, 17: 0, 18: 0}
"""Types of RFC 792 and 1122 and their highest code."""
_QUOTING: Final = frozenset((3, 4, 5, 11, 12))


def _icmp4(data: bytes, out: list[str], _p: Packet) -> None:
    if len(data) < 8:
        out.append("icmpv4.pkt_too_small")
        return
    kind, code = data[0], data[1]
    if kind == 9:
        if code not in (0, 16):
            out.append("icmpv4.unknown_code")
    elif kind not in _ICMP_CODES:
        out.append("icmpv4.unknown_type")
    elif code > _ICMP_CODES[kind]:
        out.append("icmpv4.unknown_code")
    elif kind in _QUOTING and len(data) > 8:
        if len(data) < 28:
            out.append("icmpv4.ipv4_trunc_pkt")
        elif data[8] >> 4 != 4:
            out.append("icmpv4.ipv4_unknown_ver")


_ICMP6_CODES: Final = {1: 7, 2: 0, 3: 1, 4: 3, 128: 0, 129: 0, 130: 0, 131: 0, 132: 0, 133: 0, 134: 0, 135: 0, 136: 0, 137: 0,
                       141: 0, 142: 0, 143: 0, 144: 0, 145: 0, 146: 0, 147: 0, 148: 0, 149: 0, 151: 0, 152: 0, 153: 0}  # fmt: skip
_ICMP6_ANY_CODE: Final = frozenset((138, 139, 140, 150, 154))


def _icmp6(data: bytes, out: list[str], p: Packet) -> None:
    if len(data) < 8:
        out.append("icmpv6.pkt_too_small")
        return
    kind, code = data[0], data[1]
    if kind in (130, 131, 132, 143) and code == 0 and p.ttl != 1:
        # RFC 3810 5: multicast listener messages travel one hop.
        out.append("icmpv6.mld_message_with_invalid_hl")
    if kind in _ICMP6_CODES:
        if code > _ICMP6_CODES[kind]:
            out.append("icmpv6.unknown_code")
        elif kind <= 4 and len(data) > 8:
            if len(data) < 48:
                out.append("icmpv6.ipv6_trunc_pkt")
            elif data[8] >> 4 != 6:
                out.append("icmpv6.ipv6_unknown_version")
    elif kind not in _ICMP6_ANY_CODE:
        if 4 < kind < 100 or 102 <= kind < 127 or 160 <= kind < 200 or 202 <= kind < 255:
            out.append("icmpv6.unassigned_type")
        elif 100 <= kind < 102 or 200 <= kind < 202:
            out.append("icmpv6.experimentation_type")
        else:
            out.append("icmpv6.unknown_type")


def _gre(data: bytes, out: list[str], _p: Packet) -> None:
    if len(data) < 4:
        out.append("gre.pkt_too_small")
        return
    # RFC 2784, RFC 2890, RFC 1701: C R K S s recursion(3) | flags(5) version(3); RFC 2637 (version 1): A in the flags.
    flags, version = data[0], data[1] & 7
    if version == 0:
        if flags & 7:
            out.append("gre.version0_recur")
        elif data[1] & 0xF8:
            out.append("gre.version0_flags")
        else:
            _gre_length(data, flags, out)
    elif version == 1:
        wrong = (
            ("chksum", flags & 0x80), ("route", flags & 0x40), ("ssr", flags & 0x08), ("recur", flags & 7),
            ("flags", data[1] & 0x78), ("wrong_protocol", data[2:4] != b"\x88\x0b"), ("no_key", not flags & 0x20),
            ("hdr_too_big", 8 + 4 * bool(flags & 0x10) + 4 * bool(data[1] & 0x80) > len(data)),
        )  # fmt: skip
        out += [f"gre.version1_{name}" for name, holds in wrong if holds][:1]
    else:
        out.append("gre.wrong_version")


def _gre_length(data: bytes, flags: int, out: list[str]) -> None:
    at = 4 + 4 * bool(flags & 0x20) + 4 * bool(flags & 0x10) + 4 * bool(flags & 0xC0)
    if at > len(data):
        out.append("gre.version0_hdr_too_big")
        return
    while flags & 0x40:
        # RFC 1701: source route entries: family 2, offset 1, length 1; the last one is 0.
        if at + 4 > len(data):
            out.append("gre.version0_malformed_sre_hdr")
            return
        family, size = data[at : at + 2], data[at + 3]
        if family == b"\0\0" and size == 0:
            return
        at += 4 + size
        if at > len(data):
            out.append("gre.version0_malformed_sre_hdr")
            return


def _sctp(data: bytes, out: list[str], _p: Packet) -> None:
    if len(data) < 12:
        out.append("sctp.pkt_too_small")
        return
    # RFC 9260 3.2: type 1, flags 1, length 2 (header included), padded to 4.
    at, chunks = 12, 0
    while at + 4 <= len(data):
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        if size < 4:
            return
        chunks += 1
        if chunks > _MAX_CHUNKS:
            out.append("sctp.too_many_chunks")
            return
        at += (size + 3) & ~3


def _esp(data: bytes, out: list[str], _p: Packet) -> None:
    if len(data) < 8:
        out.append("esp.pkt_too_small")


_TRANSPORT: Final[dict[int, Callable[[bytes, list[str], Packet], None]]] = {
    TCP: _tcp, UDP: _udp, ICMP: _icmp4, ICMPV6: _icmp6, 47: _gre, SCTP: _sctp, 50: _esp,
}  # fmt: skip


# -- IPv4 -------------------------------------------------------------------------------------------------------------

_OPTION_LENGTHS: Final = {130: (11, 11), 133: (3, 255), 134: (8, 255), 136: (4, 4), 148: (4, 4), 7: (3, 255), 131: (3, 255),
                          137: (3, 255), 68: (4, 255)}  # fmt: skip
_ROUTES: Final = frozenset((7, 131, 137))


def _options4(options: bytes, out: list[str]) -> bool:
    """RFC 791 3.1; False: the packet is taken no further."""
    if len(options) % 8:
        out.append("ipv4.opt_pad_required")
    at, seen = 0, set()
    while at < len(options):
        kind = options[at]
        if kind == 0:
            return True
        if kind == 1:
            at += 1
            continue
        left = len(options) - at
        if left < 2:
            out.append("ipv4.opt_eol_required")
            return True
        size = options[at + 1]
        if size > left or size < 2:
            out.append("ipv4.opt_invalid_len")
            return False
        low, high = _OPTION_LENGTHS.get(kind, (2, 255))
        if kind in seen:
            out.append("ipv4.opt_duplicate")
        elif kind not in _OPTION_LENGTHS:
            out.append("ipv4.opt_unknown")
        elif not low <= size <= high:
            out.append("ipv4.opt_invalid_len")
            return False
        elif kind in _ROUTES:
            pointer = options[at + 2]
            if pointer < 4 or pointer % 4 or pointer > size + 1:
                out.append("ipv4.opt_malformed")
                return False
        elif kind == 68 and not 5 <= options[at + 2] <= size + 1:
            out.append("ipv4.opt_malformed")
            return False
        seen.add(kind)
        at += size
    return True


def _ipv4(p: Packet, ip: bytes, out: list[str]) -> tuple[int, bytes] | None:
    """(protocol, what it carries) where the header holds."""
    if len(ip) < 20:
        out.append("ipv4.pkt_too_small")
        return None
    if ip[0] >> 4 != 4:
        out.append("ipv4.wrong_ip_version")
        return None
    header, size = (ip[0] & 15) * 4, int.from_bytes(ip[2:4], "big")
    if header < 20:
        out.append("ipv4.hlen_too_small")
        return None
    if size < header:
        out.append("ipv4.iplen_smaller_than_hlen")
        return None
    if size > len(ip):
        out.append("ipv4.trunc_pkt")
        return None
    if header > 20 and not _options4(ip[20:header], out):
        return None
    fragment = int.from_bytes(ip[6:8], "big")
    if (fragment & 0x1FFF) * 8 + size - header > 65535:
        out.append("ipv4.frag_pkt_too_large")
    if fragment & 0x3FFF:
        return None
    if ip[9] == ICMPV6:
        out.append("ipv4.icmpv6")
        return None
    if ip[9] not in _KNOWN:
        out.append("ipv4.unknown_protocol")
    return ip[9], ip[header:size]


# -- IPv6 -------------------------------------------------------------------------------------------------------------


def _options6(data: bytes, kind: str, out: list[str]) -> None:
    """RFC 8200 4.2: options of a hop-by-hop or destination header."""
    at, other, any_padding = 0, False, False
    while at < len(data):
        option = data[at]
        if option == 0:
            any_padding = True
            at += 1
            continue
        if at + 2 > len(data):
            return
        size = data[at + 1]
        if at + 2 + size > len(data):
            out.append("ipv6.exthdr_invalid_optlen")
            return
        if option == 1:
            any_padding = True
            if size == 0:
                out.append("ipv6.zero_len_padn")
        else:
            other = True
            # Router alert (RFC 2711), jumbo payload (RFC 2675), home address (RFC 6275).
            lengths = {5: 2, 0xC2: 4, 0xC9: 16}
            if option in lengths:
                if size != lengths[option]:
                    out.append("ipv6.exthdr_invalid_optlen")
                    return
            else:
                out.append(f"ipv6.{kind}_unknown_opt")
        at += 2 + size
    if any_padding and not other:
        out.append(f"ipv6.{kind}_only_padding")


def _fragment6(head: bytes, rest: bytes, out: list[str]) -> bool:
    """RFC 8200 4.5; whether this is a fragment (of more than one)."""
    if head[1]:
        out.append("ipv6.fh_non_zero_reserved_field")
    field = int.from_bytes(head[2:4], "big")
    offset, more = field & 0xFFF8, field & 1
    if not offset and not more:
        out.append("ipv6.exthdr_useless_fh")
        return False
    if more and len(rest) % 8:
        out.append("ipv6.frag_invalid_length")
    if offset + len(rest) > 65535:
        out.append("ipv6.frag_pkt_too_large")
    return True


def _ipv6(ip: bytes, out: list[str]) -> tuple[int, bytes] | None:
    if len(ip) < 40:
        out.append("ipv6.pkt_too_small")
        return None
    if ip[0] >> 4 != 6:
        out.append("ipv6.wrong_ip_version")
        return None
    size = int.from_bytes(ip[4:6], "big")
    if size > len(ip) - 40:
        out.append("ipv6.trunc_pkt")
        return None
    data = ip[40 : 40 + size] if size else ip[40:]
    kind, at, seen = ip[6], 0, dict.fromkeys((0, 43, 44, 51, 60), 0)
    for _ in range(_MAX_HEADERS):
        rest = data[at:]
        if kind == 59:
            if rest:
                out.append("ipv6.data_after_none_header")
            return None
        if kind not in seen:
            break
        if len(rest) < 8:
            out.append("ipv6.trunc_exthdr")
            return None
        length = 8 if kind == 44 else (rest[1] + 2) * 4 if kind == 51 else (rest[1] + 1) * 8
        if length > len(rest):
            out.append("ipv6.trunc_exthdr")
            return None
        seen[kind] += 1
        if seen[kind] > (2 if kind == 60 else 1):
            # RFC 8200 4.1: each at most once, destination options twice.
            out.append("ipv6.exthdr_dupl_" + {0: "hh", 43: "rh", 44: "fh", 51: "ah", 60: "dh"}[kind])
        elif kind == 43:
            if rest[2] == 0:
                out.append("ipv6.rh_type_0")
        elif kind == 44:
            if _fragment6(rest[:8], rest[8:], out):
                return None
        elif kind == 51:
            if rest[2:4] != b"\0\0":
                out.append("ipv6.exthdr_ah_res_not_null")
        else:
            _options6(rest[2:length], "hopopts" if kind == 0 else "dstopts", out)
        kind, at = rest[0], at + length
    rest = data[at:]
    if kind == ICMP:
        out.append("ipv6.icmpv4")
        return None
    if kind in (4, 41):
        version, name = (6, "ipv6") if kind == 41 else (4, "ipv4")
        if len(rest) < (40 if version == 6 else 20):
            out.append(f"ipv6.{name}_in_ipv6_too_small")
        elif rest[0] >> 4 != version:
            out.append(f"ipv6.{name}_in_ipv6_wrong_version")
    elif kind not in _KNOWN:
        out.append("ipv6.unknown_next_header")
    return kind, rest


def decode_events(p: Packet, ip: bytes) -> tuple[str, ...]:
    """What is wrong with a packet whose IP header begins at ip[0]."""
    if not ip:
        return ()
    out: list[str] = []
    six = p.family == 6 or (p.family == 0 and ip[0] >> 4 == 6)
    inner = _ipv6(ip, out) if six else _ipv4(p, ip, out)
    if inner is not None and not p.fragment:
        check = _TRANSPORT.get(inner[0])
        if check is not None:
            check(inner[1], out, p)
    return tuple(out)
