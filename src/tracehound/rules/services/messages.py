"""In: nothing. Out: the shape of protocols whose every message is a transaction of its own: fields by the name of the keyword that
asks for them. Never here: a protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from tracehound.rules.services.service import COMPLETE, Service, Source, Transaction

_SEEN: Final = 1
_MAX_MESSAGE: Final = 1 << 20


@dataclass(slots=True)
class Said(Transaction):
    """One message. fields: keyword -> bytes, a list of them, or a number; what is absent does not exist."""

    fields: dict[str, Any] = field(default_factory=dict)


def get(keyword: str) -> Callable[[Said, bool], Any]:
    """The getter of a Source."""
    return lambda tx, _to_server: tx.fields.get(keyword)


def sources(to_server: str = "", to_client: str = "", both: str = "") -> dict[str, Source]:
    """Sources of fields, by the side that sends them."""
    out = {name: Source(True, _SEEN, get(name)) for name in to_server.split()}
    out |= {name: Source(False, _SEEN, get(name)) for name in to_client.split()}
    return out | {name: Source(None, _SEEN, get(name)) for name in both.split()}


class Messages(Service):
    """A protocol of messages. Over TCP, `size` says how long the message is that begins with some bytes: 0 not known yet, negative
    that nothing can be made of them; over UDP a datagram is a message."""

    summary_key: ClassVar[str] = ""

    def __init__(self, *, stream: bool = False) -> None:
        super().__init__()
        self._stream = stream
        self._parts = (bytearray(), bytearray())

    def size(self, head: bytes, to_server: bool) -> int:
        """Bytes of the message that begins here."""
        raise NotImplementedError

    def message(self, to_server: bool, data: bytes) -> None:
        """One message."""
        raise NotImplementedError

    def tell(self, to_server: bool, fields: dict[str, Any]) -> Said:
        """A transaction of one message; the other side has nothing to do with it."""
        tx = Said(self.count)
        self.count += 1
        tx.fields = {name: value for name, value in fields.items() if value is not None}
        tx.progress[to_server] = COMPLETE
        tx.verdicts[-1 - (not to_server)] = 1
        self.transactions.append(tx)
        return tx

    def feed(self, to_server: bool, data: bytes) -> None:
        if not self._stream:
            self.message(to_server, data)
            return
        part = self._parts[to_server]
        part += data
        while part:
            size = self.size(bytes(part[:64]), to_server)
            if size < 0 or size > _MAX_MESSAGE:
                self.stopped = True
                part.clear()
                return
            if size == 0 or len(part) < size:
                return
            message = bytes(part[:size])
            del part[:size]
            self.message(to_server, message)
            self.wants_raw.add(to_server)

    def gap(self, to_server: bool, size: int) -> None:
        self._parts[to_server].clear()
        self.stopped = True


NUMBERS: Final[dict[str, str]] = {
    "snmp.version": "snmp", "snmp.pdu_type": "snmp", "snmp.trap_type": "snmp", "krb5_msg_type": "krb5", "krb5_err_code": "krb5",
    "mqtt.type": "mqtt", "mqtt.qos": "mqtt", "mqtt.protocol_version": "mqtt", "mqtt.reason_code": "mqtt", "ntp.mode": "ntp",
    "ntp.stratum": "ntp", "ntp.version": "ntp", "ntp.leap_indicator": "ntp", "sdp.time_count": "sip", "rfb.sectype": "rfb",
    "rfb.secresult": "rfb",
}  # fmt: skip
"""Keywords that compare a field with numbers, and the protocol that has it."""
