"""In: what a host says of itself (User-Agent, DHCP vendor class, NTLM version, banners) and how its TCP opens (TTL, window, length of
the options). Out: the operating system, with what tells it. Never here: where those come from (host_facts.py).

Sources: p0f 3 (p0f.fp: initial TTL, window, options of SYNs), Microsoft (User-Agent tokens of Windows versions, MS-NLMP versions,
MSFT vendor classes), OpenSSH packages (what distributions add to the banner)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

_WINDOWS: Final[dict[str, str]] = {
    "10.0": "Windows 10, 11 or Server 2016 and later", "6.3": "Windows 8.1 or Server 2012 R2", "6.2": "Windows 8 or Server 2012",
    "6.1": "Windows 7 or Server 2008 R2", "6.0": "Windows Vista or Server 2008", "5.2": "Windows Server 2003 or XP 64 bit",
    "5.1": "Windows XP", "5.0": "Windows 2000", "4.0": "Windows NT 4",
}  # fmt: skip


class Said(NamedTuple):
    """One hint: the system that it names, how much it is worth, and the words that name it."""

    system: str
    weight: float
    why: str


_AGENTS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"Windows Phone(?: OS)? ([\d.]+)"), "Windows Phone {}"),
    (re.compile(r"Windows NT (\d+\.\d)"), "windows"),
    (re.compile(r"Windows (98|95|ME|CE)"), "Windows {}"),
    (re.compile(r"Android (\d[\d.]*)"), "Android {}"),
    (re.compile(r"\bAndroid\b"), "Android"),
    (re.compile(r"(?:iPhone|CPU) OS (\d+)[_\d]*"), "iOS {}"),
    (re.compile(r"Mac OS X (\d+[._]\d+)"), "macOS {}"),
    (re.compile(r"\bDarwin/(\d+)"), "macOS or iOS (Darwin {})"),
    (re.compile(r"\bCrOS\b"), "ChromeOS"),
    (re.compile(r"\b(Ubuntu|Debian|Fedora|CentOS|Red Hat|SUSE|Gentoo|Arch Linux|Raspbian)\b", re.IGNORECASE), "Linux ({})"),
    (re.compile(r"\b(FreeBSD|OpenBSD|NetBSD|SunOS)\b"), "{}"),
    (re.compile(r"\bLinux\b"), "Linux"),
    (re.compile(r"\b(?:Win32|Win64|Windows)\b"), "Windows"),
    (re.compile(r"\bMicrosoft-(?:CryptoAPI|WNS|Delivery-Optimization)/(\d+\.\d)"), "windows"),
    (re.compile(r"\bMicrosoft NCSI\b|Windows-Update-Agent"), "Windows"),
)
"""First that fits holds; 'windows' looks the version up."""
_IIS: Final[dict[str, str]] = {
    "10.0": "Windows Server 2016 or later", "8.5": "Windows Server 2012 R2", "8.0": "Windows Server 2012", "7.5": "Windows Server 2008 R2",
    "7.0": "Windows Server 2008", "6.0": "Windows Server 2003", "5.1": "Windows XP", "5.0": "Windows 2000",
}  # fmt: skip
_WEIGHTS: Final[dict[str, float]] = {
    "client version": 3.0, "server version": 3.0, "user agent": 2.0, "vendor class": 2.0, "software": 1.5, "client build": 1.0,
}  # fmt: skip
HINTS: Final = frozenset(_WEIGHTS)
"""Kinds of fact that may name a system."""


def in_words(text: str) -> str | None:
    """The system that a User-Agent, a banner or a Server header names."""
    iis = re.search(r"Microsoft-IIS/(\d+\.\d)", text)
    if iis:
        return _IIS.get(iis[1], "Windows")
    for pattern, system in _AGENTS:
        found = pattern.search(text)
        if found:
            return _windows(found[1]) if system == "windows" else system.format((found[1] if found.groups() else "").replace("_", "."))
    return None


def _windows(version: str) -> str:
    return _WINDOWS.get(".".join(version.split(".")[:2]), f"Windows (version {version})")


def _vendor_class(text: str) -> str | None:
    if text.startswith("MSFT 5.0"):
        return "Windows"
    if text.startswith("MSFT 98"):
        return "Windows 98"
    android = re.match(r"android-dhcp-(\S+)", text)
    if android:
        return f"Android {android[1]}"
    return "Linux (small system)" if text.startswith("udhcp") else in_words(text)


def said(kind: str, text: str, told_by: str) -> Said | None:
    """The hint in one fact, if there is one."""
    if kind in ("client version", "server version"):
        system: str | None = _windows(text)
    elif kind == "vendor class":
        system = _vendor_class(text)
    else:
        system = in_words(text)
    return None if system is None else Said(system, _WEIGHTS[kind], f"{told_by} '{text[:80]}'")


def initial_ttl(ttl: int) -> int:
    """The TTL that a stack began with: the next of 32, 64, 128, 255 at or above what arrived."""
    return next(t for t in (32, 64, 128, 255) if ttl <= t)


def of_stack(ttl: int, window: int | None, options: int | None) -> Said:
    """What TTL, window and options of a SYN tell. `options` is their length in bytes (null: flow log)."""
    first = initial_ttl(ttl)
    why = f"TTL {ttl} (from {first})" + ("" if window is None else f", window {window}") + (
        "" if options is None else f", {options} bytes of TCP options"
    )
    if options == 0:
        return Said("a scanner, or a very small system (no TCP options)", 0.4, why)
    if first == 128:
        if options == 8:
            # MSS, NOP, NOP, SACK permitted: no window scaling, as before Vista.
            return Said("Windows 2000, XP or Server 2003", 1.2, why)
        return Said("Windows Vista or later" if options == 12 else "Windows", 1.2 if options is not None else 0.8, why)
    if first == 64:
        if options == 24 and window == 65535:
            return Said("macOS or iOS", 1.2, why)
        if options == 20:
            # MSS, SACK permitted, timestamps, NOP, window scale: Linux and Android; FreeBSD opens with 65535 in another order.
            return Said("Linux or Android" if window != 65535 else "Linux, Android or FreeBSD", 1.2, why)
        return Said("a Unix (Linux, BSD, macOS)", 0.6, why)
    return Said("network equipment or Solaris" if first == 255 else "an old or small system", 0.5, why)


def _family(system: str) -> str:
    words = ("Windows", "macOS", "iOS", "Android", "Linux", "FreeBSD", "ChromeOS")
    return next((w for w in words if system.startswith(w)), system)


def chosen(hints: Iterable[Said]) -> tuple[str, str] | None:
    """The system that most weight speaks for, at its most exact, and what tells it. Hints of one family support each other."""
    weighed: dict[str, float] = {}
    by_family: dict[str, list[Said]] = {}
    for hint in hints:
        family = _family(hint.system)
        weighed[family] = weighed.get(family, 0) + hint.weight
        by_family.setdefault(family, []).append(hint)
    if not weighed:
        return None
    best = max(sorted(weighed), key=lambda f: weighed[f])
    mine: Sequence[Said] = sorted(by_family[best], key=lambda h: (-h.weight, h.system == best, -len(h.system)))
    others = [f for f in weighed if f != best and weighed[f] >= 2]
    reason = "; ".join(dict.fromkeys(h.why for h in mine[:3]))
    return mine[0].system, reason + (f"; but also signs of {', '.join(sorted(others))}" if others else "")
