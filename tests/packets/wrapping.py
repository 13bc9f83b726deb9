"""In: an Ethernet frame with an IP packet. Out: the same packet on another link or in a tunnel, with what the tables must say of
it. Never here: the code under test; headers are written by hand or by scapy."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from scapy.all import GRE, IP, UDP, Dot1Q, IPv6, Raw
from scapy.all import Ether as ScapyEther

from tests.capture.files import pcap_header, pcap_record

OUTER4 = {"src": "203.0.113.1", "dst": "203.0.113.2"}
OUTER6 = {"src": "2001:db8:ffff::1", "dst": "2001:db8:ffff::2"}


class Wrapping(NamedTuple):
    """link: LINKTYPE; wrap: Ethernet frame -> frame of that link; tunnel, vlan: what the columns say."""

    link: int
    wrap: Callable[[bytes], bytes]
    tunnel: str | None = None
    vlan: str | None = None
    own_flow: bool = False


def Ether(**fields):
    """Ethernet with addresses: without them scapy asks the network for the neighbour's."""
    return ScapyEther(**{"dst": "02:00:00:00:00:01", "src": "02:00:00:00:00:02", **fields})


def ip_of(frame: bytes) -> bytes:
    return frame[14:]


def version(frame: bytes) -> int:
    return frame[14] >> 4


def ether_type(frame: bytes) -> bytes:
    return frame[12:14]


def snap(frame: bytes) -> bytes:
    return b"\xaa\xaa\x03\0\0\0" + ether_type(frame) + ip_of(frame)


def ethernet(kind: int, body: bytes) -> bytes:
    return b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02" + struct.pack("!H", kind) + body


def outer(proto: int, body: bytes) -> bytes:
    return bytes(Ether() / IP(proto=proto, **OUTER4) / Raw(body))


def outer6(proto: int, body: bytes) -> bytes:
    return bytes(Ether() / IPv6(nh=proto, **OUTER6) / Raw(body))


def datagram(sport: int, dport: int, body: bytes) -> bytes:
    return bytes(Ether() / IP(**OUTER4) / UDP(sport=sport, dport=dport, chksum=0) / Raw(body))


def wlan(frame: bytes, *, flags=1, qos=False, order=False, body: bytes | None = None, amsdu=False, fragment=0) -> bytes:
    kind = 0x88 if qos else 0x08
    head = bytes([kind, flags | (0x80 if order else 0)]) + b"\0\0" + b"\x02" * 18 + struct.pack("<H", fragment)
    if flags & 3 == 3:
        head += b"\x02" * 6
    if qos:
        head += bytes([0x80 if amsdu else 0, 0])
    if qos and order:
        head += b"\0\0\0\0"
    return head + (snap(frame) if body is None else body)


def subframe(frame: bytes) -> bytes:
    body = snap(frame)
    return frame[:12] + struct.pack("!H", len(body)) + body


def radiotap(frame: bytes, *, flags=0, tsft=True, extended=False) -> bytes:
    present = 2 | (1 if tsft else 0) | (1 << 31 if extended else 0)
    words = struct.pack("<I", present) + (struct.pack("<I", 0) if extended else b"")
    fields = bytes(-(4 + len(words)) % 8) + bytes(8) if tsft else b""
    fields += bytes([flags])
    return b"\0\0" + struct.pack("<H", 4 + len(words) + len(fields)) + words + fields + frame


def padded_wlan(frame: bytes) -> bytes:
    """A QoS header of 26 bytes, padded to 28."""
    return wlan(frame, qos=True, body=b"\0\0" + snap(frame))


def ppp(frame: bytes) -> bytes:
    return (b"\0\x21" if version(frame) == 4 else b"\0\x57") + ip_of(frame)


def pppoe(frame: bytes) -> bytes:
    body = ppp(frame)
    return b"\x11\0\0\x07" + struct.pack("!H", len(body)) + body


def nsh(frame: bytes, following: int, body: bytes) -> bytes:
    return b"\x0f\xc6\x01" + bytes([following]) + b"\0\0\x01\xff" + bytes(16) + body


