"""In: the bytes of a Kerberos message. Out: what it says in the clear: who asks for what, with which encryption, and how it fared.
Never here: pairing requests with answers (kerberos.py), or decryption.

RFC 4120 5.4 (AS and TGS), 5.5 (AP), 5.9 (errors), 7.5 (numbers); RFC 3961, 3962, 4757, 8009 (encryption types)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from tracehound.protocols.der import SEQUENCE, Broken, Element, element, elements, time_ns
from tracehound.protocols.lines import visible, words_of

AS_REQ, AS_REP, TGS_REQ, TGS_REP, AP_REQ, AP_REP, ERROR = 0x6A, 0x6B, 0x6C, 0x6D, 0x6E, 0x6F, 0x7E
PREAUTH_FAILED, PREAUTH_REQUIRED = 24, 25
_TICKET: Final = 0x61
_PROOFS: Final = frozenset({2, 14, 16, 17, 138})
"""Kinds of pre-authentication that prove a key: encrypted time stamp, PKINIT, encrypted challenge."""
_NETBIOS_ADDRESS: Final = 20
_FORWARDABLE, _RENEWABLE = 1, 8
_CIPHERS: Final[dict[int, str]] = {
    1: "des-cbc-crc", 2: "des-cbc-md4", 3: "des-cbc-md5", 5: "des3-cbc-md5", 7: "des3-cbc-sha1", 16: "des3-cbc-sha1-kd",
    17: "aes128-cts-hmac-sha1-96", 18: "aes256-cts-hmac-sha1-96", 19: "aes128-cts-hmac-sha256-128",
    20: "aes256-cts-hmac-sha384-192", 23: "rc4-hmac", 24: "rc4-hmac-exp", 25: "camellia128-cts-cmac", 26: "camellia256-cts-cmac",
    -128: "rc4-md4", -133: "rc4-hmac-old", -135: "rc4-hmac-old-exp",
}  # fmt: skip
_ERRORS: Final[dict[int, str]] = {
    0: "KDC_ERR_NONE", 1: "KDC_ERR_NAME_EXP", 2: "KDC_ERR_SERVICE_EXP", 3: "KDC_ERR_BAD_PVNO", 6: "KDC_ERR_C_PRINCIPAL_UNKNOWN",
    7: "KDC_ERR_S_PRINCIPAL_UNKNOWN", 8: "KDC_ERR_PRINCIPAL_NOT_UNIQUE", 9: "KDC_ERR_NULL_KEY", 10: "KDC_ERR_CANNOT_POSTDATE",
    11: "KDC_ERR_NEVER_VALID", 12: "KDC_ERR_POLICY", 13: "KDC_ERR_BADOPTION", 14: "KDC_ERR_ETYPE_NOSUPP",
    15: "KDC_ERR_SUMTYPE_NOSUPP", 16: "KDC_ERR_PADATA_TYPE_NOSUPP", 18: "KDC_ERR_CLIENT_REVOKED", 19: "KDC_ERR_SERVICE_REVOKED",
    20: "KDC_ERR_TGT_REVOKED", 21: "KDC_ERR_CLIENT_NOTYET", 22: "KDC_ERR_SERVICE_NOTYET", 23: "KDC_ERR_KEY_EXPIRED",
    24: "KDC_ERR_PREAUTH_FAILED", 25: "KDC_ERR_PREAUTH_REQUIRED", 26: "KDC_ERR_SERVER_NOMATCH", 28: "KDC_ERR_PATH_NOT_ACCEPTED",
    29: "KDC_ERR_SVC_UNAVAILABLE", 31: "KRB_AP_ERR_BAD_INTEGRITY", 32: "KRB_AP_ERR_TKT_EXPIRED", 33: "KRB_AP_ERR_TKT_NYV",
    34: "KRB_AP_ERR_REPEAT", 35: "KRB_AP_ERR_NOT_US", 36: "KRB_AP_ERR_BADMATCH", 37: "KRB_AP_ERR_SKEW", 40: "KRB_AP_ERR_MSG_TYPE",
    41: "KRB_AP_ERR_MODIFIED", 44: "KRB_AP_ERR_BADKEYVER", 52: "KRB_ERR_RESPONSE_TOO_BIG", 60: "KRB_ERR_GENERIC",
    61: "KRB_ERR_FIELD_TOOLONG", 68: "KDC_ERR_WRONG_REALM",
}  # fmt: skip
_MOST: Final = 64
_GSS_KERBEROS: Final = b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x01\x00"
"""RFC 4121 4.1: the mechanism's object identifier and the token id of an AP-REQ."""


@dataclass(slots=True)
class KerberosMessage:
    kind: int
    client: str | None = None
    realm: str | None = None
    service: str | None = None
    ciphers: list[str] = field(default_factory=list)
    ticket_cipher: str | None = None
    reply_cipher: str | None = None
    proved: bool = False
    options: int | None = None
    till_ns: int | None = None
    host_name: str | None = None
    error: int | None = None
    error_text: str | None = None

    def option(self, bit: int) -> bool | None:
        """Bit of the KDC options, counted from the left (RFC 4120 5.4.1)."""
        return None if self.options is None else bool(self.options >> (31 - bit) & 1)

    @property
    def forwardable(self) -> bool | None:
        return self.option(_FORWARDABLE)

    @property
    def renewable(self) -> bool | None:
        return self.option(_RENEWABLE)


