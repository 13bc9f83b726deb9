"""In: a rule's tests of packet, flow, transaction and file. Out: functions that carry them out, and when they can be.
Never here: bytes looked for in buffers (verify.py), or state that outlives a flow (state.py)."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from tracehound.rules.packet import ICMP, ICMPV6, SCTP, TCP, Packet, sctp_chunks, sum_holds
from tracehound.rules.rule import Event, FlagTest, Flow, HashList, NumberTest, Test, WordTest
from tracehound.rules.services.messages import NUMBERS as FIELDS

PacketCheck = Callable[[Packet], bool]


class Late(NamedTuple):
    """A test that a transaction must have come far enough for. `check(tx, to_server)` is True, False, or None: not yet."""

    name: str
    to_server: bool | None
    check: Callable[[Any, bool], bool | None]
    service: tuple[str, ...] = ()


# -- packets ----------------------------------------------------------------------------------------------------------


def _icmp_error_free_word(at: int) -> Callable[[Packet], int | None]:
    echo = {ICMP: frozenset((0, 8, 13, 14, 15, 16, 17, 18)), ICMPV6: frozenset((128, 129))}

    def get(p: Packet) -> int | None:
        kinds = echo.get(p.proto)
        return p.icmp_word(at) if kinds is not None and p.sport in kinds else None

    return get


def _option(kind: int, size: int) -> Callable[[Packet], int | None]:
    def get(p: Packet) -> int | None:
        for found, value in p.tcp_options():
            if found == kind and len(value) == size:
                return int.from_bytes(value, "big")
        return None

    return get


def _mtu(p: Packet) -> int | None:
    if p.proto != ICMPV6 or p.sport != 2:
        return None
    at = p.l4 + 4
    return int.from_bytes(p.ip[at : at + 4], "big") if len(p.ip) >= at + 4 else None


def _real(get: Callable[[Packet], int | None], *protos: int) -> Callable[[Packet], int | None]:
    """Fields that a pseudo packet has not."""
    if protos:
        return lambda p: get(p) if p.proto in protos and p.headed and not p.pseudo else None
    return lambda p: get(p) if not p.pseudo else None


NUMBERS: Final[dict[str, Callable[[Packet], int | None]]] = {
    "dsize": _real(lambda p: p.payload_len),
    "ttl": _real(lambda p: p.ttl),
    "id": _real(lambda p: p.ip_id),
    "tos": _real(lambda p: p.tos),
    "ipv4.len": _real(lambda p: int.from_bytes(p.ip[2:4], "big") if p.family == 4 and len(p.ip) >= 4 else None),
    "seq": _real(lambda p: p.seq, TCP),
    "ack": _real(lambda p: p.ack, TCP),
    "window": _real(lambda p: p.window, TCP),
    "tcp.mss": _real(_option(2, 2), TCP),
    "tcp.wscale": _real(_option(3, 1), TCP),
    "itype": _real(lambda p: p.sport, ICMP, ICMPV6),
    "icode": _real(lambda p: p.dport, ICMP, ICMPV6),
    "icmp_id": _real(_icmp_error_free_word(4), ICMP, ICMPV6),
    "icmp_seq": _real(_icmp_error_free_word(6), ICMP, ICMPV6),
    "icmpv6.mtu": _real(_mtu),
    "igmp.type": _real(lambda p: p.ip[p.l4] if p.proto == 2 and len(p.ip) > p.l4 else None),
    "ip_proto": lambda p: p.proto,
    "sctp.vtag": _real(lambda p: int.from_bytes(p.ip[p.l4 + 4 : p.l4 + 8], "big") if len(p.ip) >= p.l4 + 8 else None, SCTP),
    "sctp.chunk_cnt": _real(lambda p: len(sctp_chunks(p)), SCTP),
    "fragoffset": _real(lambda p: (p.fragment_field & 0x1FFF) if p.family == 4 else None),
    "flow.age": lambda p: (p.ts - p.flow.start) // 1_000_000_000 if p.flow is not None else None,
}


def _number(test: NumberTest) -> PacketCheck:
    holds = test.numbers.holds
    get = NUMBERS[test.keyword]

    def check(p: Packet) -> bool:
        value = get(p)
        return value is not None and holds(value)

    return check


def _stream_size(test: NumberTest) -> PacketCheck:
    holds = test.numbers.holds

    def check(p: Packet) -> bool:
        session = p.flow.session if p.flow is not None else None
        if session is None:
            return False
        client, server = session.client.seen, session.server.seen
        return {
            "client": holds(client), "server": holds(server), "both": holds(client) and holds(server),
            "either": holds(client) or holds(server),
        }[test.detail]  # fmt: skip

    return check


def _flow_count(test: NumberTest) -> PacketCheck:
    holds, what = test.numbers.holds, "packets" if test.keyword == "flow.pkts" else "octets"

    def check(p: Packet) -> bool:
        if p.flow is None:
            return False
        to_client, to_server = getattr(p.flow, what)
        return {
            "toserver": lambda: holds(to_server), "toclient": lambda: holds(to_client),
            "either": lambda: holds(to_server) or holds(to_client), "both": lambda: holds(to_server) and holds(to_client),
        }[test.detail]()  # fmt: skip

    return check


def _vlan(test: NumberTest) -> PacketCheck:
    def check(p: Packet) -> bool:
        tags = vlan_tags(p)
        if not tags:
            return False
        if test.detail == "any":
            return any(test.numbers.holds(t) for t in tags)
        if test.detail == "all":
            return all(test.numbers.holds(t) for t in tags)
        layer = int(test.detail)
        return -len(tags) <= layer < len(tags) and test.numbers.holds(tags[layer])

    return check


def vlan_tags(p: Packet) -> list[int]:
    """VLAN ids of the frame, outermost first (IEEE 802.1Q)."""
    tags, at = [], 12
    while p.link[at : at + 2] in (b"\x81\x00", b"\x88\xa8", b"\x91\x00") and len(p.link) >= at + 4:
        tags.append(int.from_bytes(p.link[at + 2 : at + 4], "big") & 0xFFF)
        at += 4
    return tags


def _layers(test: NumberTest) -> PacketCheck:
    return lambda p: test.numbers.holds(len(vlan_tags(p)))


def _sctp_chunk(test: NumberTest) -> PacketCheck:
    return lambda p: not p.pseudo and any(test.numbers.holds(kind) for kind in sctp_chunks(p))


def _sum(test: WordTest) -> PacketCheck:
    """detect-csum.c: packets of another protocol, or without a checksum, are neither valid nor invalid."""
    name = test.keyword.removesuffix("-csum")
    layer, family = (name, 4) if name == "ipv4" else (name[:-2], int(name[-1]))
    wanted = ("valid" in (w.lower() for w in test.words)) != test.negated

    def check(p: Packet) -> bool:
        return p.family == family and sum_holds(p, layer) is wanted

    return check


_BY_MODE: Final[dict[str, Callable[[int, int], bool]]] = {
    "=": lambda have, bits: have == bits, "+": lambda have, bits: have & bits == bits,
    "*": lambda have, bits: bool(have & bits), "!": lambda have, bits: not have & bits,
}  # fmt: skip


def _flags(test: FlagTest) -> PacketCheck:
    compare, keep, bits = _BY_MODE[test.mode], 0xFF & ~test.ignored, test.bits & ~test.ignored

    if test.keyword == "tcp.flags":
        return lambda p: p.proto == TCP and p.headed and not p.pseudo and compare(p.flags & keep, bits)

    def fragbits(p: Packet) -> bool:
        if p.family != 4 or p.pseudo or len(p.ip) < 8:
            return False
        # RFC 791: reserved, don't fragment, more fragments, from the top; rule.py has M 1, D 2, R 4.
        top = p.fragment_field >> 13
        return compare(top & ~test.ignored & 7, bits)

    return fragbits


_IP_OPTIONS: Final[dict[str, tuple[int, ...]]] = {
    "rr": (7,), "eol": (0,), "nop": (1,), "ts": (68,), "sec": (130,), "esec": (133,), "lsrr": (131,), "lsrre": (131,), "ssrr": (137,),
    "satid": (136,), "cipso": (134,), "rtralt": (148,),
}  # fmt: skip


def _ipopts(test: WordTest) -> PacketCheck:
    wanted = {kind for word in test.words for kind in _IP_OPTIONS.get(word.lower(), ())}
    every = "any" in (w.lower() for w in test.words)

    def check(p: Packet) -> bool:
        if p.family != 4 or p.pseudo or len(p.ip) <= 20 or p.ip[0] & 15 <= 5:
            return False
        return any(every or kind in wanted for kind, _ in p.ip_options()) != test.negated

    return check


def _sameip(_test: WordTest) -> PacketCheck:
    return lambda p: p.family != 0 and p.src == p.dst


_PORT_COMMAND: Final = re.compile(rb"^PORT[ \t]+(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3})", re.I | re.M)


def _ftpbounce(_test: WordTest) -> PacketCheck:
    """detect-ftpbounce.c: a PORT command that names another address than the client's own."""

    def check(p: Packet) -> bool:
        found = _PORT_COMMAND.search(p.payload)
        if found is None or p.family != 4:
            return False
        numbers = [int(n) for n in found.groups()]
        return max(numbers) < 256 and int.from_bytes(bytes(numbers), "big") != p.src & 0xFFFFFFFF

    return check