def geneve(frame: bytes) -> bytes:
    option = struct.pack("!HBB", 0x0102, 0x80, 1) + b"\1\2\3\4"
    return bytes([len(option) // 4, 0]) + b"\x65\x58" + b"\0\0\x09\0" + option + frame


def gtp(frame: bytes, *, extension: bool) -> bytes:
    body = ip_of(frame)
    if extension:
        # A sequence number, and a PDU session container (0x85) of four bytes.
        body = b"\0\x01\0\x85" + b"\x01\x10\x05\0" + body
    return struct.pack("!BBHI", 0x34 if extension else 0x30, 255, len(body), 77) + body


def ayiya(frame: bytes) -> bytes:
    return b"\x41\x52\x11" + bytes([4 if version(frame) == 4 else 41]) + b"\0\0\0\1" + bytes(16) + bytes(20) + ip_of(frame)


def pptp(frame: bytes) -> bytes:
    body = b"\xff\x03" + ppp(frame)
    return struct.pack("!HHHHII", 0x3081, 0x880B, len(body), 9, 4, 5) + body


def erspan3(frame: bytes, *, platform: bool) -> bytes:
    return struct.pack("!HHI", 0x1000, 0x22EB, 3) + bytes(11) + bytes([platform]) + bytes(8 * platform) + frame


WRAPPINGS: dict[str, Wrapping] = {
    "ethernet": Wrapping(1, lambda f: f),
    "raw": Wrapping(101, ip_of),
    "ppp": Wrapping(9, ppp),
    "ppp in hdlc framing": Wrapping(50, lambda f: b"\xff\x03" + ppp(f)),
    "ppp with compressed protocol": Wrapping(9, lambda f: b"\xff\x03" + ppp(f)[1:]),
    "ppp with direction": Wrapping(204, lambda f: b"\0\xff\x03" + ppp(f)),
    "pppd": Wrapping(166, lambda f: b"\x01\x03" + ppp(f)),
    "ppp_ether": Wrapping(51, pppoe, "pppoe"),
    "cisco hdlc": Wrapping(104, lambda f: b"\x0f\0" + ether_type(f) + ip_of(f)),
    "frame relay, nlpid": Wrapping(107, lambda f: b"\x18\x41\x03" + (b"\xcc" if version(f) == 4 else b"\x8e") + ip_of(f)),
    "frame relay, cisco": Wrapping(107, lambda f: b"\x18\x41" + ether_type(f) + ip_of(f)),
    "frame relay, snap": Wrapping(107, lambda f: b"\x18\x41\x03\0\x80\0\0\0" + ether_type(f) + ip_of(f)),
    "fddi": Wrapping(10, lambda f: b"\x50" + f[:12] + snap(f)),
    "token ring": Wrapping(6, lambda f: b"\x10\x40" + f[:6] + b"\x82" + f[7:12] + b"\x06\x30\0\x10\0\x20" + snap(f)),
    "llc/snap": Wrapping(1, lambda f: f[:12] + struct.pack("!H", len(snap(f)) & 0x3FF) + snap(f)),
    "linux cooked": Wrapping(113, lambda f: b"\0\0\0\x01\0\x06" + f[:8] + ether_type(f) + ip_of(f)),
    "linux cooked v2": Wrapping(276, lambda f: ether_type(f) + bytes(18) + ip_of(f)),
    "802.11": Wrapping(105, wlan),
    "802.11, four addresses, QoS, HT control": Wrapping(105, lambda f: wlan(f, flags=3, qos=True, order=True)),
    "802.11 A-MSDU": Wrapping(105, lambda f: wlan(f, qos=True, amsdu=True, body=subframe(f))),
    "radiotap": Wrapping(127, lambda f: radiotap(wlan(f))),
    "radiotap, more present words, padded": Wrapping(127, lambda f: radiotap(padded_wlan(f), flags=0x20, extended=True)),
    "radiotap with FCS": Wrapping(127, lambda f: radiotap(wlan(f) + b"\1\2\3\4", flags=0x10, tsft=False)),
    "ppi": Wrapping(192, lambda f: b"\0\0\x0c\0" + struct.pack("<I", 105) + bytes(4) + wlan(f)),
    "prism": Wrapping(119, lambda f: struct.pack("<II", 0x44, 144) + bytes(136) + wlan(f)),
    "avs": Wrapping(163, lambda f: struct.pack("!II", 0x80211001, 64) + bytes(56) + wlan(f)),
    "pktap": Wrapping(258, lambda f: struct.pack("<III", 108, 1, 1) + bytes(96) + f),
    "pflog": Wrapping(117, lambda f: bytes([61, 2]) + bytes(62) + ip_of(f)),
    "vlan": Wrapping(1, lambda f: f[:12] + b"\x81\0\0\x0a" + f[12:], vlan="10"),
    "vlan in vlan": Wrapping(1, lambda f: f[:12] + b"\x88\xa8\0\x0a\x81\0\0\xc8" + f[12:], vlan="10.200"),
    "vn-tag": Wrapping(1, lambda f: f[:12] + b"\x89\x26\0\0\0\x33\x81\0\0\x0b" + f[12:], "vntag", "11"),
    "802.1br": Wrapping(1, lambda f: f[:12] + b"\x89\x3f" + bytes(6) + f[12:], "vntag"),
    "provider backbone": Wrapping(1, lambda f: ethernet(0x88E7, b"\0\0\0\x05" + f), "pbb"),
    "macsec, integrity only": Wrapping(1, lambda f: f[:12] + b"\x88\xe5\x20\0" + bytes(12) + f[12:] + bytes(16), "macsec"),
    "pppoe": Wrapping(1, lambda f: ethernet(0x8864, pppoe(f)), "pppoe"),
    "mpls": Wrapping(1, lambda f: ethernet(0x8847, b"\0\x01\x00\x40\0\x01\x01\x40" + ip_of(f)), "mpls"),
    "mpls pseudo-wire": Wrapping(1, lambda f: ethernet(0x8847, b"\0\x01\x01\x40\0\0\0\x07" + f), "mpls"),
    "mpls pseudo-wire without control word": Wrapping(1, lambda f: ethernet(0x8847, b"\0\x01\x01\x40\x02" + f[1:]), "mpls"),
    "nsh": Wrapping(1, lambda f: ethernet(0x894F, nsh(f, 1 if version(f) == 4 else 2, ip_of(f))), "nsh"),
    "nsh with ethernet": Wrapping(1, lambda f: ethernet(0x894F, nsh(f, 3, f)), "nsh"),
    "4in4 or 6in4": Wrapping(1, lambda f: outer(4 if version(f) == 4 else 41, ip_of(f)), "4in4/6in4"),
    "4in6 or 6in6": Wrapping(1, lambda f: outer6(4 if version(f) == 4 else 41, ip_of(f)), "4in6/6in6"),
    "gre": Wrapping(1, lambda f: bytes(Ether() / IP(**OUTER4) / GRE(proto=int.from_bytes(ether_type(f), "big")) / ip_of(f)), "gre"),
    "gre with checksum, key, sequence": Wrapping(
        1, lambda f: outer(47, b"\xb0\0" + ether_type(f) + b"\0\0\0\0" + b"\0\0\0\x01" + b"\0\0\0\x02" + ip_of(f)), "gre"
    ),
    "gre bridging": Wrapping(1, lambda f: outer(47, b"\0\0\x65\x58" + f), "gre"),
    "gre from an access point": Wrapping(1, lambda f: outer(47, b"\0\0\x82\0" + wlan(f, qos=True)), "gre"),
    "pptp": Wrapping(1, lambda f: outer(47, pptp(f)), "pptp"),
    "erspan 1": Wrapping(1, lambda f: outer(47, b"\0\0\x88\xbe" + f), "erspan"),
    "erspan 2": Wrapping(1, lambda f: outer(47, b"\x10\0\x88\xbe\0\0\0\x01" + b"\x10\x0a" + bytes(6) + f), "erspan"),
    "erspan 3": Wrapping(1, lambda f: outer(47, erspan3(f, platform=False)), "erspan"),
    "erspan 3 with platform header": Wrapping(1, lambda f: outer(47, erspan3(f, platform=True)), "erspan"),
    "etherip": Wrapping(1, lambda f: outer(97, b"\x30\0" + f), "etherip"),
    "mpls in ip": Wrapping(1, lambda f: outer(137, b"\0\x01\x01\x40" + ip_of(f)), "mpls"),
    "vxlan": Wrapping(1, lambda f: datagram(50000, 4789, b"\x08\0\0\0\0\0\x2a\0" + f), "vxlan", own_flow=True),
    "vxlan, tagged inside": Wrapping(
        1, lambda f: datagram(50000, 4789, b"\x08\0\0\0\0\0\x2a\0" + f[:12] + b"\x81\0\0\x0a" + f[12:]), "vxlan", "10", True
    ),
    "vxlan, tagged outside": Wrapping(
        1,
        lambda f: bytes(Ether() / Dot1Q(vlan=7, type=0x0800) / datagram(50000, 4789, b"\x08\0\0\0\0\0\x2a\0" + f)[14:]),
        "vxlan", "7", True,
    ),
    "geneve": Wrapping(1, lambda f: datagram(50000, 6081, geneve(f)), "geneve", own_flow=True),
    "gtp": Wrapping(1, lambda f: datagram(2152, 2152, gtp(f, extension=False)), "gtp", own_flow=True),
    "gtp with extension": Wrapping(1, lambda f: datagram(2152, 2152, gtp(f, extension=True)), "gtp", own_flow=True),
    "ayiya": Wrapping(1, lambda f: datagram(50000, 5072, ayiya(f)), "ayiya", own_flow=True),
    "l2tp": Wrapping(1, lambda f: datagram(1701, 1701, b"\0\x02\0\x01\0\x02" + b"\xff\x03" + ppp(f)), "l2tp", own_flow=True),
    "gre in vxlan": Wrapping(
        1, lambda f: datagram(50000, 4789, b"\x08\0\0\0\0\0\x2a\0" + outer(47, b"\0\0\x65\x58" + f)), "vxlan.gre", own_flow=True
    ),
}


def tunnel_of(wrapping: Wrapping, frame_version: int) -> str | None:
    """What column `tunnel` says of a packet of that IP version."""
    if wrapping.tunnel is None or "/" not in wrapping.tunnel:
        return wrapping.tunnel
    return wrapping.tunnel.split("/")[0 if frame_version == 4 else 1]


def rewrapped(pcap: bytes, wrapping: Wrapping) -> bytes:
    """A pcap of Ethernet frames with each frame wrapped."""
    out, at = [pcap_header(link=wrapping.link)], 24
    while at < len(pcap):
        seconds, micro, caplen, _ = struct.unpack_from("<IIII", pcap, at)
        out.append(pcap_record(wrapping.wrap(pcap[at + 16 : at + 16 + caplen]), ts_ns=seconds * 10**9 + micro * 1000))
        at += 16 + caplen
    return b"".join(out)