def cipher_text(number: int) -> str:
    return _CIPHERS.get(number, f"etype {number}")


def error_text(number: int) -> str:
    return _ERRORS.get(number, f"error {number}")


def _fields(data: bytes, outer: Element) -> dict[int, Element]:
    """Members of a sequence by the number of their tag; explicit tags are taken off."""
    found: dict[int, Element] = {}
    for member in elements(data, outer, _MOST):
        if member.tag & 0xE0 == 0xA0 and member.stop > member.start:
            found[member.tag & 31] = element(data, member.start, member.stop)
    return found


def _number(data: bytes, e: Element | None) -> int | None:
    return None if e is None else int.from_bytes(data[e.start : min(e.stop, e.start + 8)], "big", signed=True)


def _words(data: bytes, e: Element | None) -> str | None:
    return (words_of(data[e.start : e.stop]) or None) if e is not None else None


def _principal(data: bytes, e: Element | None) -> str | None:
    """RFC 4120 5.2.2: a type and the parts of the name."""
    if e is None:
        return None
    parts = _fields(data, e).get(1)
    return "/".join(words_of(data[p.start : p.stop]) for p in elements(data, parts, 16)) or None if parts is not None else None


def _ticket(data: bytes, m: KerberosMessage, e: Element | None) -> None:
    """RFC 4120 5.3: realm, service, and what it is encrypted with."""
    if e is None or e.tag != _TICKET:
        return
    f = _fields(data, element(data, e.start, e.stop))
    m.service = m.service or _principal(data, f.get(2))
    m.realm = m.realm or _words(data, f.get(1))
    m.ticket_cipher = _cipher(data, f.get(3))


def _cipher(data: bytes, e: Element | None) -> str | None:
    number = _number(data, _fields(data, e).get(0)) if e is not None else None
    return cipher_text(number) if number is not None else None


def _request(data: bytes, m: KerberosMessage, f: dict[int, Element]) -> None:
    for item in elements(data, f[3], _MOST) if 3 in f else ():
        m.proved = m.proved or _number(data, _fields(data, item).get(1)) in _PROOFS
    body = _fields(data, f[4]) if 4 in f else {}
    if 0 in body and body[0].stop - body[0].start >= 5:
        m.options = int.from_bytes(data[body[0].start + 1 : body[0].start + 5], "big")
    m.client, m.realm, m.service = _principal(data, body.get(1)), _words(data, body.get(2)), _principal(data, body.get(3))
    if 5 in body:
        m.till_ns = _time(data, body[5])
    if 8 in body:
        m.ciphers = [cipher_text(_number(data, e) or 0) for e in elements(data, body[8], _MOST)]
    for address in elements(data, body[9], _MOST) if 9 in body else ():
        pair = _fields(data, address)
        if _number(data, pair.get(0)) == _NETBIOS_ADDRESS and 1 in pair:
            m.host_name = visible(data[pair[1].start : pair[1].stop][:15].rstrip(b" \0").decode("latin-1")) or None


def _time(data: bytes, e: Element) -> int | None:
    try:
        ns = time_ns(data, e)
    except Broken:
        return None
    return ns if -(2**63) < ns < 2**63 else None


def _reply(data: bytes, m: KerberosMessage, f: dict[int, Element]) -> None:
    m.realm, m.client = _words(data, f.get(3)), _principal(data, f.get(4))
    _ticket(data, m, f.get(5))
    m.reply_cipher = _cipher(data, f.get(6))


def _failed(data: bytes, m: KerberosMessage, f: dict[int, Element]) -> None:
    m.error, m.client = _number(data, f.get(6)), _principal(data, f.get(8))
    m.realm, m.service = _words(data, f.get(9)), _principal(data, f.get(10))
    m.error_text = _words(data, f.get(11))


def _shown(data: bytes, m: KerberosMessage, f: dict[int, Element]) -> None:
    _ticket(data, m, f.get(3))


_READERS: Final = {
    AS_REQ: _request, TGS_REQ: _request, AS_REP: _reply, TGS_REP: _reply, ERROR: _failed, AP_REQ: _shown, AP_REP: None,
}  # fmt: skip


def parse_kerberos(data: bytes) -> KerberosMessage | None:
    """A message; None where it is none that is read. Raises Broken."""
    outer = element(data, 0, len(data))
    if outer.tag not in _READERS:
        return None
    m = KerberosMessage(outer.tag)
    inner = element(data, outer.start, outer.stop)
    if inner.tag != SEQUENCE:
        raise Broken("no sequence")
    read = _READERS[outer.tag]
    if read is not None:
        read(data, m, _fields(data, inner))
    return m


def ticket_in(token: bytes) -> KerberosMessage | None:
    """The AP-REQ in a security token: bare, or somewhere inside SPNEGO (RFC 4178)."""
    at = token.find(_GSS_KERBEROS)
    data = token[at + len(_GSS_KERBEROS) :] if at >= 0 else token
    if data[:1] != bytes((AP_REQ,)):
        return None
    try:
        return parse_kerberos(data)
    except Broken:
        return None