FUZZY: Final[dict[str, frozenset[str]]] = {
    "http": frozenset(("http", "http2", "doh2")), "http1": frozenset(("http",)), "http2": frozenset(("http2", "doh2")),
    "dns": frozenset(("dns", "doh2")),
}
"""Recognised protocols that a word of a rule covers (app-layer.c: AppProtoEquals). Internally HTTP/1 is "http"."""
EXACT: Final = {"http1": "http"}


def covers(word: str, service: str) -> bool:
    """Whether a flow recognised as `service` is what the rule's word means."""
    return service in FUZZY[word] if word in FUZZY else service == EXACT.get(word, word)


def _app_layer_protocol(test: WordTest) -> PacketCheck:
    word, *modes = [w.lower() for w in (*test.words, *test.detail.split(","))]
    modes = [m.strip() for m in modes if m.strip()]
    exact = "exact" in modes
    mode = next((m for m in modes if m != "exact"), "")

    def same(service: str | None) -> bool:
        if service is None:
            return False
        if word in ("unknown", "failed"):
            return service == "failed"
        return service == EXACT.get(word, word) if exact else covers(word, service)

    def check(p: Packet) -> bool:
        flow = p.flow
        if flow is None:
            return False
        if mode == "to_server":
            found = flow.spoken[1]
        elif mode == "to_client":
            found = flow.spoken[0]
        elif mode == "either":
            return (same(flow.spoken[0]) or same(flow.spoken[1])) != test.negated
        elif mode == "original":
            found = flow.original_service
        elif mode == "final":
            found = flow.service_name
        else:
            found = flow.spoken[p.to_server] or flow.service_name
        if found is None:
            return False
        return same(found) != test.negated

    return check


