"""In: NTP datagrams. Out: one row of table `ntp` a kind of message in a flow. Never here: corrections of any clock.

RFC 5905 7.3 (the packet), RFC 9327 (control messages), ntpd's ntp_request.h (private messages, among them the MON_GETLIST that
amplification attacks ask for). Of messages that are alike only the first is read (transactions.ALIKE)."""

from __future__ import annotations

import ipaddress
from typing import Any, Final

from tracehound.limits import MAX_NTP_KINDS
from tracehound.protocols.lines import words_of
from tracehound.protocols.reporter import Reporter, ends_of
from tracehound.protocols.session import Datagram, Emit, FlowEnds

_MODES: Final = (
    "reserved", "symmetric active", "symmetric passive", "client", "server", "broadcast", "control", "private",
)  # fmt: skip
_CONTROL, _PRIVATE = 6, 7
_CONTROL_CODES: Final[dict[int, str]] = {
    1: "read status", 2: "read variables", 3: "write variables", 4: "read clock variables", 5: "write clock variables",
    6: "set trap", 7: "asynchronous message", 8: "configure", 9: "save configuration", 10: "read monitoring list",
    11: "read ordered list", 12: "request nonce", 31: "unset trap",
}  # fmt: skip
_PRIVATE_CODES: Final[dict[int, str]] = {
    0: "PEER_LIST", 1: "PEER_LIST_SUM", 2: "PEER_INFO", 3: "PEER_STATS", 4: "SYS_INFO", 5: "SYS_STATS", 6: "IO_STATS", 7: "MEM_STATS",
    8: "LOOP_INFO", 9: "TIMER_STATS", 10: "CONFIG", 11: "UNCONFIG", 12: "SET_SYS_FLAG", 13: "CLR_SYS_FLAG", 16: "GET_RESTRICT",
    17: "RESADDFLAGS", 20: "MON_GETLIST", 22: "RESET_PEER", 26: "TRUSTKEY", 28: "AUTHINFO", 29: "TRAPS", 33: "GET_CTLSTATS",
    42: "MON_GETLIST_1", 44: "IF_STATS",
}  # fmt: skip
_EPOCH_S: Final = 2_208_988_800
"""1970 in seconds since 1900."""
_ERA_S: Final = 1 << 32
_MAX_NS: Final = 2**63 - 1


def _time_ns(raw: bytes) -> int | None:
    """RFC 5905 6: seconds and their fraction since 1900; 0 = unknown. RFC 4330 3: where the top bit is clear, since 2036."""
    seconds, fraction = int.from_bytes(raw[:4], "big"), int.from_bytes(raw[4:8], "big")
    if not seconds and not fraction:
        return None
    if seconds < _ERA_S // 2:
        seconds += _ERA_S
    ns = (seconds - _EPOCH_S) * 1_000_000_000 + (fraction * 1_000_000_000 >> 32)
    return ns if ns < _MAX_NS else None


def _short(raw: bytes) -> float:
    """RFC 5905 6: 16 bits of seconds, 16 of fraction."""
    return int.from_bytes(raw, "big") / 65_536


def _reference(raw: bytes, stratum: int, version: int) -> str | None:
    """RFC 5905 7.3: four letters below stratum 2, an address otherwise (over IPv6 the beginning of its MD5)."""
    if stratum < 2:
        return words_of(raw.rstrip(b"\0")) or None
    return str(ipaddress.IPv4Address(raw)) if any(raw) else None


class _Kind:
    """A kind of message: the columns of its first, and how many there were."""

    __slots__ = ("bytes", "cells", "count", "ends", "packet_id", "ts_ns")

    def __init__(self, cells: list[Any], d: Datagram) -> None:
        self.cells = cells
        self.ends = d.src, d.sport, d.dst, d.dport
        self.packet_id, self.ts_ns = d.packet_id, d.ts_ns
        self.count = 0
        self.bytes = 0


def _first(data: bytes) -> list[Any]:
    """Columns version to is_response, and stratum to answer, of a message; 48 bytes hold all fields but for modes 6 and 7."""
    version, mode = data[0] >> 3 & 7, data[0] & 7
    operation: str | None = None
    response = False
    answer: str | None = None
    times: list[Any] = [None] * 8
    if mode == _CONTROL and len(data) >= 2:
        # RFC 9327 2: response bit and operation; then sequence, status, association, offset, count, and the words.
        operation = _CONTROL_CODES.get(data[1] & 31, f"operation {data[1] & 31}")
        response = bool(data[1] & 0x80)
        if response:
            answer = words_of(data[12 : 12 + int.from_bytes(data[10:12], "big")]) or None
    elif mode == _PRIVATE and len(data) >= 4:
        operation = _PRIVATE_CODES.get(data[3], f"request {data[3]}")
        response = bool(data[0] & 0x80)
    elif len(data) >= 48:
        stratum = data[1]
        poll, precision = (int.from_bytes(data[i : i + 1], "big", signed=True) for i in (2, 3))
        times = [
            stratum, 2.0**poll, 2.0**precision, _short(data[4:8]), _short(data[8:12]), _reference(data[12:16], stratum, version),
            _time_ns(data[16:24]), _time_ns(data[40:48]),
        ]  # fmt: skip
    return [str(version), _MODES[mode], operation, response, *times, answer]


class NtpDatagrams:
    """All flows of NTP."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._flows: dict[int, tuple[Reporter, dict[tuple[Any, ...], _Kind]]] = {}

    def datagram(self, datagram: Datagram) -> bool:
        d = datagram
        reporter, kinds = self._flows.setdefault(d.flow_id, (Reporter(ends_of(d), self._emit), {}))
        if not d.data:
            return False
        mode = d.data[0] & 7
        second = d.data[1:2]
        key = (d.from_originator, d.data[0] & 0x3F, second, d.data[3:4] if mode == _PRIVATE else b"")
        kind = kinds.get(key)
        if kind is None:
            if len(kinds) >= MAX_NTP_KINDS:
                reporter.note("more kinds of messages than the limit")
                return False
            kind = kinds[key] = _Kind(_first(d.data), d)
        kind.count += d.times
        kind.bytes += d.sum_bytes or d.length
        return False

    def end(self, flow_id: int) -> None:
        found = self._flows.pop(flow_id, None)
        if found is None:
            return
        reporter, kinds = found
        for kind in kinds.values():
            reporter.ends = FlowEnds(flow_id, *kind.ends)
            c = kind.cells
            reporter.row("ntp", kind.ts_ns, *c[:4], kind.count, kind.bytes, *c[4:], kind.packet_id, reporter.said)
