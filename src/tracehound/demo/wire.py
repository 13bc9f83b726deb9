"""In: conversations, written as conversations. Out: the capture bytes (pcap, pcapng) that a tap would have recorded.
Never here: files, clocks, or traffic that means something (model_case.py, campus.py, scenarios.py).

    wire = Wire(start_ns=0, seed=1)
    client, server = wire.host("192.0.2.1"), wire.host("198.51.100.7")
    client.connect(server, 80, at=1.0).send(b"GET / HTTP/1.0\\r\\n\\r\\n").reply(b"HTTP/1.0 204 No Content\\r\\n\\r\\n").close()
    capture = wire.pcap()

Times are seconds since `start_ns`. The tap sits beside the originator: its packets are seen when they are sent, the
responder's half come `rtt` later. Frames may be written in any order; they are put in order of time at the end, and only
then do hosts number their IP packets, so that the identification counts up in the order of the capture."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, NamedTuple

from tracehound.demo.chance import Chance

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
ICMP, TCP, UDP, ICMP6 = 1, 6, 17, 58

LINK_NULL, LINK_ETHERNET, LINK_RAW, LINK_COOKED, LINK_COOKED2 = 0, 1, 101, 113, 276
"""LINKTYPE numbers, https://www.tcpdump.org/linktypes.html."""

RETRY_WINDOWS: Final = (0.0, 3.0, 9.0)
RETRY_LINUX: Final = (0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 63.0)
"""When a SYN that nobody answers is sent again (specs: Windows NT family 3 s doubling; Linux 1 s doubling)."""
RETRY_REFUSED_WINDOWS: Final = (0.0, 0.5, 1.0)
"""Windows tries a refused connection twice again, half a second apart."""

MSS_SACK: Final = bytes.fromhex("020405b401010402")
MSS_SACK_WSCALE: Final = bytes.fromhex("020405b4010303080101 0402")
MSS_SACK_TS_WSCALE: Final = bytes.fromhex("020405b40402080a0000000000000000 01030307")


@dataclass(frozen=True, slots=True)
class Stack:
    """How a host's TCP/IP behaves.

    ttl             as seen at the tap
    window          bytes, in every segment
    mss             payload bytes of a full segment
    syn_options     TCP options of SYN and SYN-ACK, padded to fours
    options         TCP options of every other segment
    ip_id           "counter" counts up by one, "swapped" too but in little-endian order (Windows 9x, NT 4),
                    "random", "zero", or one number for all
    first_port, last_port   range of the ephemeral ports, handed out one after the other
    """

    ttl: int = 64
    window: int = 64240
    mss: int = 1460
    syn_options: bytes = MSS_SACK_WSCALE
    options: bytes = b""
    ip_id: str | int = "counter"
    dont_fragment: bool = True
    first_port: int = 32768
    last_port: int = 60999


LINUX: Final = Stack(syn_options=MSS_SACK_TS_WSCALE)
WINDOWS_98: Final = Stack(ttl=128, window=8760, syn_options=MSS_SACK, ip_id="swapped", first_port=1024, last_port=5000)
WINDOWS_2000: Final = Stack(ttl=128, window=17520, syn_options=MSS_SACK, first_port=1024, last_port=5000)
HAND_MADE: Final = Stack(window=1024, syn_options=b"", ip_id="random", dont_fragment=False)
"""Packets written by a program past the system's stack."""


class Frame(NamedTuple):
    """One frame of a capture: time in ns since 1970 UTC, bytes, and a comment for pcapng."""

    ts_ns: int
    data: bytes
    comment: str | None = None
    interface: int = 0


def checksum(total: int) -> int:
    """Internet checksum (RFC 1071) of data given as one big-endian number, or of a sum of such numbers: the ones'
    complement sum of 16-bit words is the number modulo 65535, because 65536 is 1 modulo 65535."""
    rest = total % 65535
    return 65535 - rest if rest else 0


def number(data: bytes) -> int:
    """Bytes as one number for `checksum`, an odd one padded with zero."""
    return int.from_bytes(data) << 8 if len(data) & 1 else int.from_bytes(data)