_PACKET_WORDS: Final[dict[str, Callable[[WordTest], PacketCheck]]] = {
    **{f"{name}-csum": _sum for name in ("ipv4", "tcpv4", "tcpv6", "udpv4", "udpv6", "icmpv4", "icmpv6")},
    "ipopts": _ipopts, "sameip": _sameip, "ftpbounce": _ftpbounce, "app-layer-protocol": _app_layer_protocol,
}  # fmt: skip
_PACKET_NUMBERS: Final[dict[str, Callable[[NumberTest], PacketCheck]]] = {
    **dict.fromkeys(NUMBERS, _number), "stream_size": _stream_size, "flow.pkts": _flow_count, "flow.bytes": _flow_count,
    "vlan.id": _vlan, "vlan.layers": _layers, "sctp.chunk_type": _sctp_chunk,
}  # fmt: skip


def packet_check(test: Test) -> PacketCheck | None:
    """The test as a question to a packet; None where it is one to a transaction or file."""
    if isinstance(test, NumberTest):
        make = _PACKET_NUMBERS.get(test.keyword)
        return make(test) if make is not None else None
    if isinstance(test, FlagTest):
        return _flags(test)
    if isinstance(test, WordTest):
        word = _PACKET_WORDS.get(test.keyword)
        return word(test) if word is not None else None
    if isinstance(test, Event) and test.kind != "app-layer":
        name = test.name
        return lambda p: name in p.events
    return None


