"""In: a protocol's name, or first bytes and ports. Out: the service that reads it. Never here: reading.

DISPATCH: one line a protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tracehound.rules.services.dns import Dns, Llmnr, Mdns
from tracehound.rules.services.ftp import Ftp
from tracehound.rules.services.http import Http
from tracehound.rules.services.http_frames import Http2
from tracehound.rules.services.identify import looks_like_dns
from tracehound.rules.services.service import Service
from tracehound.rules.services.smb import Smb
from tracehound.rules.services.smtp import Smtp
from tracehound.rules.services.ssh import Ssh
from tracehound.rules.services.tls import Tls

SERVICES: Final[dict[str, Callable[[], Service]]] = {
    "http": Http, "http2": Http2, "dns": lambda: Dns(datagrams=False), "tls": Tls, "ssh": Ssh, "smtp": Smtp, "ftp": Ftp, "smb": Smb,
}  # fmt: skip
DATAGRAMS: Final[dict[str, Callable[[], Service]]] = {"dns": Dns, "mdns": Mdns, "llmnr": Llmnr}
_AT_PORT: Final = {53: "dns", 5353: "mdns", 5355: "llmnr"}


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
    return None


def by_datagram(data: bytes, to_server: bool, sport: int, dport: int) -> str | None:
    """What a datagram speaks."""
    name = _AT_PORT.get(dport) or _AT_PORT.get(sport)
    return name if name is not None and looks_like_dns(data) else None


SERVICE_CLASSES: Final[tuple[type[Service], ...]] = (Http, Http2, Dns, Mdns, Llmnr, Tls, Ssh, Smtp, Ftp, Smb)
"""What the engine reads: their buffers and events are what rules may ask for."""
