"""In: RADIUS datagrams. Out: rows of table `radius`, a request with its answer each, and of `logins`. Never here: a password (it is hidden
with a secret that both servers share), or EAP inside.

RFC 2865 (authentication), 2866 (accounting), 5176 (disconnect, change), 2868 (tunnels), 2869 (connect info)."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Final

from tracehound.limits import MAX_RADIUS_WAITING
from tracehound.protocols.lines import words_of
from tracehound.protocols.reporter import Reporter, ends_of
from tracehound.protocols.session import Datagram, Emit, FlowEnds

_CODES: Final[dict[int, str]] = {
    1: "Access-Request", 2: "Access-Accept", 3: "Access-Reject", 4: "Accounting-Request", 5: "Accounting-Response", 11: "Access-Challenge",
    12: "Status-Server", 40: "Disconnect-Request", 41: "Disconnect-ACK", 42: "Disconnect-NAK", 43: "CoA-Request", 44: "CoA-ACK",
    45: "CoA-NAK",
}  # fmt: skip
_REQUESTS: Final = frozenset({1, 4, 12, 40, 43})
(_USER, _PASSWORD, _CHAP, _NAS_ADDR, _FRAMED, _REPLY, _CALLED, _CALLING, _NAS_NAME, _ACCT_STATUS, _TUNNEL_CLIENT, _CONNECT_INFO,
 _EAP) = 1, 2, 3, 4, 8, 18, 30, 31, 32, 40, 66, 77, 79  # fmt: skip
_STATUSES: Final[dict[int, str]] = {1: "Start", 2: "Stop", 3: "Interim-Update", 7: "Accounting-On", 8: "Accounting-Off"}
_METHODS: Final = ((_PASSWORD, "PAP"), (_CHAP, "CHAP"), (_EAP, "EAP"))
_ACCEPT, _REJECT, _CHALLENGE = "Access-Accept", "Access-Reject", "Access-Challenge"


@dataclass(slots=True)
class _Message:
    code: int
    packet_id: int
    ts_ns: int
    attributes: dict[int, bytes] = field(default_factory=dict)
    note: str | None = None

    def words(self, number: int) -> str | None:
        raw = self.attributes.get(number)
        return words_of(raw) or None if raw is not None else None

    def address(self, number: int) -> str | None:
        raw = self.attributes.get(number, b"")
        return str(ipaddress.IPv4Address(raw)) if len(raw) == 4 else None


def _parse(d: Datagram) -> _Message | None:
    """RFC 2865 3 and 5: code, identifier, length, authenticator; attributes of number, length, value."""
    data = d.data
    if len(data) < 20:
        return None
    m = _Message(data[0], d.packet_id, d.ts_ns)
    end = min(len(data), int.from_bytes(data[2:4], "big"))
    at = 20
    while at + 2 <= end:
        size = data[at + 1]
        if size < 2 or at + size > end:
            m.note = "attributes cut"
            break
        m.attributes.setdefault(data[at], data[at + 2 : at + size])
        at += size
    return m


def _mac(words: str | None) -> str | None:
    """RFC 3580 3.21: 00-10-A4-23-19-C0; as every other hardware address here. What is no such address stays as it is."""
    digits = re.sub(r"[-:.]", "", words or "")
    return ":".join(re.findall("..", digits.lower())) if re.fullmatch(r"[0-9A-Fa-f]{12}", digits) else words


class _Exchange(Reporter):
    service = "radius"

    def __init__(self, ends: FlowEnds, emit: Emit) -> None:
        super().__init__(ends, emit)
        self.waiting: dict[int, _Message] = {}

    def pair(self, asked: _Message, answer: _Message | None) -> None:
        status = int.from_bytes(asked.attributes.get(_ACCT_STATUS, b""), "big")
        result = _CODES.get(answer.code, str(answer.code)) if answer is not None else None
        words = answer.words(_REPLY) if answer is not None else None
        user = asked.words(_USER)
        tunnel = asked.attributes.get(_TUNNEL_CLIENT, b"")
        framed = (answer.address(_FRAMED) if answer is not None else None) or asked.address(_FRAMED)
        self.row(
            "radius", asked.ts_ns, _CODES.get(asked.code, str(asked.code)), user, _mac(asked.words(_CALLING)), asked.words(_CALLED),
            asked.address(_NAS_ADDR), asked.words(_NAS_NAME), framed,
            # RFC 2868 3.3: a tag below 0x20 may come first.
            words_of(tunnel[1:] if tunnel[:1] < b"\x20" else tunnel) or None, asked.words(_CONNECT_INFO),
            _STATUSES.get(status) if status else None, result, words, asked.packet_id, asked.note,
        )  # fmt: skip
        if asked.code == 1 and result != _CHALLENGE:
            method = next((name for number, name in _METHODS if number in asked.attributes), None)
            accepted = {_ACCEPT: True, _REJECT: False}.get(result or "")
            self.login(user, method, cleartext=False, accepted=accepted, answer=words or result, packet_id=asked.packet_id,
                       ts_ns=asked.ts_ns)  # fmt: skip


class RadiusDatagrams:
    """All flows of RADIUS."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._flows: dict[int, _Exchange] = {}

    def datagram(self, datagram: Datagram) -> bool:
        d = datagram
        flow = self._flows.get(d.flow_id)
        if flow is None:
            flow = self._flows[d.flow_id] = _Exchange(ends_of(d), self._emit)
        message = _parse(d)
        if message is None:
            return False
        ident = d.data[1]
        if message.code not in _REQUESTS:
            asked = flow.waiting.pop(ident, None)
            if asked is not None:
                flow.pair(asked, message)
            return False
        earlier = flow.waiting.pop(ident, None)
        if earlier is not None and earlier.attributes != message.attributes:
            flow.pair(earlier, None)
        flow.waiting[ident] = earlier if earlier is not None and earlier.attributes == message.attributes else message
        if len(flow.waiting) > MAX_RADIUS_WAITING:
            flow.pair(flow.waiting.pop(next(iter(flow.waiting))), None)
        return False

    def end(self, flow_id: int) -> None:
        flow = self._flows.pop(flow_id, None)
        if flow is not None:
            for asked in flow.waiting.values():
                flow.pair(asked, None)
