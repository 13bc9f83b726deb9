"""In: DHCP and BOOTP datagrams. Out: one row of table `dhcp` each: who is given which address, and what the client says of itself.
Never here: putting messages of one exchange together (they may belong to different flows; xid and mac join them).

RFC 2131 (DHCP), 2132 (options), 3004 (user class), 3046 and 3993 (relay information), 3396 (long options), 4702 (client FQDN)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Final

from tracehound.limits import MAX_DHCP_OPTIONS
from tracehound.protocols.lines import words_of
from tracehound.protocols.reporter import Reporter
from tracehound.protocols.session import Datagram, Emit, FlowEnds

_TYPES: Final[dict[int, str]] = {
    1: "DISCOVER", 2: "OFFER", 3: "REQUEST", 4: "DECLINE", 5: "ACK", 6: "NAK", 7: "RELEASE", 8: "INFORM", 9: "FORCERENEW",
    10: "LEASEQUERY", 11: "LEASEUNASSIGNED", 12: "LEASEUNKNOWN", 13: "LEASEACTIVE", 14: "BULKLEASEQUERY", 15: "LEASEQUERYDONE",
    16: "ACTIVELEASEQUERY", 17: "LEASEQUERYSTATUS", 18: "TLS",
}  # fmt: skip
_COOKIE: Final = b"\x63\x82\x53\x63"
_FIXED_BYTES: Final = 236
_PAD, _END = 0, 255
(_ROUTERS, _DNS, _HOST_NAME, _DOMAIN, _REQUESTED, _LEASE, _OVERLOAD, _TYPE, _SERVER, _PARAMETERS, _MESSAGE, _VENDOR, _CLIENT_ID,
 _BOOT_FILE, _USER_CLASS, _FQDN, _RELAY) = (3, 6, 12, 15, 50, 51, 52, 53, 54, 55, 56, 60, 61, 67, 77, 81, 82)  # fmt: skip
_CIRCUIT, _REMOTE, _SUBSCRIBER = 1, 2, 6


def _options(data: bytes, found: dict[int, bytes]) -> str | None:
    """Options: number, length, value; a number that comes again continues its value (RFC 3396). Returns a note."""
    at, count = 0, 0
    while at < len(data):
        number = data[at]
        if number == _END:
            return None
        if number == _PAD:
            at += 1
            continue
        size = data[at + 1] if at + 1 < len(data) else 256
        if at + 2 + size > len(data):
            return "options cut"
        count += 1
        if count > MAX_DHCP_OPTIONS:
            return "more options than the limit"
        found[number] = found.get(number, b"") + data[at + 2 : at + 2 + size]
        at += 2 + size
    return "options without an end"


def _address(raw: bytes | None) -> str | None:
    """Four bytes as an address; None for 0.0.0.0 and other lengths."""
    return str(ipaddress.IPv4Address(raw)) if raw is not None and len(raw) == 4 and any(raw) else None


def _addresses(raw: bytes | None) -> list[str] | None:
    if not raw:
        return None
    return [str(ipaddress.IPv4Address(raw[i : i + 4])) for i in range(0, len(raw) - 3, 4)] or None


def _words(raw: bytes | None) -> str | None:
    """Text of an option; servers and clients end it with NUL now and then."""
    return words_of(raw.rstrip(b"\0")) or None if raw else None


def _labels(raw: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(raw) and raw[at]:
        yield raw[at + 1 : at + 1 + raw[at]]
        at += 1 + raw[at]


def domain_name(raw: bytes) -> str | None:
    """A name as labels with their lengths (RFC 1035 3.1)."""
    return words_of(b".".join(_labels(raw))) or None


def _fqdn(raw: bytes | None) -> str | None:
    """RFC 4702 2: flags, two result codes, the name: labels where flag E (4) is set, text otherwise."""
    if raw is None or len(raw) < 4:
        return None
    return domain_name(raw[3:]) if raw[0] & 4 else _words(raw[3:])


def _user_class(raw: bytes | None) -> str | None:
    """RFC 3004: texts behind their length; Microsoft's clients send the bare text."""
    if not raw:
        return None
    if raw[0] + 1 == len(raw):
        raw = raw[1:]
    return _words(raw)


