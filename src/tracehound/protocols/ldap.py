"""In: LDAP over TCP or UDP. Out: rows of table `ldap`, an operation with its result each, of `logins` for binds, and what binds carry.
Never here: the entries that a search finds, beyond their number, or a secret.

RFC 4511 (protocol), 4513 (authentication), 4515 (filters as text), 4752 and [MS-ADTS] 5.1.1.1.2 (signed messages behind a length)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tracehound.limits import MAX_LDAP_FILTER, MAX_LDAP_MESSAGE_BYTES, MAX_LDAP_WAITING, MAX_TEXT_FIELD
from tracehound.protocols.der import SEQUENCE, Broken, Element, element, elements
from tracehound.protocols.framed import NOT_A_MESSAGE, Framer
from tracehound.protocols.kerberos import report
from tracehound.protocols.kerberos_message import ticket_in
from tracehound.protocols.lines import words_of
from tracehound.protocols.ntlm import NtlmExchange, messages_in
from tracehound.protocols.reporter import Reporter, ends_of, swapped
from tracehound.protocols.session import Datagram, Emit, FlowEnds, Session
from tracehound.protocols.tls import open_session as open_tls
from tracehound.streams.reassemble import Chunk

(_BIND, _BOUND, _UNBIND, _SEARCH, _ENTRY, _DONE, _MODIFY, _MODIFIED, _ADD, _ADDED) = (
    0x60, 0x61, 0x42, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69)  # fmt: skip
(_DELETE, _DELETED, _RENAME, _RENAMED, _COMPARE, _COMPARED, _ABANDON, _REFERENCE, _EXTENDED, _EXTENDED_DONE, _INTERMEDIATE) = (
    0x4A, 0x6B, 0x6C, 0x6D, 0x6E, 0x6F, 0x50, 0x73, 0x77, 0x78, 0x79)  # fmt: skip
_SIMPLE, _SASL, _SICILY = 0x80, 0xA3, frozenset({0x89, 0x8A, 0x8B})
"""[MS-ADTS] 5.1.1.1.3: Microsoft's older way to carry NTLM in a bind."""
_NAMES: Final[dict[int, str]] = {
    _BIND: "bind", _UNBIND: "unbind", _SEARCH: "search", _MODIFY: "modify", _ADD: "add", _DELETE: "delete", _RENAME: "moddn",
    _COMPARE: "compare", _ABANDON: "abandon", _EXTENDED: "extended",
}  # fmt: skip
_TELLING: Final = frozenset({_BIND, _EXTENDED})
"""Operations that tell of more than themselves: logins, StartTLS."""
_TOLD: Final = frozenset({_BOUND, _EXTENDED_DONE})
"""Their answers."""
_FINAL: Final = frozenset({_BOUND, _DONE, _MODIFIED, _ADDED, _DELETED, _RENAMED, _COMPARED, _EXTENDED_DONE})
_ANSWERS: Final = _FINAL | {_ENTRY, _REFERENCE, _INTERMEDIATE}
_ANSWER: Final = re.compile(
    rb"\x30(?:[\x00-\x7f]|\x81.|\x82..|\x83...|\x84....)\x02(?:\x01.|\x02..|\x03...|\x04....)[\x61\x64\x65\x67\x69\x6b\x6d\x6f\x73\x78\x79]",
    re.DOTALL,
)
_IN_PROGRESS: Final = 14
_RESULTS: Final[dict[int, str]] = {
    0: "success", 1: "operationsError", 2: "protocolError", 3: "timeLimitExceeded", 4: "sizeLimitExceeded", 5: "compareFalse",
    6: "compareTrue", 7: "authMethodNotSupported", 8: "strongerAuthRequired", 10: "referral", 11: "adminLimitExceeded",
    12: "unavailableCriticalExtension", 13: "confidentialityRequired", 14: "saslBindInProgress", 16: "noSuchAttribute",
    17: "undefinedAttributeType", 18: "inappropriateMatching", 19: "constraintViolation", 20: "attributeOrValueExists",
    21: "invalidAttributeSyntax", 32: "noSuchObject", 33: "aliasProblem", 34: "invalidDNSyntax", 36: "aliasDereferencingProblem",
    48: "inappropriateAuthentication", 49: "invalidCredentials", 50: "insufficientAccessRights", 51: "busy", 52: "unavailable",
    53: "unwillingToPerform", 54: "loopDetect", 64: "namingViolation", 65: "objectClassViolation", 66: "notAllowedOnNonLeaf",
    67: "notAllowedOnRDN", 68: "entryAlreadyExists", 69: "objectClassModsProhibited", 71: "affectsMultipleDSAs", 80: "other",
}  # fmt: skip
_EXTENDED_NAMES: Final[dict[str, str]] = {
    "1.3.6.1.4.1.1466.20037": "StartTLS", "1.3.6.1.4.1.4203.1.11.1": "Modify password", "1.3.6.1.4.1.4203.1.11.3": "Who am I",
    "1.3.6.1.1.8": "Cancel", "1.3.6.1.4.1.1466.101.119.1": "Dynamic refresh",
}  # fmt: skip
_SCOPES: Final = ("base", "single", "tree", "subordinate")
_CHANGES: Final = ("add", "delete", "replace", "increment")
_AND, _OR, _NOT, _EQUAL, _SUBSTRINGS, _GREATER, _LESS, _PRESENT, _APPROXIMATE, _EXTENSIBLE = (
    0xA0, 0xA1, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0x87, 0xA8, 0xA9)  # fmt: skip
