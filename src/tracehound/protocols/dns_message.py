"""In: the bytes of one DNS message. Out: a `Message`: header, questions and answers as text, and a note on what is malformed.
Never here: packets, flows, or which response belongs to which query (dns.py).

Source: RFC 1035 section 4 (messages), 3596 (AAAA), 2782 (SRV), 3403 (NAPTR), 4034 (DNSSEC), 5155 (NSEC3), 6698 (TLSA),
6891 (EDNS0), 8659 (CAA), 9460 (SVCB, HTTPS). Record data are written as in zone files; text strings are in double quotes;
data of types not named here are plain hexadecimal digits."""

from __future__ import annotations

import re
import socket
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from struct import Struct
from typing import Final, NamedTuple

from tracehound.limits import MAX_DNS_POINTERS, MAX_DNS_RECORDS
from tracehound.protocols.dns_registry import SVC_PARAMETERS, type_name

Known = dict[int, tuple[str, int]]
"""Names of the message already read: offset -> (text without final dot, bytes on the wire)."""

HEADER_BYTES: Final = 12
_HEADER: Final = Struct(">6H").unpack_from
_QUESTION: Final = Struct(">HH").unpack_from
_RECORD: Final = Struct(">HHIH").unpack_from
_SOA: Final = Struct(">5I").unpack_from
_THREE: Final = Struct(">3H").unpack_from
_SIGNATURE: Final = Struct(">HBBIIIH").unpack_from
_QR, _AA, _TC, _RD, _RA = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080
_OPT: Final = 41
_MAX_NAME_BYTES: Final = 255
_PLAIN: Final = re.compile(rb"[ !#-\-/-\[\]-~]*").fullmatch
"""Bytes of a label that are shown as they are: printable ASCII but the dot, the quote and the backslash."""


class Malformed(Exception):
    """Ends the reading of one message; becomes its note. Never leaves this module."""


class Message(NamedTuple):
    """One message.

    readable    False: neither header nor question could be read; then only trans_id (0 if absent) and note hold
    rcode       response code with the upper bits of EDNS0
    questions   (name, type, class); names without final dot, the root as '.'
    answers     four lists of equal length: names, types, data as text, times to live in s; OPT is not an answer
    note        what was malformed; None = clean
    """

    readable: bool
    trans_id: int
    is_response: bool
    opcode: int
    rcode: int
    authoritative: bool
    truncated: bool
    recursion_desired: bool
    recursion_available: bool
    questions: list[tuple[str, int, int]]
    answer_names: list[str]
    answer_types: list[str]
    answers: list[str]
    answer_ttls_s: list[int]
    note: str | None


def _escape(match: re.Match[bytes]) -> bytes:
    byte = match[0][0]
    return b"\\" + match[0] if byte in b'\\."' else b"\\x%02x" % byte


_ODD: Final = re.compile(rb"[^ !#-\-/-\[\]-~]")
_ODD_IN_TEXT: Final = re.compile(rb"[^ !#-\[\]-~]")


def _label(raw: bytes) -> str:
    """A label as text: a dot, quote or backslash inside it is escaped with a backslash, other odd bytes are \\xNN."""
    return (raw if _PLAIN(raw) else _ODD.sub(_escape, raw)).decode("ascii")


def _quoted(raw: bytes) -> str:
    return '"' + _ODD_IN_TEXT.sub(_escape, raw).decode("ascii") + '"'


def _name(data: bytes, at: int, known: Known) -> tuple[str, int]:
    """The name at offset `at`, and the offset behind it. RFC 1035 section 4.1.4: a name is labels, then a zero byte or a
    pointer to a prior occurrence. Work is bounded by MAX_DNS_POINTERS and by the 255 bytes that a name may have."""
    begin, end, after = at, len(data), -1
    if at + 1 < end and data[at] >= 192:
        # Most names of a response are a pointer to one already read.
        found = known.get((data[at] & 63) << 8 | data[at + 1])
        if found is not None:
            return found[0] or ".", at + 2
    found = None
    labels: list[str] = []
    sizes = [0]
    pointers: list[tuple[int, int]] = []
    size = 0
    while True:
        if at >= end:
            raise Malformed("name runs past the end of the message")
        length = data[at]
        if length == 0:
            at += 1
            break
        if length < 64:
            stop = at + 1 + length
            if stop > end:
                raise Malformed("label runs past the end of the message")
            size += length + 1
            if size >= _MAX_NAME_BYTES:
                raise Malformed("name longer than 255 bytes")
            raw = data[at + 1 : stop]
            labels.append(raw.decode("ascii") if raw.isalnum() else _label(raw))
            sizes.append(size)
            at = stop
        elif length >= 192:
            if at + 2 > end:
                raise Malformed("compression pointer runs past the end of the message")
            if after < 0:
                after = at + 2
            target = (length & 63) << 8 | data[at + 1]
            found = known.get(target)
            if found is not None:
                if size + found[1] >= _MAX_NAME_BYTES:
                    raise Malformed("name longer than 255 bytes")
                if found[0]:
                    labels.append(found[0])
                size += found[1]
                break
            if len(pointers) >= MAX_DNS_POINTERS:
                raise Malformed("too many compression pointers, or a loop of them")
            pointers.append((target, len(labels)))
            at = target
        else:
            raise Malformed("label of a type that does not exist")
    text = ".".join(labels)
    if after < 0 and found is None:
        after = at
    for target, index in pointers[:1]:
        known[target] = (".".join(labels[index:]), size - sizes[index])
    known[begin] = (text, size)
    return text or ".", after