def link_header(link_type: int, src_mac: bytes, dst_mac: bytes, vlan: Sequence[int], ethertype: int) -> bytes:
    """The bytes before the network layer. Two VLAN tags are 802.1ad outside and 802.1Q inside."""
    return _LINK_HEADERS[link_type](src_mac, dst_mac, vlan, ethertype)


def _ethernet(src_mac: bytes, dst_mac: bytes, vlan: Sequence[int], ethertype: int) -> bytes:
    tags = b"".join(
        struct.pack("!HH", 0x88A8 if i + 1 < len(vlan) else 0x8100, identifier) for i, identifier in enumerate(vlan)
    )
    return dst_mac + src_mac + tags + struct.pack("!H", ethertype)


def _raw(src_mac: bytes, dst_mac: bytes, vlan: Sequence[int], ethertype: int) -> bytes:
    return b""


def _null(src_mac: bytes, dst_mac: bytes, vlan: Sequence[int], ethertype: int) -> bytes:
    return struct.pack("<I", 2 if ethertype == 0x0800 else 30)


def _cooked(src_mac: bytes, dst_mac: bytes, vlan: Sequence[int], ethertype: int) -> bytes:
    return struct.pack("!HHH", 0, 1, 6) + src_mac + b"\0\0" + struct.pack("!H", ethertype)


def _cooked2(src_mac: bytes, dst_mac: bytes, vlan: Sequence[int], ethertype: int) -> bytes:
    return struct.pack("!HHIHBB", ethertype, 0, 1, 1, 0, 6) + src_mac + b"\0\0"


_LINK_HEADERS: Final = {
    LINK_ETHERNET: _ethernet,
    LINK_RAW: _raw,
    LINK_NULL: _null,
    LINK_COOKED: _cooked,
    LINK_COOKED2: _cooked2,
}


class _Path:
    """One direction between two hosts, with all that is the same in every packet worked out once."""

    __slots__ = ("_df", "_pair", "_pair_sum", "_policy", "_ttl", "_v6", "link", "numbering", "wire")

    def __init__(self, sender: Host, receiver: Host, ttl: int | None = None) -> None:
        self.wire = sender.wire
        self._v6 = sender.v6
        self._ttl = sender.stack.ttl if ttl is None else ttl
        self._df = 0x4000 if sender.stack.dont_fragment else 0
        self._policy = sender.stack.ip_id
        self._pair = sender.packed + receiver.packed
        self._pair_sum = number(self._pair) % 65535
        vlan = sender.vlan or receiver.vlan
        ethertype = 0x86DD if self._v6 else 0x0800
        self.link = link_header(self.wire.link_type, sender.mac, receiver.mac, vlan, ethertype)
        counting = self._policy in ("counter", "swapped") and not self._v6
        self.numbering = sender.index << 8 | len(self.link) if counting else -1

    def packet(self, proto: int, body: bytes, fragment: int | None = None, ip_id: int | None = None) -> bytes:
        """A network packet around `body`; `fragment` is the field of flags and offset where it is not the usual one."""
        if self._v6:
            return struct.pack("!IHBB", 0x60000000, len(body), proto, self._ttl) + self._pair + body
        length = 20 + len(body)
        flags = self._df if fragment is None else fragment
        if ip_id is None:
            policy = self._policy
            if isinstance(policy, int):
                ip_id = policy
            else:
                ip_id = self.wire.chance.below(65536) if policy == "random" else 0
        total = 0x4500 + length + ip_id + flags + (self._ttl << 8) + proto + self._pair_sum
        return (
            struct.pack("!BBHHHBBH", 0x45, 0, length, ip_id, flags, self._ttl, proto, checksum(total))
            + self._pair
            + body
        )

    def emit(self, at: float, proto: int, body: bytes, comment: str | None = None) -> None:
        self.wire.add(at, self.link + self.packet(proto, body), self.numbering, comment)

    def tcp(
        self, sport: int, dport: int, seq: int, ack: int, flags: int, window: int, options: bytes, data: bytes
    ) -> bytes:
        """A TCP segment with its checksum over the pseudo header (RFC 9293 3.1; RFC 8200 8.1)."""
        seq &= 0xFFFFFFFF
        ack &= 0xFFFFFFFF
        head = 20 + len(options)
        offset_flags = (head << 10) | flags
        total = self._pair_sum + TCP + head + len(data) + sport + dport + seq + ack + offset_flags + window
        if options:
            total += number(options)
        if data:
            total += number(data)
        return (
            struct.pack("!HHIIHHHH", sport, dport, seq, ack, offset_flags, window, checksum(total), 0) + options + data
        )

    def udp(self, sport: int, dport: int, data: bytes) -> bytes:
        length = 8 + len(data)
        value = checksum(self._pair_sum + UDP + length + sport + dport + length + number(data))
        return struct.pack("!HHHH", sport, dport, length, value or 0xFFFF) + data

    def icmp(self, kind: int, code: int, rest: bytes) -> bytes:
        """An ICMP or ICMPv6 message: type, code, checksum, and everything after them."""
        total = (kind << 8) + code + number(rest)
        if self._v6:
            total += self._pair_sum + ICMP6 + 4 + len(rest)
        return struct.pack("!BBH", kind, code, checksum(total)) + rest

    def emit_fragments(self, at: float, proto: int, body: bytes, size: int, ident: int, order: Sequence[int]) -> None:
        """The datagram in fragments of `size` payload bytes (a multiple of eight), sent in `order`."""
        pieces = [(i, body[i : i + size]) for i in range(0, len(body), size)]
        for step, index in enumerate(order or range(len(pieces))):
            offset, piece = pieces[index]
            more = offset + len(piece) < len(body)
            when = at + step * 0.0002
            if self._v6:
                head = struct.pack("!BBHI", proto, 0, offset | more, ident)
                self.wire.add(when, self.link + self.packet(44, head + piece), -1, None)
            else:
                field = (offset >> 3) | (0x2000 if more else 0)
                self.wire.add(when, self.link + self.packet(proto, piece, field, ident), -1, None)