_FILTER_DEPTH: Final = 24
_MOST: Final = 256
_HEADER_BYTES: Final = 6
_KRB_WRAP, _KRB_HEADER_BYTES = b"\x05\x04", 16
_NTLM_SIGNATURE, _NTLM_SIGNATURE_BYTES = b"\x01\0\0\0", 16


def _size(head: bytes) -> int:
    """RFC 4511 5.1: a sequence with its length; behind a SASL layer, four bytes of length before it (RFC 4422 3.7)."""
    if head[0] == 0:
        return 4 + int.from_bytes(head[:4], "big")
    if head[0] != SEQUENCE:
        return NOT_A_MESSAGE
    if head[1] < 0x80:
        return 2 + head[1]
    count = head[1] & 0x7F
    return 2 + count + int.from_bytes(head[2 : 2 + count], "big") if 1 <= count <= 4 else NOT_A_MESSAGE


def _unsigned(data: bytes) -> bytes | None:
    """The message behind a SASL layer that only signs; None where it is encrypted."""
    if data[:1] != b"\0":
        return data
    inner = data[4:]
    if inner[:2] == _KRB_WRAP and len(inner) > _KRB_HEADER_BYTES and not inner[2] & 2:
        # RFC 4121 4.2.6.2: flag 2 says sealed; EC is the size of the checksum behind, or RRC brings it in front.
        extra, rotated = int.from_bytes(inner[4:6], "big"), int.from_bytes(inner[6:8], "big")
        body = inner[_KRB_HEADER_BYTES:]
        return body[extra:] if rotated else body[: len(body) - extra]
    if inner[:4] == _NTLM_SIGNATURE and inner[_NTLM_SIGNATURE_BYTES : _NTLM_SIGNATURE_BYTES + 1] == b"\x30":
        return inner[_NTLM_SIGNATURE_BYTES:]
    return None


def _text(data: bytes, e: Element) -> str:
    return words_of(data[e.start : e.stop])


def _number(data: bytes, e: Element) -> int:
    return int.from_bytes(data[e.start : min(e.stop, e.start + 8)], "big", signed=True)


def _value(data: bytes, e: Element) -> str:
    """RFC 4515 3: what does not print, and what means something, is escaped."""
    raw = data[e.start : min(e.stop, e.start + MAX_TEXT_FIELD)]
    try:
        words = raw.decode("utf-8")
    except UnicodeDecodeError:
        return "".join(f"\\{b:02x}" for b in raw)
    return "".join(c if c.isprintable() and c not in "*()\\" else "".join(f"\\{b:02x}" for b in c.encode()) for c in words)