def _skip_name(data: bytes, at: int) -> int:
    """The offset behind the name at `at`, which is not followed."""
    end = len(data)
    while at < end:
        length = data[at]
        if length == 0:
            return at + 1
        if length >= 192:
            return at + 2
        if length >= 64:
            raise Malformed("label of a type that does not exist")
        at += 1 + length
    raise Malformed("name runs past the end of the message")


# -- record data: each takes the message, where the data begin and end, and the names known -------------------------------
Reader = Callable[[bytes, int, int, Known], str]


def _need(at: int, size: int, end: int) -> None:
    if at + size > end:
        raise Malformed("cut")


def _a(data: bytes, at: int, end: int, _known: Known) -> str:
    if end - at != 4:
        raise Malformed("not 4 bytes")
    return socket.inet_ntoa(data[at:end])


def _aaaa(data: bytes, at: int, end: int, _known: Known) -> str:
    if end - at != 16:
        raise Malformed("not 16 bytes")
    return socket.inet_ntop(socket.AF_INET6, data[at:end])


def _one_name(data: bytes, at: int, end: int, known: Known) -> str:
    text, after = _name(data, at, known)
    if after > end:
        raise Malformed("name runs past the record")
    return text


def _names(data: bytes, at: int, end: int, known: Known) -> str:
    first, at = _name(data, at, known)
    return f"{first} {_one_name(data, at, end, known)}"


def _preference_name(data: bytes, at: int, end: int, known: Known) -> str:
    _need(at, 3, end)
    return f"{data[at] << 8 | data[at + 1]} {_one_name(data, at + 2, end, known)}"


def _string(data: bytes, at: int, end: int) -> tuple[str, int]:
    _need(at, 1, end)
    stop = at + 1 + data[at]
    _need(at, stop - at, end)
    return _quoted(data[at + 1 : stop]), stop


def _strings(data: bytes, at: int, end: int, _known: Known) -> str:
    texts = []
    while at < end:
        text, at = _string(data, at, end)
        texts.append(text)
    return " ".join(texts)


def _soa(data: bytes, at: int, end: int, known: Known) -> str:
    server, at = _name(data, at, known)
    mailbox, at = _name(data, at, known)
    _need(at, 20, end)
    return " ".join((server, mailbox, *map(str, _SOA(data, at))))


def _srv(data: bytes, at: int, end: int, known: Known) -> str:
    _need(at, 7, end)
    priority, weight, port = _THREE(data, at)
    return f"{priority} {weight} {port} {_one_name(data, at + 6, end, known)}"


def _naptr(data: bytes, at: int, end: int, known: Known) -> str:
    _need(at, 8, end)
    order, preference = _QUESTION(data, at)
    at += 4
    texts = []
    for _ in range(3):
        text, at = _string(data, at, end)
        texts.append(text)
    return f"{order} {preference} {' '.join(texts)} {_one_name(data, at, end, known)}"


def _caa(data: bytes, at: int, end: int, _known: Known) -> str:
    _need(at, 2, end)
    stop = at + 2 + data[at + 1]
    _need(at, stop - at, end)
    return f"{data[at]} {_label(data[at + 2 : stop])} {_quoted(data[stop:end])}"


def _ds(data: bytes, at: int, end: int, _known: Known) -> str:
    _need(at, 4, end)
    return f"{data[at] << 8 | data[at + 1]} {data[at + 2]} {data[at + 3]} {data[at + 4 : end].hex()}"


def _dnskey(data: bytes, at: int, end: int, _known: Known) -> str:
    _need(at, 4, end)
    return f"{data[at] << 8 | data[at + 1]} {data[at + 2]} {data[at + 3]} {_base64(data[at + 4 : end])}"


def _rrsig(data: bytes, at: int, end: int, known: Known) -> str:
    _need(at, 19, end)
    covered, algorithm, labels, ttl, expires, begins, tag = _SIGNATURE(data, at)
    signer, at = _name(data, at + 18, known)
    _need(at, 0, end)
    times = f"{_time(expires)} {_time(begins)}"
    return f"{type_name(covered)} {algorithm} {labels} {ttl} {times} {tag} {signer} {_base64(data[at:end])}"


