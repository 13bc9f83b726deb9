"""In: a seed and some knobs. Out: SYNTHETIC evidence, a reconstruction of the model case as a capture, and the facts it holds.
Never here: files (the command writes them), ordinary traffic of other hosts (campus.py).

The model: on 2 August 2002 the University of Auckland told the lists `incidents` and `unisog` of a Windows 98 host that for
five days tried port 80 of scattered addresses, 3 to 4 a minute, with 4 or 5 SYNs where nobody answered, sent
`GET /b.cgi?alt&174642967&000000000000 HTTP...` (117 bytes, no Referer) where somebody did, and stopped by itself at 04:30
after a download of about 4 KB (https://seclist.org/incidents/2002/Aug/6). Known since as W32/Frethem.K or .L.

Public and taken over: the host's address, TTL 126 at the tap, window 8760, DF, the 82 printed bytes of the one printed
packet (17:13:07.654448, to 202.178.254.2 from port 1566, with its checksums), rates, retries, length, the hour of the end.
Not public and invented here, which every file says:

* the calendar: the post is of 2 August, so 04:30 is taken as 04:30 NZST (UTC+12) on 2 August 2002, 2002-08-01T16:30Z, and
  the printed packet as one of 1 August;
* 62 of the 63 addresses: network numbers (ending in .0, where no subscriber sits) in blocks of large access providers;
  nobody is accused of anything. Their names end in .example and follow the style of the time;
* the bytes of the request after the request line: Host and a header that says it is synthetic;
* whether the nine digits change (here they do), the order of the targets (here a fixed list over and over), the TCP options
  of the SYN (here those of Windows 98), what the targets answered, and what the last download was (here bytes without
  meaning)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from tracehound.demo import campus
from tracehound.demo.campus import HOUR, Bystander, Site, fetch, visits, websites
from tracehound.demo.chance import Chance
from tracehound.demo.pages import answer, elaborate_error, get, page, short_error
from tracehound.demo.wire import (
    ACK,
    LINUX,
    PSH,
    WINDOWS_98,
    Host,
    Interface,
    Stack,
    Talk,
    Wire,
    checksum,
    number,
    pcapng_chunks,
)

FILE_NAME: Final = "SYNTHETIC-frethem-auckland-2002.pcapng"
FLOW_LOG_NAME: Final = "SYNTHETIC-frethem-auckland-2002.argus"
SYNTHETIC: Final = (
    "SYNTHETIC reconstruction of the model case (University of Auckland, incidents list, 2 August 2002). No packet of this "
    "file was captured. Addresses other than 130.216.54.131 and 202.178.254.2, all other hosts, headers and bodies are "
    "invented; outside addresses are network numbers and accuse nobody."
)
HOST: Final = "130.216.54.131"
PRINTED_TARGET: Final = "202.178.254.2"
PRINTED_PORT: Final = 1566
PRINTED_NAME: Final = "n002.n202-178-254-0-24.ethome.net"
STOP_NS: Final = 1_028_219_400_000_000_000
"""2002-08-01T16:30:00Z, 04:30 NZST on 2 August 2002."""
_PRINTED_BEFORE_STOP: Final = 11 * HOUR + 16 * 60 + 52.345552
"""17:13:07.654448 on 1 August is this many seconds before 04:30."""
PRINTED_BYTES: Final = bytes.fromhex(
    "4500009ded0440007e068d4582d83683cab2fe02061e0050000ff95aee38fec850182238 8b900000"
    "474554202f622e6367693f616c7426313734363432393637263030303030303030303030302048545450"
)
"""The printed packet, from the IP header: 82 of its 157 bytes."""

RETRY_WINDOWS_98: Final = (0.0, 3.0, 9.0, 21.0, 45.0)
"""3 s doubling; four or five of them are sent."""

_NETWORKS: Final = (
    "24.0 24.34 24.60 24.107 24.151 24.158 24.58 24.90 24.209 24.250 68.0 68.96 24.44 24.184 24.64 24.76 "
    "24.82 24.37 24.200 24.114 64.228 65.92 63.196 63.198 65.13 65.81 64.121 62.30 80.0 62.252 81.128 "
    "80.8 62.147 80.128 62.224 62.131 80.60 24.132 62.163 62.194 81.224 62.242 80.62 62.92 80.212 62.235 "
    "80.200 213.118 80.24 62.42 62.57 80.48 62.211 61.216 61.98 211.49 211.107 218.112 61.112 218.102 "
    "61.10 203.164"
)
_NAME_STYLES: Final = (
    "adsl-{a}-{b}-{c}-{d}.dsl.provider{n}.example",
    "cm{a}-{b}-{c}-{d}.cable.provider{n}.example",
    "ppp{d}.{c}-{b}-{a}.dialup.provider{n}.example",
    "dhcp-{a}-{b}-{c}-{d}.cpe.provider{n}.example",
    "pool-{a}-{b}-{c}-{d}.dyn.provider{n}.example",
    "modemcable{d}.{c}-{b}-{a}.mc.provider{n}.example",
)


def fixed_targets() -> list[tuple[str, str]]:
    """The 63 addresses of the reconstruction with their names; "" where the address has none."""
    out = []
    for i, network in enumerate(_NETWORKS.split()):
        a, b = network.split(".")
        c = str(16 + i * 37 % 224)
        name = _NAME_STYLES[i % 6].format(a=a, b=b, c=c, d="0", n=i) if i * 7 % 10 < 6 else ""
        out.append((f"{a}.{b}.{c}.0", name))
    return [*out, (PRINTED_TARGET, PRINTED_NAME)]


@dataclass(frozen=True, slots=True)
class ModelCase:
    """The knobs. The default is the model case; tests and benchmarks turn them.

    targets_per_min   attempts a minute
    probing_hours     how long the evidence shows the probing before it stops
    after_hours       how long the evidence goes on after that
    targets           length of the fixed list (at most 63 keep their places; more are made up)
    ever_new          each attempt goes to an address never tried before
    failing_share     share of the targets that never answer; None: the mixture of the model case
    bystanders        the other hosts of the network
    ordinary          the probing host's ordinary traffic
    stops             the last attempt brings the download; otherwise the probing runs to the edge of the evidence
    outside_scanner   beside the noise, one outside host sweeps 400 campus addresses on tcp/1433
    """

    seed: int = 2002
    targets_per_min: float = 3.5
    probing_hours: float = 26.5
    after_hours: float = 3.5
    targets: int = 63
    ever_new: bool = False
    failing_share: float | None = None
    bystanders: bool = True
    ordinary: bool = True
    stops: bool = True
    outside_scanner: bool = False


@dataclass(slots=True)
class Facts:
    """What the evidence holds, counted while it was written. Times are ns since 1970 UTC; sizes are bytes.

    outcomes        attempts by outcome, in the words of the table `flows`
    statuses        HTTP status of the answers, by count
    syn_counts      SYNs of an unanswered attempt -> attempts
    syns            SYNs of all attempts
    answering       targets that ever answered
    last_target     the target that sent the download
    """

    host: str = HOST
    service: str = "tcp/80"
    label: str = SYNTHETIC
    targets: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    attempts: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    syn_counts: Counter[int] = field(default_factory=Counter)
    syns: int = 0
    requests: int = 0
    request_bytes: int = 117
    template: str = "GET /b.cgi?alt&<9 digits>&000000000000 HTTP/1.1"
    absent_header: str = "Referer"
    answering: set[str] = field(default_factory=set)
    targets_per_min: float = 0.0
    start_ns: int = 0
    first_attempt_ns: int = 0
    last_attempt_ns: int = 0
    stop_ns: int = 0
    end_ns: int = 0
    download_bytes: int = 0
    download: bytes = b""
    last_target: str = ""
    printed_packet_ns: int = 0
    bystanders: list[Bystander] = field(default_factory=list)
    packets: int = 0


def probe_request(address: str, digits: str, wanted_checksum: Callable[[bytes], bytes] | None = None) -> bytes:
    """The request, 117 bytes. What follows the request line is NOT public: it is padding that says so."""
    head = f"GET /b.cgi?alt&{digits}&000000000000 HTTP/1.1\r\nHost: {address}\r\nX-Synthetic: "
    room = 117 - len(head) - 4
    padding = b"reconstruction-header-bytes-not-public"[:room].ljust(room, b"-")
    request = head.encode() + padding + b"\r\n\r\n"
    return wanted_checksum(request) if wanted_checksum else request


def _printed_request(request: bytes) -> bytes:
    """The printed packet's request, its padding chosen so that the whole has the printed TCP checksum, 0x8b90."""
    begin = request.index(b"X-Synthetic: ") + 13
    end = len(request) - 4
    padding = bytearray(b"a" * (end - begin))
    pseudo = number(PRINTED_BYTES[12:20]) + 6 + 137
    header = number(PRINTED_BYTES[20:36])

    def missing() -> int:
        whole = request[:begin] + bytes(padding) + request[end:]
        return (checksum(pseudo + header + number(whole)) - 0x8B90) % 65535

    high = [i for i in range(len(padding)) if (begin + i) % 2 == 0]
    low = [i for i in range(len(padding)) if (begin + i) % 2 == 1]
    units, ones = divmod(missing(), 256)
    for places, amount in ((high, units), (low, ones)):
        for place in places:
            step = min(25, amount)
            padding[place] += step
            amount -= step  # noqa: PLW2901
    return request[:begin] + bytes(padding) + request[end:]