def filter_text(data: bytes, e: Element, depth: int = 0) -> str:
    """A filter as RFC 4515 writes it."""
    if depth > _FILTER_DEPTH:
        return "(...)"
    if e.tag in (_AND, _OR, _NOT):
        inner: list[str] = []
        size = 0
        for part in elements(data, e, _MOST):
            inner.append(filter_text(data, part, depth + 1))
            size += len(inner[-1])
            if size > MAX_LDAP_FILTER:
                inner.append("(...)")
                break
        return "(" + {_AND: "&", _OR: "|", _NOT: "!"}[e.tag] + "".join(inner) + ")"
    if e.tag == _PRESENT:
        return f"({_text(data, e)}=*)"
    parts = elements(data, e, 4)
    if e.tag == _EXTENSIBLE:
        return "(" + _extensible(data, parts) + ")"
    if len(parts) < 2:
        return "(?)"
    name = _text(data, parts[0])
    if e.tag == _SUBSTRINGS:
        return f"({name}={_substrings(data, parts[1])})"
    sign = {_EQUAL: "=", _GREATER: ">=", _LESS: "<=", _APPROXIMATE: "~="}.get(e.tag, "?")
    return f"({name}{sign}{_value(data, parts[1])})"


def _substrings(data: bytes, e: Element) -> str:
    """RFC 4511 4.5.1.7.2: initial (0), any (1), final (2)."""
    pieces = elements(data, e, _MOST)
    words = [_value(data, p) for p in pieces]
    first = "" if pieces and pieces[0].tag == 0x80 else "*"
    last = "" if pieces and pieces[-1].tag == 0x82 else "*"
    return first + "*".join(words) + last


def _extensible(data: bytes, parts: list[Element]) -> str:
    """RFC 4511 4.5.1.7.7: rule (1), type (2), value (3), DN attributes (4)."""
    found = {p.tag & 31: p for p in parts}
    name = _text(data, found[2]) if 2 in found else ""
    dn = ":dn" if 4 in found and data[found[4].start : found[4].stop] not in (b"", b"\0") else ""
    rule = ":" + _text(data, found[1]) if 1 in found else ""
    return f"{name}{dn}{rule}:={_value(data, found[3]) if 3 in found else ''}"


@dataclass(slots=True)
class _Operation:
    number: int
    tag: int
    packet_id: int
    ts_ns: int
    row: int | None = None
    name: str = ""
    version: str | None = None
    object: str | None = None
    argument: str | None = None
    scope: str | None = None
    filter: str | None = None
    attributes: list[str] = field(default_factory=list)
    entries: int = 0
    user: str | None = None
    method: str | None = None
    cleartext: bool = False
    is_ntlm: bool = False


