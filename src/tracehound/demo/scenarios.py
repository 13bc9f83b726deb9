"""In: a seed and a few knobs. Out: SYNTHETIC captures of one behaviour each, with what they hold: scans of every shape, fast
and slow, the packets that known worms are recognised by, and innocent traffic that looks similar.
Never here: the model case (model_case.py).

Sources of the shapes: Code Red (CERT CA-2001-19), Slammer (Moore et al., 2003), Mirai (published source), Welchia (SARC).
None of the captures holds working malware: the bytes are the recognisable beginnings, padded. Sources are private or
documentation addresses, random targets are network numbers ending in .0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from tracehound.demo.chance import Chance
from tracehound.demo.pages import APACHE, answer, get, page, short_error
from tracehound.demo.wire import (
    LINUX,
    RETRY_LINUX,
    RETRY_WINDOWS,
    WINDOWS_2000,
    Host,
    Interface,
    Stack,
    Wire,
    dns_query,
    dns_response,
    pcapng_chunks,
)

START_NS: Final = 1_700_000_000_000_000_000
DAY: Final = 86_400.0
HOUR: Final = 3_600.0
SCANNER: Final = "10.20.30.40"


@dataclass(slots=True)
class Scenario:
    """A wire and what is on it.

    probing    (source, "tcp/80") of every host that probes; empty: everybody is innocent
    targets    distinct targets (hosts; for a vertical scan: ports) of the first prober
    attempts   attempts of the first prober, retries not counted
    outcomes   attempts of the first prober by outcome, in the words of the table `flows`
    """

    name: str
    wire: Wire
    probing: list[tuple[str, str]] = field(default_factory=list)
    shape: str = ""
    targets: int = 0
    attempts: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return f"SYNTHETIC scenario '{self.name}': invented for tests, no packet was captured"

    def count(self, outcome: str) -> None:
        self.attempts += 1
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    def pcapng(self) -> bytes:
        """The labelled capture."""
        frames = self.wire.frames()
        return b"".join(pcapng_chunks(frames, (Interface(name="SYNTHETIC"),), self.label, "tracehound demo"))

    def pcap(self) -> bytes:
        return self.wire.pcap()


def _begin(name: str, seed: int, shape: str = "", service: str = "") -> tuple[Scenario, Chance]:
    scenario = Scenario(name, Wire(START_NS, seed), [(SCANNER, service)] if service else [], shape)
    return scenario, Chance(seed).fork(name)


def _anywhere(chance: Chance) -> str:
    """A random public network number."""
    return f"{chance.choice((24, 62, 66, 80, 130, 145, 160, 195, 203, 212))}.{chance.below(256)}.{chance.below(256)}.0"


def _distinct(chance: Chance, count: int) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < count:
        found[_anywhere(chance)] = None
    return list(found)


def _try(
    scenario: Scenario, host: Host, server: Host, port: int, at: float, fate: float, times: Sequence[float]
) -> None:
    """One attempt: below .1 refused, below .2 a banner, else nothing."""
    if fate < 0.1:
        host.refused(server, port, at)
        scenario.count("refused")
    elif fate < 0.2:
        host.connect(server, port, at).reply(b"220 ready\r\n").reset()
        scenario.count("answered")
    else:
        host.unanswered(server, port, at, times)
        scenario.count("unanswered")


def horizontal(
    seed: int = 1, targets: int = 300, per_second: float = 5.0, port: int = 445, times: Sequence[float] = RETRY_WINDOWS
) -> Scenario:
    """One port of many scattered hosts, fast."""
    scenario, chance = _begin("horizontal", seed, "horizontal", f"tcp/{port}")
    host = scenario.wire.host(SCANNER, WINDOWS_2000)
    for i, address in enumerate(_distinct(chance, targets)):
        _try(scenario, host, scenario.wire.host(address), port, 5 + i / per_second, chance.unit(), times)
    scenario.targets = targets
    return scenario


def slow(seed: int = 1, days: float = 7.0, gap_minutes: float = 4.0, port: int = 22) -> Scenario:
    """One new host every few minutes, for a week, beside a little ordinary traffic."""
    scenario, chance = _begin("slow", seed, "horizontal", f"tcp/{port}")
    host = scenario.wire.host(SCANNER, LINUX)
    count = int(days * 1440 / gap_minutes)
    for i, address in enumerate(_distinct(chance, count)):
        at = 30 + (i + chance.uniform(0, 0.5)) * gap_minutes * 60
        _try(scenario, host, scenario.wire.host(address), port, at, chance.unit(), (0.0, 1.0, 3.0))
    _browsing(scenario.wire, chance, "10.20.30.41", days * DAY, every=7200.0)
    scenario.targets = count
    return scenario


def vertical(seed: int = 1, ports: int = 1000, per_second: float = 50.0) -> Scenario:
    """Many ports of one host; three of them are open."""
    scenario, chance = _begin("vertical", seed, "vertical", "tcp")
    host, server = scenario.wire.host(SCANNER, LINUX), scenario.wire.host("192.0.2.50")
    order = list(range(1, ports + 1))
    chance.shuffle(order)
    for i, port in enumerate(order):
        at = 2 + i / per_second
        if port in (22, 80, 443):
            host.connect(server, port, at).reset()
            scenario.count("accepted")
        else:
            host.refused(server, port, at)
            scenario.count("refused")
    scenario.targets = ports
    return scenario


def block(
    seed: int = 1, hosts: int = 60, ports: Sequence[int] = (21, 22, 23, 25, 80, 110, 139, 443, 445, 3389)
) -> Scenario:
    """Several ports of every host of a network."""
    scenario, chance = _begin("block", seed, "block", "tcp")
    host = scenario.wire.host(SCANNER, LINUX)
    at = 1.0
    for i in range(hosts):
        server = scenario.wire.host(f"198.51.100.{i + 1}")
        for port in ports:
            _try(scenario, host, server, port, at, chance.unit(), (0.0, 1.0))
            at += 0.05
    scenario.targets = hosts
    return scenario


def udp_scan(seed: int = 1, targets: int = 250, port: int = 161) -> Scenario:
    """One UDP port of many hosts; some say that the port is closed, a few answer."""
    scenario, chance = _begin("udp scan", seed, "horizontal", f"udp/{port}")
    host = scenario.wire.host(SCANNER, LINUX)
    question = bytes.fromhex(
        "302902010104067075626c6963a01c0204" + "12345678" + "020100020100300e300c06082b060102010101000500"
    )
    for i, address in enumerate(_distinct(chance, targets)):
        server, at, fate = scenario.wire.host(address), 1 + i * 0.5, chance.unit()
        if fate < 0.1:
            host.port_unreachable(server, port, question, at)
            scenario.count("unreachable")
        else:
            host.exchange(server, port, question, question.replace(b"\xa0", b"\xa2") if fate < 0.15 else None, at)
            scenario.count("answered" if fate < 0.15 else "unanswered")
    scenario.targets = targets
    return scenario


def icmp_sweep(seed: int = 1, hosts: int = 254, filling: int = 0xAA) -> Scenario:
    """Echo requests to every address of a network in order, filled with 0xAA as Welchia did."""
    scenario, chance = _begin("icmp sweep", seed, "horizontal", "icmp")
    host = scenario.wire.host(SCANNER, WINDOWS_2000)
    for i in range(1, hosts + 1):
        alive = chance.happens(0.12)
        host.ping(scenario.wire.host(f"203.0.113.{i}"), 1 + i * 0.02, 512, i, bytes((filling,)) * 64, alive)
        scenario.count("answered" if alive else "unanswered")
    scenario.targets = hosts
    return scenario


def mirai_like(seed: int = 1, targets: int = 600, per_second: float = 160.0) -> Scenario:
    """SYNs made by hand: sequence number equal to the target's address, no options, one source port, tcp/23 and 2323."""
    scenario, chance = _begin("mirai-like", seed, "horizontal", "tcp/23")
    scenario.probing.append((SCANNER, "tcp/2323"))
    stack = Stack(ttl=64, window=chance.between(1024, 60000), syn_options=b"", ip_id="random", dont_fragment=False)
    host = scenario.wire.host(SCANNER, stack)
    for i, address in enumerate(_distinct(chance, targets)):
        server = scenario.wire.host(address)
        port = 2323 if i % 10 == 9 else 23
        host.unanswered(server, port, 1 + i / per_second, (0.0,), sport=41235, seq=int.from_bytes(server.packed))
        scenario.count("unanswered")
    scenario.targets = targets
    return scenario