_DEAD, _REFUSES, _UNREACHABLE, _SILENT = "dead", "refuses", "unreachable", "silent"
_IIS_404, _APACHE_404, _BAD_REQUEST, _LOGIN, _OWN_404 = "iis 404", "apache 404", "400", "401", "own 404"
_ANSWERS: Final = {
    _IIS_404: (
        404,
        answer(404, "Object Not Found", "text/html", elaborate_error(404, "File not found"), "Microsoft-IIS/5.0"),
    ),
    _APACHE_404: (404, answer(404, "Not Found", "text/html", short_error(404, "Not Found"))),
    _BAD_REQUEST: (400, answer(400, "Bad Request", "text/html", short_error(400, "Bad Request", "httpd"), "httpd")),
    _LOGIN: (
        401,
        answer(
            401,
            "Unauthorized",
            "text/html",
            short_error(401, "Unauthorized", "GoAhead-Webs"),
            "GoAhead-Webs",
            ('WWW-Authenticate: Basic realm="DSL router"',),
        ),
    ),
    _OWN_404: (404, answer(404, "Not Found", "text/html", page("Perdu ? Cette page n'existe pas", 2600))),
}
_MIXTURE: Final = (
    [_REFUSES] * 6 + [_UNREACHABLE] * 3 + [_SILENT] * 2 + [_IIS_404, _APACHE_404, _BAD_REQUEST, _LOGIN, _OWN_404]
)  # fmt: skip
_UP_SHARE: Final = {_REFUSES: 0.8, _UNREACHABLE: 0.7, _SILENT: 0.35}
"""Share of the time in which a target of that kind is there; the answering ones are there less than a quarter of it."""