class Host:
    """A machine with an address and a stack. Ephemeral ports count up from `stack.first_port` in the order of the calls."""

    def __init__(
        self, wire: Wire, index: int, address: str, stack: Stack, vlan: Sequence[int], mac: bytes | None
    ) -> None:
        self.wire = wire
        self.index = index
        self.address = address
        self.packed = ip_address(address).packed
        self.v6 = len(self.packed) == 16
        self.stack = stack
        self.vlan = tuple(vlan)
        self.mac = mac or b"\x02\x00" + self.packed[-4:]
        self.next_port = stack.first_port
        self.ip_id_start: int | None = None
        self._paths: dict[tuple[int, int | None], _Path] = {}

    def path(self, receiver: Host, ttl: int | None = None) -> _Path:
        key = (receiver.index, ttl)
        found = self._paths.get(key)
        if found is None:
            found = self._paths[key] = _Path(self, receiver, ttl)
        return found

    def take_port(self) -> int:
        """The next ephemeral port."""
        port = self.next_port
        self.next_port = port + 1 if port < self.stack.last_port else self.stack.first_port
        return port

    # -- TCP ------------------------------------------------------------------------------------------------------
    def talk(
        self,
        server: Host,
        port: int,
        at: float,
        sport: int | None = None,
        rtt: float = 0.03,
        seq: int | None = None,
        server_seq: int | None = None,
    ) -> Talk:
        """A conversation of which nothing was sent yet: the low-level beginning."""
        chance = self.wire.chance
        return Talk(
            self,
            server,
            self.take_port() if sport is None else sport,
            port,
            at,
            rtt,
            chance.bits() >> 32 if seq is None else seq,
            chance.bits() >> 32 if server_seq is None else server_seq,
        )

    def connect(
        self,
        server: Host,
        port: int,
        at: float,
        sport: int | None = None,
        rtt: float = 0.03,
        times: Sequence[float] = (0.0,),
        seq: int | None = None,
        server_seq: int | None = None,
    ) -> Talk:
        """Handshake. Of SYNs at `at` + `times` the last one is answered."""
        talk = self.talk(server, port, at, sport, rtt, seq, server_seq)
        for wait in times:
            talk.now = at + wait
            talk.syn()
        return talk.syn_ack().handshake_ack()

    def midstream(self, server: Host, port: int, at: float, sport: int | None = None, rtt: float = 0.03) -> Talk:
        """A conversation that was open before the capture began."""
        return self.talk(server, port, at, sport, rtt)

    def unanswered(
        self,
        server: Host,
        port: int,
        at: float,
        times: Sequence[float] = RETRY_WINDOWS,
        sport: int | None = None,
        seq: int | None = None,
    ) -> Talk:
        """SYNs that nobody answers, at `at` + each of `times`."""
        talk = self.talk(server, port, at, sport, 0.0, seq)
        for wait in times:
            talk.now = at + wait
            talk.syn()
        return talk

    def refused(
        self,
        server: Host,
        port: int,
        at: float,
        times: Sequence[float] = (0.0,),
        sport: int | None = None,
        rtt: float = 0.03,
        seq: int | None = None,
    ) -> Talk:
        """Each SYN is answered by RST with ACK."""
        talk = self.talk(server, port, at, sport, rtt, seq)
        for wait in times:
            talk.now = at + wait
            talk.syn()
            talk.segment(False, flags=RST | ACK, at=talk.now + rtt, seq=0, ack=talk.isn + 1, window=0)
        return talk

    def unreachable(
        self,
        server: Host,
        port: int,
        at: float,
        router: Host,
        code: int = 1,
        times: Sequence[float] = (0.0,),
        sport: int | None = None,
        rtt: float = 0.03,
        seq: int | None = None,
        answered: Sequence[int] = (0,),
    ) -> Talk:
        """SYNs of which those with an index in `answered` bring an ICMP error of `router` that quotes them."""
        talk = self.talk(server, port, at, sport, rtt, seq)
        for i, wait in enumerate(times):
            talk.now = at + wait
            quoted = talk.syn()
            if i in answered:
                router.icmp_error(self, quoted, talk.now + rtt, code=code)
        return talk

    # -- UDP ------------------------------------------------------------------------------------------------------
    def datagram(
        self,
        server: Host,
        port: int,
        data: bytes,
        at: float,
        sport: int | None = None,
        fragment: int = 0,
        ident: int = 1,
        order: Sequence[int] = (),
        comment: str | None = None,
    ) -> bytes:
        """One UDP datagram, if `fragment` is set in fragments of that many bytes. Returns its IP packet."""
        path = self.path(server)
        body = path.udp(self.take_port() if sport is None else sport, port, data)
        if fragment:
            path.emit_fragments(at, UDP, body, fragment, ident, order)
        else:
            path.emit(at, UDP, body, comment)
        return path.packet(UDP, body)

    def exchange(
        self,
        server: Host,
        port: int,
        query: bytes,
        answer: bytes | None,
        at: float,
        sport: int | None = None,
        rtt: float = 0.03,
        times: Sequence[float] = (0.0,),
    ) -> int:
        """A datagram and the one that answers its last repetition (None: nobody does). Returns the source port."""
        source = self.take_port() if sport is None else sport
        for wait in times:
            self.datagram(server, port, query, at + wait, source)
        if answer is not None:
            server.datagram(self, source, answer, at + times[-1] + rtt, port)
        return source

    def port_unreachable(self, server: Host, port: int, data: bytes, at: float, rtt: float = 0.03) -> None:
        """A datagram that the host answers with ICMP port unreachable."""
        quoted = self.datagram(server, port, data, at)
        server.icmp_error(self, quoted, at + rtt, code=4 if self.v6 else 3)

    # -- ICMP, ARP --------------------------------------------------------------------------------------------------
    def icmp_error(self, receiver: Host, quoted: bytes, at: float, kind: int | None = None, code: int = 1) -> None:
        """Destination unreachable (or another `kind`) with the quoted packet: IPv4 header and 8 bytes more (RFC 792),
        IPv6 as much as fits (RFC 4443 3.1)."""
        path = self.path(receiver)
        if self.v6:
            path.emit(at, ICMP6, path.icmp(1 if kind is None else kind, code, bytes(4) + quoted[:1232]))
        else:
            path.emit(at, ICMP, path.icmp(3 if kind is None else kind, code, bytes(4) + quoted[:28]))

    def ping(
        self,
        server: Host,
        at: float,
        ident: int = 1,
        sequence: int = 1,
        data: bytes = b"abcdefghijklmnopqrstuvwabcdefghi",
        answered: bool = True,
        rtt: float = 0.03,
    ) -> None:
        """ICMP echo."""
        request, reply, proto = (128, 129, ICMP6) if self.v6 else (8, 0, ICMP)
        rest = struct.pack("!HH", ident, sequence) + data
        path = self.path(server)
        path.emit(at, proto, path.icmp(request, 0, rest))
        if answered:
            back = server.path(self)
            back.emit(at + rtt, proto, back.icmp(reply, 0, rest))

    def arp(self, target: Host, at: float, answered: bool = True) -> None:
        """ARP request for `target` and its reply (RFC 826), on Ethernet only."""
        wire = self.wire
        request = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + self.mac + self.packed + bytes(6) + target.packed
        wire.add(at, link_header(wire.link_type, self.mac, b"\xff" * 6, self.vlan, 0x0806) + request, -1, None)
        if answered:
            reply = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2) + target.mac + target.packed + self.mac + self.packed
            wire.add(
                at + 0.0003, link_header(wire.link_type, target.mac, self.mac, self.vlan, 0x0806) + reply, -1, None
            )