def flow_check(flow: Flow) -> PacketCheck:
    """The `flow` option (detect-flow.c). A packet without flow fails whatever is asked of its direction or state."""
    side, state, stream, fragments = flow.side, flow.state, flow.stream, flow.fragments
    want = None if side is None else side == "to_server"

    def check(p: Packet) -> bool:
        if want is not None and (not p.has_flow or p.to_server != want):
            return False
        if state == "established" and not p.established:
            return False
        if state == "not_established" and p.established:
            return False
        if fragments == "only_frag" and not p.rebuilt:
            return False
        if fragments == "no_frag" and p.rebuilt:
            return False
        if stream == "only_stream" and not p.stream_match:
            return False
        return not (stream == "no_stream" and p.stream_match)

    return check


# -- transactions -----------------------------------------------------------------------------------------------------


def _urilen(test: NumberTest) -> Late:
    name = "uri" if test.detail == "raw" else "normal_uri"

    def check(tx: Any, _side: bool) -> bool | None:
        if tx.progress[1] < 1:
            return None
        uri = getattr(tx, name, None)
        return uri is not None and test.numbers.holds(len(uri))

    return Late("urilen", True, check, ("http",))


def _attribute(name: str, attribute: str, service: str) -> Callable[[NumberTest], Late]:
    def make(test: NumberTest) -> Late:
        def check(tx: Any, side: bool) -> bool | None:
            value = getattr(tx, attribute, None)
            value = value(side) if callable(value) else value
            if isinstance(value, list | tuple):
                return any(test.numbers.holds(v) for v in value) if value else None
            return None if value is None else test.numbers.holds(value)

        return Late(name, None, check, (service,))

    return make


def _field(keyword: str, service: str) -> Callable[[NumberTest], Late]:
    """A field of one message (services/messages.py): what a message does not have never holds."""

    def make(test: NumberTest) -> Late:
        def check(tx: Any, _side: bool) -> bool | None:
            value = tx.fields.get(keyword)
            if value is None:
                return None
            return test.numbers.holds(value)

        return Late(keyword, None, check, (service,))

    return make


def _weak(test: WordTest) -> Late:
    """krb5.weak_encryption."""
    return Late(test.keyword, None, lambda tx, _side: bool(tx.fields.get(test.keyword)), ("krb5",))


def _session_present(test: WordTest) -> Late:
    wanted = test.words[0].lower() in ("yes", "true")

    def check(tx: Any, _side: bool) -> bool | None:
        value = tx.fields.get(test.keyword)
        return None if value is None else bool(value) is wanted

    return Late(test.keyword, None, check, ("mqtt",))


def _files(tx: Any, side: bool) -> list[Any]:
    return [f for f in tx.files if f.to_server == side]


def _file_test(name: str, holds: Callable[[Any], bool], *, whole: bool) -> Late:
    def check(tx: Any, side: bool) -> bool | None:
        files = _files(tx, side)
        if any(holds(f) for f in files if f.done or not whole):
            return True
        return None

    return Late(name, None, check)


