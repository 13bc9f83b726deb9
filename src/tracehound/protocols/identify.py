"""In: batches of packets with their flows. Out: rows of table `heads` (the first payload of each flow and direction), and a
code per flow: the application protocol that its first bytes speak, on whatever port.
Never here: parsing of a protocol beyond the few bytes that tell it apart (http.py, dns.py).

`PROTOCOLS` is the one list of what is recognised and how, most telling first: where the two directions of a flow say
different things, the earlier entry holds. Names are Zeek's `service` names where Zeek has one.
Tests look at columns of many payloads at once; `service_of` asks the same tests about one flow."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tracehound.flows.assignment import Assignment
from tracehound.kernels import kernel
from tracehound.limits import HEAD_BYTES, MAX_SHORT_HEADS
from tracehound.packets.addresses import dictionary
from tracehound.packets.batch import PacketBatch
from tracehound.tables import HEADS

Mask = NDArray[np.bool_]

_TCP, _UDP = 6, 17
_LETTERS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DIGITS: Final = b"0123456789"
_COLUMNS: Final = 32
"""First bytes of a payload that are laid out as a matrix for the vectorised tests; patterns see HEAD_BYTES."""
_SHORT_BYTES: Final = 16
"""A first TCP payload shorter than this that tells nothing is looked at again with what follows it."""


class Payloads(NamedTuple):
    """First payloads, one a row (n rows).

    octets           uint8 (n, 32), zero-padded
    size             int64, bytes that are there (at most HEAD_BYTES)
    length           int64, bytes of the payload on the wire
    sport, dport     int64, ports of sender and receiver
    from_originator  bool
    head             gives the bytes of a row by its index in `row`
    row              int64, index for `head`
    """

    octets: NDArray[np.uint8]
    size: NDArray[np.int64]
    length: NDArray[np.int64]
    sport: NDArray[np.int64]
    dport: NDArray[np.int64]
    from_originator: Mask
    head: Callable[[int], bytes]
    row: NDArray[np.int64]

    def take(self, keep: Any) -> Payloads:
        return Payloads(
            self.octets[keep],
            self.size[keep],
            self.length[keep],
            self.sport[keep],
            self.dport[keep],
            self.from_originator[keep],
            self.head,
            self.row[keep],
        )

    def u16(self, at: int) -> NDArray[np.int64]:
        """Big-endian number at an offset; 0 where the payload is too short."""
        return self.octets[:, at].astype(np.int64) << 8 | self.octets[:, at + 1]

    def u32(self, at: int) -> NDArray[np.int64]:
        return self.u16(at) << 16 | self.u16(at + 2)

    def server_port(self) -> NDArray[np.int64]:
        return np.where(self.from_originator, self.dport, self.sport)

    def on_port(self, *ports: int) -> Mask:
        """Either end uses one of the ports."""
        hit = np.zeros(self.size.size, np.bool_)
        for port in ports:
            hit |= (self.sport == port) | (self.dport == port)
        return hit


class Test(NamedTuple):
    """Whether payloads speak a protocol.

    first   bool (256), the bytes with which such a payload can begin; rows that begin otherwise are not even shown to `check`
    check   gives a bool a row"""

    first: Mask
    check: Callable[[Payloads], Mask]


# -- how a test is written --------------------------------------------------------------------------------------------
_ANY_BYTE: Final = bytes(range(256))


def _first(some: Iterable[int]) -> Mask:
    first = np.zeros(256, np.bool_)
    first[list(some)] = True
    return first


def where(check: Callable[[Payloads], Mask], first: bytes = _ANY_BYTE) -> Test:
    """A test by numbers."""
    return Test(_first(first), check)


def begins(*literals: bytes) -> Test:
    """The payload begins with one of these bytes."""
    wanted = [(len(text), np.frombuffer(text, np.uint8)) for text in literals]

    def check(p: Payloads) -> Mask:
        hit = np.zeros(p.size.size, np.bool_)
        for length, text in wanted:
            hit |= (p.size >= length) & (p.octets[:, :length] == text).all(axis=1)
        return hit

    return Test(_first(text[0] for text in literals), check)


def looks(pattern: bytes, first: bytes, *, sender: bool | None = None, flags: int = 0) -> Test:
    """The payload matches the regular expression at its beginning.

    first    the bytes with which such a payload can begin
    sender   True: sent by the originator, False: by the responder, None: by either"""
    match = re.compile(pattern, re.DOTALL | flags).match

    def check(p: Payloads) -> Mask:
        hit = np.ones(p.size.size, np.bool_) if sender is None else p.from_originator == sender
        some = np.flatnonzero(hit)
        head = p.head
        hit[some] = [match(head(row)) is not None for row in p.row[some].tolist()]
        return hit

    return Test(_first(first), check)


def either(*tests: Test) -> Test:
    def check(p: Payloads) -> Mask:
        hit = np.zeros(p.size.size, np.bool_)
        for test in tests:
            some = np.flatnonzero(test.first[p.octets[:, 0]] & ~hit)
            if some.size:
                hit[some] = test.check(p.take(some))
        return hit

    return Test(np.logical_or.reduce([test.first for test in tests]), check)


def both(condition: Callable[[Payloads], Mask], test: Test) -> Test:
    """The condition (cheap: ports) and the test."""

    def check(p: Payloads) -> Mask:
        hit = condition(p)
        some = np.flatnonzero(hit)
        if some.size:
            hit[some] = test.check(p.take(some))
        return hit

    return Test(test.first, check)


def port(*ports: int) -> Callable[[Payloads], Mask]:
    return lambda p: p.on_port(*ports)


def server_port(*ports: int) -> Callable[[Payloads], Mask]:
    return lambda p: np.isin(p.server_port(), ports)


# -- tests that compare numbers -----------------------------------------------------------------------------------------
_DNS_PORTS: Final = (53, 5353, 5355)
_DNS_OPCODES: Final = np.isin(np.arange(16), (0, 1, 2, 4, 5, 6))


def _whole_question(message: bytes) -> bool:
    """Whether a question of a known shape stands behind the header: labels, type, class (RFC 1035 section 4.1.2)."""
    at, end = 12, len(message)
    while at < end and 0 < message[at] < 64:
        at += 1 + message[at]
    if at >= end:
        return end >= HEAD_BYTES - 2
    if message[at] != 0 or at - 12 > 254:
        return False
    if at + 5 > end:
        return end >= HEAD_BYTES - 2
    kind = message[at + 1] << 8 | message[at + 2]
    klass = (message[at + 3] << 8 | message[at + 4]) & 0x7FFF
    return (0 < kind <= 264 or kind >= 32768) and klass in (1, 3, 4, 254, 255)


def _dns_header(p: Payloads, at: int, length: NDArray[np.int64]) -> Mask:
    """A sane header (RFC 1035 section 4.1.1): the Z bit is zero, the opcode exists, and so many questions (5 bytes at
    least) and records (11 bytes at least) fit in `length` bytes."""
    flags = p.u16(at + 2)
    questions, answers, others = p.u16(at + 4), p.u16(at + 6), p.u16(at + 8) + p.u16(at + 10)
    sane = (p.size >= at + 12) & (flags & 0x40 == 0) & _DNS_OPCODES[flags >> 11 & 15]
    sane &= 12 + 5 * questions + 11 * (answers + others) <= length
    # A message without any record is only ever a response that says what is wrong.
    hit: Mask = sane & ((questions + answers + others > 0) | ((flags & 0x8000 != 0) & (flags & 15 != 0)))
    return hit


def _dns(at: int) -> Callable[[Payloads], Mask]:
    def test(p: Payloads) -> Mask:
        length = p.length if at == 0 else p.u16(0)
        hit = _dns_header(p, at, length)
        hit &= ~p.on_port(137)
        elsewhere = hit & ~p.on_port(*_DNS_PORTS)
        if elsewhere.any():
            flags = p.u16(at + 2)
            elsewhere_ok = elsewhere & (p.u16(at + 4) == 1)
            # A query has no response code and no answers; AA, RA and the answers are the responder's.
            query = flags & 0x8000 == 0
            elsewhere_ok &= ~query | ((flags & 0x048F == 0) & (p.u16(at + 6) == 0))
            for i in np.flatnonzero(elsewhere_ok).tolist():
                elsewhere_ok[i] = _whole_question(p.head(int(p.row[i]))[at:])
            hit = (hit & ~elsewhere) | elsewhere_ok
        return hit

    return test


_HTTP_REQUEST: Final = begins(
    b"GET ", b"POST ", b"HEAD ", b"PUT ", b"DELETE ", b"TRACE ", b"CONNECT ", b"PATCH ", b"PROPFIND ",
    b"HTTP/1.", b"HTTP/0.9",
)  # fmt: skip
_HTTP_OTHER: Final = looks(
    rb"PRI \* HTTP/2\.0|[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32} [^\r\n]{1,240}(?: HTTP/1\.[0-9]\r?\n|(?<=[^\r\n]{200})\Z)|"
    rb"(?:get|post|head|put) /",
    _LETTERS + b"_",
    sender=True,
)
"""Any token as a method (RFC 9110 section 9.1), if the line ends as a request line does."""


def _ssl2_hello(p: Payloads) -> Mask:
    """A client hello in the SSL 2 format: two bytes of length with the top bit set, type 1, version 0.2 or 3.x."""
    version = p.u16(3)
    length = p.u16(0) & 0x7FFF
    hit: Mask = (
        (p.size >= 11)
        & (p.octets[:, 0] >= 0x80)
        & (p.octets[:, 2] == 1)
        & ((version == 2) | ((version >= 0x300) & (version <= 0x304)))
        & (length + 2 == p.length)
    )
    return hit


def _tls_record(p: Payloads) -> Mask:
    """A TLS record that is no handshake (captures that begin in the middle): type, version 3.x, at most 2^14 + 2048 bytes."""
    kind = p.octets[:, 0]
    hit: Mask = (p.size >= 6) & (kind >= 0x14) & (kind <= 0x17) & (p.octets[:, 1] == 3) & (p.octets[:, 2] <= 4)
    return hit & (p.u16(3) >= 1) & (p.u16(3) <= 18432)


def _openvpn(at: int) -> Callable[[Payloads], Mask]:
    """OpenVPN: a hard reset (opcode 7 of the client, 8 of the server, key 0), alone or with its HMAC; in TCP behind a
    length."""

    def test(p: Payloads) -> Mask:
        opcode = np.where(p.from_originator, 0x38, 0x40)
        rest = p.length - at
        plain = (rest == 14) & p.from_originator
        told = p.on_port(1194, 1198) & (rest >= 14) & (rest <= 128)
        hit: Mask = (p.octets[:, at] == opcode) & (plain | told)
        return hit & (p.u16(0) == rest) if at else hit

    return test


def _opc_ua(p: Payloads) -> Mask:
    """OPC UA part 6, section 7.1.2: three letters, F, C or A, and the length of the chunk in little-endian order."""
    length = (
        p.octets[:, 4].astype(np.int64) | p.octets[:, 5].astype(np.int64) << 8 | p.octets[:, 6].astype(np.int64) << 16
    )
    hit: Mask = (length >= 8) & (p.octets[:, 7] == 0) & np.isin(p.octets[:, 3], np.frombuffer(b"FCA", np.uint8))
    return hit & _OPC_UA.check(p)


_OPC_UA: Final = begins(b"HEL", b"ACK", b"ERR", b"OPN", b"CLO", b"MSG")


def _mysql(p: Payloads) -> Mask:
    """The server speaks first: length in three bytes, little-endian, number 0; protocol 10 and a version, or an error."""
    greeting = (p.octets[:, 4] == 10) & (p.octets[:, 5] >= 0x30) & (p.octets[:, 5] <= 0x39) & (p.octets[:, 6] != 0)
    error = (p.octets[:, 4] == 0xFF) & (p.octets[:, 6] == 4)
    length = p.octets[:, 0].astype(np.int64) | p.octets[:, 1].astype(np.int64) << 8
    hit: Mask = (
        (p.octets[:, 2] == 0) & (p.octets[:, 3] == 0) & (greeting | error) & (length + 4 == p.length) & (p.size >= 8)
    )
    return hit & ~p.from_originator


def _quic(p: Payloads) -> Mask:
    """RFC 9000 section 17.2: a long header, a version that was ever used, connection ids of at most 20 bytes."""
    version = p.u32(1)
    known = (version == 1) | (version == 0x6B3343CF) | (version >> 8 == 0xFF0000) | (version >> 16 == 0x5130)
    hit: Mask = (p.size >= 7) & (p.octets[:, 0] & 0xC0 == 0xC0) & known & (p.octets[:, 5] <= 20) & (p.length >= 20)
    return hit


def _ntp(p: Payloads) -> Mask:
    """RFC 5905 section 7.3, on its port: version 1 to 4 and a mode; 48 bytes at least but for control (6) and private (7)."""
    version, mode = p.octets[:, 0] >> 3 & 7, p.octets[:, 0] & 7
    long_enough = (p.length >= 48) | ((mode >= 6) & (p.length >= 8))
    return p.on_port(123) & (version >= 1) & (version <= 4) & (mode >= 1) & long_enough


def _radius(p: Payloads) -> Mask:
    """RFC 2865 section 3: code, identifier, length of the whole datagram."""
    code = np.isin(p.octets[:, 0], (1, 2, 3, 4, 5, 11, 12, 13, 40, 41, 42, 43, 44, 45))
    return p.on_port(1812, 1813, 1645, 1646, 3799) & code & (p.length >= 20) & (p.u16(2) <= p.length) & (p.u16(2) >= 20)


def _modbus(p: Payloads) -> Mask:
    """Modbus/TCP: protocol number 0, the length of what follows, unit, function."""
    function = p.octets[:, 7] & np.where(p.from_originator, 0xFF, 0x7F).astype(np.uint8)
    known = np.isin(function, (1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 15, 16, 17, 20, 21, 22, 23, 24, 43))
    strict = (p.u16(2) == 0) & (p.u16(4) + 6 == p.length) & known & (p.size >= 8) & (p.length <= 260)
    several = p.on_port(502) & (p.u16(2) == 0) & (p.u16(4) >= 2) & (p.u16(4) + 6 <= p.length) & (p.size >= 8)
    hit: Mask = strict | several
    return hit


def _socks(p: Payloads) -> Mask:
    """RFC 1928: version 5, number of methods, as many bytes."""
    count = p.octets[:, 1].astype(np.int64)
    five = (p.octets[:, 0] == 5) & (count >= 1) & (count <= 9) & (p.length == 2 + count) & p.from_originator
    hit: Mask = five & (p.size >= 3)
    return hit


_SOCKS4: Final = looks(
    rb"\x04[\x01\x02].{2}[^\x00].{3}[\x21-\x7e]{0,64}\x00\Z|"
    rb"\x04[\x01\x02].{2}\x00{3}[^\x00][\x21-\x7e]{0,64}\x00[\x21-\x7e]{1,255}\x00?\Z",
    b"\x04",
    sender=True,
)
"""Version, command, port, address, user, zero; 4A: address 0.0.0.x and a name."""


def _rpc(at: int, *programs: int) -> Callable[[Payloads], Mask]:
    """ONC RPC (RFC 5531 section 9): a call (0) of RPC version 2 to one of the programs; TCP has a record mark before it."""

    def test(p: Payloads) -> Mask:
        call = (p.u32(at + 4) == 0) & (p.u32(at + 8) == 2) & (p.size >= at + 24)
        hit: Mask = call & np.isin(p.u32(at + 12), programs)
        return hit

    return test


_RPC_PROGRAMS: Final = (
    100001, 100002, 100004, 100007, 100008, 100009, 100011, 100012, 100017, 100021, 100024, 100026, 100028, 100068, 100083, 100227,
    100232, 100300, 150001, 300598,
)  # fmt: skip
"""Programs that are met on networks, beside those with a service name of their own (sunrpc.py names them)."""


def _wireguard(p: Payloads) -> Mask:
    kind = p.octets[:, 0].astype(np.int64)
    sized = ((kind == 1) & (p.length == 148)) | ((kind == 2) & (p.length == 92)) | ((kind == 3) & (p.length == 64))
    hit: Mask = sized & (p.u16(1) == 0) & (p.octets[:, 3] == 0)
    return hit


def _stun(p: Payloads) -> Mask:
    """RFC 8489 section 5: the magic cookie, and the length of what follows the 20 bytes of header."""
    hit: Mask = (p.u32(4) == 0x2112A442) & (p.octets[:, 0] < 0x40) & (p.u16(2) + 20 == p.length) & (p.size >= 20)
    return hit


def _netbios_ns(p: Payloads) -> Mask:
    """RFC 1002 section 4.2.1, on its port: the header is that of DNS."""
    return p.on_port(137) & (p.size >= 12) & (p.u16(4) <= 16) & (p.u16(6) <= 64)


def _dhcpv6(p: Payloads) -> Mask:
    kind = p.octets[:, 0]
    return p.on_port(546, 547) & (kind >= 1) & (kind <= 36) & (p.size >= 4)


def _inner_ip(p: Payloads, at: int, version: int) -> Mask:
    hit: Mask = (p.octets[:, at] >> 4 == version) & (p.size > at)
    return hit


def _teredo(p: Payloads) -> Mask:
    """RFC 4380 section 5.1.1: IPv6, maybe behind an authentication (0 1) or origin (0 0) header."""
    return p.on_port(3544) & ((_inner_ip(p, 0, 6) & (p.size >= 40)) | ((p.u16(0) <= 1) & (p.size >= 8)))


def _vxlan(p: Payloads) -> Mask:
    hit: Mask = (
        p.on_port(4789) & (p.octets[:, 0] & 0xF7 == 0) & (p.octets[:, 0] == 8) & (p.octets[:, 7] == 0) & (p.size >= 8)
    )
    return hit


def _geneve(p: Payloads) -> Mask:
    hit: Mask = p.on_port(6081) & (p.octets[:, 0] >> 6 == 0) & (p.octets[:, 7] == 0) & (p.size >= 8)
    return hit


def _gtpv1(p: Payloads) -> Mask:
    """3GPP TS 29.060 section 6: version 1, protocol type GTP, length of what follows the 8 bytes."""
    hit: Mask = p.on_port(2152, 2123) & (p.octets[:, 0] >> 4 == 3) & (p.u16(2) + 8 <= p.length) & (p.size >= 8)
    return hit


_BER_LENGTH: Final = rb"(?:[\x00-\x7f]|\x81.|\x82..|\x83...|\x84....)"
_PRINTABLE: Final = bytes(range(0x21, 0x7F))
_ANY_CASE: Final = re.IGNORECASE

_KERBEROS: Final = rb"[\x6a-\x6f\x74-\x76\x7e]" + _BER_LENGTH + rb"\x30" + _BER_LENGTH + rb"[\xa0\xa1]\x03\x02\x01\x05"
"""RFC 4120 section 5.10: an application tag, a sequence, pvno 5 as its first member."""
_LDAP: Final = (
    rb"\x30"
    + _BER_LENGTH
    + rb"\x02(?:\x01.|\x02..|\x03...|\x04....)[\x42\x4a\x50\x60\x61\x63-\x69\x6b-\x6f\x73\x77-\x79]"
)
"""RFC 4511 section 4.1.1: a sequence of a message id and an operation."""
_SYSLOG: Final = rb"<(?:1?[0-9]{1,2})>[\x20-\x7e\t]"
_SIP: Final = (
    rb"(?:INVITE|REGISTER|OPTIONS|ACK|BYE|CANCEL|SUBSCRIBE|NOTIFY|MESSAGE|INFO|PRACK|UPDATE|REFER|PUBLISH) "
    rb"(?:[^\r\n]{1,250} SIP/2\.0|sips?:)|SIP/2\.0 [1-6][0-9]{2} "
)


class Protocol(NamedTuple):
    """service: the name; transport: 6 TCP, 17 UDP; test: whether a first payload speaks it."""

    service: str
    transport: int
    test: Test


PROTOCOLS: Final[tuple[Protocol, ...]] = (
    Protocol("http", _TCP, _HTTP_REQUEST),
    Protocol("ssl", _TCP, either(
        begins(*(b"\x16\x03" + bytes((v,)) for v in range(5))),
        where(_ssl2_hello, bytes(range(128, 256))),
        where(_tls_record, b"\x14\x15\x16\x17"))),
    Protocol("dns", _UDP, where(_dns(0))),
    Protocol("dns", _TCP, where(_dns(2))),
    Protocol("ssh", _TCP, begins(b"SSH-1.", b"SSH-2.")),
    Protocol("sip", _TCP, looks(_SIP, b"IROABCSNMPU")),
    Protocol("rtsp", _TCP, looks(rb"[A-Z_]{3,16} (?:rtsp[su]?://|\* RTSP/1)|RTSP/1\.0 [1-5][0-9]{2}", b"DOSPTRGA")),
    Protocol("http", _TCP, _HTTP_OTHER),
    Protocol("http", _TCP, begins(b"ICY 200 ")),
    Protocol("smb", _TCP, looks(rb"\x00.{3}[\xff\xfe\xfd]SMB", b"\x00")),
    Protocol("netbios_ssn", _TCP, looks(rb"\x81\x00\x00[\x22-\xff]\x20[A-P]{32}|[\x82-\x84]\x00\x00[\x00\x01\x06].?\Z",
                                        b"\x81\x82\x83\x84")),
    Protocol("dce_rpc", _TCP, looks(rb"\x05[\x00\x01][\x00-\x13].[\x00\x10][\x00-\x03]\x00\x00", b"\x05")),
    Protocol("rdp", _TCP, either(
        looks(rb"\x03\x00..[\x06-\xff]\xe0.{5}(?:Cookie: mstsh?|[\x01].\x08\x00)", b"\x03"),
        looks(rb"\x03\x00\x00\x13\x0e\xd0.{5}[\x02\x03].\x08\x00", b"\x03"),
        both(port(3389), looks(rb"\x03\x00..[\x06-\xff][\xe0\xd0]", b"\x03")))),
    Protocol("iso_cotp", _TCP, looks(rb"\x03\x00..[\x06-\xff][\xe0\xd0].{5}[\xc0-\xc2]", b"\x03")),
    Protocol("h323", _TCP, both(port(1720), looks(rb"\x03\x00..\x08", b"\x03"))),
    Protocol("irc", _TCP, looks(
        rb"NICK :?\S+\r?\n|USER \S+ \S+ \S+ :?|USER [^\r\n]{1,100}\r?\nNICK |PASS \S+\r?\n(?:NICK|USER) |"
        rb"CAP (?:LS|REQ|END)|NOTICE (?:AUTH|\*) |JOIN [#&]|PRIVMSG \S+ :|PING :\S|"
        rb":\S+ (?:NOTICE|00[1-4]|020|4[0-9]{2}) |ERROR :(?:Closing|Your|Trying)", b"NUPCJ:Enupcje", flags=_ANY_CASE)),
    Protocol("smtp", _TCP, either(
        looks(rb"(?:EHLO|HELO|LHLO) \S", b"EHLehl", sender=True, flags=_ANY_CASE),
        looks(rb"[245][0-9]{2}[ -][^\r\n]*(?:SMTP|mail|postfix|sendmail|exim|spam|rbl\b|dnsbl)", b"245", sender=False,
              flags=_ANY_CASE),
        both(server_port(25, 465, 587, 2525),
             looks(rb"(?:220|421|452|5[0-9]{2})[ -]|(?:MAIL FROM:|NOOP|RSET|STARTTLS|QUIT)", b"245MNRSQ", flags=_ANY_CASE)))),
    Protocol("redis", _TCP, either(
        looks(rb"\*[0-9]{1,7}\r\n\$[0-9]{1,9}\r\n", b"*"),
        both(server_port(6379), looks(rb"[A-Za-z]{3,12}(?: [^\r\n]{0,240})?\r\n", _LETTERS, sender=True)))),
    Protocol("pop3", _TCP, either(
        looks(rb"\+OK(?: |\r?\n)", b"+", sender=False),
        both(port(110, 995), looks(rb"-ERR |(?:USER|CAPA|APOP|AUTH|STLS)\b", b"-UCAS", flags=_ANY_CASE)))),
    Protocol("imap", _TCP, either(
        looks(rb"\* (?:OK|PREAUTH|BYE)[ \[]", b"*", sender=False),
        looks(rb"[A-Za-z0-9.]{1,16} (?:LOGIN |CAPABILITY|AUTHENTICATE |STARTTLS)", _LETTERS + _DIGITS, sender=True,
              flags=_ANY_CASE))),
    Protocol("nntp", _TCP, looks(rb"20[01] [^\r\n]*(?:NNTP|news|posting|INN)|MODE READER", b"2M", flags=_ANY_CASE)),
    Protocol("ftp", _TCP, either(
        looks(rb"[1245][0-9]{2}[ -][^\r\n]*(?:FTP|FileZilla|Serv-U)", b"1245", sender=False, flags=_ANY_CASE),
        looks(rb"USER [^\r\n]+\r?\n|AUTH (?:TLS|SSL)|FEAT\r?\n", b"UAFuaf", sender=True, flags=_ANY_CASE),
        both(server_port(21), looks(rb"(?:220|120|421|530)[ -]", b"1245", sender=False)))),
    Protocol("telnet", _TCP, looks(rb"(?:\xff[\xfb-\xfe][\x00-\x31\xff]|\xff\xfa[\x00-\x31])", b"\xff")),
    Protocol("bittorrent", _TCP, begins(b"\x13BitTorrent protocol")),
    Protocol("gnutella", _TCP, begins(b"GNUTELLA ", b"GNUTELLA/")),
    Protocol("rfb", _TCP, begins(b"RFB 00")),
    Protocol("xmpp", _TCP, looks(rb"(?:<\?xml[^>]{0,80}>\s*)?<stream:stream", b"<")),
    Protocol("mysql", _TCP, where(_mysql)),
    Protocol("postgresql", _TCP, looks(
        rb"\x00\x00\x00\x08\x04\xd2\x16[\x2f\x30]|\x00\x00..\x00\x03\x00.[a-z_]{3,}\x00", b"\x00", sender=True)),
    Protocol("tds", _TCP, looks(rb"\x12[\x00\x01]..\x00\x00[\x00\x01]\x00(?:\x00.{4}\x01|\x00)", b"\x12")),
    Protocol("mqtt", _TCP, looks(rb"\x10(?:[\x00-\x7f]|[\x80-\xff]{1,3}[\x00-\x7f])\x00(?:\x04MQTT|\x06MQIsdp)", b"\x10")),
    Protocol("krb_tcp", _TCP, looks(rb"\x00.{3}" + _KERBEROS, b"\x00")),
    Protocol("ldap_tcp", _TCP, either(
        looks(_LDAP, b"\x30"),
        # RFC 4422 3.7: behind a SASL layer a length comes first, then a token of Kerberos or NTLM.
        both(port(389, 3268), looks(rb"\x00\x00.{2}(?:\x05\x04[\x00-\x07]\xff|\x01\x00\x00\x00)", b"\x00")))),
    Protocol("dnp3_tcp", _TCP, looks(rb"\x05\x64[\x05-\xff][\x00-\xff]", b"\x05")),
    Protocol("modbus", _TCP, where(_modbus)),
    Protocol("portmapper", _TCP, where(_rpc(4, 100000))),
    Protocol("nfs", _TCP, where(_rpc(4, 100003))),
    Protocol("mount", _TCP, where(_rpc(4, 100005))),
    Protocol("sunrpc", _TCP, where(_rpc(4, *_RPC_PROGRAMS))),
    Protocol("opcua_binary", _TCP, where(_opc_ua, b"HAEOCM")),
    Protocol("openvpn", _TCP, where(_openvpn(2), b"\x00")),
    Protocol("socks", _TCP, either(where(_socks, b"\x05"), _SOCKS4)),
    Protocol("finger", _TCP, both(port(79), looks(
        rb"(?:/W ?)?[^\r\n]{0,128}\r\n", _PRINTABLE + b"\r ", sender=True))),
    Protocol("syslog", _TCP, looks(rb"(?:[1-9][0-9]{0,4} )?" + _SYSLOG, b"<" + _DIGITS)),
    # -- UDP --
    Protocol("sip", _UDP, looks(_SIP, b"IROABCSNMPU")),
    Protocol("ssdp", _UDP, looks(rb"(?:M-SEARCH|NOTIFY) \* HTTP/1\.|HTTP/1\.[01] 200 OK", b"MNH", flags=_ANY_CASE)),
    Protocol("dhcp", _UDP, either(
        looks(rb"[\x01\x02][\x01-\x25].{234}\x63\x82\x53\x63", b"\x01\x02"),
        both(port(67, 68), looks(rb"[\x01\x02][\x01-\x25][\x00-\x10]", b"\x01\x02")))),
    Protocol("snmp", _UDP, looks(rb"\x30" + _BER_LENGTH + rb"\x02\x01(?:[\x00\x01]\x04|\x03\x30)", b"\x30")),
    Protocol("krb", _UDP, looks(_KERBEROS, b"\x6a\x6b\x6c\x6d\x6e\x6f\x74\x75\x76\x7e")),
    Protocol("ldap_udp", _UDP, looks(_LDAP, b"\x30")),
    Protocol("tftp", _UDP, looks(
        rb"\x00[\x01\x02][\x20-\x7e]{1,200}\x00(?:netascii|octet|mail)\x00", b"\x00", flags=_ANY_CASE)),
    Protocol("bittorrent", _UDP, looks(
        rb"d[12]:(?:ad|el|rd|ip)|d1:[qrtvy]|\x00\x00\x04\x17\x27\x10\x19\x80\x00\x00\x00\x00", b"d\x00")),
    Protocol("netbios_ns", _UDP, where(_netbios_ns)),
    Protocol("netbios_dgm", _UDP, both(port(138), looks(rb"[\x10-\x16].{9}", bytes(range(0x10, 0x17))))),
    Protocol("ntp", _UDP, where(_ntp)),
    Protocol("stun", _UDP, where(_stun, bytes(range(64)))),
    Protocol("dtls", _UDP, looks(rb"\x16(?:\xfe[\xfd\xff]|\x01\x00)\x00\x00.{6}..[\x01\x02\x03]", b"\x16")),
    Protocol("rdpeudp", _UDP, both(port(3389), looks(rb"\xff\xff\xff\xff..[\x00-\x1f][\x01\x03\x05\x07]", b"\xff"))),
    Protocol("radius", _UDP, where(_radius)),
    Protocol("portmapper", _UDP, where(_rpc(0, 100000))),
    Protocol("nfs", _UDP, where(_rpc(0, 100003))),
    Protocol("mount", _UDP, where(_rpc(0, 100005))),
    Protocol("sunrpc", _UDP, where(_rpc(0, *_RPC_PROGRAMS))),
    Protocol("dce_rpc", _UDP, looks(rb"\x04[\x00-\x13].{2}[\x00\x10][\x00-\x03]\x00", b"\x04")),
    Protocol("dnp3_udp", _UDP, looks(rb"\x05\x64[\x05-\xff][\x00-\xff]", b"\x05")),
    Protocol("wireguard", _UDP, where(_wireguard, b"\x01\x02\x03")),
    Protocol("openvpn", _UDP, where(_openvpn(0), b"\x38\x40")),
    Protocol("ws_discovery", _UDP, looks(rb"(?:<\?xml[^>]{0,80}\?>\s{0,8})?<[\w-]{1,16}:Envelope\b", b"<", flags=_ANY_CASE)),
    Protocol("teredo", _UDP, where(_teredo)),
    Protocol("vxlan", _UDP, where(_vxlan)),
    Protocol("geneve", _UDP, where(_geneve)),
    Protocol("gtpv1", _UDP, where(_gtpv1)),
    Protocol("ayiya", _UDP, both(port(5072), where(lambda p: p.size >= 44))),
    Protocol("dhcpv6", _UDP, where(_dhcpv6)),
    Protocol("syslog", _UDP, either(looks(_SYSLOG, b"<"), both(port(514), looks(rb"[\x20-\x7e]{8}", _PRINTABLE)))),
    Protocol("quic", _UDP, either(
        where(_quic, bytes(range(0xC0, 0x100))),
        looks(rb"[\x08-\x0f].{8}Q0[0-9]{2}", bytes(range(8, 16))))),
)  # fmt: skip

ANNOUNCED: Final = ("ftp_data", "irc_dcc_data", "tftp_data")
"""Services that no payload tells: another flow has announced them (session.Expected)."""

SERVICES: Final[tuple[str, ...]] = ("", *dict.fromkeys((*(entry.service for entry in PROTOCOLS), *ANNOUNCED)))
"""Names by code; 0 is unknown."""
SERVICE_CODE: Final[dict[str, int]] = {name: code for code, name in enumerate(SERVICES)}


def _codes(p: Payloads, proto: int) -> NDArray[np.uint8]:
    """The code of each payload, all of one transport protocol."""
    codes = np.zeros(p.size.size, np.uint8)
    first = np.ascontiguousarray(p.octets[:, 0])
    left = np.flatnonzero(p.size > 0)
    for entry in PROTOCOLS:
        if entry.transport != proto:
            continue
        if not left.size:
            break
        able = entry.test.first[first[left]]
        some = left[able]
        if some.size:
            hit = some[entry.test.check(p.take(some))]
            if hit.size:
                codes[hit] = SERVICE_CODE[entry.service]
                left = left[codes[left] == 0]
    return codes


def _payloads(heads: Sequence[bytes], lengths: Any, sports: Any, dports: Any, from_originator: Any) -> Payloads:
    octets = np.zeros((len(heads), _COLUMNS), np.uint8)
    for i, head in enumerate(heads):
        octets[i, : min(len(head), _COLUMNS)] = np.frombuffer(head[:_COLUMNS], np.uint8)
    size = np.array([len(head) for head in heads], np.int64)
    return Payloads(
        octets,
        size,
        np.maximum(np.asarray(lengths, np.int64), size),
        np.asarray(sports, np.int64),
        np.asarray(dports, np.int64),
        np.asarray(from_originator, np.bool_),
        heads.__getitem__,
        np.arange(len(heads), dtype=np.int64),
    )


def service_of(proto: int, head_originator: bytes, head_responder: bytes, sport: int, dport: int) -> str | None:
    """What a flow speaks by the first payload of each direction (empty: none); ports are the originator's and responder's."""
    said = [
        (head[:HEAD_BYTES], len(head), by) for head, by in ((head_originator, True), (head_responder, False)) if head
    ]
    if not said or proto not in (_TCP, _UDP):
        return None
    heads, lengths, by_originator = zip(*said, strict=True)
    sports = [sport if by else dport for by in by_originator]
    dports = [dport if by else sport for by in by_originator]
    codes = _codes(_payloads(heads, lengths, sports, dports, by_originator), proto)
    known = codes[codes > 0]
    return SERVICES[int(known.min())] if known.size else None


# -- over batches -----------------------------------------------------------------------------------------------------------
_ORIGINATOR_SEEN, _RESPONDER_SEEN, _ORIGINATOR_SHORT, _RESPONDER_SHORT = 1, 2, 4, 8


@dataclass(slots=True)
class Heads:
    """What identification keeps between batches.

    codes   uint8 by flow_id, index into SERVICES; replaced by a longer array as flows grow, so take it anew each batch
    seen    uint8 by flow_id: bit 1 and 2, the head of the originator and responder was met; bit 4 and 8, it was too short
    short   those short beginnings: (flow_id, from_originator) -> bytes so far
    """

    codes: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(4096, np.uint8))
    seen: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(4096, np.uint8))
    short: dict[tuple[int, bool], bytes] = field(default_factory=dict)

    def grow(self, flows: int) -> None:
        """Make room for flow ids below `flows`."""
        if flows > self.codes.size:
            more = max(flows, self.codes.size * 2) - self.codes.size
            self.codes = np.concatenate((self.codes, np.zeros(more, np.uint8)))
            self.seen = np.concatenate((self.seen, np.zeros(more, np.uint8)))


def code_of(codes: NDArray[np.uint8], flow_id: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The codes of flows; 0 for a flow that `codes` does not reach to."""
    inside = (flow_id >= 0) & (flow_id < codes.size)
    return np.where(inside, codes[np.where(inside, flow_id, 0)], 0).astype(np.uint8)