class LdapExchange(Reporter):
    """Operations of one flow and their results, by message id."""

    def __init__(self, ends: FlowEnds, emit: Emit, service: str) -> None:
        super().__init__(ends, emit)
        self.service = service
        self._waiting: dict[int, _Operation] = {}
        self._early: dict[int, tuple[bytes, Element]] = {}
        self._ntlm = NtlmExchange(self, service)
        self._binds_only = not ends.interest.asks("ldap")

    def message(self, data: bytes, packet_id: int, ts_ns: int) -> None:
        """A whole message, without what a SASL layer adds."""
        try:
            outer = element(data, 0, len(data))
            number = element(data, outer.start, outer.stop)
            body = element(data, number.stop, outer.stop)
            self._operation(data, _number(data, number), body, packet_id, ts_ns)
        except Broken:
            self.note("a message is malformed")

    def _operation(self, data: bytes, number: int, body: Element, packet_id: int, ts_ns: int) -> None:
        if body.tag in _ANSWERS:
            if not self._binds_only or body.tag in _TOLD:
                self._answer(data, number, body)
            return
        read = _READERS.get(body.tag)
        if read is None or (self._binds_only and body.tag not in _TELLING):
            return
        operation = _Operation(number, body.tag, packet_id, ts_ns, self.number("ldap"), _NAMES.get(body.tag, "?"))
        try:
            read(self, data, body, operation)
        except (Broken, IndexError, ValueError):
            # ValueError: fewer elements than the operation has parts.
            self.note("a message is malformed")
        if body.tag in (_UNBIND, _ABANDON):
            self._row(operation, None, None)
            return
        before = self._waiting.pop(number, None)
        if before is not None:
            self._row(before, None, None)
        self._waiting[number] = operation
        early = self._early.pop(number, None)
        if early is not None:
            self._answer(early[0], number, early[1])
        if len(self._waiting) > MAX_LDAP_WAITING:
            self._row(self._waiting.pop(next(iter(self._waiting))), None, None)

    # -- requests: each fills an operation ----------------------------------------------------------------------------------
    def _bind(self, data: bytes, body: Element, o: _Operation) -> None:
        # RFC 4511 4.2: version, name, choice of authentication.
        version, name, auth = elements(data, body, 3)
        o.version, o.object = str(_number(data, version)), _text(data, name) or None
        if auth.tag == _SIMPLE:
            o.name, o.method, o.user = "bind simple", "simple", o.object
            o.cleartext = auth.stop > auth.start
        elif auth.tag == _SASL:
            o.name = "bind SASL"
            parts = elements(data, auth, 2)
            o.argument = o.method = _text(data, parts[0])
            if len(parts) > 1:
                self._token(data[parts[1].start : parts[1].stop], o)
        elif auth.tag in _SICILY:
            o.name, o.argument, o.method = "bind NTLM", "NTLM", "NTLM"
            self._token(data[auth.start : auth.stop], o)

    def _token(self, token: bytes, o: _Operation) -> None:
        """What a client sends within a mechanism."""
        message = messages_in(token)
        if message is not None:
            said = self._ntlm.authenticate(message, o.packet_id, o.ts_ns)
            o.is_ntlm = said is not None
            return
        ticket = ticket_in(token)
        if ticket is not None:
            report(self, self.service, ticket, None, o.packet_id, o.ts_ns)
            o.method = "Kerberos"
        elif o.argument == "PLAIN" and token.count(b"\0") >= 2:
            # RFC 4616: [authzid] NUL authcid NUL passwd.
            o.user, o.cleartext = words_of(token.split(b"\0")[1]), True
        elif (o.argument or "").startswith("SCRAM-") and b",n=" in token:
            o.user = words_of(token.split(b",n=", 1)[1].split(b",", 1)[0])

    def _search(self, data: bytes, body: Element, o: _Operation) -> None:
        # RFC 4511 4.5.1: base, scope, aliases, limits of size and time, types only, filter, attributes.
        parts = elements(data, body, 8)
        o.object, scope = _text(data, parts[0]) or None, _number(data, parts[1])
        o.scope = _SCOPES[scope] if 0 <= scope < len(_SCOPES) else str(scope)
        o.filter = filter_text(data, parts[6])[:MAX_LDAP_FILTER]
        o.attributes = [_text(data, a) for a in elements(data, parts[7], _MOST)] if len(parts) > 7 else []

    def _modify(self, data: bytes, body: Element, o: _Operation) -> None:
        # RFC 4511 4.6: object, changes of operation and attribute.
        name, changes = elements(data, body, 2)
        o.object = _text(data, name)
        for change in elements(data, changes, _MOST):
            kind, attribute = elements(data, change, 2)
            number = _number(data, kind)
            verb = _CHANGES[number] if 0 <= number < len(_CHANGES) else str(number)
            o.attributes.append(f"{verb} {_text(data, element(data, attribute.start, attribute.stop))}")

    def _add(self, data: bytes, body: Element, o: _Operation) -> None:
        name, attributes = elements(data, body, 2)
        o.object = _text(data, name)
        o.attributes = [_text(data, element(data, a.start, a.stop)) for a in elements(data, attributes, _MOST)]

    def _rename(self, data: bytes, body: Element, o: _Operation) -> None:
        # RFC 4511 4.9: entry, new name, whether the old is deleted, new superior.
        parts = elements(data, body, 4)
        o.object, o.argument = _text(data, parts[0]), _text(data, parts[1])
        if len(parts) > 3:
            o.argument += "," + _text(data, parts[3])

    def _compare(self, data: bytes, body: Element, o: _Operation) -> None:
        name, pair = elements(data, body, 2)
        o.object = _text(data, name)
        attribute, value = elements(data, pair, 2)
        o.argument = f"{_text(data, attribute)}={_value(data, value)}"
        if _text(data, attribute).lower().startswith(("userpassword", "unicodepwd")):
            o.argument = f"{_text(data, attribute)}=<hidden>"

    def _extended(self, data: bytes, body: Element, o: _Operation) -> None:
        name = _text(data, elements(data, body, 1)[0])
        o.argument = _EXTENDED_NAMES.get(name, name)

    def _plain(self, data: bytes, body: Element, o: _Operation) -> None:
        if body.tag == _DELETE:
            o.object = _text(data, body)

    # -- answers ----------------------------------------------------------------------------------------------------------------
    def _answer(self, data: bytes, number: int, body: Element) -> None:
        operation = self._waiting.get(number)
        if operation is None:
            if body.tag in _FINAL and len(self._early) < MAX_LDAP_WAITING:
                # The answer may come before the request where the flow was taken for the other way round.
                self._early.setdefault(number, (data, body))
            return
        if body.tag == _ENTRY:
            operation.entries += 1
        if body.tag not in _FINAL:
            return
        # RFC 4511 4.1.9: code, matched name, words of the server; of a bind then its token.
        parts = elements(data, body, 8)
        code = _number(data, parts[0]) if parts else -1
        words = (_text(data, parts[2]) or None) if len(parts) > 2 else None
        del self._waiting[number]
        if operation.tag == _BIND:
            self._bound(data, operation, code, words, parts)
        self._row(operation, _RESULTS.get(code, str(code)), words)

    def _bound(self, data: bytes, o: _Operation, code: int, words: str | None, parts: list[Element]) -> None:
        token = next((data[p.start : p.stop] for p in parts[3:] if p.tag in (0x87, 0x89, 0x8A)), b"")
        if not token and len(parts) > 1 and messages_in(data[parts[1].start : parts[1].stop]):
            token = data[parts[1].start : parts[1].stop]
        reply = messages_in(token)
        if reply is not None:
            self._ntlm.challenge(reply)
        if code == _IN_PROGRESS:
            return
        accepted = code == 0
        if o.is_ntlm:
            self._ntlm.answered(accepted, _RESULTS.get(code, str(code)))
        elif not (reply is not None and o.method == "NTLM"):
            answer = _RESULTS.get(code, str(code)) + (f": {words}" if words else "")
            self.login(o.user, o.method, cleartext=o.cleartext, accepted=accepted, answer=answer, packet_id=o.packet_id, ts_ns=o.ts_ns,
                       note="anonymous" if o.method == "simple" and not o.user else None)  # fmt: skip

    def _row(self, o: _Operation, result: str | None, answer: str | None) -> None:
        if o.row is None:
            return
        self.emit("ldap", (
            *self.begin(o.row, o.ts_ns), o.number, o.version, o.name, o.object, o.argument, o.scope, o.filter, o.attributes or None,
            o.entries if o.tag == _SEARCH else None, result, answer, o.packet_id, self.said,
        ))  # fmt: skip

    def end(self) -> None:
        for operation in self._waiting.values():
            self._row(operation, None, None)
            if operation.tag == _BIND and operation.method == "simple":
                self.login(operation.user, "simple", cleartext=operation.cleartext, accepted=None, answer=None,
                           packet_id=operation.packet_id, ts_ns=operation.ts_ns)  # fmt: skip
        self._waiting.clear()
        self._ntlm.end()


