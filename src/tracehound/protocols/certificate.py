"""In: the bytes of an X.509 certificate. Out: what it says, as text, as far as it can be read; its fingerprints always.
Never here: whether to believe it.

RFC 5280; names as RFC 2253 writes them (most specific first), as Zeek and OpenSSL print them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from tracehound.limits import MAX_CERTIFICATE_NAMES
from tracehound.protocols.der import (
    BIT_STRING,
    INTEGER,
    OBJECT_ID,
    SEQUENCE,
    Broken,
    Element,
    element,
    elements,
    object_id,
    text,
    time_ns,
)

_NAMES: Final[dict[str, str]] = {
    "2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST",
    "2.5.4.9": "street", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.13": "description",
    "2.5.4.15": "businessCategory", "2.5.4.17": "postalCode", "2.5.4.42": "GN", "2.5.4.97": "organizationIdentifier",
    "0.9.2342.19200300.100.1.25": "DC", "0.9.2342.19200300.100.1.1": "UID", "1.2.840.113549.1.9.1": "emailAddress",
    "1.3.6.1.4.1.311.60.2.1.1": "jurisdictionL", "1.3.6.1.4.1.311.60.2.1.2": "jurisdictionST",
    "1.3.6.1.4.1.311.60.2.1.3": "jurisdictionC",
}  # fmt: skip
_SIGNATURES: Final[dict[str, str]] = {
    "1.2.840.113549.1.1.2": "md2WithRSAEncryption", "1.2.840.113549.1.1.4": "md5WithRSAEncryption",
    "1.2.840.113549.1.1.5": "sha1WithRSAEncryption", "1.2.840.113549.1.1.10": "rsassaPss",
    "1.2.840.113549.1.1.11": "sha256WithRSAEncryption", "1.2.840.113549.1.1.12": "sha384WithRSAEncryption",
    "1.2.840.113549.1.1.13": "sha512WithRSAEncryption", "1.2.840.10040.4.3": "dsaWithSHA1",
    "1.2.840.10045.4.1": "ecdsa-with-SHA1", "1.2.840.10045.4.3.2": "ecdsa-with-SHA256",
    "1.2.840.10045.4.3.3": "ecdsa-with-SHA384", "1.2.840.10045.4.3.4": "ecdsa-with-SHA512", "1.3.101.112": "ED25519",
}  # fmt: skip
_KEYS: Final[dict[str, str]] = {
    "1.2.840.113549.1.1.1": "rsa", "1.2.840.10040.4.1": "dsa", "1.2.840.10045.2.1": "ec", "1.3.101.112": "ed25519",
    "1.2.840.113549.1.1.10": "rsa-pss",
}  # fmt: skip
_CURVES: Final[dict[str, str]] = {
    "1.2.840.10045.3.1.7": "prime256v1", "1.3.132.0.34": "secp384r1", "1.3.132.0.35": "secp521r1", "1.3.132.0.10": "secp256k1",
}  # fmt: skip
_ALTERNATIVE_NAMES: Final = "2.5.29.17"
_SPECIAL: Final = frozenset(',+"\\<>;')
_MAX_ELEMENTS: Final = 256
EXPLICIT_CURVE: Final = "curve given by explicit parameters"
"""RFC 5480 2.1.1 forbids it; whoever chooses the generator freely can pose as the owner of any key (CVE-2020-0601)."""
LONG_LABEL: Final = "punycode label of more than 63 bytes"
"""No label of a name may be so long (RFC 1035 2.3.4); readers that decode it into a small buffer overflow (CVE-2022-3602)."""
_PUNYCODE = re.compile(rb"xn--[!-~]{60,}", re.IGNORECASE)


_KEPT: Final = 1024
_KEPT_BYTES: Final = 4096
"""A server shows the same certificate on every connection: so many of at most so many bytes are not read again."""


@dataclass(slots=True)
class Certificate:
    """What a certificate says; None where it could not be read, and `note` why. Shared by all who ask for the same one."""

    sha1: str
    sha256: str
    serial: str | None = None
    subject: str | None = None
    issuer: str | None = None
    not_before_ns: int | None = None
    not_after_ns: int | None = None
    signature: str | None = None
    key: str | None = None
    names: tuple[str, ...] = ()
    note: str = ""

    @property
    def self_signed(self) -> bool | None:
        """Whether it names itself as its issuer; None where a name could not be read."""
        return None if self.subject is None or self.issuer is None else self.subject == self.issuer


def parse_certificate(data: bytes) -> Certificate:
    """Read one certificate. Never raises: what cannot be read is None, with a note."""
    return _remembered(data) if len(data) <= _KEPT_BYTES else _parsed(data)


def _parsed(data: bytes) -> Certificate:
    found = Certificate(hashlib.sha1(data, usedforsecurity=False).hexdigest(), hashlib.sha256(data).hexdigest())
    try:
        _read(data, found)
    except Broken as problem:
        found.note = f"certificate: {problem}"
    odd = [EXPLICIT_CURVE] if found.key == "ec explicit" else []
    if any(len(label) > 63 for text in _PUNYCODE.findall(data) for label in text.split(b".")):
        odd.append(LONG_LABEL)
    found.note = "; ".join([*([found.note] if found.note else []), *(f"certificate: {o}" for o in odd)])
    return found


_remembered = lru_cache(maxsize=_KEPT)(_parsed)


def _read(data: bytes, found: Certificate) -> None:
    # RFC 5280 4.1: Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signatureValue }
    whole = element(data, 0, len(data))
    parts = elements(data, whole, 3)
    if whole.tag != SEQUENCE or not parts:
        raise Broken("not a certificate")
    # tbsCertificate: [0] version, serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo, ... [3] extensions
    fields = elements(data, parts[0], 16)
    if fields and fields[0].tag == 0xA0:
        fields = fields[1:]
    if len(fields) < 6 or fields[0].tag != INTEGER:
        raise Broken("fields missing")
    serial = data[fields[0].start : fields[0].stop]
    found.serial = (serial.lstrip(b"\0") or b"\0").hex().upper()
    algorithm = elements(data, fields[1], 2)
    if algorithm and algorithm[0].tag == OBJECT_ID:
        oid = object_id(data, algorithm[0])
        found.signature = _SIGNATURES.get(oid, oid)
    found.issuer = _name(data, fields[2])
    found.subject = _name(data, fields[4])
    times = elements(data, fields[3], 2)
    if len(times) == 2:
        found.not_before_ns, found.not_after_ns = (_within(time_ns(data, t)) for t in times)
    found.key = _key(data, fields[5])
    for field in fields[6:]:
        if field.tag == 0xA3:
            found.names = _alternative_names(data, field)


def _within(ns: int) -> int | None:
    """A moment that 64 bits of nanoseconds can hold (until the year 2262); certificates of devices run to 9999."""
    return ns if -(1 << 63) <= ns < 1 << 63 else None


def _escape(value: str) -> str:
    shown = "".join(f"\\{c}" if c in _SPECIAL else c if c.isprintable() else f"\\{ord(c):02X}" for c in value)
    return f"\\{shown}" if shown[:1] in ("#", " ") else shown


def _name(data: bytes, e: Element) -> str:
    """A distinguished name, most specific part first; parts of one set are joined by '+'."""
    parts = []
    for group in elements(data, e, _MAX_ELEMENTS):
        words = []
        for pair in elements(data, group, 16):
            two = elements(data, pair, 2)
            if len(two) < 2 or two[0].tag != OBJECT_ID:
                raise Broken("name malformed")
            oid = object_id(data, two[0])
            words.append(f"{_NAMES.get(oid, oid)}={_escape(text(data, two[1]))}")
        parts.append("+".join(words))
    return ",".join(reversed(parts))


def _key(data: bytes, e: Element) -> str | None:
    """'rsa 2048', 'ec prime256v1', 'ec explicit' where the curve is spelled out instead of named."""
    parts = elements(data, e, 2)
    algorithm = elements(data, parts[0], 2) if parts else []
    if len(parts) < 2 or not algorithm or algorithm[0].tag != OBJECT_ID:
        return None
    oid = object_id(data, algorithm[0])
    kind = _KEYS.get(oid, oid)
    if kind == "ec" and len(algorithm) == 2 and algorithm[1].tag == OBJECT_ID:
        curve = object_id(data, algorithm[1])
        return f"ec {_CURVES.get(curve, curve)}"
    if kind == "ec" and len(algorithm) == 2 and algorithm[1].tag == SEQUENCE:
        return "ec explicit"
    if kind == "rsa" and parts[1].tag == BIT_STRING:
        # RFC 3279 2.3.1: the bit string (whose first byte counts unused bits) holds SEQUENCE { modulus, exponent }.
        numbers = elements(data, element(data, parts[1].start + 1, parts[1].stop), 2)
        if numbers and numbers[0].tag == INTEGER:
            modulus = data[numbers[0].start : numbers[0].stop].lstrip(b"\0")
            return f"rsa {len(modulus) * 8 - (8 - modulus[0].bit_length() if modulus else 0)}"
    return kind


def _alternative_names(data: bytes, e: Element) -> tuple[str, ...]:
    """DNS names and addresses of the extension subjectAltName (RFC 5280 4.2.1.6)."""
    outer = element(data, e.start, e.stop)
    for extension in elements(data, outer, _MAX_ELEMENTS):
        parts = elements(data, extension, 3)
        if len(parts) < 2 or parts[0].tag != OBJECT_ID or object_id(data, parts[0]) != _ALTERNATIVE_NAMES:
            continue
        value = parts[-1]
        names = elements(data, element(data, value.start, value.stop), MAX_CERTIFICATE_NAMES)
        return tuple(data[n.start : n.stop].decode("latin-1") for n in names if n.tag == 0x82)
    return ()