class Spoken(NamedTuple):
    """What the flows of a batch speak, for each packet:

    codes      uint8, index into SERVICES; 0 unknown
    undecided  bool, unknown so far because what was met is too short to tell
    """

    codes: NDArray[np.uint8]
    undecided: NDArray[np.bool_]


def spoken(flow_id: NDArray[np.int64], state: Heads) -> Spoken:
    """What is known of these flows (one entry a packet; -1 = no flow) after the batch was handed to `heads`."""
    codes = code_of(state.codes, flow_id)
    short = code_of(state.seen, flow_id) & (_ORIGINATOR_SHORT | _RESPONDER_SHORT)
    return Spoken(codes, (codes == 0) & (short > 0))


def service_column(flow_id: NDArray[np.int64], codes: NDArray[np.uint8]) -> pa.Array:
    """Column `service` of table `flows` for these flows; null where unknown."""
    code = code_of(codes, flow_id)
    return dictionary(code, SERVICES, code == 0)


def with_service(flows: pa.Table, state: Heads) -> pa.Table:
    """Fill the column `service` of finished flows."""
    at = flows.schema.get_field_index("service")
    return flows.set_column(at, flows.schema.field(at), service_column(flows.column("flow_id").to_numpy(), state.codes))


def with_told_services(flows: pa.Table, told: Mapping[int, int]) -> pa.Table:
    """Finished flows with the services that other flows have told of them: flow_id -> code. The same table where it holds none
    of them."""
    ids = flows.column("flow_id").to_numpy()
    rows = np.flatnonzero(np.isin(ids, np.fromiter(told, np.int64, len(told))))
    if not rows.size:
        return flows
    at = flows.schema.get_field_index("service")
    field_ = flows.schema.field(at)
    # Beside the names that are there stand all that there may be; only the numbers of some rows change.
    column = flows.column(at).combine_chunks()
    before = column.dictionary.to_pylist()
    codes = column.indices.fill_null(-1).to_numpy(zero_copy_only=False).copy()
    codes[rows] = [len(before) + told[int(ids[row])] for row in rows.tolist()]
    indices = pa.array(codes, pa.int32(), mask=codes < 0)
    names = pa.array([*before, *SERVICES], pa.string())
    return flows.set_column(at, field_, pa.DictionaryArray.from_arrays(indices, names).cast(field_.type))


