"""In: Kerberos messages, in datagrams or behind their length over TCP. Out: one transaction a message. Never here: rules.
RFC 4120; messages are read by protocols/kerberos_message.py."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from tracehound.protocols.der import Broken, Element, element, elements
from tracehound.rules.services.messages import Messages, sources
from tracehound.rules.services.service import Source

_ERROR: Final = 30
_WEAK: Final = frozenset((1, 2, 3, 23, 24))
"""DES and RC4 (RFC 6649, RFC 8429)."""


def _fields(data: bytes, outer: Element) -> dict[int, Element]:
    """Context tags of a sequence: number -> what stands inside."""
    return {e.tag & 0x1F: element(data, e.start, e.stop) for e in elements(data, outer, 32) if e.tag & 0xE0 == 0xA0}


def _number(data: bytes, e: Element | None) -> int | None:
    return int.from_bytes(data[e.start : e.stop], "big", signed=True) if e is not None else None


def _principal(data: bytes, e: Element | None) -> list[bytes] | None:
    """The parts of a PrincipalName (RFC 4120 5.2.2)."""
    if e is None:
        return None
    names = _fields(data, e).get(1)
    if names is None:
        return None
    parts = [data[n.start : n.stop] for n in elements(data, names, 16)]
    return [b"/".join(parts)] if parts else None


class Krb5(Messages):
    name = "krb5"
    sources: ClassVar[dict[str, Source]] = sources(both="krb5.cname krb5.sname")
    events: ClassVar[tuple[str, ...]] = ("malformed_data",)

    def size(self, head: bytes, to_server: bool) -> int:
        # RFC 4120 7.2.2: length 4.
        return 4 + int.from_bytes(head[:4], "big") if len(head) >= 4 else 0

    def message(self, to_server: bool, data: bytes) -> None:
        if self._stream:
            data = data[4:]
        fields: dict[str, Any] = {}
        try:
            outer = element(data, 0, len(data))
            kind = outer.tag & 0x1F
            inner = _fields(data, element(data, outer.start, outer.stop))
            fields["krb5_msg_type"] = kind
            if kind in (10, 12):
                body = _fields(data, inner[4])
                fields |= {"krb5.cname": _principal(data, body.get(1)), "krb5.sname": _principal(data, body.get(3))}
            elif kind in (11, 13):
                ticket = _fields(data, element(data, inner[5].start, inner[5].stop)) if 5 in inner else {}
                part = _fields(data, inner[6]) if 6 in inner else {}
                fields |= {"krb5.cname": _principal(data, inner.get(4)), "krb5.sname": _principal(data, ticket.get(2))}
                weak = _number(data, part.get(0))
                fields["krb5.weak_encryption"] = 1 if weak is not None and weak in _WEAK else None
            elif kind == _ERROR:
                fields |= {
                    "krb5_err_code": _number(data, inner.get(6)), "krb5.cname": _principal(data, inner.get(8)),
                    "krb5.sname": _principal(data, inner.get(10)),
                }  # fmt: skip
        except (Broken, IndexError, KeyError):
            self.tell(to_server, fields).event("malformed_data", to_server)
            return
        self.tell(to_server, fields)

    def summary(self, tx: Any) -> dict[str, Any] | None:
        out: dict[str, Any] = {"msg_type": tx.fields.get("krb5_msg_type")}
        for key in ("cname", "sname"):
            if "krb5." + key in tx.fields:
                out[key] = tx.fields["krb5." + key][0].decode("utf-8", "replace")
        if "krb5_err_code" in tx.fields:
            out["error_code"] = tx.fields["krb5_err_code"]
        return {"krb5": out}