class Talk:
    """A TCP conversation in the making. `now` is where it stands; every method returns the conversation itself.

    isn, server_isn     first sequence numbers
    seq, server_seq     next sequence numbers
    """

    __slots__ = (
        "_back",
        "_forth",
        "client",
        "dport",
        "isn",
        "now",
        "rtt",
        "seq",
        "server",
        "server_isn",
        "server_seq",
        "sport",
    )

    def __init__(
        self, client: Host, server: Host, sport: int, dport: int, at: float, rtt: float, isn: int, server_isn: int
    ) -> None:
        self.client, self.server = client, server
        self.sport, self.dport = sport, dport
        self.now, self.rtt = at, rtt
        self.isn, self.server_isn = isn, server_isn
        self.seq, self.server_seq = isn + 1, server_isn + 1
        self._forth, self._back = client.path(server), server.path(client)

    def segment(
        self,
        from_client: bool,
        data: bytes = b"",
        flags: int = ACK,
        at: float | None = None,
        seq: int | None = None,
        ack: int | None = None,
        window: int | None = None,
        options: bytes | None = None,
        comment: str | None = None,
    ) -> bytes:
        """One segment exactly as told; nothing moves on. What is left out is as the conversation stands. Returns the IP
        packet."""
        if from_client:
            path, sport, dport, stack = self._forth, self.sport, self.dport, self.client.stack
            seq = self.seq if seq is None else seq
            ack = (self.server_seq if flags & ACK else 0) if ack is None else ack
        else:
            path, sport, dport, stack = self._back, self.dport, self.sport, self.server.stack
            seq = self.server_seq if seq is None else seq
            ack = (self.seq if flags & ACK else 0) if ack is None else ack
        if options is None:
            options = stack.syn_options if flags & SYN else stack.options
        body = path.tcp(sport, dport, seq, ack, flags, stack.window if window is None else window, options, data)
        packet = path.packet(TCP, body)
        path.wire.add(self.now if at is None else at, path.link + packet, path.numbering, comment)
        return packet

    def syn(self) -> bytes:
        """A SYN (again); returns the IP packet, so that an ICMP error can quote it."""
        return self.segment(True, flags=SYN, seq=self.isn)

    def syn_ack(self) -> Talk:
        self.now += self.rtt
        self.segment(False, flags=SYN | ACK, seq=self.server_isn, ack=self.isn + 1)
        return self

    def handshake_ack(self) -> Talk:
        self.now += 0.0002
        self.segment(True)
        return self

    def wait(self, seconds: float) -> Talk:
        self.now += seconds
        return self

    def send(
        self,
        data: bytes,
        lost: Sequence[int] = (),
        repeated: Sequence[int] = (),
        order: Sequence[int] = (),
        mss: int = 0,
        acked: bool = True,
        comment: str | None = None,
        spacing: float = 0.0002,
    ) -> Talk:
        """The client sends `data` in segments. `lost` segments are missing from the capture though they arrived,
        `repeated` ones are sent a second time 300 ms later, `order` is the order they are seen in."""
        return self._transfer(True, data, lost, repeated, order, mss, acked, comment, spacing)

    def reply(
        self,
        data: bytes,
        lost: Sequence[int] = (),
        repeated: Sequence[int] = (),
        order: Sequence[int] = (),
        mss: int = 0,
        acked: bool = True,
        comment: str | None = None,
        spacing: float = 0.001,
    ) -> Talk:
        """The server sends `data`; the rest is as in `send`."""
        self.now += 0.002
        return self._transfer(False, data, lost, repeated, order, mss, acked, comment, spacing)

    def _transfer(
        self,
        from_client: bool,
        data: bytes,
        lost: Sequence[int],
        repeated: Sequence[int],
        order: Sequence[int],
        mss: int,
        acked: bool,
        comment: str | None,
        spacing: float,
    ) -> Talk:
        stack = self.client.stack if from_client else self.server.stack
        size = mss or stack.mss - len(stack.options)
        first = self.seq if from_client else self.server_seq
        ends = range(0, len(data), size)
        begun = self.now
        when = begun
        for step, index in enumerate(order or range(len(ends))):
            start = ends[index]
            piece = data[start : start + size]
            last = start + size >= len(data)
            when = begun + step * spacing
            if index not in lost:
                flags = ACK | PSH if last else ACK
                self.segment(from_client, piece, flags, when, first + start, comment=comment if step == 0 else None)
            if not from_client and acked and step & 1 and not last:
                self.segment(True, at=when + 0.0002, ack=first + start + len(piece))
        for index in repeated:
            start = ends[index]
            when = max(when, begun + 0.3) + 0.0002
            self.segment(from_client, data[start : start + size], ACK | PSH, when, first + start)
        if from_client:
            self.seq += len(data)
            self.now = when + self.rtt
            if acked:
                self.segment(False)
        else:
            self.server_seq += len(data)
            self.now = when + 0.0002
            if acked:
                self.segment(True)
        return self

    def close(self) -> Talk:
        """The client closes, the server too."""
        self.now += 0.001
        self.segment(True, flags=FIN | ACK)
        self.seq += 1
        self.now += self.rtt
        self.segment(False, flags=FIN | ACK)
        self.server_seq += 1
        self.now += 0.0002
        self.segment(True)
        return self

    def server_close(self) -> Talk:
        """The server closes, the client too."""
        self.now += 0.001
        self.segment(False, flags=FIN | ACK)
        self.server_seq += 1
        self.now += 0.0004
        self.segment(True, flags=FIN | ACK)
        self.seq += 1
        self.now += self.rtt
        self.segment(False)
        return self

    def reset(self) -> Talk:
        """The client resets."""
        self.now += 0.001
        self.segment(True, flags=RST | ACK, window=0)
        return self

    def server_reset(self) -> Talk:
        """The server resets."""
        self.now += self.rtt
        self.segment(False, flags=RST | ACK, window=0)
        return self


