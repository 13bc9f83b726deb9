"""In: HTTP transactions. Out: rows of table `logins`: what their headers, forms and targets say of accounts.
Never here: a password; that one could be read is all that is kept of it.

RFC 7617 Basic, RFC 7616 Digest, RFC 6750 Bearer, RFC 4559 Negotiate, [MS-NLMP] 2.2.1.3 for NTLM's AUTHENTICATE_MESSAGE."""

from __future__ import annotations

import binascii
import json
import re
from typing import Any, Final, NamedTuple

from tracehound.protocols.form_data import FormParts, parameters, urlencoded_fields
from tracehound.protocols.http_message import Message, Transaction, text
from tracehound.protocols.ntlm import NtlmExchange, messages_in
from tracehound.protocols.reporter import Reporter
from tracehound.protocols.session import TXN_SHIFT, Emit, FlowEnds

_PASSWORD: Final = re.compile(
    r"(?:[a-z]{1,12}[_\-.\[]|user|usr|login|log|my|txt|input|account|admin|new|old|auth|web|mail)?(?:pass(?:wor[dt]|wd|phrase|code)?|p(?:ass)?wd|psw(?:d|rd)?|passwort|kennwort|contrase(?:n|ñ)a|senha|parola"
    r"|motdepasse|mdp|heslo|haslo)(?:[_\-.]?[0-9]{0,4}|[_\-.][a-z0-9]{1,8})\]?",
    re.IGNORECASE,
)
_USER: Final = re.compile(
    r"(?:[a-z]{0,12}[_\-.\[]?)?(?:user[_\-]?(?:name|id|login)?|login(?:[_\-]?(?:name|id))?|log|e?-?mail|account|uname|uid|userid|usr"
    r"|benutzer(?:name)?|usuario|utilisateur|identifiant|nick(?:name)?|name)\]?",
    re.IGNORECASE,
)
_HINT: Final = re.compile(r"(?i)pass|pwd|psw|kennwort|contrase|senha|parola|mdp|heslo|haslo")
_JSON_FIELD: Final = re.compile(r'"([\w.\-]{1,64})"\s{0,16}:\s{0,16}"((?:[^"\\]|\\.){0,256})"')
_NTLM: Final = b"NTLMSSP\0"
_CHALLENGES: Final = {"authorization": "www-authenticate", "proxy-authorization": "proxy-authenticate"}
_FORM: Final = "application/x-www-form-urlencoded"


class _Attempt(NamedTuple):
    """user, how, whether the secret is readable, a note, and a mark that tells one attempt from its repetition."""

    user: str | None
    method: str
    cleartext: bool
    note: str | None
    mark: str


def _decoded(value: str) -> bytes | None:
    """Base64 with or without padding, URL alphabet as well; None if it is none."""
    plain = value.strip().replace("-", "+").replace("_", "/")
    try:
        return binascii.a2b_base64(plain + "=" * (-len(plain) % 4))
    except (binascii.Error, ValueError):
        return None


def _basic(value: str) -> _Attempt | None:
    raw = _decoded(value)
    if raw is None:
        return _Attempt(None, "Basic", False, "credentials are not base64", value)
    user, colon, _ = raw.partition(b":")
    return _Attempt(text(user), "Basic", bool(colon), None if colon else "credentials without a colon", value)


def _digest(value: str) -> _Attempt | None:
    user = parameters("; " + value.replace(",", ";")).get("username")
    return _Attempt(user, "Digest", False, None, user or "")


def _claim(raw: bytes | None) -> str | None:
    try:
        claims: Any = json.loads(raw or b"")
    except (ValueError, RecursionError):
        return None
    if not isinstance(claims, dict):
        return None
    for name in ("preferred_username", "upn", "email", "unique_name", "username", "sub"):
        said = claims.get(name)
        if isinstance(said, str) and said:
            return text(said.encode("utf-8", "replace")[:256])
    return None


def _bearer(value: str) -> _Attempt | None:
    # RFC 7519: a token of three parts has its claims in the second, readable by anybody.
    parts = value.split(".")
    user = _claim(_decoded(parts[1])) if len(parts) == 3 and len(value) < 16_384 else None
    return _Attempt(user, "Bearer", True, None, value)


def _ntlm_field(raw: bytes, at: int, coding: str) -> str:
    """Length (2), maximum length (2), offset (4) of a value in the message."""
    length, offset = int.from_bytes(raw[at : at + 2], "little"), int.from_bytes(raw[at + 4 : at + 8], "little")
    return raw[offset : offset + length].decode(coding, "replace") if offset + length <= len(raw) else ""


def _ntlm(value: str) -> _Attempt | None:
    raw = _decoded(value)
    if raw is None:
        return _Attempt(None, "NTLM", False, "credentials are not base64", value)
    at = raw.find(_NTLM)
    if at < 0:
        # RFC 4120: a Kerberos ticket in SPNEGO or bare begins with an application tag.
        return _Attempt(None, "Kerberos", False, None, value[:64]) if raw[:1] == b"\x60" else None
    raw = raw[at:]
    if int.from_bytes(raw[8:12], "little") != 3 or len(raw) < 64:
        return None  # NEGOTIATE and CHALLENGE name nobody
    # [MS-NLMP] 2.2.2.5: bit 0 of the flags says that strings are UTF-16.
    coding = "utf-16-le" if raw[60] & 1 else "latin-1"
    domain, user = _ntlm_field(raw, 28, coding), _ntlm_field(raw, 36, coding)
    name = f"{domain}\\{user}" if domain else user
    return _Attempt("".join(c for c in name if c.isprintable()) or None, "NTLM", False, None if user else "anonymous", name)


