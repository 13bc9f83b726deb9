"""In: QUIC datagrams. Out: one row of table `quic` a connection, and one of `tls` for its handshake. Never here: protection of packets
(quic_initial.py), or what is said behind the handshake.

RFC 9000 section 19 (frames), 18 (transport parameters); before them Google's QUIC, whose client hello (CHLO) is readable in versions up
to Q046. The letters of packet_history are Zeek's: I initial, H handshake, Z 0-RTT, R retry, S the TLS hello, C close, U an unknown
version; small letters are the server's."""

from __future__ import annotations

from typing import Final

from tracehound.limits import MAX_QUIC_CRYPTO_BYTES, MAX_QUIC_DATAGRAMS
from tracehound.protocols import quic_initial as initial
from tracehound.protocols.lines import words_of
from tracehound.protocols.quic_initial import Keys, Packet, decrypted, keys_for, packets, varint, version_name
from tracehound.protocols.reporter import Reporter, ends_of
from tracehound.protocols.session import Datagram, Emit, FlowEnds
from tracehound.protocols.tls import TlsSession

_PADDING, _PING, _ACK, _ACK_ECN, _CRYPTO, _CLOSE, _CLOSE_APP = 0, 1, 2, 3, 6, 0x1C, 0x1D
_PARAMETERS: Final = (0x39, 0xFFA5)
"""RFC 9001 8.2: extension of the transport parameters; the second number is that of the drafts."""
_USER_AGENT: Final = 0x3129
"""Google's transport parameter."""
_LETTERS: Final = {
    initial.INITIAL: "I", initial.HANDSHAKE: "H", initial.ZERO_RTT: "Z", initial.RETRY: "R", initial.NEGOTIATION: "U",
}  # fmt: skip
_CHLO, _SNI, _UAID = b"CHLO", b"SNI\0", b"UAID"
_MOST_FRAMES: Final = 1_000
_MOST_TAGS: Final = 64


class CryptoStream:
    """CRYPTO frames of one side, put in order: they come out of order, and twice."""

    __slots__ = ("parts", "reach", "size")

    def __init__(self) -> None:
        self.parts: dict[int, bytes] = {}
        self.reach = 0
        self.size = 0

    def add(self, offset: int, data: bytes) -> bytes:
        """Returns the bytes that have become contiguous."""
        if offset + len(data) <= self.reach or offset > MAX_QUIC_CRYPTO_BYTES or self.size > MAX_QUIC_CRYPTO_BYTES:
            return b""
        if len(data) > len(self.parts.get(offset, b"")):
            self.parts[offset] = data
            self.size += len(data)
        out = []
        while self.parts:
            begin = min(self.parts)
            if begin > self.reach:
                break
            new = self.parts.pop(begin)[self.reach - begin :]
            out.append(new)
            self.reach += len(new)
        return b"".join(out)


def crypto_frames(plain: bytes) -> tuple[list[tuple[int, bytes]], bool]:
    """(offset, data) of the CRYPTO frames of an Initial packet, and whether the connection is closed. RFC 9000 17.2.2 names the frames
    that may stand in one."""
    found: list[tuple[int, bytes]] = []
    closed = False
    at = 0
    for _ in range(_MOST_FRAMES):
        while at < len(plain) and plain[at] == _PADDING:
            at += 1
        if at >= len(plain):
            break
        kind, at = plain[at], at + 1
        if kind == _PING:
            continue
        if kind in (_ACK, _ACK_ECN):
            at = _after_ack(plain, at, ecn=kind == _ACK_ECN)
        elif kind == _CRYPTO:
            offset, at = varint(plain, at)
            size, at = varint(plain, at)
            if offset < 0 or size < 0:
                break
            found.append((offset, plain[at : at + size]))
            at += size
        else:
            closed = kind in (_CLOSE, _CLOSE_APP)
            break
        if at < 0:
            break
    return found, closed


def _after_ack(plain: bytes, at: int, *, ecn: bool) -> int:
    """RFC 9000 19.3: largest, delay, ranges, first range, two numbers a range, three counts; -1 where it is cut."""
    numbers = []
    for _ in range(4):
        number, at = varint(plain, at)
        numbers.append(number)
    if min(numbers) < 0 or numbers[2] > len(plain):
        return -1
    for _ in range(2 * numbers[2] + (3 if ecn else 0)):
        number, at = varint(plain, at)
        if number < 0:
            return -1
    return at


def _user_agent(parameters: bytes) -> str | None:
    """RFC 9000 18: a list of number, length, value."""
    at = 0
    while at < len(parameters):
        number, at = varint(parameters, at)
        size, at = varint(parameters, at)
        if number < 0 or size < 0:
            return None
        if number == _USER_AGENT:
            return words_of(parameters[at : at + size]) or None
        at += size
    return None


def chlo_tags(data: bytes) -> dict[bytes, bytes]:
    """Google's client hello: CHLO, number of tags, two bytes, then a tag and the end of its value each."""
    begin = data.find(_CHLO)
    if begin < 0 or begin + 8 > len(data):
        return {}
    count = min(int.from_bytes(data[begin + 4 : begin + 6], "little"), _MOST_TAGS)
    values, before = begin + 8 + 8 * count, 0
    found: dict[bytes, bytes] = {}
    for i in range(count):
        entry = data[begin + 8 + 8 * i : begin + 16 + 8 * i]
        end = int.from_bytes(entry[4:8], "little")
        if len(entry) < 8 or end < before:
            break
        found[entry[:4]] = data[values + before : values + end]
        before = end
    return found