def _nsec(data: bytes, at: int, end: int, known: Known) -> str:
    following, at = _name(data, at, known)
    return " ".join((following, *_bitmap(data, at, end)))


def _nsec3(data: bytes, at: int, end: int, _known: Known) -> str:
    head, at = _nsec3_head(data, at, end)
    _need(at, 1, end)
    stop = at + 1 + data[at]
    _need(at, stop - at, end)
    return " ".join((head, data[at + 1 : stop].hex(), *_bitmap(data, stop, end)))


def _nsec3param(data: bytes, at: int, end: int, _known: Known) -> str:
    return _nsec3_head(data, at, end)[0]


def _nsec3_head(data: bytes, at: int, end: int) -> tuple[str, int]:
    _need(at, 5, end)
    stop = at + 5 + data[at + 4]
    _need(at, stop - at, end)
    salt = data[at + 5 : stop].hex() or "-"
    return f"{data[at]} {data[at + 1]} {data[at + 2] << 8 | data[at + 3]} {salt}", stop


def _tlsa(data: bytes, at: int, end: int, _known: Known) -> str:
    _need(at, 3, end)
    return f"{data[at]} {data[at + 1]} {data[at + 2]} {data[at + 3 : end].hex()}"


def _sshfp(data: bytes, at: int, end: int, _known: Known) -> str:
    _need(at, 2, end)
    return f"{data[at]} {data[at + 1]} {data[at + 2 : end].hex()}"


def _uri(data: bytes, at: int, end: int, _known: Known) -> str:
    _need(at, 4, end)
    priority, weight = _QUESTION(data, at)
    return f"{priority} {weight} {_quoted(data[at + 4 : end])}"


def _svcb(data: bytes, at: int, end: int, known: Known) -> str:
    _need(at, 3, end)
    words = [str(data[at] << 8 | data[at + 1])]
    target, at = _name(data, at + 2, known)
    words.append(target)
    while at < end:
        _need(at, 4, end)
        key, size = _QUESTION(data, at)
        at += 4
        _need(at, size, end)
        words.append(_svc_parameter(key, data[at : at + size]))
        at += size
    return " ".join(words)


def _svc_parameter(key: int, value: bytes) -> str:
    name = SVC_PARAMETERS.get(key, f"key{key}")
    reader = _SVC_VALUES.get(key)
    if reader is None:
        return f"{name}={value.hex()}" if value else name
    return f"{name}={reader(value)}"


def _base64(value: bytes) -> str:
    return b64encode(value).decode("ascii")


def _svc_list(value: bytes) -> str:
    texts, at = [], 0
    while at < len(value):
        stop = at + 1 + value[at]
        if stop > len(value):
            raise Malformed("cut")
        texts.append(_ODD_IN_TEXT.sub(_escape, value[at + 1 : stop]).decode("ascii"))
        at = stop
    return ",".join(texts)


def _svc_numbers(value: bytes) -> list[int]:
    if len(value) % 2:
        raise Malformed("odd number of bytes")
    return [value[i] << 8 | value[i + 1] for i in range(0, len(value), 2)]


def _svc_port(value: bytes) -> str:
    if len(value) != 2:
        raise Malformed("port not 2 bytes")
    return str(value[0] << 8 | value[1])


def _svc_addresses(family: int, size: int) -> Callable[[bytes], str]:
    def read(value: bytes) -> str:
        if len(value) % size:
            raise Malformed("addresses cut")
        return ",".join(socket.inet_ntop(family, value[i : i + size]) for i in range(0, len(value), size))

    return read


_SVC_VALUES: Final[dict[int, Callable[[bytes], str]]] = {
    0: lambda value: ",".join(SVC_PARAMETERS.get(key, f"key{key}") for key in _svc_numbers(value)),
    1: _svc_list,
    3: _svc_port,
    4: _svc_addresses(socket.AF_INET, 4),
    5: _base64,
    6: _svc_addresses(socket.AF_INET6, 16),
    7: _quoted,
}


def _bitmap(data: bytes, at: int, end: int) -> list[str]:
    """RFC 4034 section 4.1.2: windows of 256 types, each a number, a length (1 to 32) and as many bytes of bits."""
    types = []
    while at < end:
        _need(at, 2, end)
        window, size = data[at], data[at + 1]
        at += 2
        _need(at, size, end)
        if not 1 <= size <= 32:
            raise Malformed("type bitmap malformed")
        for index in range(size):
            byte = data[at + index]
            types += [type_name(window << 8 | index << 3 | bit) for bit in range(8) if byte & 0x80 >> bit]
        at += size
    return types