class Wire:
    """Everything the tap saw. `start_ns` is what second 0 is; `seed` decides sequence numbers and random IP ids."""

    def __init__(self, start_ns: int = 0, seed: int = 1, link_type: int = LINK_ETHERNET) -> None:
        self.start_ns = start_ns
        self.link_type = link_type
        self.chance = Chance(seed).fork("wire")
        self.hosts: list[Host] = []
        self._by_address: dict[str, Host] = {}
        self._times: list[int] = []
        self._frames: list[bytes] = []
        self._numbering: list[int] = []
        self._comments: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._frames)

    def host(self, address: str, stack: Stack = LINUX, vlan: Sequence[int] = (), mac: bytes | None = None) -> Host:
        """The host with this address; the first call decides its stack."""
        found = self._by_address.get(address)
        if found is None:
            found = Host(self, len(self.hosts), address, stack, vlan, mac)
            self.hosts.append(found)
            self._by_address[address] = found
        return found

    def add(self, at: float, frame: bytes, numbering: int = -1, comment: str | None = None) -> None:
        """A frame as it is. `numbering` is the index of the host that numbers its IP packet, shifted left by 8, and the
        offset of its IPv4 header; -1 leaves the frame alone."""
        if comment is not None:
            self._comments[len(self._frames)] = comment
        self._times.append(self.start_ns + round(at * 1e9))
        self._frames.append(frame)
        self._numbering.append(numbering)

    def packets_of(self, host: Host, before_ns: int) -> int:
        """How many of the packets that `host` numbers are older than that."""
        pairs = zip(self._numbering, self._times, strict=True)
        return sum(code >> 8 == host.index and ts < before_ns for code, ts in pairs)

    def ns(self, at: float) -> int:
        """Seconds of the wire as nanoseconds since 1970."""
        return self.start_ns + round(at * 1e9)

    def frames(self) -> Iterator[Frame]:
        """All frames in order of time, IP packets numbered."""
        counters = [
            host.ip_id_start if host.ip_id_start is not None else number(host.packed) * 40503 & 0xFFFF
            for host in self.hosts
        ]
        swapped = [host.stack.ip_id == "swapped" for host in self.hosts]
        times, frames, numbering, comments = self._times, self._frames, self._numbering, self._comments
        for index in sorted(range(len(frames)), key=times.__getitem__):
            data = frames[index]
            code = numbering[index]
            if code >= 0:
                owner = code >> 8
                count = counters[owner]
                counters[owner] = (count + 1) & 0xFFFF
                data = _numbered(data, code & 0xFF, (count << 8 | count >> 8) & 0xFFFF if swapped[owner] else count)
            yield Frame(times[index], data, comments.get(index))

    def pcap(self, nanoseconds: bool = False, byte_order: str = "<", snaplen: int = 262144) -> bytes:
        return b"".join(pcap_chunks(self.frames(), self.link_type, nanoseconds, byte_order, snaplen))

    def pcapng(self, comment: str = "", byte_order: str = "<", resolution: int = 9) -> bytes:
        return b"".join(
            pcapng_chunks(
                self.frames(), (Interface(self.link_type, resolution=resolution),), comment, byte_order=byte_order
            )
        )