def slammer_like(seed: int = 1, targets: int = 800, per_second: float = 400.0) -> Scenario:
    """Single datagrams of 376 bytes to udp/1434 of random hosts: the recognisable bytes only, the rest is padding."""
    scenario, chance = _begin("slammer-like", seed, "horizontal", "udp/1434")
    host = scenario.wire.host(SCANNER, WINDOWS_2000)
    data = b"\x04" + b"\x01" * 96 + b"SYNTHETIC" + bytes.fromhex("81f10301049b81f101") + b"Qh.dll" + b"sock" + b"send"
    data = data.ljust(376, b".")
    for i, address in enumerate(_distinct(chance, targets)):
        host.datagram(scenario.wire.host(address), 1434, data, 1 + i / per_second, sport=1055)
        scenario.count("unanswered")
    scenario.targets = targets
    return scenario


CODE_RED_TAIL: Final = (
    b"%u9090%u6858%ucbd3%u7801" * 3
    + b"%u9090%u9090%u8190%u00c3%u0003%u8b00%u531b%u53ff%u0078%u0000%u00=a  HTTP/1.0\r\n"
)


def code_red_like(seed: int = 1, targets: int = 400, filler: bytes = b"N") -> Scenario:
    """`GET /default.ida?NNN...` to port 80 of random hosts (X instead of N: the second worm)."""
    scenario, chance = _begin("code-red-like", seed, "horizontal", "tcp/80")
    host = scenario.wire.host(SCANNER, WINDOWS_2000)
    request = (
        b"GET /default.ida?" + filler * 224 + CODE_RED_TAIL + b"Content-type: text/xml\r\nX-Synthetic: yes\r\n\r\n"
    )
    refusal = answer(404, "Not Found", "text/html", short_error(404, "Not Found", APACHE))
    for i, address in enumerate(_distinct(chance, targets)):
        server, at, fate = scenario.wire.host(address), 1 + i * 0.25, chance.unit()
        if fate < 0.12:
            host.connect(server, 80, at, rtt=0.2).send(request).reply(refusal).server_close()
            scenario.count("answered")
        elif fate < 0.2:
            host.refused(server, 80, at, (0.0, 0.5, 1.0))
            scenario.count("refused")
        else:
            host.unanswered(server, 80, at)
            scenario.count("unanswered")
    scenario.targets = targets
    return scenario


