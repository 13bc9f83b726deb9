"""In: SNMP datagrams. Out: one row of table `snmp` a flow, and of `logins` for each community or user in it. Never here: a community
beyond the two that everybody knows, or the meaning of an object beyond what an agent says of itself.

RFC 1157 (version 1), 3416 (2c), 3412 and 3414 (3); RFC 3418 for sysDescr, sysUpTime and sysName."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tracehound.limits import MAX_SNMP_OIDS, MAX_SNMP_READ, MAX_SNMP_USERS
from tracehound.protocols.der import OBJECT_ID, OCTET_STRING, SEQUENCE, Broken, Element, element, elements, object_id
from tracehound.protocols.lines import words_of
from tracehound.protocols.reporter import Reporter, ends_of
from tracehound.protocols.session import Datagram, Emit, FlowEnds

_VERSIONS: Final[dict[int, str]] = {0: "1", 1: "2c", 3: "3"}
(_GET, _GET_NEXT, _RESPONSE, _SET, _TRAP, _GET_BULK, _INFORM, _TRAP2, _REPORT) = range(0xA0, 0xA9)
_ERRORS: Final = (
    "noError", "tooBig", "noSuchName", "badValue", "readOnly", "genErr", "noAccess", "wrongType", "wrongLength", "wrongEncoding",
    "wrongValue", "noCreation", "inconsistentValue", "resourceUnavailable", "commitFailed", "undoFailed", "authorizationError",
    "notWritable", "inconsistentName",
)  # fmt: skip
_SYS_DESCR, _SYS_UP_TIME, _SYS_NAME = "1.3.6.1.2.1.1.1.0", "1.3.6.1.2.1.1.3.0", "1.3.6.1.2.1.1.5.0"
_TIME_TICKS: Final = 0x43
_TICK_NS: Final = 10_000_000
_WELL_KNOWN: Final = frozenset({b"public", b"private"})
_AUTH, _PRIV = 1, 2
_BINDINGS: Final = 128


def _integer(data: bytes, e: Element) -> int:
    return int.from_bytes(data[e.start : min(e.stop, e.start + 9)], "big", signed=True)


class _Flow(Reporter):
    """What one flow says."""

    service = "snmp"

    def __init__(self, ends: FlowEnds, emit: Emit, first: Datagram) -> None:
        super().__init__(ends, emit)
        self.first = first.packet_id, first.ts_ns
        self.version: str | None = None
        self.community: str | None = None
        self.user: str | None = None
        self.engine_id: str | None = None
        self.level: str | None = None
        self.counts: dict[int, int] = {}
        self.bytes = 0
        self.read = 0
        self.oids: dict[str, None] = {}
        self.error: str | None = None
        self.description: str | None = None
        self.name: str | None = None
        self.up_since_ns: int | None = None
        self.accounts: dict[tuple[str, bytes], _Account] = {}


@dataclass(slots=True)
class _Account:
    user: str | None
    method: str
    cleartext: bool
    packet_id: int
    ts_ns: int
    accepted: bool | None = None


class SnmpDatagrams:
    """All flows of SNMP."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._flows: dict[int, _Flow] = {}

    def datagram(self, datagram: Datagram) -> bool:
        d = datagram
        flow = self._flows.get(d.flow_id)
        if flow is None:
            flow = self._flows[d.flow_id] = _Flow(ends_of(d), self._emit, d)
        flow.bytes += d.length
        flow.read += 1
        try:
            _message(flow, d)
        except Broken as problem:
            flow.note("a message is malformed" if len(d.data) == d.length else f"a message is cut: {problem}")
        return False

    def end(self, flow_id: int) -> None:
        flow = self._flows.pop(flow_id, None)
        if flow is None:
            return
        packet_id, ts_ns = flow.first
        n = flow.counts
        flow.row(
            "snmp", ts_ns, flow.version or "?", flow.community, flow.user, flow.engine_id, flow.level,
            n.get(_GET, 0) + n.get(_GET_NEXT, 0), n.get(_GET_BULK, 0), n.get(_SET, 0), n.get(_RESPONSE, 0),
            n.get(_TRAP, 0) + n.get(_TRAP2, 0) + n.get(_INFORM, 0) + n.get(_REPORT, 0), flow.bytes, list(flow.oids) or None, flow.error,
            flow.description, flow.name, flow.up_since_ns, packet_id, flow.said,
        )  # fmt: skip
        for account in flow.accounts.values():
            flow.login(account.user, account.method, cleartext=account.cleartext, accepted=account.accepted, answer=None,
                       packet_id=account.packet_id, ts_ns=account.ts_ns)  # fmt: skip


