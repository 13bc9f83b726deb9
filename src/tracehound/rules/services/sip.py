"""In: SIP messages, in datagrams or over TCP. Out: one transaction a message, with the description of the session it offers.
Never here: rules. RFC 3261, RFC 8866."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Final

from tracehound.rules.services.messages import Messages, sources
from tracehound.rules.services.service import Source

_REQUEST: Final = re.compile(rb"([A-Z]+) +(\S+) +(SIP/\d\.\d)[ \t]*")
_STATUS: Final = re.compile(rb"(SIP/\d\.\d) +(\d{3})(?: +([^\r\n]*))?")
_NAMES: Final = {
    b"from": "sip.from", b"f": "sip.from", b"to": "sip.to", b"t": "sip.to", b"via": "sip.via", b"v": "sip.via",
    b"user-agent": "sip.user_agent", b"content-type": "sip.content_type", b"c": "sip.content_type", b"content-length": "sip.content_length",
    b"l": "sip.content_length",
}  # fmt: skip
_SDP_ONE: Final = {
    b"s": "session_name", b"i": "session_info", b"o": "origin", b"u": "uri", b"e": "email", b"p": "phone_number", b"c": "connection_data",
    b"z": "timezone", b"k": "encryption_key",
}  # fmt: skip
_SDP_MANY: Final = {b"b": "bandwidth", b"t": "time", b"r": "repeat_time", b"a": "attribute"}
_MEDIA: Final = {b"i": "media_info", b"c": "connection_data", b"k": "encryption_key"}
_LIMIT: Final = 64


def _description(body: bytes) -> dict[str, Any]:
    """SDP (RFC 8866 5): lines TYPE=VALUE, those of the session before those of each medium."""
    out: dict[str, Any] = {}
    in_media = False
    for line in body.splitlines():
        kind, equals, value = line[:1], line[1:2], line[2:]
        if equals != b"=":
            continue
        if kind == b"m":
            in_media = True
            name = "media.media"
        elif in_media and kind in _MEDIA:
            name = "media." + _MEDIA[kind]
        elif kind in _SDP_MANY:
            name = _SDP_MANY[kind]
        elif kind in _SDP_ONE and not in_media:
            out.setdefault("sdp." + _SDP_ONE[kind], value)
            continue
        else:
            continue
        values = out.setdefault("sdp." + name, [])
        if len(values) < _LIMIT:
            values.append(value)
    return out


class Sip(Messages):
    name = "sip"
    sources: ClassVar[dict[str, Source]] = sources(
        "sip.method sip.uri sip.request_line", "sip.stat_code sip.stat_msg sip.response_line",
        "sip.protocol sip.from sip.to sip.via sip.user_agent sip.content_type sip.content_length sip_header sip_body sdp.session_name "
        "sdp.session_info sdp.origin sdp.uri sdp.email sdp.phone_number sdp.connection_data sdp.bandwidth sdp.time sdp.repeat_time "
        "sdp.timezone sdp.encryption_key sdp.attribute sdp.media.media sdp.media.media_info sdp.media.connection_data "
        "sdp.media.encryption_key",
    )  # fmt: skip
    events: ClassVar[tuple[str, ...]] = ()

    def feed(self, to_server: bool, data: bytes) -> None:
        """Over TCP a message ends where its Content-Length says."""
        if not self._stream:
            self.message(to_server, data)
            return
        part = self._parts[to_server]
        part += data
        while (end := part.find(b"\r\n\r\n")) >= 0:
            found = re.search(rb"(?im)^(?:content-length|l)\s*:\s*(\d{1,7})", bytes(part[:end]))
            size = end + 4 + (int(found.group(1)) if found else 0)
            if len(part) < size:
                return
            message = bytes(part[:size])
            del part[:size]
            self.message(to_server, message)
        if len(part) > 1 << 16:
            self.stopped = True
            part.clear()

    def message(self, to_server: bool, data: bytes) -> None:
        head, _, body = data.partition(b"\r\n\r\n")
        line, _, rest = head.partition(b"\r\n")
        fields: dict[str, Any] = {}
        request, status = _REQUEST.fullmatch(line), _STATUS.fullmatch(line)
        if request is not None:
            fields |= {"sip.method": request[1], "sip.uri": request[2], "sip.protocol": request[3], "sip.request_line": line}
        elif status is not None:
            fields |= {"sip.protocol": status[1], "sip.stat_code": status[2], "sip.stat_msg": status[3] or b"", "sip.response_line": line}
        else:
            return
        for entry in re.sub(rb"\r\n[ \t]+", b" ", rest).split(b"\r\n")[:256]:
            name, colon, value = entry.partition(b":")
            keyword = _NAMES.get(name.strip().lower())
            if colon and keyword is not None:
                fields.setdefault(keyword, []).append(value.strip())
        fields |= {"sip_header": rest or None, "sip_body": body or None}
        if b"application/sdp" in b"".join(fields.get("sip.content_type", ())).lower():
            described = _description(body)
            fields |= described | {"sdp.time_count": len(described.get("sdp.time", ()))}
        # Either end of a call asks and answers: what a message is says its direction (app-layer: sip/parser).
        self.tell(to_server, fields)

    def summary(self, tx: Any) -> dict[str, Any] | None:
        names = ("method", "uri", "request_line", "response_line", "protocol")
        out = {n: tx.fields["sip." + n].decode("latin1") for n in names if "sip." + n in tx.fields}
        if "sip.stat_code" in tx.fields:
            out["code"], out["reason"] = tx.fields["sip.stat_code"].decode(), tx.fields["sip.stat_msg"].decode("latin1")
        return {"sip": out}