class _Prober:
    """The host that probes, and what its targets do."""

    def __init__(self, case: ModelCase, site: Site, host: Host, facts: Facts) -> None:
        self.case, self.site, self.host, self.facts = case, site, host, facts
        self.wire = site.wire
        self.chance = site.chance.fork("prober")
        self.stop = case.probing_hours * HOUR
        self.last_syn = self.stop - 3.0 if case.stops else self.stop
        self.printed = self.stop - _PRINTED_BEFORE_STOP
        self.router = self.wire.host("203.0.113.1", Stack(ttl=243))
        self.kinds: dict[str, str] = {}
        self.printed_port = 0

    def plan(self) -> list[tuple[float, Callable[[], None]]]:
        """All attempts at their moments."""
        gap = 60.0 / self.case.targets_per_min
        moments = []
        at = 11.0
        while at < self.last_syn - gap / 2:
            moments.append(at)
            at += gap * self.chance.uniform(0.75, 1.25)
        moments.append(self.last_syn)
        printed = -1
        if not self.case.ever_new and self.case.failing_share is None and moments[0] < self.printed:
            printed = min(range(len(moments)), key=lambda i: abs(moments[i] - self.printed))
            moments[printed] = self.printed - 0.62
        addresses = self._addresses(len(moments), printed)
        self._choose_kinds(addresses)
        return [(when, self._attempt(when, addresses[i], i, len(moments), printed)) for i, when in enumerate(moments)]

    def _addresses(self, count: int, printed: int) -> list[str]:
        """The target of each attempt: a fixed list over and over, turned so that the printed packet has its place."""
        if self.case.ever_new:
            return [self.site.outside(self.chance).address for _ in range(count)]
        known = dict(fixed_targets())
        listed = list(known)[-self.case.targets :]
        self.chance.shuffle(listed)
        listed += [self.site.outside(self.chance).address for _ in range(self.case.targets - len(listed))]
        self.facts.names = {a: known[a] for a in listed if known.get(a)}
        turn = listed.index(PRINTED_TARGET) - printed if printed >= 0 else 0
        return [listed[(i + turn) % len(listed)] for i in range(count)]

    def _choose_kinds(self, addresses: list[str]) -> None:
        """What each target does. The one that sends the download is dead until then."""
        distinct = list(dict.fromkeys(addresses))
        last = addresses[-1]
        if self.case.failing_share is None:
            kinds = [_MIXTURE[i] if i < len(_MIXTURE) else _DEAD for i in range(max(len(distinct), 63))]
            if len(distinct) > 63 or self.case.ever_new:
                kinds = [self.chance.choice([*_MIXTURE, *[_DEAD] * 47]) for _ in distinct]
        else:
            answering = round(len(distinct) * (1 - self.case.failing_share))
            kinds = [_APACHE_404] * answering + [_DEAD] * (len(distinct) - answering)
        order = list(distinct)
        self.chance.shuffle(order)
        self.kinds = dict(zip(order, kinds, strict=False))
        if self.case.stops and self.case.failing_share is None and self.kinds[last] != _DEAD:
            other = next(a for a in order if self.kinds[a] == _DEAD and a != PRINTED_TARGET)
            self.kinds[last], self.kinds[other] = _DEAD, self.kinds[last]
        if PRINTED_TARGET in self.kinds and self.case.failing_share is None:
            self.kinds[PRINTED_TARGET] = _SILENT

    def _is_up(self, address: str, kind: str, at: float) -> bool:
        """Targets come and go in stretches of 90 minutes."""
        if self.case.failing_share is not None:
            return True
        stretch = Chance(self.case.seed).fork(f"{address} {int(at // 5400)}")
        return stretch.happens(_UP_SHARE.get(kind, 0.21))

    def _attempt(self, at: float, address: str, index: int, count: int, printed: int) -> Callable[[], None]:
        def attempt() -> None:
            facts = self.facts
            facts.attempts += 1
            facts.last_attempt_ns = self.wire.ns(at)
            facts.first_attempt_ns = facts.first_attempt_ns or self.wire.ns(at)
            if address not in facts.targets:
                facts.targets.append(address)
            server = self.wire.host(address, Stack(ttl=self.chance.between(38, 118), window=16384))
            if index == printed:
                self._printed_packet(server)
            elif index == count - 1 and self.case.stops:
                self._download(server, at)
            else:
                kind = self.kinds[address]
                kind = kind if kind == _DEAD or self._is_up(address, kind, at) else _DEAD
                self._TABLE.get(kind, _Prober._answered)(self, server, at, kind)

        return attempt

    def _isn(self, at: float) -> int:
        """Windows 9x counts its first sequence number up with time; the printed packet says where it stood."""
        return (0x000FF959 + round((at - self.printed) * 1000)) & 0xFFFFFFFF

    def _times(self, at: float) -> tuple[float, ...]:
        """Four or five SYNs, none after the program has ended."""
        times = RETRY_WINDOWS_98[: self.chance.between(4, 5)]
        return tuple(t for t in times if at + t < self.stop)

    def _dead(self, server: Host, at: float, _kind: str) -> None:
        times = self._times(at)
        self.host.unanswered(server, 80, at, times, seq=self._isn(at))
        self.facts.outcomes["unanswered"] += 1
        self.facts.syn_counts[len(times)] += 1
        self.facts.syns += len(times)

    def _refused(self, server: Host, at: float, _kind: str) -> None:
        self.host.refused(server, 80, at, (0.0, 0.5, 1.0, 1.5), rtt=self.chance.uniform(0.18, 0.4), seq=self._isn(at))
        self.facts.outcomes["refused"] += 1
        self.facts.syns += 4

    def _unreachable(self, server: Host, at: float, _kind: str) -> None:
        times = self._times(at)
        self.host.unreachable(
            server, 80, at, self.router, 1, times, rtt=self.chance.uniform(0.2, 0.6), seq=self._isn(at), answered=(0, 2)
        )
        self.facts.outcomes["unreachable"] += 1
        self.facts.syns += len(times)

    def _connect(self, server: Host, at: float, seq: int | None = None) -> Talk:
        self.facts.syns += 1
        return self.host.connect(
            server, 80, at, rtt=self.chance.uniform(0.2, 0.42), seq=self._isn(at) if seq is None else seq
        )

    def _request(self, talk: Talk, comment: str | None = None) -> Talk:
        self.facts.requests += 1
        digits = f"{self.chance.between(100_000_000, 999_999_999)}"
        return talk.send(probe_request(talk.server.address, digits), comment=comment)

    def _silent(self, server: Host, at: float, _kind: str) -> None:
        self._request(self._connect(server, at)).wait(40.0).close()
        self.facts.outcomes["accepted"] += 1

    def _answered(self, server: Host, at: float, kind: str) -> None:
        status, message = _ANSWERS[kind]
        self._request(self._connect(server, at)).wait(self.chance.uniform(0.01, 0.2)).reply(message).server_close()
        self.facts.outcomes["answered"] += 1
        self.facts.statuses[status] += 1
        self.facts.answering.add(server.address)

    def _printed_packet(self, server: Host) -> None:
        """The attempt whose request was printed. What came back is not public; here nothing does."""
        rtt = 0.31
        talk = self.host.connect(
            server, 80, self.printed - rtt - 0.0006, rtt=rtt, seq=0x000FF959, server_seq=0xEE38FEC7
        )
        talk.now = self.printed
        self.printed_port = talk.sport
        self.facts.syns += 1
        self.facts.requests += 1
        self.facts.outcomes["accepted"] += 1
        self.facts.printed_packet_ns = self.wire.ns(self.printed)
        request = _printed_request(probe_request(PRINTED_TARGET, "174642967"))
        talk.segment(
            True, request, ACK | PSH,
            comment="SYNTHETIC reconstruction; the first 82 bytes of this IP packet are the ones printed in the post",
        )  # fmt: skip
        talk.seq += len(request)
        talk.wait(rtt).segment(False)
        talk.wait(40.0).close()

    def _download(self, server: Host, at: float) -> None:
        """The last answer: about 4 KB that are no error page. What it was is not public; these bytes mean nothing."""
        body = self.chance.fork("download").octets(4096)
        talk = self._request(self._connect(server, at), "SYNTHETIC: the last request before the probing stops")
        talk.wait(0.3).reply(
            answer(200, "OK", "application/octet-stream", body),
            comment="SYNTHETIC: stands for the download of about 4 KB; the real one is not public, these bytes mean nothing",
        ).server_close()
        facts = self.facts
        facts.outcomes["answered"] += 1
        facts.statuses[200] += 1
        facts.answering.add(server.address)
        facts.download, facts.download_bytes, facts.last_target = body, len(body), server.address
        facts.stop_ns = self.wire.ns(talk.now)

    _TABLE: Final = {_DEAD: _dead, _REFUSES: _refused, _UNREACHABLE: _unreachable, _SILENT: _silent}


