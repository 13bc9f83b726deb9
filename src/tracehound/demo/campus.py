"""In: a wire, a stretch of time and a seed. Out: the ordinary traffic of a university network of 2002 on that wire: hosts
that contact many others for honest reasons, and look like scanners to a counter. All of it is invented.
Never here: the host that probes (model_case.py).

Outside addresses are network numbers (they end in .0), where no subscriber sits, or lie in the documentation ranges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tracehound.demo.chance import Chance
from tracehound.demo.pages import answer, get, image, page, short_error
from tracehound.demo.wire import (
    LINUX,
    MX,
    PTR,
    RETRY_LINUX,
    RETRY_WINDOWS,
    WINDOWS_98,
    WINDOWS_2000,
    Host,
    Stack,
    Wire,
    dns_query,
    dns_response,
    reverse_name,
)

HOUR: Final = 3600.0
_FIRST_OCTETS: Final = (
    12,
    24,
    61,
    62,
    63,
    64,
    65,
    66,
    128,
    129,
    131,
    137,
    140,
    141,
    144,
    152,
    160,
    192,
    193,
    194,
    195,
    198,
)
_FIRST_OCTETS_MORE: Final = (199, 200, 202, 203, 204, 205, 206, 207, 208, 209, 210, 211, 212, 213, 216, 217, 218)


@dataclass(slots=True)
class Site:
    """The network, its resolver and its clock. `hours_at_start` is the local time of second 0, `end` the last second."""

    wire: Wire
    chance: Chance
    end: float
    hours_at_start: float
    resolver: Host
    taken: set[str] = field(default_factory=set)
    cached: dict[tuple[str, str], float] = field(default_factory=dict)

    def outside(self, chance: Chance, ttl: int = 0) -> Host:
        """A host somewhere outside that nobody has contacted yet."""
        octets = _FIRST_OCTETS + _FIRST_OCTETS_MORE
        while True:
            address = f"{chance.choice(octets)}.{chance.below(254) + 1}.{chance.below(254) + 1}.0"
            if address not in self.taken and not address.startswith(
                ("192.168.", "192.0.", "198.51.", "203.0.", "198.18.")
            ):
                self.taken.add(address)
                hops = chance.between(9, 22)
                return self.wire.host(address, Stack(ttl=(ttl or chance.choice((64, 128, 255))) - hops, window=16384))

    def local_hour(self, at: float) -> float:
        return (self.hours_at_start + at / HOUR) % 24

    def busy(self, at: float) -> float:
        """How busy people are at that time, 0..1: little at night."""
        hour = self.local_hour(at)
        return 1.0 if 9 <= hour < 18 else 0.4 if 7.5 <= hour < 23 else 0.04

    def moments(self, chance: Chance, per_hour: float, human: bool = True) -> list[float]:
        """Moments of a Poisson process, thinned by the hour of the day where people are behind it."""
        out = []
        at = chance.exponential(HOUR / per_hour)
        while at < self.end - 90:
            if not human or chance.happens(self.busy(at)):
                out.append(at)
            at += chance.exponential(HOUR / per_hour)
        return out

    def lookup(self, client: Host, name: str, server: Host, at: float, keep: float = HOUR) -> float:
        """The client asks the resolver for a name, unless it did within `keep` seconds. Returns when it may connect."""
        key = (client.address, name)
        if self.cached.get(key, -keep) + keep > at:
            return at
        self.cached[key] = at
        ident = self.chance.below(65536)
        client.exchange(
            self.resolver,
            53,
            dns_query(ident, name),
            dns_response(ident, name, answers=(server.address,)),
            at,
            rtt=0.004,
        )
        return at + 0.03


@dataclass(frozen=True, slots=True)
class Bystander:
    """A host that must stay innocent: what it is and what it looks like."""

    address: str
    what: str
    looks_like: str


def fetch(
    client: Host, server: Host, at: float, request: bytes, response: bytes, port: int = 80, rtt: float = 0.18
) -> None:
    """One HTTP exchange on a connection of its own; the server closes."""
    client.connect(server, port, at, rtt=rtt).send(request).reply(response).server_close()


def websites(site: Site, chance: Chance, names: int, style: str) -> list[tuple[str, Host]]:
    """Names with servers outside."""
    return [(style.format(i), site.outside(chance)) for i in range(names)]


def visits(
    site: Site, client: Host, at: float, name: str, server: Host, chance: Chance, agent: str, images: int
) -> list[tuple[float, Callable[[], None]]]:
    """One visit of a web page as things to do at their moments: look-up, page, images with Referer."""
    path = f"/{chance.choice(('news', 'staff', 'index', 'sport', 'maps', 'papers'))}/{chance.below(90)}.html"
    home = f"http://{name}/"
    body = page(name, chance.between(600, 3200))
    todo: list[tuple[float, Callable[[], None]]] = [
        (at, lambda: _ignore(site.lookup(client, name, server, at))),
        (
            at + 0.05,
            lambda: fetch(
                client, server, at + 0.05, get(name, path, home, agent), answer(200, "OK", "text/html", body)
            ),
        ),
    ]
    for i in range(images):
        when = at + 0.9 + 0.35 * i
        size = chance.between(100, 700)
        request = get(name, f"/images/{chance.below(40)}.gif", f"http://{name}{path}", agent)
        todo.append((when, _fetching(client, server, when, request, answer(200, "OK", "image/gif", image(size)))))
    return todo


def _ignore(_value: float) -> None:
    return


def _fetching(client: Host, server: Host, at: float, request: bytes, response: bytes) -> Callable[[], None]:
    return lambda: fetch(client, server, at, request, response)


def run(todo: list[tuple[float, Callable[[], None]]]) -> None:
    """Do things in order of time, so that ports count up as they would."""
    for _at, do in sorted(todo, key=lambda item: item[0]):
        do()


# -- the look-alikes --------------------------------------------------------------------------------------------------------
def peer_to_peer(site: Site) -> Bystander:
    """A Gnutella client: thousands of peers, half of them gone, and peers that call in."""
    chance = site.chance.fork("peer to peer")
    host = site.wire.host("130.216.81.17", WINDOWS_98)
    hello = b"GNUTELLA CONNECT/0.6\r\nUser-Agent: LimeWire 2.4.4\r\nX-Ultrapeer: False\r\n\r\n"
    okay = b"GNUTELLA/0.6 200 OK\r\nUser-Agent: BearShare 2.6.4\r\n\r\n"
    for at in site.moments(chance, 64, human=False):
        peer = site.outside(chance, 128)
        port = 6346 if chance.happens(0.45) else chance.between(10000, 45000)
        fate = chance.unit()
        if fate < 0.46:
            host.unanswered(peer, port, at, RETRY_WINDOWS)
        elif fate < 0.54:
            host.refused(peer, port, at, (0.0, 0.5, 1.0))
        else:
            talk = host.connect(peer, port, at, rtt=chance.uniform(0.15, 0.5)).send(hello).reply(okay)
            for _ in range(chance.below(3)):
                talk.wait(2.0).send(_descriptor(chance, 23)).wait(1.0).reply(
                    _descriptor(chance, 80 + chance.below(300))
                )
            talk.server_close()
    for at in site.moments(chance, 30, human=False):
        peer = site.outside(chance, 128)
        talk = peer.connect(host, 6346, at, rtt=0.02).send(hello).reply(okay)
        talk.wait(1.5).reply(_descriptor(chance, 200 + chance.below(900))).close()
    return Bystander(host.address, "Gnutella client", "many unknown addresses, half of which do not answer")


def crawler(site: Site) -> Bystander:
    """A link checker: many hosts, no Referer, but names first, robots.txt first, and most answer."""
    chance = site.chance.fork("crawler")
    host = site.wire.host("130.216.7.40", LINUX)
    agent = "LinkChecker/1.6 (+http://www.links.auckland.example/)"
    sites = websites(site, chance, 230, "www.site{}.example")
    at = 3.0 * HOUR
    for name, server in sites:
        ready = site.lookup(host, name, server, at)
        if chance.happens(0.06):
            host.unanswered(server, 80, ready, RETRY_LINUX[:4])
        else:
            fetch(
                host,
                server,
                ready,
                get(name, "/robots.txt", agent=agent),
                answer(404, "Not Found", "text/html", short_error(404, "Not Found")),
            )
            for i in range(chance.between(1, 3)):
                fetch(
                    host,
                    server,
                    ready + 4.0 + 3.0 * i,
                    get(name, f"/page{i}.html", agent=agent),
                    answer(200, "OK", "text/html", page(name, chance.between(500, 2500))),
                )
        at += chance.uniform(20.0, 90.0)
    return Bystander(host.address, "link checker", "port 80 of many scattered hosts without Referer")


def mail_server(site: Site) -> Bystander:
    """A mail server: many destinations found by MX, some dead for hours and tried again and again."""
    chance = site.chance.fork("mail")
    host = site.wire.host("130.216.1.25", LINUX)
    exchangers = websites(site, chance, 190, "mx.domain{}.example")
    for index, (name, server) in enumerate(exchangers):
        domain = name.removeprefix("mx.")
        dead = index < 24
        retries = [chance.uniform(0, 6 * HOUR) + i * 1.5 * HOUR for i in range(14)] if dead else []
        for at in retries or [chance.uniform(0, site.end - 120) for _ in range(chance.between(1, 4))]:
            if at > site.end - 120:
                continue
            ident = chance.below(65536)
            host.exchange(
                site.resolver,
                53,
                dns_query(ident, domain, MX),
                dns_response(ident, domain, MX, (f"10 {name}",)),
                at - 0.1 if at > 0.1 else at,
                rtt=0.004,
            )
            ready = site.lookup(host, name, server, at)
            if dead:
                host.unanswered(server, 25, ready, RETRY_LINUX[:5])
            else:
                _deliver(host, server, ready, domain, chance)
    for at in site.moments(chance, 14):
        _deliver(site.outside(chance), host, at, "auckland.example", chance)
    return Bystander(host.address, "mail server", "port 25 of many hosts, dead exchangers tried for hours")


def _deliver(client: Host, server: Host, at: float, domain: str, chance: Chance) -> None:
    talk = client.connect(server, 25, at, rtt=0.21).reply(f"220 mx.{domain} ESMTP\r\n".encode())
    for line, reply in (
        ("EHLO mailhost.example", "250 mx"),
        (f"MAIL FROM:<user{chance.below(900)}@auckland.example>", "250 ok"),
        (f"RCPT TO:<user{chance.below(900)}@{domain}>", "250 ok"),
        ("DATA", "354 go ahead"),
    ):
        talk.send(line.encode() + b"\r\n").reply(reply.encode() + b"\r\n")
    text = page("a letter", chance.between(200, 1800))
    talk.send(b"Subject: notes of the meeting\r\n\r\n" + text + b"\r\n.\r\n").reply(b"250 queued\r\n")
    talk.send(b"QUIT\r\n").reply(b"221 bye\r\n").server_close()


def resolver(site: Site) -> Bystander:
    """The resolver: thousands of name servers all over the world, some of which are down."""
    chance = site.chance.fork("resolver")
    servers = [site.outside(chance) for _ in range(2400)]
    for server in servers:
        lame = chance.happens(0.09)
        for _ in range(chance.between(1, 2)):
            at = chance.uniform(5, site.end - 60)
            name, ident = f"www{chance.below(9)}.zone{chance.below(4000)}.example", chance.below(65536)
            reply = None if lame else dns_response(ident, name, answers=("192.0.2.1",))
            site.resolver.exchange(
                server,
                53,
                dns_query(ident, name),
                reply,
                at,
                sport=53,
                rtt=0.2,
                times=(0.0, 2.0, 6.0) if lame else (0.0,),
            )
    return Bystander(site.resolver.address, "DNS resolver", "UDP to thousands of hosts")


def monitoring(site: Site) -> Bystander:
    """A monitoring station: forty hosts every five minutes, and one subnet that is down for two hours."""
    chance = site.chance.fork("monitoring")
    host = site.wire.host("130.216.3.9", LINUX)
    router = site.wire.host("130.216.250.1", Stack(ttl=254))
    watched = [site.wire.host(f"130.216.{60 + i // 10}.{20 + i % 10}", LINUX) for i in range(40)]
    ports = (80, 25, 22, 110, 143, 53)
    rounds = 0
    at = 7.0
    while at < site.end - 60:
        down = 13 * HOUR <= at < 15 * HOUR
        for i, server in enumerate(watched):
            when = at + i * 0.8 + chance.uniform(0, 0.2)
            outage = down and 10 <= i < 20
            if i % 5:
                host.ping(server, when, ident=77, sequence=rounds & 0xFFFF, answered=not outage, rtt=0.001)
            elif outage:
                host.unreachable(server, ports[i // 5 % 6], when, router, times=(0.0, 1.0, 3.0), rtt=0.002)
            else:
                host.connect(server, ports[i // 5 % 6], when, rtt=0.001).close()
        rounds += 1
        at += 300.0
    return Bystander(
        host.address, "monitoring station", "a fixed list of hosts, every five minutes; a subnet that failed"
    )


def address_translation(site: Site) -> Bystander:
    """A hall of residence behind one address: many people browse, chat and play."""
    chance = site.chance.fork("nat")
    host = site.wire.host("130.216.90.1", Stack(ttl=127, window=16384, first_port=10000, last_port=50000))
    sites = websites(site, chance, 150, "www.shop{}.example")
    agents = [
        f"Mozilla/4.0 (compatible; MSIE {v}; Windows {w})" for v in ("5.0", "5.5", "6.0") for w in ("98", "NT 5.0")
    ]
    todo: list[tuple[float, Callable[[], None]]] = []
    for at in site.moments(chance, 22):
        name, server = chance.choice(sites)
        todo += visits(site, host, at, name, server, chance, chance.choice(agents), chance.between(1, 4))
    chats = [site.outside(chance) for _ in range(25)]
    for at in site.moments(chance, 12):
        server, port = chance.choice(chats), chance.choice((6667, 6668, 27015, 4000, 7000))
        todo.append((at, _chatting(host, server, port, at, chance)))
    for at in site.moments(chance, 4):
        todo.append((at, _waiting(host, site.outside(chance), at)))
    run(todo)
    return Bystander(
        host.address, "address translation for a hall of residence", "one address that contacts everything"
    )


def _chatting(host: Host, server: Host, port: int, at: float, chance: Chance) -> Callable[[], None]:
    def chat() -> None:
        talk = host.connect(server, port, at, rtt=0.2)
        for _ in range(3):
            talk.send(_chat_line(chance, 10)).reply(_chat_line(chance, 40)).wait(chance.uniform(1, 9))
        talk.close()

    return chat


def _descriptor(chance: Chance, size: int) -> bytes:
    """Stands for Gnutella descriptors: hexadecimal digits, which no dissector takes for something else."""
    return chance.octets((size + 1) // 2).hex().encode()[:size]


def _chat_line(chance: Chance, size: int) -> bytes:
    return b"PRIVMSG #hall :" + chance.octets(size).hex().encode() + b"\r\n"


def _waiting(host: Host, server: Host, at: float) -> Callable[[], None]:
    def wait() -> None:
        host.unanswered(server, 80, at, RETRY_WINDOWS)

    return wait


def reader_of_a_real_b_cgi(site: Site) -> Bystander:
    """A user of a site whose program happens to be called b.cgi, with Referer and cookie."""
    chance = site.chance.fork("reader")
    host = site.wire.host("130.216.66.102", WINDOWS_2000)
    name, server = "board.gardening.example", site.outside(chance)
    home = f"http://{name}/cgi-bin/b.cgi"
    for number, at in enumerate(site.moments(chance, 9)):
        ready = site.lookup(host, name, server, at)
        uri, cookie = f"/cgi-bin/b.cgi?page={number % 12}", f"session={chance.below(10**6)}"
        body = page("Garden board", chance.between(900, 3000))
        fetch(host, server, ready, get(name, uri, home, cookie=cookie), answer(200, "OK", "text/html", body))
    return Bystander(host.address, "reader of a web board", "GET /cgi-bin/b.cgi?page=...")


def adware_client(site: Site) -> Bystander:
    """A program with banners that asks its one server every hour, by a path that ends in b.cgi."""
    chance = site.chance.fork("adware")
    host = site.wire.host("130.216.70.31", WINDOWS_98)
    name, server = "banners.toolbar.example", site.outside(chance)
    at = 700.0
    while at < site.end - 60:
        ready = site.lookup(host, name, server, at)
        fetch(
            host,
            server,
            ready,
            get(name, f"/b.cgi?bk={chance.below(10**6)}", agent="Toolbar/1.2"),
            answer(200, "OK", "text/html", page("banner", 420)),
        )
        at += HOUR + chance.uniform(-20, 20)
    return Bystander(host.address, "toolbar with banners", "GET /b.cgi?bk=... every hour without Referer")


def proxy(site: Site) -> Bystander:
    """A web proxy: fetches for everybody, some upstreams are dead."""
    chance = site.chance.fork("proxy")
    host = site.wire.host("130.216.1.80", LINUX)
    sites = websites(site, chance, 220, "www.popular{}.example")
    dead = {name for name, _ in sites[:14]}
    for at in site.moments(chance, 60):
        name, server = chance.choice(sites)
        ready = site.lookup(host, name, server, at)
        if name in dead:
            host.unanswered(server, 80, ready, RETRY_LINUX[:4])
        else:
            request = get(name, f"/{chance.below(500)}.html", f"http://{name}/")
            fetch(host, server, ready, request, answer(200, "OK", "text/html", page(name, chance.between(300, 1600))))
    return Bystander(host.address, "web proxy", "port 80 of hundreds of hosts, some dead")


def web_server(site: Site) -> Bystander:
    """The public web server: visitors, and the background noise of 2002: each outside host tries it and a neighbour or two."""
    chance = site.chance.fork("web server")
    host = site.wire.host("130.216.1.10", LINUX)
    neighbours = [
        site.wire.host(f"130.216.{chance.between(10, 50)}.{chance.between(2, 250)}", LINUX) for _ in range(30)
    ]
    for at in site.moments(chance, 34):
        fetch(
            site.outside(chance),
            host,
            at,
            get("www.auckland.example", f"/{chance.below(60)}.html"),
            answer(200, "OK", "text/html", page("University", chance.between(700, 2600))),
            rtt=0.002,
        )
    for at in site.moments(chance, 5, human=False):
        noisy = site.outside(chance, 128)
        fetch(
            noisy,
            host,
            at,
            b"GET /scripts/root.exe?/c+dir HTTP/1.0\r\nHost: www\r\nConnnection: close\r\n\r\n",
            answer(404, "Not Found", "text/html", short_error(404, "Not Found")),
            rtt=0.002,
        )
        for i in range(chance.below(3)):
            noisy.unanswered(chance.choice(neighbours), 80, at + 2 + i, (0.0, 3.0))
    return Bystander(host.address, "public web server", "called by many, scanned by some")


def time_and_shells(site: Site) -> Bystander:
    """A workstation: clock, remote shells, file service."""
    chance = site.chance.fork("workstation")
    host = site.wire.host("130.216.35.77", LINUX)
    clocks = [site.wire.host(f"192.0.2.{n}", Stack(ttl=50)) for n in (11, 12, 13)]
    at = 20.0
    while at < site.end:
        for clock in clocks:
            host.exchange(clock, 123, b"\x1b" + bytes(47), b"\x1c\x02\x06\xec" + chance.octets(44), at, sport=123)
        at += 1024.0
    shell = site.wire.host("130.216.35.5", LINUX)
    for at in site.moments(chance, 2):
        talk = (
            host.connect(shell, 22, at, rtt=0.001)
            .reply(b"SSH-1.99-OpenSSH_3.4p1\r\n")
            .send(b"SSH-2.0-OpenSSH_3.4p1\r\n")
        )
        for _ in range(20):
            talk.send(chance.octets(48)).reply(chance.octets(64)).wait(chance.uniform(0.5, 8))
        talk.close()
    return Bystander(host.address, "workstation with clock and shells", "regular small packets")


def log_analyser(site: Site, named: list[tuple[str, str]], addresses: list[str]) -> Bystander:
    """The host that reads the firewall log turns addresses into names every six hours (PTR queries)."""
    chance = site.chance.fork("log analyser")
    host = site.wire.host("130.216.3.14", LINUX)
    names = dict(named)
    start = 2.2 * HOUR
    while start < site.end - 300:
        for i, address in enumerate(addresses):
            ident, question = chance.below(65536), reverse_name(address)
            name = names.get(address)
            reply = dns_response(ident, question, PTR, (name,) if name else (), 0 if name else 3)
            host.exchange(site.resolver, 53, dns_query(ident, question, PTR), reply, start + i * 0.7, rtt=0.15)
        start += 6 * HOUR
    return Bystander(host.address, "log analyser", "asks for the names of addresses all over the world")


LOOK_ALIKES: Final = (
    peer_to_peer, crawler, mail_server, resolver, monitoring, address_translation, reader_of_a_real_b_cgi, adware_client,
    proxy, web_server, time_and_shells,
)  # fmt: skip
