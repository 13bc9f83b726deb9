"""In: the bytes of an MQTT connection. Out: one transaction a control packet. Never here: rules. OASIS MQTT 3.1.1 and 5.0."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from tracehound.rules.services.messages import Messages, sources
from tracehound.rules.services.service import Source

CONNECT, CONNACK, PUBLISH, SUBSCRIBE, UNSUBSCRIBE = 1, 2, 3, 8, 10
_WITH_REASON: Final = frozenset((4, 5, 6, 7, 14, 15))
_LIMIT: Final = 256


class _Cut(Exception):
    """The packet ends before its fields do."""


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        if self.at + size > len(self.data):
            raise _Cut
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def text(self) -> bytes:
        """MQTT 1.5.4: length 2, bytes."""
        return self.take(self.number(2))

    def properties(self, version: int) -> None:
        """MQTT 5 2.2.2: a variable byte integer, then so many bytes."""
        if version == 5:
            size = shift = 0
            while True:
                byte = self.number(1)
                size |= (byte & 127) << shift
                shift += 7
                if not byte & 128 or shift > 21:
                    break
            self.take(size)

    @property
    def left(self) -> int:
        return len(self.data) - self.at


class Mqtt(Messages):
    name = "mqtt"
    sources: ClassVar[dict[str, Source]] = sources(
        "mqtt.connect.clientid mqtt.connect.username mqtt.connect.password mqtt.connect.willtopic mqtt.connect.willmessage "
        "mqtt.connect.protocol_string mqtt.subscribe.topic mqtt.unsubscribe.topic",
        both="mqtt.publish.topic mqtt.publish.message",
    )
    events: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *, stream: bool = True) -> None:
        super().__init__(stream=stream)
        self._version = 4

    def size(self, head: bytes, to_server: bool) -> int:
        size = 0
        for k in range(1, min(5, len(head))):
            size |= (head[k] & 127) << 7 * (k - 1)
            if not head[k] & 128:
                return 1 + k + size
        return -1 if len(head) >= 5 else 0

    def message(self, to_server: bool, data: bytes) -> None:
        kind = data[0] >> 4
        begin = 2
        while data[begin - 1] & 128:
            begin += 1
        r = _Reader(data[begin:])
        fields: dict[str, Any] = {"mqtt.type": kind, "mqtt.qos": data[0] >> 1 & 3}
        try:
            if kind == CONNECT:
                self._connect(r, fields)
            elif kind == CONNACK:
                fields["mqtt.connack.session_present"] = r.number(1) & 1
                fields["mqtt.reason_code"] = r.number(1)
            elif kind == PUBLISH:
                fields["mqtt.publish.topic"] = r.text()
                if data[0] & 6:
                    r.take(2)
                r.properties(self._version)
                fields["mqtt.publish.message"] = r.take(r.left)
            elif kind in (SUBSCRIBE, UNSUBSCRIBE):
                r.take(2)
                r.properties(self._version)
                topics: list[bytes] = []
                while r.left and len(topics) < _LIMIT:
                    topics.append(r.text())
                    if kind == SUBSCRIBE:
                        r.take(1)
                fields["mqtt.subscribe.topic" if kind == SUBSCRIBE else "mqtt.unsubscribe.topic"] = topics
            elif kind in _WITH_REASON and self._version == 5:
                r.take(0 if kind in (14, 15) else 2)
                fields["mqtt.reason_code"] = r.number(1) if r.left else 0
        except _Cut:
            pass
        fields["mqtt.protocol_version"] = self._version
        self.tell(to_server, fields)

    def _connect(self, r: _Reader, fields: dict[str, Any]) -> None:
        """MQTT 3.1: protocol name, level 1, flags 1, keep alive 2; then what the flags announce."""
        fields["mqtt.connect.protocol_string"] = r.text()
        self._version = r.number(1)
        flags = r.number(1)
        r.take(2)
        r.properties(self._version)
        fields["mqtt.connect.clientid"] = r.text()
        if flags & 4:
            r.properties(self._version)
            fields["mqtt.connect.willtopic"], fields["mqtt.connect.willmessage"] = r.text(), r.text()
        if flags & 128:
            fields["mqtt.connect.username"] = r.text()
        if flags & 64:
            fields["mqtt.connect.password"] = r.text()

    def summary(self, tx: Any) -> dict[str, Any] | None:
        return {"mqtt": {n.removeprefix("mqtt."): v for n, v in tx.fields.items() if isinstance(v, int)}}