def _ordinary(site: Site, host: Host) -> list[tuple[float, Callable[[], None]]]:
    """What the host does besides: pages with Referer, a news page that reloads itself day and night, mail, NetBIOS."""
    chance = site.chance.fork("ordinary")
    sites = websites(site, chance, 40, "www.physics{}.example")
    todo: list[tuple[float, Callable[[], None]]] = []
    for at in site.moments(chance, 16):
        name, server = chance.choice(sites)
        todo += visits(
            site, host, at, name, server, chance, "Mozilla/4.0 (compatible; MSIE 5.5; Windows 98)", chance.between(1, 4)
        )
    news, news_server = "news.daily.example", site.outside(chance)
    at = 130.0
    while at < site.end - 60:
        request = get(news, "/ticker.html", f"http://{news}/index.html")
        response = answer(200, "OK", "text/html", page("Headlines", 1800 + int(at) % 700))
        todo.append((at, _looking_up_and_fetching(site, host, news, news_server, at, request, response)))
        at += 900.0
    mail = site.wire.host("130.216.1.110", LINUX)
    at = 45.0
    while at < site.end - 60:
        todo.append((at, _mail_check(host, mail, at)))
        at += 600.0 + chance.uniform(-2, 2)
    broadcast = site.wire.host("130.216.54.255", LINUX)
    at = 66.0
    while at < site.end - 10:
        todo.append((at, _browser_announcement(host, broadcast, at)))
        at += 720.0
    return todo