def _time(seconds: int) -> str:
    """RFC 4034 section 3.2: YYYYMMDDHHmmSS in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%d%H%M%S")


_READERS: Final[dict[int, Reader]] = {
    **dict.fromkeys((2, 3, 4, 5, 7, 8, 9, 12, 23, 39), _one_name),
    **dict.fromkeys((14, 17, 58), _names),
    **dict.fromkeys((15, 18, 21, 36, 107), _preference_name),
    **dict.fromkeys((13, 16, 19, 20, 56, 99, 258, 261), _strings),
    **dict.fromkeys((43, 59, 32768, 32769), _ds),
    **dict.fromkeys((25, 48, 60), _dnskey),
    **dict.fromkeys((24, 46), _rrsig),
    **dict.fromkeys((52, 53), _tlsa),
    **dict.fromkeys((64, 65), _svcb),
    1: _a,
    6: _soa,
    28: _aaaa,
    33: _srv,
    35: _naptr,
    44: _sshfp,
    47: _nsec,
    50: _nsec3,
    51: _nsec3param,
    256: _uri,
    257: _caa,
}
"""How the data of a record type are read; types not named here are hexadecimal digits."""


def _unreadable(data: bytes, note: str) -> Message:
    trans_id = data[0] << 8 | data[1] if len(data) >= 2 else 0
    return Message(False, trans_id, False, 0, 0, False, False, False, False, [], [], [], [], [], note)


def parse_message(data: bytes, *, cut: bool = False) -> Message:
    """Read one message. Never raises: what cannot be read ends the reading and is said in the note.

    cut   the capture (or the stream) ends before the message does"""
    if len(data) < HEADER_BYTES:
        return _unreadable(data, "message cut in the capture" if cut else "not a DNS message: shorter than a header")
    trans_id, flags, qd_count, an_count, ns_count, ar_count = _HEADER(data)
    questions: list[tuple[str, int, int]] = []
    names: list[str] = []
    types: list[str] = []
    texts: list[str] = []
    ttls: list[int] = []
    known: Known = {}
    rcode = flags & 15
    at, end = HEADER_BYTES, len(data)
    note: str | None = None
    section = "question"
    try:
        for _ in range(qd_count if qd_count <= MAX_DNS_RECORDS else MAX_DNS_RECORDS):
            name, at = _name(data, at, known)
            if at + 4 > end:
                raise Malformed("runs past the end of the message")
            kind, klass = _QUESTION(data, at)
            questions.append((name, kind, klass))
            at += 4
        section = "answer"
        for _ in range(an_count if an_count <= MAX_DNS_RECORDS else MAX_DNS_RECORDS):
            name, at = _name(data, at, known)
            if at + 10 > end:
                raise Malformed("runs past the end of the message")
            kind, klass, ttl, size = _RECORD(data, at)
            at += 10
            if at + size > end:
                raise Malformed("data run past the end of the message")
            if kind == _OPT:
                rcode |= ttl >> 24 << 4
            else:
                reader = _READERS.get(kind)
                try:
                    # RFC 2136: an UPDATE carries records without data, which name what is to go.
                    text = (
                        data[at : at + size].hex() if reader is None or not size else reader(data, at, at + size, known)
                    )
                except Malformed as cause:
                    note = note or f"answer: data of {type_name(kind)} malformed: {cause}"
                    text = data[at : at + size].hex()
                names.append(name)
                types.append(type_name(kind))
                texts.append(text)
                ttls.append(ttl)
            at += size
        section = "authority or additional section"
        for _ in range(ns_count + ar_count if ns_count + ar_count <= MAX_DNS_RECORDS else MAX_DNS_RECORDS):
            at = _skip_name(data, at)
            if at + 10 > end:
                raise Malformed("runs past the end of the message")
            kind, klass, ttl, size = _RECORD(data, at)
            at += 10 + size
            if at > end:
                raise Malformed("data run past the end of the message")
            if kind == _OPT:
                # RFC 6891 section 6.1.3: the first byte of the TTL field holds the upper 8 bits of the response code.
                rcode |= ttl >> 24 << 4
        if qd_count > MAX_DNS_RECORDS or an_count > MAX_DNS_RECORDS or ns_count + ar_count > MAX_DNS_RECORDS:
            note = note or f"more than {MAX_DNS_RECORDS} records in a section: the rest was not read"
        elif at < end:
            note = note or f"{end - at} bytes behind the message"
    except Malformed as cause:
        note = "message cut in the capture" if cut else f"{section}: {cause}"
        if not cut and not questions and section == "question":
            return _unreadable(data, f"not a DNS message: {note}")
    return Message(
        True,
        trans_id,
        flags & _QR != 0,
        flags >> 11 & 15,
        rcode,
        flags & _AA != 0,
        flags & _TC != 0,
        flags & _RD != 0,
        flags & _RA != 0,
        questions,
        names,
        types,
        texts,
        ttls,
        note,
    )