@kernel
def pick_heads(  # pragma: no cover - compiled
    flow_id: Any,
    from_originator: Any,
    proto: Any,
    tcp_flags: Any,
    payload_offset: Any,
    payload_len: Any,
    payload_caplen: Any,
    buffer: Any,
    seen: Any,
    rows: Any,
    more: Any,
    text: Any,
    offsets: Any,
    octets: Any,
    head_bytes: int,
    short_bytes: int,
) -> tuple[int, int]:
    """Find the first payload of each flow and direction, and copy its first bytes.

    rows, more   int64: out, rows with a first payload, and rows that continue a short one
    text         uint8: out, the first bytes one behind the other; head i is text[offsets[i]:offsets[i + 1]]
    octets       uint8 (n, 32), zeros: out, the first bytes as a matrix
    Gives how many rows and how many more."""
    found = 0
    continued = 0
    end = 0
    for i in range(flow_id.size):
        flow = flow_id[i]
        if flow < 0 or flow >= seen.size or payload_len[i] <= 0:
            continue
        # A SYN's payload is not acknowledged yet, and a RST's is an explanation (RFC 9293 section 3.5.3), not speech.
        if proto[i] == 6 and tcp_flags[i] & 6 != 0:
            continue
        direction = 0 if from_originator[i] else 1
        size = int(payload_caplen[i])
        at = payload_offset[i]
        there = at >= 0 and size > 0 and at + size <= buffer.size
        if seen[flow] >> direction & 1:
            if seen[flow] >> (2 + direction) & 1 and there:
                more[continued] = i
                continued += 1
            continue
        seen[flow] |= 1 << direction
        if not there:
            continue
        if proto[i] == 6 and size == payload_len[i] and size < short_bytes:
            # Whether it tells enough is found out later; until then what follows it in this batch is wanted, too.
            seen[flow] |= 4 << direction
        size = min(size, head_bytes)
        for k in range(size):
            text[end + k] = buffer[at + k]
        for k in range(min(size, octets.shape[1])):
            octets[found, k] = buffer[at + k]
        end += size
        rows[found] = i
        found += 1
        offsets[found] = end
    return found, continued