def _message(flow: _Flow, d: Datagram) -> None:
    data = d.data
    outer = element(data, 0, len(data))
    if outer.tag != SEQUENCE:
        raise Broken("no sequence")
    version = element(data, outer.start, outer.stop)
    number = _integer(data, version)
    flow.version = flow.version or _VERSIONS.get(number, str(number))
    second = element(data, version.stop, outer.stop)
    if number == 3:
        pdu, account = _secured(flow, d, outer, second)
    else:
        community = data[second.start : second.stop]
        if flow.community is None:
            flow.community = community.decode() if community in _WELL_KNOWN else "<hidden>"
        account = _account(flow, d, None, "community", community, cleartext=True)
        pdu = element(data, second.stop, outer.stop)
    if pdu is None:
        return
    flow.counts[pdu.tag] = flow.counts.get(pdu.tag, 0) + 1
    if pdu.tag == _RESPONSE and account is not None:
        account.accepted = True
    if flow.read <= MAX_SNMP_READ and pdu.tag != _TRAP:
        _bindings(flow, d, pdu)


def _account(flow: _Flow, d: Datagram, user: str | None, method: str, secret: bytes, *, cleartext: bool) -> _Account | None:
    """The account of a message; one row for each. The secret only tells accounts apart while the flow lasts."""
    account = flow.accounts.get((method, secret))
    if account is None and len(flow.accounts) < MAX_SNMP_USERS:
        account = flow.accounts[method, secret] = _Account(user, method, cleartext, d.packet_id, d.ts_ns)
    return account


def _secured(flow: _Flow, d: Datagram, outer: Element, globals_: Element) -> tuple[Element | None, _Account | None]:
    """RFC 3412 6, RFC 3414 2.4: id, size, flags, model; then engine, boots, time, user; then the PDU, encrypted or not."""
    data = d.data
    parts = elements(data, globals_, 4)
    flags = data[parts[2].start] if len(parts) > 2 and parts[2].stop > parts[2].start else 0
    wrapped = element(data, globals_.stop, outer.stop)
    security = element(data, wrapped.start, wrapped.stop)
    fields = elements(data, security, 6)
    if len(fields) < 4:
        raise Broken("security parameters")
    engine, user = data[fields[0].start : fields[0].stop], data[fields[3].start : fields[3].stop]
    if engine and flow.engine_id is None:
        flow.engine_id = engine.hex()
    account = None
    if user:
        flow.user = flow.user or words_of(user)
        flow.level = "authPriv" if flags & _PRIV else "authNoPriv" if flags & _AUTH else "noAuthNoPriv"
        account = _account(flow, d, words_of(user), "USM", user, cleartext=False)
    scoped = element(data, wrapped.stop, outer.stop)
    if scoped.tag == OCTET_STRING:
        return None, account
    inner = elements(data, scoped, 3)
    return (inner[2] if len(inner) > 2 else None), account


def _bindings(flow: _Flow, d: Datagram, pdu: Element) -> None:
    """RFC 3416 3: request id, error status, error index, list of (name, value)."""
    data = d.data
    parts = elements(data, pdu, 4)
    if len(parts) < 4:
        raise Broken("PDU")
    status = _integer(data, parts[1])
    if pdu.tag == _RESPONSE and status and flow.error is None:
        flow.error = _ERRORS[status] if 0 < status < len(_ERRORS) else str(status)
    for binding in elements(data, parts[3], _BINDINGS):
        pair = elements(data, binding, 2)
        if len(pair) < 2 or pair[0].tag != OBJECT_ID:
            continue
        name = object_id(data, pair[0]) if pair[0].stop > pair[0].start else "0.0"
        if len(flow.oids) < MAX_SNMP_OIDS:
            flow.oids[name] = None
        if pdu.tag in (_RESPONSE, _TRAP2, _INFORM):
            _told(flow, d, name, pair[1])


def _told(flow: _Flow, d: Datagram, name: str, value: Element) -> None:
    """What an agent says of itself."""
    raw = d.data[value.start : value.stop]
    if name == _SYS_DESCR and value.tag == OCTET_STRING:
        flow.description = words_of(raw) or None
    elif name == _SYS_NAME and value.tag == OCTET_STRING:
        flow.name = words_of(raw) or None
    elif name == _SYS_UP_TIME and value.tag == _TIME_TICKS and len(raw) <= 5:
        ticks = int.from_bytes(raw, "big")
        # RFC 2578 7.1.8: TimeTicks are modulo 2^32; the fifth byte may only be the sign.
        if ticks < 1 << 32:
            flow.up_since_ns = d.ts_ns - ticks * _TICK_NS
