"""In: a protocol's name, or first bytes and ports. Out: the service that reads it. Never here: reading.

DISPATCH: one line a protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tracehound.rules.services.dns import Dns, Llmnr, Mdns
from tracehound.rules.services.ftp import Ftp
from tracehound.rules.services.http import Http
from tracehound.rules.services.http_frames import Http2
from tracehound.rules.services.identify import SIP, looks_like_dns
from tracehound.rules.services.kerberos import Krb5
from tracehound.rules.services.mqtt import Mqtt
from tracehound.rules.services.ntp import Ntp
from tracehound.rules.services.quic import Quic
from tracehound.rules.services.rdp import Rdp
from tracehound.rules.services.rfb import Rfb
from tracehound.rules.services.service import Service
from tracehound.rules.services.sip import Sip
from tracehound.rules.services.smb import Smb
from tracehound.rules.services.smtp import Smtp
from tracehound.rules.services.snmp import Snmp
from tracehound.rules.services.ssh import Ssh
from tracehound.rules.services.tftp import Tftp
from tracehound.rules.services.tls import Tls


def _is_quic(data: bytes) -> bool:
    """RFC 8999: the long header, with a version that is known (1, 2, drafts, Google's)."""
    if len(data) < 7 or (not data[0] & 0x80 and data[:1] != b"\x0d"):
        return False
    return data[1:5] in (b"\0\0\0\1", b"\x6b\x33\x43\xcf") or data[1:4] == b"\xff\0\0" or data[1:3] == b"Q0"


SERVICES: Final[dict[str, Callable[[], Service]]] = {
    "http": Http, "http2": Http2, "dns": lambda: Dns(datagrams=False), "tls": Tls, "ssh": Ssh, "smtp": Smtp, "ftp": Ftp, "smb": Smb,
    "sip": lambda: Sip(stream=True), "krb5": lambda: Krb5(stream=True), "mqtt": Mqtt, "rdp": lambda: Rdp(stream=True), "rfb": Rfb,
}  # fmt: skip
DATAGRAMS: Final[dict[str, Callable[[], Service]]] = {
    "dns": Dns, "mdns": Mdns, "llmnr": Llmnr, "sip": Sip, "snmp": Snmp, "krb5": Krb5, "ntp": Ntp, "tftp": Tftp, "quic": Quic,
}  # fmt: skip
_NAMES_AT_PORT: Final = {53: "dns", 5353: "mdns", 5355: "llmnr"}
_AT_PORT: Final[dict[int, tuple[str, Callable[[bytes], bool]]]] = {
    161: ("snmp", lambda d: d[:1] == b"\x30"), 162: ("snmp", lambda d: d[:1] == b"\x30"),
    88: ("krb5", lambda d: d[:1] in (b"\x6a", b"\x6b", b"\x6c", b"\x6d", b"\x6e", b"\x6f", b"\x7e")),
    123: ("ntp", lambda d: len(d) >= 12 and 1 <= d[0] >> 3 & 7 <= 4), 69: ("tftp", lambda d: d[:1] == b"\0" and d[1:2] in b"\1\2"),
    443: ("quic", _is_quic), 80: ("quic", _is_quic),
}  # fmt: skip


def open_service(name: str) -> Service | None:
    """A reader for the protocol; None where it is only recognised, not read."""
    make = SERVICES.get(name)
    return make() if make is not None else None


def open_datagrams(name: str) -> Service | None:
    """The same over UDP, fed a datagram at a time."""
    make = DATAGRAMS.get(name)
    return make() if make is not None else None


def by_port(head: bytes, to_server: bool, ports: tuple[int, int]) -> str | None:
    """Protocols over TCP that are looked for at their port. ports: (server's, client's)."""
    if 53 in ports and len(head) > 14 and int.from_bytes(head[:2], "big") >= 12 and looks_like_dns(head[2:]):
        return "dns"
    if 88 in ports and len(head) > 5 and head[0] == 0 and head[4] in (0x6A, 0x6B, 0x6C, 0x6D, 0x7E):
        return "krb5"
    return None


def by_datagram(data: bytes, to_server: bool, sport: int, dport: int) -> str | None:
    """What a datagram speaks."""
    name = _NAMES_AT_PORT.get(dport) or _NAMES_AT_PORT.get(sport)
    if name is not None:
        return name if looks_like_dns(data) else None
    for port in (dport, sport):
        at_port = _AT_PORT.get(port)
        if at_port is not None and at_port[1](data):
            return at_port[0]
    return "sip" if SIP.match(data) else None


SERVICE_CLASSES: Final[tuple[type[Service], ...]] = (
    Http, Http2, Dns, Mdns, Llmnr, Tls, Ssh, Smtp, Ftp, Smb, Sip, Snmp, Krb5, Mqtt, Ntp, Tftp, Quic, Rdp, Rfb,
)  # fmt: skip
"""What the engine reads: their buffers and events are what rules may ask for."""