_SCHEMES: Final = {"basic": _basic, "digest": _digest, "bearer": _bearer, "ntlm": _ntlm, "negotiate": _ntlm}


def _from_header(value: str) -> _Attempt | None:
    scheme, _, rest = value.strip().partition(" ")
    read = _SCHEMES.get(scheme.lower())
    return read(rest.strip()) if read is not None else None


def _from_fields(fields: dict[str, str], where: str) -> _Attempt | None:
    """A field that is named like a password makes it a login."""
    secrets = [n for n in fields if _PASSWORD.fullmatch(n)]
    if not secrets:
        return None
    user = next((v for n, v in fields.items() if _USER.fullmatch(n) and n not in secrets and v), None)
    secret = fields[secrets[0]]
    note = f"{where} field {secrets[0]}" + ("" if secret else ", empty")
    return _Attempt(user, "form", bool(secret), note, f"{user}\0{secret}")


def _form(request: Message) -> _Attempt | None:
    body = request.body
    kind = request.media_type() or ""
    if body is None or not body.length:
        return None
    if isinstance(body.sink, FormParts):
        return _from_fields({n: v.decode("utf-8", "backslashreplace") for n, v in body.sink.fields.items()}, "form")
    head = body.whole.head.decode("latin-1")
    if _HINT.search(head) is None:
        return None
    if kind == _FORM or (not kind and "=" in head[:64]):
        return _from_fields(urlencoded_fields(head.strip()), "form")
    if kind.endswith("json"):
        return _from_fields(dict(reversed(_JSON_FIELD.findall(head))), "JSON")
    return None


def _query(request: Message) -> _Attempt | None:
    query = (request.uri or "").partition("?")[2]
    return _from_fields(urlencoded_fields(query[:8192]), "query") if query and _HINT.search(query) else None


class Logins:
    """The attempts of one connection. One that is repeated with every request of a session is one row, until its answer
    changes."""

    def __init__(self, ends: FlowEnds, emit: Emit) -> None:
        self._ends = ends
        self._emit = emit
        self._number = 0
        self._last: dict[str, tuple[str, str, bool | None]] = {}
        self._ntlm: NtlmExchange | None = None

    def read(self, transaction: Transaction) -> None:
        """Rows for what a finished transaction shows."""
        request, response = transaction.request, transaction.response
        assert request is not None
        status = response.status if response is not None else None
        for header, refused in (("authorization", 401), ("proxy-authorization", 407)):
            value = request.first.get(header)
            if value is None:
                continue
            attempt = _from_header(value)
            accepted = None if status is None or status >= 500 else status not in (refused, 403)
            if attempt is not None and self._is_new(header, attempt, accepted):
                self._row(request, response, attempt, accepted)
            self._exchange(value, request, response, _CHALLENGES[header], accepted)
        if request.body is not None or "?" in (request.uri or ""):
            attempt = _form(request) or _query(request)
            if attempt is not None:
                # What a page says of a form's success is in its words; only a refusal by status can be told.
                self._row(request, response, attempt, False if status in (401, 403) else None)

    def _exchange(self, value: str, request: Message, response: Message | None, header: str, accepted: bool | None) -> None:
        """What NTLM says beside the account: machines and domains of both sides, as rows of table `ntlm`."""
        if not value[:9].lower().startswith(("ntlm", "negotiate")):
            return
        said = messages_in(_decoded(value.partition(" ")[2]) or b"")
        if said is None:
            return
        if self._ntlm is None:
            self._ntlm = NtlmExchange(Reporter(self._ends, self._emit), "http", logins=False)
        self._ntlm.authenticate(said, request.packet_id, request.end_ns)
        asked = response.first.get(header, "") if response is not None else ""
        challenge = messages_in(_decoded(asked.partition(" ")[2].partition(",")[0]) or b"")
        if challenge is not None:
            self._ntlm.challenge(challenge)
        else:
            self._ntlm.answered(accepted)

    def _is_new(self, header: str, attempt: _Attempt, accepted: bool | None) -> bool:
        now = (attempt.method, attempt.mark, accepted)
        if self._last.get(header) == now:
            return False
        self._last[header] = now
        return True

    def _row(self, request: Message, response: Message | None, attempt: _Attempt, accepted: bool | None) -> None:
        e = self._ends
        answer = None
        if response is not None and response.status is not None:
            answer = f"{response.status} {response.reason or ''}".strip()
        self._emit(
            "logins",
            (
                e.flow_id << TXN_SHIFT | self._number, e.flow_id, request.end_ns, e.originator, e.originator_port, e.responder,
                e.responder_port, "http", attempt.user, attempt.method, attempt.cleartext, accepted, answer,
                request.packet_id, attempt.note,
            ),
        )  # fmt: skip
        self._number += 1