def _filesize(test: NumberTest) -> Late:
    def check(tx: Any, side: bool) -> bool | None:
        files = _files(tx, side)
        done = [f for f in files if f.done and not f.gap]
        if any(test.numbers.holds(f.size) for f in done):
            return True
        # detect-filesize.c: while the file comes, only "more than" can be known to hold.
        low = min(span[0] for span in test.numbers.spans) if test.numbers.spans else 0
        open_ended = any(span[1] >= 2**62 for span in test.numbers.spans)
        if open_ended and any(f.size >= low for f in files if not f.done):
            return True
        return None

    return Late("filesize", None, check)


def _filename(test: WordTest) -> Late:
    words = [w.strip('"') for w in test.words]
    if test.keyword == "fileext":
        def holds(f: Any) -> bool:
            return any(f.name.lower().endswith("." + w.lower()) for w in words) != test.negated
    else:
        def holds(f: Any) -> bool:
            return any(w.lower() in f.name.lower() for w in words) != test.negated

    return _file_test(test.keyword, lambda f: bool(f.name) and holds(f), whole=False)


def _filemagic(test: WordTest) -> Late:
    words = [w.strip('"') for w in test.words]

    def holds(f: Any) -> bool:
        from tracehound.rules.magic import magic

        if not f.content:
            return False
        text = magic(bytes(f.content))
        return any(w.lower() in text.lower() for w in words) != test.negated

    return _file_test("filemagic", holds, whole=False)


def _tls_version(test: WordTest) -> Late:
    words = [w.strip('"').lower().removeprefix("tls") for w in test.words]

    def check(tx: Any, _side: bool) -> bool | None:
        version = getattr(tx, "version", 0)
        if not version:
            return None
        return any(_TLS_VERSIONS.get(w) == version for w in words) != test.negated

    return Late("tls.version", None, check, ("tls",))


_TLS_VERSIONS: Final = {"1.0": 0x0301, "1.1": 0x0302, "1.2": 0x0303, "1.3": 0x0304, "sslv3": 0x0300, "sslv2": 0x0200}


def _ssl_version(test: WordTest) -> Late:
    """detect-ssl-version.c: each word may be negated by itself; the version is that of the side's records."""
    wanted: set[int] = set()
    refused: set[int] = set()
    for word in test.words:
        text = word.strip().lower()
        number = _TLS_VERSIONS[text.lstrip("!").removeprefix("tls")]
        (refused if text.startswith("!") != test.negated else wanted).add(number)

    def check(tx: Any, side: bool) -> bool | None:
        version = tx.record_version[side] if hasattr(tx, "record_version") else 0
        if not version:
            return None
        return version in wanted or (bool(refused) and version not in refused)

    return Late("ssl_version", None, check, ("tls",))


def _ssl_state(test: WordTest) -> Late:
    words = [w.strip().lower() for part in test.words for w in part.replace("|", ",").split(",")]

    def check(tx: Any, _side: bool) -> bool | None:
        states = getattr(tx, "states", ())
        return True if any(w.lstrip("!") in states for w in words) != test.negated else None

    return Late("ssl_state", None, check, ("tls",))


def _date_ns(text: str) -> tuple[int, int]:
    """First and last nanosecond of what a date such as 2015, 2015-05 or 2015-05-01T10:00:00 names (detect-tls-cert-validity.c)."""
    parts = [int(n) for n in re.findall(r"\d+", text)]
    year, month, day, hour, minute, second = (*parts, 1, 1, 0, 0, 0)[:6] if len(parts) == 1 else (*parts, *(1, 0, 0, 0)[len(parts) - 2 :])
    low = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    after = {
        1: datetime(year + 1, 1, 1, tzinfo=UTC), 2: datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC),
        3: low + timedelta(days=1), 4: low + timedelta(hours=1), 5: low + timedelta(minutes=1), 6: low + timedelta(seconds=1),
    }[len(parts)]  # fmt: skip
    return int(low.timestamp()) * 1_000_000_000, int(after.timestamp()) * 1_000_000_000 - 1