def _looking_up_and_fetching(
    site: Site, host: Host, name: str, server: Host, at: float, request: bytes, response: bytes
) -> Callable[[], None]:
    return lambda: fetch(host, server, site.lookup(host, name, server, at, keep=3 * HOUR), request, response)


def _mail_check(host: Host, mail: Host, at: float) -> Callable[[], None]:
    def check() -> None:
        talk = host.connect(mail, 110, at, rtt=0.001).reply(b"+OK POP3 ready\r\n")
        for line, reply in (
            ("USER physics", "+OK"),
            ("PASS ********", "+OK"),
            ("STAT", "+OK 0 0"),
            ("QUIT", "+OK bye"),
        ):
            talk.send(f"{line}\r\n".encode()).reply(f"{reply}\r\n".encode())
        talk.server_close()

    return check


def _browser_announcement(host: Host, broadcast: Host, at: float) -> Callable[[], None]:
    data = (
        b"\x11\x02\x00\x01"
        + host.packed
        + b"\x00\x8a\x00\xbb\x00\x00"
        + b" "
        + b"EH" * 16
        + b"\0"
        + b" "
        + b"FH" * 16
        + b"\0"
    )

    def announce() -> None:
        host.datagram(broadcast, 138, data + b"\xffSMB%" + bytes(60), at, sport=138)

    return announce