def revisits(
    seed: int = 1, targets: int = 63, per_min: float = 3.5, hours: float = 12.0, failing: float = 0.9, port: int = 80
) -> Scenario:
    """A fixed list of targets, over and over: the shape of the model case without its particulars."""
    scenario, chance = _begin("revisits", seed, "horizontal", f"tcp/{port}")
    host = scenario.wire.host(SCANNER, WINDOWS_2000)
    addresses = _distinct(chance, targets)
    alive = set(addresses[: round(targets * (1 - failing))])
    at, i = 10.0, 0
    while at < hours * HOUR:
        server = scenario.wire.host(addresses[i % targets])
        if server.address in alive:
            host.connect(server, port, at).send(b"GET /x HTTP/1.0\r\n\r\n").reply(
                b"HTTP/1.0 404 Not Found\r\n\r\n"
            ).close()
            scenario.count("answered")
        else:
            host.unanswered(server, port, at)
            scenario.count("unanswered")
        at += 60 / per_min * chance.uniform(0.7, 1.3)
        i += 1
    scenario.targets = min(targets, i)
    return scenario


def quiet(seed: int = 1, hosts: int = 12, hours: float = 6.0) -> Scenario:
    """Ordinary browsing of a few hosts and nothing else: the answer is that nobody is strange."""
    scenario, chance = _begin("quiet", seed)
    for i in range(hosts):
        _browsing(scenario.wire, chance, f"10.20.30.{100 + i}", hours * HOUR, every=900.0)
    return scenario


def dead_server(seed: int = 1, hours: float = 12.0) -> Scenario:
    """One client that tries its one dead server every minute, as broken set-ups do: a loop, no scan."""
    scenario, _chance = _begin("dead server", seed)
    host, server = scenario.wire.host("10.20.30.77", LINUX), scenario.wire.host("192.0.2.99")
    for i in range(int(hours * 60)):
        host.unanswered(server, 8080, 5 + i * 60.0, RETRY_LINUX[:4])
    return scenario


def _browsing(wire: Wire, chance: Chance, address: str, until: float, every: float) -> None:
    """Pages of a few sites, each found by name."""
    host, resolver = wire.host(address, WINDOWS_2000), wire.host("10.20.30.1", LINUX)
    sites = [(f"www.site{i}.example", wire.host(f"198.51.100.{200 + i}")) for i in range(12)]
    at = chance.exponential(every)
    while at < until:
        name, server = chance.choice(sites)
        ident = chance.below(65536)
        host.exchange(
            resolver, 53, dns_query(ident, name), dns_response(ident, name, answers=(server.address,)), at, rtt=0.002
        )
        talk = host.connect(server, 80, at + 0.02).send(get(name, f"/{chance.below(50)}.html", f"http://{name}/"))
        talk.reply(answer(200, "OK", "text/html", page(name, chance.between(400, 4000)))).server_close()
        at += chance.exponential(every)


SCENARIOS: Final[dict[str, Callable[[int], Scenario]]] = {
    "horizontal": horizontal,
    "slow": slow,
    "vertical": vertical,
    "block": block,
    "udp_scan": udp_scan,
    "icmp_sweep": icmp_sweep,
    "mirai_like": mirai_like,
    "slammer_like": slammer_like,
    "code_red_like": code_red_like,
    "revisits": revisits,
    "quiet": quiet,
    "dead_server": dead_server,
}
"""Every scenario by name, each a function of the seed."""