class _Connection(Reporter):
    """One connection of one flow."""

    service = "quic"

    def __init__(self, ends: FlowEnds, emit: Emit, first: Datagram) -> None:
        super().__init__(ends, emit)
        self.version: int | None = None
        self.google: str | None = None
        self.datagrams = 0
        self._first = first.packet_id, first.ts_ns
        self._keys: dict[bool, Keys] | None = None
        self._keyed_by = b""
        self._streams = {True: CryptoStream(), False: CryptoStream()}
        self._tls = TlsSession(ends, emit, originator_is_client=True, transport="q")
        self._history = ""
        self._dcid: bytes | None = None
        self._scids: dict[bool, bytes | None] = {True: None, False: None}
        self._retry = False
        self._tags: dict[bytes, bytes] = {}
        self._finished = False
        self._established = False

    def datagram(self, d: Datagram) -> bool:
        """Returns True once nothing more can be told."""
        self.datagrams += 1
        client = d.from_originator
        if client and self.version is None and not self._tags and d.data[:1] < b"\x80":
            self._old_google(d.data)
        for packet in packets(d.data):
            if packet.kind == initial.ONE_RTT:
                self._goes_dark(client)
                continue
            self._long(packet, client, d)
        return self.datagrams >= MAX_QUIC_DATAGRAMS or (self._tls.answered and self._tls.hello is not None and self._established)

    def _goes_dark(self, client: bool) -> None:
        """Packets behind the Initial ones need keys that both hellos give."""
        self._tls.encrypted(client)
        self._established = self._established or client

    def _old_google(self, data: bytes) -> None:
        """Before version Q046: flags, connection id, version, packet number, all in the clear."""
        tags = chlo_tags(data)
        if tags:
            self._tags = tags
            at = data.find(b"Q0")
            self.google = data[at : at + 4].decode("latin-1") if 0 <= at < 20 else None

    def _long(self, packet: Packet, client: bool, d: Datagram) -> None:
        letter = _LETTERS[packet.kind]
        self._write(letter, client)
        if packet.kind == initial.RETRY:
            self._retry = True
            return
        if packet.kind == initial.NEGOTIATION:
            return
        if client and self._dcid is None:
            self._dcid = packet.dcid
        if self.version is None or client:
            self.version = packet.version
        if self._scids[client] is None:
            self._scids[client] = packet.scid
        if packet.kind == initial.HANDSHAKE:
            self._goes_dark(client)
        if packet.kind == initial.INITIAL:
            self._initial(packet, client, d)

    def _write(self, letter: str, client: bool) -> None:
        """Zeek writes a letter once for each stretch of packets of the same kind."""
        letter = letter if client else letter.lower()
        if self._history[-1:] != letter and len(self._history) < 64:
            self._history += letter

    def _initial(self, packet: Packet, client: bool, d: Datagram) -> None:
        if packet.version >> 16 == 0x5130:
            self._tags = self._tags or chlo_tags(packet.payload)
            return
        plain = decrypted(packet, self._keys[client]) if self._keys is not None else None
        if plain is None and client and packet.dcid != self._keyed_by:
            # The first packet, or the first behind a Retry (RFC 9001 5.2): the client's new connection id gives new keys.
            keys = keys_for(packet.version, packet.dcid)
            plain = decrypted(packet, keys[True])
            if plain is not None or self._keys is None:
                self._keys, self._keyed_by = keys, packet.dcid
        if plain is None:
            self.note("an Initial packet cannot be decrypted")
            return
        crypto, closed = crypto_frames(plain)
        for offset, data in crypto:
            whole = self._streams[client].add(offset, data)
            before = self._tls.hello is not None, self._tls.answered
            if whole:
                self._tls.handshake(client, whole, d.packet_id, d.ts_ns)
            if (self._tls.hello is not None, self._tls.answered) != before:
                self._write("S", client)
        if closed:
            self._write("C", client)

    def end(self) -> None:
        if self._finished:
            return
        self._finished = True
        if self.version is None and self.google is None:
            return
        packet_id, ts_ns = self._first
        hello = self._tls.hello
        name = hello.server_name() if hello is not None else None
        agent = None
        if hello is not None:
            agent = next((_user_agent(data) for number, data in hello.extensions if number in _PARAMETERS), None)
        if self._tags:
            name, agent = words_of(self._tags.get(_SNI, b"")) or None, words_of(self._tags.get(_UAID, b"")) or None
        self.row(
            "quic", ts_ns, self.google or version_name(self.version or 0), _hex(self._dcid), _hex(self._scids[True]),
            _hex(self._scids[False]), name, [p.decode("latin-1") for p in hello.protocols()] if hello is not None else None, agent,
            hello.ja4("q") if hello is not None else None, self._history or None, self._retry, packet_id, self.said,
        )  # fmt: skip
        if hello is not None or self._tls.answered:
            self._tls.close(self.said or "")


def _hex(raw: bytes | None) -> str | None:
    return raw.hex() if raw is not None else None


class QuicDatagrams:
    """All flows of QUIC."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._flows: dict[int, _Connection] = {}

    def datagram(self, datagram: Datagram) -> bool:
        flow = self._flows.get(datagram.flow_id)
        if flow is None:
            flow = self._flows[datagram.flow_id] = _Connection(ends_of(datagram), self._emit, datagram)
        if flow.datagram(datagram):
            flow.end()
            return True
        return False

    def end(self, flow_id: int) -> None:
        flow = self._flows.pop(flow_id, None)
        if flow is not None:
            flow.end()
