"""In: addresses, ports, protocol. Out: what makes two packets one flow: a symmetric hash, the ICMP counterparts, Zeek's
likely server ports, and the Community ID. Never here: flow state.

Community ID v1: https://github.com/corelight/community-id-spec. ICMP counterparts: RFC 792, RFC 1256, RFC 4443, RFC 4861."""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import Final

import numpy as np

from tracehound.flows.state import HI, LO, ONE_WAY, ORIG, PORT, PROTO, VERSION, Rows, at_end
from tracehound.kernels import kernel
from tracehound.packets.addresses import packed

V4_MAPPED: Final = 0xFFFF00000000
"""Upper part of ::ffff:a.b.c.d in the lower 64 bits."""

ICMP_PAIRS: Final[dict[int, int]] = {8: 0, 0: 8, 13: 14, 14: 13, 15: 16, 16: 15, 17: 18, 18: 17, 10: 9, 9: 10}
ICMPV6_PAIRS: Final[dict[int, int]] = {
    128: 129, 129: 128, 133: 134, 134: 133, 135: 136, 136: 135, 130: 131, 131: 130, 139: 140, 140: 139, 144: 145, 145: 144,
}  # fmt: skip
_ICMP_TABLE: Final = np.full(256, -1, dtype=np.int64)
_ICMPV6_TABLE: Final = np.full(256, -1, dtype=np.int64)
for _a, _b in ICMP_PAIRS.items():
    _ICMP_TABLE[_a] = _b
for _a, _b in ICMPV6_PAIRS.items():
    _ICMPV6_TABLE[_a] = _b

LIKELY_TCP: Final = (
    21, 22, 25, 53, 79, 80, 81, 88, 110, 111, 113, 135, 137, 139, 143, 389, 443, 445, 502, 514, 563, 585, 587, 614, 631,
    636, 989, 990, 992, 993, 995, 1080, 1434, 1883, 2811, 3128, 3268, 3306, 3389, 5060, 5222, 5223, 5269, 5432, 6379, 6666,
    6667, 6668, 6669, 8000, 8080, 8888, 20000,
)  # fmt: skip
LIKELY_UDP: Final = (
    53, 67, 69, 88, 111, 123, 137, 161, 162, 389, 443, 514, 1812, 2123, 2152, 3389, 3544, 4011, 4789, 5060, 5072, 5353, 5355,
    6081, 20000,
)  # fmt: skip
"""Ports at which Zeek's own analyzers listen (its likely_server_ports): they decide who the responder is when the start of
a conversation is not in the capture."""

SERVER_PORTS: Final = np.zeros((2, 65536), dtype=np.bool_)
SERVER_PORTS[0, list(LIKELY_TCP)] = True
SERVER_PORTS[1, list(LIKELY_UDP)] = True


@kernel
def icmp_counterpart(proto: int, kind: int) -> int:
    """The ICMP type that answers `kind`, or -1 where the message expects no answer."""
    if proto == 1:
        return _ICMP_TABLE[kind]
    return _ICMPV6_TABLE[kind]


@kernel
def end_hash(hi: int, lo: int, port: int) -> np.uint64:
    """Mix one end (splitmix64's finalizer); ends are added so that both directions hash alike."""
    x = np.uint64(hi) * np.uint64(0x9E3779B97F4A7C15) ^ np.uint64(lo) ^ np.uint64(port) << np.uint64(40)
    x = (x ^ x >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ x >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return x ^ x >> np.uint64(31)


@kernel
def flow_hash(src_hi: int, src_lo: int, sport: int, dst_hi: int, dst_lo: int, dport: int, proto: int) -> int:
    """32 bits that are the same for both directions of a flow. Addresses are 64-bit halves as int64."""
    both = np.uint64(end_hash(src_hi, src_lo, sport)) + np.uint64(end_hash(dst_hi, dst_lo, dport)) + np.uint64(proto)
    return np.int64((both ^ both >> np.uint64(32)) & np.uint64(0xFFFFFFFF))


def community_id(
    source: bytes, destination: bytes, proto: int, sport: int, dport: int, *, one_way: bool, has_ports: bool, seed: int = 0
) -> str:
    """Community ID v1 of one flow; addresses in network order. For ICMP, sport is the type and dport its counterpart or code."""
    # "1:" + base64(sha1(seed . saddr . daddr . proto . 0 . sport . dport)), the smaller end first; one-way ICMP as it is;
    # protocols without ports order the addresses and leave the ports out.
    a, b = (source, sport), (destination, dport)
    if not has_ports:
        a, b = (source, 0), (destination, 0)
    if not one_way and a > b:
        a, b = b, a
    data = struct.pack("!H", seed) + a[0] + b[0] + struct.pack("!BB", proto, 0)
    if has_ports:
        data += struct.pack("!HH", a[1], b[1])
    return "1:" + base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()


def community_ids(rows: Rows) -> list[str]:
    """Community IDs of finished flow rows (flows/state.py), in the order of the rows."""
    orig = rows[:, ORIG]
    high, low = rows.view(np.uint64)[:, HI : HI + 2], rows.view(np.uint64)[:, LO : LO + 2]
    at = np.arange(rows.shape[0])
    columns = [
        high[at, orig].tolist(), low[at, orig].tolist(), at_end(rows, PORT, orig).tolist(),
        high[at, 1 - orig].tolist(), low[at, 1 - orig].tolist(), at_end(rows, PORT, 1 - orig).tolist(),
        rows[:, PROTO].tolist(), rows[:, VERSION].tolist(), rows[:, ONE_WAY].tolist(),
    ]  # fmt: skip
    sha1, encode = hashlib.sha1, base64.b64encode
    pack4, pack6 = struct.Struct("!IIBBHH").pack, struct.Struct("!QQQQBBHH").pack
    out: list[str] = []
    for shi, slo, sport, dhi, dlo, dport, proto, version, one_way in zip(*columns, strict=True):
        if proto not in (1, 6, 17, 58, 132):
            source, destination = packed(shi, slo, version), packed(dhi, dlo, version)
            out.append(community_id(source, destination, proto, 0, 0, one_way=False, has_ports=False))
            continue
        if not one_way and (shi, slo, sport) > (dhi, dlo, dport):
            shi, slo, sport, dhi, dlo, dport = dhi, dlo, dport, shi, slo, sport
        if version == 4:
            data = b"\0\0" + pack4(slo & 0xFFFFFFFF, dlo & 0xFFFFFFFF, proto, 0, sport, dport)
        else:
            data = b"\0\0" + pack6(shi, slo, dhi, dlo, proto, 0, sport, dport)
        out.append("1:" + encode(sha1(data, usedforsecurity=False).digest()).decode())
    return out