_READERS: Final[dict[int, Callable[[LdapExchange, bytes, Element, _Operation], None]]] = {
    _BIND: LdapExchange._bind, _SEARCH: LdapExchange._search, _MODIFY: LdapExchange._modify, _ADD: LdapExchange._add,
    _RENAME: LdapExchange._rename, _COMPARE: LdapExchange._compare, _EXTENDED: LdapExchange._extended, _DELETE: LdapExchange._plain,
    _UNBIND: LdapExchange._plain, _ABANDON: LdapExchange._plain,
}  # fmt: skip


class LdapSession:
    """LDAP over TCP; behind StartTLS everything is TLS, which its own reader reads."""

    def __init__(self, ends: FlowEnds, emit: Emit, *, originator_is_client: bool) -> None:
        self.finished = False
        self._ends = ends
        self._emit = emit
        self._exchange = LdapExchange(ends if originator_is_client else swapped(ends), emit, "ldap_tcp")
        self._framers = {side: Framer(_HEADER_BYTES, _size, MAX_LDAP_MESSAGE_BYTES) for side in (True, False)}
        self._begun = {True: False, False: False}
        self._tls = {True: False, False: False}
        self._inner: Session | None = None

    def feed(self, chunk: Chunk) -> None:
        side = chunk.from_originator
        if self._tls[side] or (self._begun[side] and chunk.data[:2] == b"\x16\x03"):
            self._to_tls(chunk)
            return
        if chunk.gap_before:
            self._exchange.note("bytes are missing")
        for data, packet_id, ts_ns in self._framers[side].feed(self._up_to_tls(chunk)):
            self._begun[side] = True
            message = _unsigned(data)
            if message is None:
                self._exchange.note("encrypted from here on")
            else:
                self._exchange.message(message, packet_id, ts_ns)
        if self._framers[side].lost and self._framers[not side].lost:
            self.finished = True

    def _up_to_tls(self, chunk: Chunk) -> Chunk:
        """The chunk up to a TLS hello that begins with one of its segments; what follows is handed over later."""
        for start in chunk.segments.starts[1:]:
            at = int(start) - chunk.offset
            if 0 < at < len(chunk.data) - 5 and chunk.data[at : at + 2] == b"\x16\x03" and chunk.data[at + 2] <= 4:
                self._to_tls(chunk._replace(data=chunk.data[at:], offset=chunk.offset + at, gap_before=0))
                return chunk._replace(data=chunk.data[:at])
        return chunk

    def _to_tls(self, chunk: Chunk) -> None:
        self._tls[chunk.from_originator] = True
        if self._inner is None:
            self._inner = open_tls(self._ends, chunk, self._emit)
        if not self._inner.finished:
            self._inner.feed(chunk)
        self.finished = self._inner.finished and all(self._tls.values())

    def close(self, note: str) -> None:
        self._exchange.note(note)
        self._exchange.end()
        if self._inner is not None:
            self._inner.close(note)


def open_session(ends: FlowEnds, chunk: Chunk, emit: Emit) -> LdapSession:
    """Opener for STREAMS. Who answers is the server, whatever the ports made of it."""
    answers = _ANSWER.match(chunk.data) is not None
    return LdapSession(ends, emit, originator_is_client=chunk.from_originator != answers)


class LdapDatagrams:
    """All flows of LDAP over UDP (Active Directory's ping)."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._flows: dict[int, LdapExchange] = {}

    def datagram(self, datagram: Datagram) -> bool:
        flow = self._flows.get(datagram.flow_id)
        if flow is None:
            flow = self._flows[datagram.flow_id] = LdapExchange(ends_of(datagram), self._emit, "ldap_udp")
        data = datagram.data
        # An answer holds entries and their end, one behind the other.
        for _ in range(_MOST):
            if len(data) < _HEADER_BYTES:
                break
            size = _size(data[:_HEADER_BYTES])
            if size < _HEADER_BYTES:
                flow.note("a message is malformed")
                break
            flow.message(data[:size], datagram.packet_id, datagram.ts_ns)
            data = data[size:]
        return False

    def end(self, flow_id: int) -> None:
        flow = self._flows.pop(flow_id, None)
        if flow is not None:
            flow.end()
