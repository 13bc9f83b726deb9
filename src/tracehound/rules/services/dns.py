"""In: DNS messages, in datagrams or behind their length over TCP. Out: one transaction a message with the buffers rules name.
Never here: rules. Messages are read by protocols/dns_message.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from tracehound.limits import MAX_DNS_RECORDS
from tracehound.protocols.dns_message import Message, parse_message
from tracehound.protocols.dns_registry import rcode_name, type_name
from tracehound.rules.services.service import COMPLETE, Service, Source, Transaction

MESSAGE: Final = 1
_MAX_LABELS: Final = 256
_OPT: Final = 41
_SOA: Final = 6


@dataclass(slots=True)
class DnsTransaction(Transaction):
    message: Message | None = None
    data: bytes = b""
    parts: list[list[bytes]] | None = None
    opcode: int | None = None
    rcode: int | None = None
    rrtypes: list[int] = field(default_factory=list)


def _names(tx: DnsTransaction, _to_server: bool) -> list[bytes]:
    message = tx.message
    if message is None:
        return []
    return [_plain(name) for name, _, _ in message.questions]


def _answers(tx: DnsTransaction, _to_server: bool) -> list[bytes]:
    return [_plain(name) for name in tx.message.answer_names] if tx.message is not None else []


def _plain(name: str) -> bytes:
    """A name as Suricata prints it: without escapes, the root empty."""
    return b"" if name == "." else name.encode("utf-8", "surrogateescape")


def _name(data: bytes, at: int) -> tuple[bytes, int]:
    """The name at an offset, its labels joined by dots, and the offset behind it (RFC 1035 4.1.4)."""
    labels: list[bytes] = []
    after = -1
    for _ in range(_MAX_LABELS):
        if at >= len(data):
            raise IndexError
        size = data[at]
        if size == 0:
            return b".".join(labels), after if after >= 0 else at + 1
        if size >= 0xC0:
            if after < 0:
                after = at + 2
            at = (size & 0x3F) << 8 | data[at + 1]
        else:
            labels.append(data[at + 1 : at + 1 + size])
            at += 1 + size
    raise IndexError


_NAMED: Final = {2: (0,), 5: (0,), 12: (0,), 15: (2,), 33: (6,), 39: (0,)}
"""Types whose data has a name, and where: NS, CNAME, PTR, MX, SRV, DNAME."""


def _sections(tx: DnsTransaction) -> list[list[bytes]]:
    """Names of the four sections, then those that stand in the data of answers; as far as the message can be read."""
    if tx.parts is not None:
        return tx.parts
    data = tx.data
    out: list[list[bytes]] = [[], [], [], [], []]
    tx.parts = out
    if len(data) < 12:
        return out
    at = 12
    try:
        for section in range(4):
            for _ in range(min(int.from_bytes(data[4 + 2 * section : 6 + 2 * section], "big"), MAX_DNS_RECORDS)):
                name, at = _name(data, at)
                kind = int.from_bytes(data[at : at + 2], "big")
                if section == 0:
                    out[0].append(name)
                    at += 4
                    continue
                size = int.from_bytes(data[at + 8 : at + 10], "big")
                at += 10
                if at + size > len(data):
                    return out
                if kind != _OPT:
                    out[section].append(name)
                    out[4] += [_name(data, at + place)[0] for place in _NAMED.get(kind, ())]
                    if kind == _SOA:
                        first, behind = _name(data, at)
                        out[4] += [first, _name(data, behind)[0]]
                at += size
    except IndexError:
        pass
    return out


def _section(*numbers: int) -> Any:
    return lambda tx, _to_server: [name for n in numbers for name in _sections(tx)[n]]


SOURCES: Final[dict[str, Source]] = {
    "dns.query": Source(True, MESSAGE, _names),
    "dns.authorities.rrname": Source(None, MESSAGE, _section(2)),
    "dns.additionals.rrname": Source(None, MESSAGE, _section(3)),
    "dns.response.rrname": Source(False, MESSAGE, _section(0, 1, 2, 3, 4)),
    "dns.query.name": Source(None, MESSAGE, _names),
    "dns.queries.rrname": Source(None, MESSAGE, _names),
    "dns.answer.name": Source(None, MESSAGE, _answers),
    "dns.answers.rrname": Source(None, MESSAGE, _answers),
}  # fmt: skip


class Dns(Service):
    name = "dns"
    sources = SOURCES
    events: ClassVar[tuple[str, ...]] = (
        "malformed_data", "z_flag_set", "invalid_opcode", "not_request", "not_response", "name_too_long", "infinite_loop",
    )  # fmt: skip

    def __init__(self, *, datagrams: bool = True) -> None:
        super().__init__()
        self._datagrams = datagrams
        self._parts = [bytearray(), bytearray()]

    def feed(self, to_server: bool, data: bytes) -> None:
        if self._datagrams:
            self._message(to_server, data)
            return
        part = self._parts[to_server]
        part += data
        while len(part) >= 2:
            # RFC 1035 4.2.2: two bytes of length before each message.
            size = int.from_bytes(part[:2], "big")
            if len(part) < 2 + size:
                return
            self._message(to_server, bytes(part[2 : 2 + size]))
            del part[: 2 + size]
            self.wants_raw.add(to_server)

    def gap(self, to_server: bool, size: int) -> None:
        self._parts[to_server].clear()
        self.stopped = True

    def _message(self, to_server: bool, data: bytes) -> None:
        message = parse_message(data)
        tx = DnsTransaction(self.count)
        self.count += 1
        tx.message, tx.data = message, data
        flags = int.from_bytes(data[2:4], "big") if len(data) >= 4 else 0
        # RFC 1035 4.1.1: QR 1, Opcode 4, AA, TC, RD, RA 1 each, Z 3, RCODE 4; RFC 4035 took two of Z.
        tx.opcode = flags >> 11 & 15
        tx.rcode = message.rcode if message.readable else flags & 15
        tx.rrtypes = [kind for _, kind, _ in message.questions]
        if not message.readable or (message.note or "").startswith(("question", "answer", "authority")):
            tx.event("malformed_data", to_server)
        if "255 bytes" in (message.note or ""):
            tx.event("name_too_long", to_server)
        if "loop" in (message.note or ""):
            tx.event("infinite_loop", to_server)
        if flags & 0x0040 and message.readable:
            tx.event("z_flag_set", to_server)
        if tx.opcode >= 7:
            tx.event("invalid_opcode", to_server)
        if to_server and flags & 0x8000:
            tx.event("not_request", to_server)
        if not to_server and not flags & 0x8000:
            tx.event("not_response", to_server)
        tx.progress[to_server] = COMPLETE
        # The other side has nothing to do with this message.
        tx.verdicts[-1 - (not to_server)] = 1
        self.transactions.append(tx)

    def summary(self, tx: DnsTransaction) -> dict[str, Any] | None:
        """Suricata's `dns` object, version 2."""
        message = tx.message
        if message is None or not message.readable:
            return None
        if not message.is_response:
            return {"dns": {"query": [
                {"type": "query", "id": message.trans_id, "rrname": name, "rrtype": type_name(kind), "tx_id": tx.number,
                 "opcode": tx.opcode}
                for name, kind, _ in message.questions
            ]}}  # fmt: skip
        answer: dict[str, Any] = {"version": 2, "type": "answer", "id": message.trans_id, "rcode": rcode_name(message.rcode)}
        if message.questions:
            answer |= {"rrname": message.questions[0][0], "rrtype": type_name(message.questions[0][1])}
        answer["answers"] = [
            {"rrname": n, "rrtype": t, "ttl": ttl, "rdata": data}
            for n, t, data, ttl in zip(message.answer_names, message.answer_types, message.answers, message.answer_ttls_s, strict=True)
        ]
        return {"dns": {"answer": answer}}


class _Local(Dns):
    """DNS among neighbours: the same messages, without a server (RFC 6762, RFC 4795)."""

    events: ClassVar[tuple[str, ...]] = ()


class Mdns(_Local):
    name = "mdns"
    sources: ClassVar[dict[str, Source]] = {
        "mdns.queries.rrname": Source(None, MESSAGE, _section(0)), "mdns.answers.rrname": Source(None, MESSAGE, _section(1)),
        "mdns.authorities.rrname": Source(None, MESSAGE, _section(2)), "mdns.additionals.rrname": Source(None, MESSAGE, _section(3)),
        "mdns.response.rrname": Source(None, MESSAGE, _section(0, 1, 2, 3, 4)),
    }  # fmt: skip


class Llmnr(_Local):
    name = "llmnr"
    sources: ClassVar[dict[str, Source]] = {
        "llmnr.queries.rrname": Source(None, MESSAGE, _section(0)), "llmnr.answers.rrname": Source(None, MESSAGE, _section(1)),
    }  # fmt: skip
