"""In: numbers. Out: the plain English that statements are made of. Never here: what is stated."""

from __future__ import annotations

import datetime
from typing import Final

S_NS: Final = 1_000_000_000

PROTOCOLS: Final[dict[int, str]] = {1: "ICMP", 6: "TCP", 17: "UDP", 47: "GRE", 50: "ESP", 58: "ICMPv6", 132: "SCTP"}

SERVICES: Final[dict[tuple[int, int], str]] = {
    (6, 21): "FTP",
    (6, 22): "SSH",
    (6, 23): "Telnet",
    (6, 25): "SMTP",
    (6, 53): "DNS",
    (6, 80): "HTTP",
    (6, 110): "POP3",
    (6, 135): "MS RPC",
    (6, 139): "NetBIOS",
    (6, 143): "IMAP",
    (6, 443): "HTTPS",
    (6, 445): "SMB",
    (6, 1433): "MS SQL",
    (6, 2323): "Telnet",
    (6, 3306): "MySQL",
    (6, 3389): "RDP",
    (6, 5900): "VNC",
    (6, 6379): "Redis",
    (6, 8080): "HTTP",
    (17, 53): "DNS",
    (17, 69): "TFTP",
    (17, 123): "NTP",
    (17, 137): "NetBIOS names",
    (17, 161): "SNMP",
    (17, 1434): "MS SQL resolution",
    (17, 1900): "SSDP",
    (17, 5060): "SIP",
}


def protocol(proto: int) -> str:
    return PROTOCOLS.get(proto, f"IP protocol {proto}")


def service(proto: int, dport: int | None) -> str:
    """'TCP port 80 (HTTP)', 'ping', 'UDP'."""
    if proto in (1, 58):
        return "ping (ICMP echo)" if proto == 1 else "ping (ICMPv6 echo)"
    if dport is None:
        return protocol(proto)
    name = SERVICES.get((proto, dport))
    return f"{protocol(proto)} port {dport}" + (f" ({name})" if name else "")


def number(value: float) -> str:
    """1,234 or 3.5: no more digits than can be meant."""
    if value == int(value) or abs(value) >= 100:
        return f"{round(value):,}"
    return f"{value:.2g}" if abs(value) < 1 else f"{value:.1f}"


def count(n: int, one: str, many: str | None = None) -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def percent(share: float) -> str:
    """'75 %'; never 0 % or 100 % for what is not all or nothing."""
    if 0 < share < 0.005:
        return "under 1 %"
    if 0.995 < share < 1:
        return "over 99 %"
    return f"{share * 100:.0f} %"


def duration(ns: float) -> str:
    """'5 days', '28 hours', '17 minutes', '3.2 s', '40 ms', 'under 1 ms'."""
    seconds = ns / S_NS
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * size or (unit == "minute" and seconds >= 100):
            value = seconds / size
            text = f"{value:.1f}" if value < 10 else f"{value:.0f}"
            return f"{text.removesuffix('.0')} {unit}s"
    if seconds >= 1:
        return f"{number(round(seconds, 1))} s"
    return f"{number(round(seconds * 1000, 1))} ms" if seconds >= 0.001 or seconds <= 0 else "under 1 ms"


def moment(ns: int) -> str:
    """'2002-07-30 04:30:00 UTC'."""
    stamp = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=ns // S_NS)
    return f"{stamp:%Y-%m-%d %H:%M:%S} UTC"


def per_minute(rate: float) -> str:
    """A rate in the unit that reads best."""
    if rate >= 600:
        return f"{number(round(rate / 60))} a second"
    if rate >= 0.95:
        return f"{number(round(rate, 1))} a minute"
    if rate * 60 >= 0.95:
        return f"{number(round(rate * 60, 1))} an hour"
    return f"{number(round(rate * 1440, 1))} a day"


def listing(items: list[str], limit: int = 4) -> str:
    """'a', 'a and b', 'a, b and 3 more'."""
    if len(items) > limit:
        return f"{', '.join(items[:limit])} and {len(items) - limit:,} more"
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""


def size(n: int) -> str:
    return f"{n:,} bytes" if n < 10_000 else f"{n / 1000:.0f} kB" if n < 10_000_000 else f"{n / 1_000_000:.0f} MB"