def _certificate_date(test: WordTest) -> Late:
    which = 0 if test.keyword == "tls_cert_notbefore" else 1
    spans = [_date_ns(text) for text in test.words[1:]]
    compare: dict[str, Callable[[int], bool]] = {
        "<": lambda t: t < spans[0][0], "<=": lambda t: t <= spans[0][1], ">": lambda t: t > spans[0][1], ">=": lambda t: t >= spans[0][0],
        "=": lambda t: spans[0][0] <= t <= spans[0][1], "<>": lambda t: spans[0][0] <= t <= spans[-1][1],
    }  # fmt: skip
    holds = compare[test.words[0]]

    def check(tx: Any, _side: bool) -> bool | None:
        time = tx.times[which]
        return None if time is None else holds(time)

    return Late(test.keyword, None, check, ("tls",))


def _certificate_now(test: WordTest) -> Late:
    """Whether the certificate was in its time when it was shown."""
    wants_valid = test.keyword == "tls_cert_valid"

    def check(tx: Any, _side: bool) -> bool | None:
        begin, end = tx.times
        if begin is None or end is None:
            return None
        return bool(begin <= tx.seen_ns <= end if wants_valid else tx.seen_ns > end)

    return Late(test.keyword, None, check, ("tls",))


_TX_NUMBERS: Final[dict[str, Callable[[NumberTest], Late]]] = {
    **{name: _field(name, service) for name, service in FIELDS.items()},
    "urilen": _urilen, "filesize": _filesize,
    "dns.opcode": _attribute("dns.opcode", "opcode", "dns"), "dns.rcode": _attribute("dns.rcode", "rcode", "dns"),
    "dns.rrtype": _attribute("dns.rrtype", "rrtypes", "dns"),
    "tls.cert_chain_len": _attribute("tls.cert_chain_len", "chain_length", "tls"),
}  # fmt: skip
_TX_WORDS: Final[dict[str, Callable[[WordTest], Late]]] = {
    "krb5.weak_encryption": _weak, "mqtt.connack.session_present": _session_present,
    "filename": _filename, "fileext": _filename, "filemagic": _filemagic, "tls.version": _tls_version,
    "ssl_version": _ssl_version, "ssl_state": _ssl_state, "tls_cert_notbefore": _certificate_date, "tls_cert_notafter": _certificate_date,
    "tls_cert_expired": _certificate_now, "tls_cert_valid": _certificate_now,
}  # fmt: skip


def _app_layer_event(test: Event) -> Late:
    service, _, name = test.name.partition(".")

    def check(tx: Any, side: bool) -> bool | None:
        return True if (name, side) in tx.events else None

    return Late(test.name, None, check, (service,))


def late_check(test: Test, lists: Any = None) -> Late | None:
    """The test as a question to a transaction; None where it is none."""
    if isinstance(test, NumberTest):
        make = _TX_NUMBERS.get(test.keyword)
        return make(test) if make is not None else None
    if isinstance(test, WordTest):
        word = _TX_WORDS.get(test.keyword)
        return word(test) if word is not None else None
    if isinstance(test, Event):
        return _app_layer_event(test)
    if isinstance(test, HashList):
        digests = lists.digests(test) if lists is not None else frozenset()
        algorithm = test.algorithm

        def holds(f: Any) -> bool:
            return bool(f.hashes) and not f.gap and (f.hashes[algorithm].hexdigest() in digests) != test.negated

        return _file_test("file" + algorithm, holds, whole=True)
    return None


HONOURS: Final = frozenset(
    {f"test:{name}" for name in (*_PACKET_NUMBERS, *_PACKET_WORDS, *_TX_NUMBERS, *_TX_WORDS, "tcp.flags", "fragbits",
                                 "filemd5", "filesha1", "filesha256")} | {"flow", "flow:only_frag", "flow:no_frag"}
)  # fmt: skip