def _outside_scanner(site: Site) -> None:
    """One outside host that sweeps the campus for tcp/1433, as Spida did in 2002."""
    chance = site.chance.fork("outside scanner")
    scanner = site.outside(chance, 128)
    for i in range(400):
        victim = site.wire.host(f"130.216.{100 + i // 200}.{1 + i % 200}", LINUX)
        scanner.unanswered(victim, 1433, 5 * HOUR + i * 0.11, (0.0, 3.0))


def _probing_host(case: ModelCase, first_port: int) -> tuple[Site, Host, _Prober]:
    """A wire with the probing host's traffic alone."""
    stop = case.probing_hours * HOUR
    wire = Wire(STOP_NS - round(stop * 1e9), case.seed)
    resolver = wire.host("130.216.1.1", LINUX)
    site = Site(wire, Chance(case.seed), stop + case.after_hours * HOUR, (4.5 - case.probing_hours) % 24, resolver)
    site.taken.update(address for address, _ in fixed_targets())
    facts = Facts(targets_per_min=case.targets_per_min, start_ns=wire.start_ns, end_ns=wire.ns(site.end))
    host = wire.host(HOST, replace(WINDOWS_98, ttl=126))
    host.next_port = first_port
    prober = _Prober(case, site, host, facts)
    campus.run([*prober.plan(), *(_ordinary(site, host) if case.ordinary else [])])
    return site, host, prober


def reconstruct(case: ModelCase | None = None) -> tuple[Wire, Facts]:
    """Everything the tap saw, with the facts. Memory: all frames at once (about 60 MB for the default)."""
    case = case or ModelCase()
    site, host, prober = _probing_host(case, WINDOWS_98.first_port)
    if prober.printed_port:
        # Written twice: only now is it known where the counter must begin so that the printed packet leaves port 1566.
        ports = WINDOWS_98.last_port - WINDOWS_98.first_port + 1
        first = WINDOWS_98.first_port + (PRINTED_PORT - prober.printed_port) % ports
        site, host, prober = _probing_host(case, first)
    wire, facts = site.wire, prober.facts
    if facts.printed_packet_ns:
        # 0xed04 on the wire is 0x04ed in the order the host counts in.
        host.ip_id_start = (0x04ED - wire.packets_of(host, facts.printed_packet_ns)) & 0xFFFF
    if case.bystanders:
        facts.bystanders = [look_alike(site) for look_alike in campus.LOOK_ALIKES]
        facts.bystanders.append(campus.log_analyser(site, list(facts.names.items()), sorted(facts.targets)[:400]))
    if case.outside_scanner:
        _outside_scanner(site)
    facts.packets = len(wire)
    return wire, facts


def evidence(case: ModelCase | None = None) -> Iterator[bytes]:
    """The capture as pcapng in pieces of about 1 MiB, in order of time, labelled synthetic."""
    return chunks(reconstruct(case)[0])


def chunks(wire: Wire) -> Iterator[bytes]:
    """The wire as labelled pcapng."""
    interface = Interface(name="SYNTHETIC", description="invented tap at the border of a university network")
    return pcapng_chunks(wire.frames(), (interface,), SYNTHETIC, "tracehound demo (synthetic evidence)")