def _relay(raw: bytes | None) -> dict[int, bytes]:
    """RFC 3046 2: sub-options."""
    found: dict[int, bytes] = {}
    if raw:
        _options(raw + b"\xff", found)
    return found


def _label(raw: bytes | None) -> str | None:
    """A relay's words where they are words, hexadecimal otherwise."""
    if not raw:
        return None
    return raw.decode("ascii") if raw.isascii() and raw.decode("ascii").isprintable() else raw.hex()


def mac_text(raw: bytes) -> str | None:
    """A hardware address; None where it is all zeros."""
    return raw.hex(":") if any(raw) else None


class DhcpDatagrams:
    """All flows of DHCP."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._flows: dict[int, Reporter] = {}

    def datagram(self, datagram: Datagram) -> bool:
        d = datagram
        flow = self._flows.get(d.flow_id)
        if flow is None:
            flow = self._flows[d.flow_id] = Reporter(FlowEnds(d.flow_id, "", 0, "", 0), self._emit)
        number = flow.number("dhcp")
        if number is None:
            return True
        flow.ends = FlowEnds(d.flow_id, d.src, d.sport, d.dst, d.dport)
        row = _row(d.data, d.length)
        if row is None:
            flow.row("dhcp", d.ts_ns, *_UNREADABLE, d.packet_id, "shorter than a message")
        else:
            self._emit("dhcp", (*flow.begin(number, d.ts_ns), *row[:-1], d.packet_id, row[-1]))
        return False

    def end(self, flow_id: int) -> None:
        self._flows.pop(flow_id, None)


_UNREADABLE: Final = (None, 0, *[None] * 21)


def _row(data: bytes, length: int) -> tuple[object, ...] | None:
    """Columns from message_type to answer, and the note; None where the fixed part is cut."""
    if len(data) < _FIXED_BYTES:
        return None
    found: dict[int, bytes] = {}
    note = None
    if data[_FIXED_BYTES : _FIXED_BYTES + 4] == _COOKIE:
        note = _options(data[_FIXED_BYTES + 4 :], found)
        # RFC 2132 9.3: 1 = the file field holds options, too; 2 = the server name's; 3 = both.
        overload = found.get(_OVERLOAD, b"\0")[:1]
        if overload in (b"\x01", b"\x03"):
            _options(data[108:236], found)
        if overload in (b"\x02", b"\x03"):
            _options(data[44:108], found)
    elif len(data) > _FIXED_BYTES + 4 or len(data) < length:
        note = "no magic cookie"
    kind = found.get(_TYPE, b"")
    if kind:
        message_type = _TYPES.get(kind[0], f"TYPE{kind[0]}")
    else:
        message_type = "BOOTREQUEST" if data[0] == 1 else "BOOTREPLY"
    hardware = data[28 : 28 + min(data[2], 16)]
    lease = found.get(_LEASE, b"")
    relay = _relay(found.get(_RELAY))
    server = _address(found.get(_SERVER)) or _address(data[20:24])
    client_id = found.get(_CLIENT_ID)
    return (
        message_type, int.from_bytes(data[4:8], "big"), mac_text(hardware), _address(data[12:16]), _address(found.get(_REQUESTED)),
        _address(data[16:20]), server, _address(data[24:28]), int.from_bytes(lease, "big") if len(lease) == 4 else None,
        _words(found.get(_HOST_NAME)), _fqdn(found.get(_FQDN)), _words(found.get(_DOMAIN)), _words(found.get(_VENDOR)),
        _user_class(found.get(_USER_CLASS)), client_id.hex() if client_id else None,
        ",".join(map(str, found[_PARAMETERS])) if found.get(_PARAMETERS) else None, _addresses(found.get(_ROUTERS)),
        _addresses(found.get(_DNS)), _words(found.get(_BOOT_FILE)) or _boot_file(data, found), _label(relay.get(_CIRCUIT)),
        _label(relay.get(_REMOTE)), _label(relay.get(_SUBSCRIBER)), _words(found.get(_MESSAGE)), note,
    )  # fmt: skip


def _boot_file(data: bytes, found: dict[int, bytes]) -> str | None:
    """The fixed field, where it does not hold options."""
    if found.get(_OVERLOAD, b"\0")[:1] in (b"\x01", b"\x03"):
        return None
    return _words(data[108:236].split(b"\0", 1)[0])