def heads(batch: PacketBatch, assignment: Assignment, state: Heads) -> pa.Table:
    """Rows of table `heads` for the flows and directions that first carry payload in this batch; brings state.codes up to
    date for them. A flow's head is there once, however the capture is cut into batches; a short TCP one that tells nothing is
    there a second time, joined with what follows it."""
    n = assignment.flow_id.size
    if n:
        state.grow(int(assignment.flow_id.max()) + 1)
    candidates = int(np.count_nonzero(batch.payload_len > 0))
    rows, more = np.empty(candidates, np.int64), np.empty(candidates, np.int64)
    # Only the part that is written takes memory: pages of untouched zeros are not there.
    text = np.empty(int(np.minimum(np.maximum(batch.payload_caplen, 0), HEAD_BYTES).sum(dtype=np.int64)), np.uint8)
    offsets = np.zeros(candidates + 1, np.int32)
    octets = np.zeros((candidates, _COLUMNS), np.uint8)
    found, continued = pick_heads(
        assignment.flow_id, assignment.from_originator, batch.proto, batch.tcp_flags, batch.payload_offset, batch.payload_len,
        batch.payload_caplen, batch.buffer, state.seen, rows, more, text, offsets, octets, HEAD_BYTES, _SHORT_BYTES,
    )  # fmt: skip
    rows = rows[:found].copy()
    offsets = offsets[: found + 1].copy()
    text = text[: int(offsets[-1])].copy()
    if found:
        _identify(batch, assignment, state, rows, text, offsets, octets[:found])
    longer = _identify_longer(batch, assignment, state, more[:continued]) if continued else []
    head = pa.BinaryArray.from_buffers(pa.binary(), found, [None, pa.py_buffer(offsets), pa.py_buffer(text)])
    columns = {
        "flow_id": pa.array(assignment.flow_id[rows]),
        "from_originator": pa.array(assignment.from_originator[rows]),
        "packet_id": pa.array(batch.packet_id[rows]),
        "payload_len": pa.array(batch.payload_len[rows]),
        "head": head,
    }
    table = pa.table([columns[name] for name in HEADS.names], schema=HEADS.schema)
    return _with_longer(table, batch, assignment, rows, longer) if longer else table