def _numbered(frame: bytes, at: int, ip_id: int) -> bytes:
    """The frame with this IP identification, which was zero before, and the header checksum to match (RFC 1624)."""
    value = checksum((65535 - (frame[at + 10] << 8 | frame[at + 11])) + ip_id)
    return frame[: at + 4] + ip_id.to_bytes(2) + frame[at + 6 : at + 10] + value.to_bytes(2) + frame[at + 12 :]


# -- capture files --------------------------------------------------------------------------------------------------------
_FLUSH_BYTES: Final = 1 << 20


def pcap_chunks(
    frames: Iterable[Frame],
    link_type: int = LINK_ETHERNET,
    nanoseconds: bool = False,
    byte_order: str = "<",
    snaplen: int = 262144,
) -> Iterator[bytes]:
    """A pcap file (https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-03.html) in pieces of about 1 MiB.
    `byte_order` is "<" or ">"; frames are cut at `snaplen`."""
    magic, unit = (0xA1B23C4D, 1) if nanoseconds else (0xA1B2C3D4, 1000)
    pieces = [struct.pack(byte_order + "IHHiIII", magic, 2, 4, 0, 0, snaplen, link_type)]
    size = 24
    record = struct.Struct(byte_order + "IIII").pack
    for ts_ns, data, _comment, _interface in frames:
        seconds, rest = divmod(ts_ns, 1_000_000_000)
        kept = data[:snaplen]
        pieces += (record(seconds, rest // unit, len(kept), len(data)), kept)
        size += 16 + len(kept)
        if size >= _FLUSH_BYTES:
            yield b"".join(pieces)
            pieces, size = [], 0
    yield b"".join(pieces)


@dataclass(frozen=True, slots=True)
class Interface:
    """A pcapng interface: `resolution` is if_tsresol, decimal digits of the second."""

    link_type: int = LINK_ETHERNET
    name: str = ""
    description: str = ""
    resolution: int = 9
    snaplen: int = 262144


def pcapng_chunks(
    frames: Iterable[Frame],
    interfaces: Sequence[Interface] = (Interface(),),
    comment: str = "",
    application: str = "",
    names: Sequence[tuple[str, str]] = (),
    byte_order: str = "<",
) -> Iterator[bytes]:
    """A pcapng file of one section (https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-02.html) in pieces of about
    1 MiB. `names` are pairs of address and name for a name-resolution block."""

    def option(code: int, value: bytes) -> bytes:
        return struct.pack(byte_order + "HH", code, len(value)) + value + bytes(-len(value) % 4)

    def block(kind: int, body: bytes, options: bytes = b"") -> bytes:
        if options:
            options += bytes(4)
        length = struct.pack(byte_order + "I", 12 + len(body) + len(options))
        return struct.pack(byte_order + "I", kind) + length + body + options + length

    section = b"".join(option(c, t.encode()) for c, t in ((1, comment), (4, application)) if t)
    pieces = [block(0x0A0D0D0A, struct.pack(byte_order + "IHHq", 0x1A2B3C4D, 1, 0, -1), section)]
    for interface in interfaces:
        texts = ((2, interface.name), (3, interface.description))
        options = b"".join(option(c, t.encode()) for c, t in texts if t) + option(9, bytes((interface.resolution,)))
        pieces.append(block(1, struct.pack(byte_order + "HHI", interface.link_type, 0, interface.snaplen), options))
    if names:
        records = b""
        for address, name in names:
            packed = ip_address(address).packed
            records += option(1 if len(packed) == 4 else 2, packed + name.encode() + b"\0")
        pieces.append(block(4, records + bytes(4)))
    units = [10 ** (9 - interface.resolution) for interface in interfaces]
    snaplens = [interface.snaplen for interface in interfaces]
    head = struct.Struct(byte_order + "IIIIIII").pack
    tail = struct.Struct(byte_order + "I").pack
    padding = (b"", b"\0\0\0", b"\0\0", b"\0")
    size = 0
    for ts_ns, data, words, interface_id in frames:
        stamp = ts_ns // units[interface_id]
        kept = data[: snaplens[interface_id]]
        options = option(1, words.encode()) + bytes(4) if words else b""
        pad = padding[len(kept) & 3]
        length = 32 + len(kept) + len(pad) + len(options)
        high, low = stamp >> 32, stamp & 0xFFFFFFFF
        pieces += (head(6, length, interface_id, high, low, len(kept), len(data)), kept, pad, options, tail(length))
        size += length
        if size >= _FLUSH_BYTES:
            yield b"".join(pieces)
            pieces, size = [], 0
    yield b"".join(pieces)


# -- DNS ------------------------------------------------------------------------------------------------------------------
A, NS, CNAME, SOA, PTR, MX, TXT, AAAA = 1, 2, 5, 6, 12, 15, 16, 28


def dns_name(name: str) -> bytes:
    """A domain name as labels (RFC 1035 3.1), without compression."""
    labels = [label.encode() for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def dns_query(ident: int, name: str, kind: int = A) -> bytes:
    """A recursive query (RFC 1035 4.1)."""
    return struct.pack("!HHHHHH", ident, 0x0100, 1, 0, 0, 0) + dns_name(name) + struct.pack("!HH", kind, 1)


def dns_data(kind: int, value: str) -> bytes:
    """Record data from its text: an address, a name, "10 mail.example" for MX, any text for TXT."""
    if kind in (A, AAAA):
        return ip_address(value).packed
    if kind == MX:
        preference, exchange = value.split()
        return struct.pack("!H", int(preference)) + dns_name(exchange)
    if kind == TXT:
        return bytes((len(value),)) + value.encode()
    return dns_name(value)


def dns_response(
    ident: int, name: str, kind: int = A, answers: Sequence[str | tuple[int, str]] = (), code: int = 0, ttl: int = 3600
) -> bytes:
    """The response: `answers` are values of the kind asked for, or pairs (kind, value); `code` 3 is NXDOMAIN."""
    out = struct.pack("!HHHHHH", ident, 0x8180 | code, 1, len(answers), 0, 0) + dns_name(name)
    out += struct.pack("!HH", kind, 1)
    for answer in answers:
        of_kind, value = (kind, answer) if isinstance(answer, str) else answer
        data = dns_data(of_kind, value)
        out += struct.pack("!HHHIH", 0xC00C, of_kind, 1, ttl, len(data)) + data
    return out


def reverse_name(address: str) -> str:
    """The name that a PTR query asks for."""
    return ip_address(address).reverse_pointer