def _with_longer(
    table: pa.Table, batch: PacketBatch, assignment: Assignment, rows: NDArray[np.int64], longer: list[tuple[int, bytes, int]]
) -> pa.Table:
    """The rows of first payloads and those of short ones with what followed them, in the order of the packets."""
    at = np.array([i for i, _, _ in longer], np.int64)
    columns = {
        "flow_id": pa.array(assignment.flow_id[at]),
        "from_originator": pa.array(assignment.from_originator[at]),
        "packet_id": pa.array(batch.packet_id[at]),
        "payload_len": pa.array([length for _, _, length in longer], pa.int32()),
        "head": pa.array([head for _, head, _ in longer], pa.binary()),
    }
    both = pa.concat_tables([table, pa.table([columns[name] for name in HEADS.names], schema=HEADS.schema)])
    return both.take(pa.array(np.argsort(np.concatenate((rows, at)), kind="stable"))).combine_chunks()


def _identify(
    batch: PacketBatch,
    assignment: Assignment,
    state: Heads,
    rows: NDArray[np.int64],
    text: NDArray[np.uint8],
    offsets: NDArray[np.int32],
    octets: NDArray[np.uint8],
) -> None:
    whole = text.tobytes()
    places = offsets.tolist()
    size = np.diff(offsets).astype(np.int64)
    everything = Payloads(
        octets,
        size,
        batch.payload_len[rows].astype(np.int64),
        batch.sport[rows].astype(np.int64),
        batch.dport[rows].astype(np.int64),
        assignment.from_originator[rows],
        lambda i: whole[places[i] : places[i + 1]],
        np.arange(rows.size, dtype=np.int64),
    )
    flow = assignment.flow_id[rows]
    proto = batch.proto[rows]
    for transport in (_TCP, _UDP):
        which = np.flatnonzero(proto == transport)
        if not which.size:
            continue
        codes = _codes(everything.take(which), transport)
        _learn(state, flow[which], codes)
        if transport == _TCP:
            short = (size[which] < _SHORT_BYTES) & (size[which] == everything.length[which])
            for i, told in zip(which[short].tolist(), (codes[short] > 0).tolist(), strict=True):
                key = int(flow[i]), bool(everything.from_originator[i])
                if told:
                    _forget(state, *key)
                else:
                    _remember(state, *key, everything.head(i))


def _learn(state: Heads, flow: NDArray[np.int64], codes: NDArray[np.uint8]) -> None:
    """Take over codes; of several for one flow the lowest (the most telling) holds, in whatever order they come."""
    known = codes > 0
    flow, codes = flow[known], codes[known]
    order = np.argsort(codes, kind="stable")[::-1]
    flow, codes = flow[order], codes[order]
    before = state.codes[flow]
    better = (before == 0) | (codes < before)
    state.codes[flow[better]] = codes[better]


def _remember(state: Heads, flow: int, by_originator: bool, head: bytes) -> None:
    if len(state.short) >= MAX_SHORT_HEADS:
        _forget(state, *next(iter(state.short)))
    state.short[flow, by_originator] = head


def _forget(state: Heads, flow: int, by_originator: bool) -> None:
    state.short.pop((flow, by_originator), None)
    state.seen[flow] &= 0xFF ^ (_ORIGINATOR_SHORT if by_originator else _RESPONDER_SHORT)


def _identify_longer(
    batch: PacketBatch, assignment: Assignment, state: Heads, rows: NDArray[np.int64]
) -> list[tuple[int, bytes, int]]:
    """First payloads that were too short (a length alone, one letter) are looked at again with what follows them: after each
    packet, as if each came alone, but all of them at once. Gives those that are long enough now: row of the packet that made
    them so, their first bytes, their length."""
    keys: list[tuple[int, bool]] = []
    texts: list[bytes] = []
    lengths: list[int] = []
    now: dict[tuple[int, bool], bytes] = {}
    kept: list[int] = []
    columns = (assignment.flow_id, assignment.from_originator, batch.payload_offset, batch.payload_caplen, batch.payload_len)
    for i, flow, sent, at, size, length in zip(rows.tolist(), *(c[rows].tolist() for c in columns), strict=True):
        key = (flow, sent)
        before = now.get(key, state.short.get(key))
        if before is None or len(before) >= _SHORT_BYTES:
            continue
        now[key] = (before + batch.buffer[at : at + size].tobytes())[:HEAD_BYTES]
        keys.append(key)
        texts.append(now[key])
        lengths.append(len(before) + length)
        kept.append(i)
    if not keys:
        return []
    sports, dports = batch.sport[kept], batch.dport[kept]
    codes = _codes(_payloads(texts, lengths, sports, dports, [sent for _, sent in keys]), _TCP)
    done: list[tuple[int, bytes, int]] = []
    for i, key, text, length, code in zip(kept, keys, texts, lengths, codes.tolist(), strict=True):
        if key not in state.short:
            continue
        if code:
            _learn(state, np.array([key[0]]), np.array([code], np.uint8))
        if code or len(text) >= _SHORT_BYTES:
            _forget(state, *key)
            done.append((i, text, length))
        else:
            state.short[key] = text
    return done
