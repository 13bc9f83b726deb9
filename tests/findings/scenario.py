"""Builds evidence tables without capture files: rows as the flow stage would write them, and traffic of several kinds of
hosts. Everything is drawn from seeded generators."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from tracehound import tables
from tracehound.detectors import catalog
from tracehound.edges.duck import Duck
from tracehound.edges.packaged import detector_pages

S = 1_000_000_000
MINUTE = 60 * S
HOUR = 3600 * S
DAY = 24 * HOUR
T0 = 1_027_900_800 * S  # 2002-07-29 00:00:00 UTC

FLOW_DEFAULTS: dict[str, Any] = {
    "evidence_id": 0,
    "proto": 6,
    "sport": 1024,
    "dport": 80,
    "pkts_src": 1,
    "pkts_dst": 0,
    "bytes_src": 48,
    "bytes_dst": 0,
    "payload_src": 0,
    "payload_dst": 0,
    "syn_count": 1,
    "tcp_flags_src": 2,
    "tcp_flags_dst": 0,
    "outcome": "unanswered",
    "originator_reason": "syn",
    "ttl_src": 127,
    "syn_window": 8192,
    "syn_options": 8,
}


def table(name: str, rows: list[dict[str, Any]]) -> pa.Table:
    schema = tables.ALL[name].schema
    columns = [pa.array([r.get(f.name) for r in rows], f.type) for f in schema]
    return pa.Table.from_arrays(columns, schema=pa.schema([f.with_nullable(True) for f in schema]))


@dataclass
class Evidence:
    """Rows that grow; `duck` makes them tables that can be asked."""

    flows: list[dict[str, Any]] = field(default_factory=list)
    dns: list[dict[str, Any]] = field(default_factory=list)
    http: list[dict[str, Any]] = field(default_factory=list)
    heads: list[dict[str, Any]] = field(default_factory=list)
    more: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Rows of further tables; `of` is the flow that a row belongs to."""
    home: tuple[str, ...] = ("10.", "192.168.", "fd00:")
    random: random.Random = field(default_factory=lambda: random.Random(2002))
    ports: dict[str, int] = field(default_factory=dict)

    def flow(self, ts: int, src: str, dst: str, **more: Any) -> dict[str, Any]:
        if "sport" not in more:
            more["sport"] = self.ports[src] = 1024 + (self.ports.get(src, 1024) - 1023) % 4000
        row = FLOW_DEFAULTS | {"start": ts, "end": ts, "src": src, "dst": dst} | more
        for side in ("src", "dst"):
            if row.get(f"payload_{side}") and f"bytes_{side}" not in more:
                row[f"bytes_{side}"] = row[f"payload_{side}"] + 40 * row[f"pkts_{side}"]
        self.flows.append(row)
        return row

    def unanswered(self, ts: int, src: str, dst: str, dport: int = 80, syns: int = 4, **more: Any) -> dict[str, Any]:
        end = ts + (3 * (2 ** (syns - 1) - 1)) * S
        return self.flow(ts, src, dst, dport=dport, syn_count=syns, pkts_src=syns, end=end, **more)

    def refused(self, ts: int, src: str, dst: str, dport: int = 80, **more: Any) -> dict[str, Any]:
        return self.flow(
            ts, src, dst, dport=dport, outcome="refused", pkts_dst=1, tcp_flags_dst=20, end=ts + S // 10, **more
        )

    def answered(
        self, ts: int, src: str, dst: str, dport: int = 80, sent: int = 300, got: int = 9000, **more: Any
    ) -> dict[str, Any]:
        more = {"service": "http" if dport == 80 else None, "end": ts + S} | more
        return self.flow(
            ts,
            src,
            dst,
            dport=dport,
            outcome="answered",
            pkts_src=6,
            pkts_dst=6 + got // 1400,
            payload_src=sent,
            payload_dst=got,
            tcp_flags_src=27,
            tcp_flags_dst=27,
            **more,
        )

    def accepted(self, ts: int, src: str, dst: str, dport: int = 80, **more: Any) -> dict[str, Any]:
        return self.flow(
            ts,
            src,
            dst,
            dport=dport,
            outcome="accepted",
            pkts_src=3,
            pkts_dst=2,
            tcp_flags_src=18,
            tcp_flags_dst=18,
            **more,
        )

    def udp(self, ts: int, src: str, dst: str, dport: int, sent: int = 40, got: int = 0, **more: Any) -> dict[str, Any]:
        more = {"proto": 17, "outcome": "answered" if got else "unanswered"} | more
        return self.flow(
            ts,
            src,
            dst,
            dport=dport,
            payload_src=sent,
            payload_dst=got,
            pkts_dst=1 if got else 0,
            syn_count=None,
            tcp_flags_src=None,
            tcp_flags_dst=None,
            syn_window=None,
            syn_options=None,
            **more,
        )

    def ping(self, ts: int, src: str, dst: str, answered: bool, **more: Any) -> dict[str, Any]:
        v6 = ":" in dst
        return self.udp(
            ts,
            src,
            dst,
            dport=129 if v6 else 0,
            sent=56,
            got=56 if answered else 0,
            **({"proto": 58 if v6 else 1, "sport": 128 if v6 else 8} | more),
        )

    def lookup(self, ts: int, src: str, name: str, address: str, resolver: str = "10.0.0.53") -> None:
        self.udp(ts, src, resolver, 53, sent=30, got=60, service="dns")
        self.dns.append(
            {
                "ts": ts,
                "response_ts": ts + S // 100,
                "src": src,
                "dst": resolver,
                "sport": 1025,
                "dport": 53,
                "proto": 17,
                "query": name,
                "qtype": "A",
                "rcode": "NOERROR",
                "answers": [address],
                "answer_types": ["A"],
                "answer_names": [name],
            }
        )

    def login(self, ts: int, src: str, dst: str, kind: str, dport: int, user: str, accepted: bool | None, **more: Any) -> None:
        flow = self.answered(ts, src, dst, dport, sent=60, got=150, service=kind)
        self.more.setdefault("logins", []).append(
            {"of": flow, "service": kind, "user": user, "accepted": accepted, "cleartext": True, "method": "password"} | more
        )

    def ask(self, ts: int, src: str, name: str, rcode: str = "NOERROR", qtype: str = "A", answers: tuple[str, ...] = (),
            resolver: str = "10.0.0.53") -> None:
        """A DNS question and its answer, whatever they are."""
        self.lookup(ts, src, name, "", resolver)
        kinds = [qtype] * len(answers)
        self.dns[-1] |= {"rcode": rcode, "qtype": qtype, "opcode": 0, "answers": list(answers), "answer_types": kinds,
                         "answer_names": [name] * len(answers)}  # fmt: skip

    def outside(self) -> str:
        r = self.random
        first = r.choice([24, 61, 62, 66, 80, 202, 203, 210, 211, 212])
        return f"{first}.{r.randrange(1, 255)}.{r.randrange(256)}.{r.randrange(1, 255)}"

    # -- kinds of hosts ---------------------------------------------------------------------------------------------

    def browse(
        self, host: str, start: int, end: int, sites: int = 40, visits_per_hour: int = 30, named: bool = True
    ) -> None:
        places = [self.outside() for _ in range(sites)]
        known: set[str] = set()
        at = start
        while at < end:
            place = self.random.choice(places)
            if named and place not in known:
                self.lookup(at, host, f"www.site{places.index(place)}.example", place)
                known.add(place)
            if self.random.random() < 0.03:
                self.unanswered(at + S, host, place, syns=3)
            else:
                self.answered(
                    at + S, host, place, sent=self.random.randrange(180, 900), got=self.random.randrange(500, 60_000)
                )
            at += int(self.random.expovariate(visits_per_hour / HOUR))

    def probe(
        self,
        host: str,
        start: int,
        end: int,
        per_min: float,
        *,
        targets: list[str] | None = None,
        dport: int = 80,
        fail: float = 0.85,
        jitter: float = 0.2,
        sent: int = 117,
        **more: Any,
    ) -> None:
        """Probes at a steady pace: over a fixed list in turn, or a new random address each time."""
        at, n = start, 0
        live: dict[str, bool] = {}
        while at < end:
            dst = targets[n % len(targets)] if targets else self.outside()
            alive = live.setdefault(dst, self.random.random() >= fail)
            if alive:
                self.answered(at, host, dst, dport, sent=sent, got=500, **more)
            elif self.random.random() < 0.1:
                self.refused(at, host, dst, dport, **more)
            else:
                self.unanswered(at, host, dst, dport, **more)
            n += 1
            at += int(MINUTE / per_min * (1 + jitter * (self.random.random() - 0.5)))

    def torrent(self, host: str, start: int, end: int, peers: int = 300) -> None:
        for n in range(peers):
            at = start + (end - start) * n // peers
            peer, port = self.outside(), self.random.choice([6881, self.random.randrange(1025, 65535)])
            dice = self.random.random()
            if dice < 0.7:
                self.unanswered(at, host, peer, port, syns=3)
            elif dice < 0.8:
                self.refused(at, host, peer, port)
            else:
                self.answered(at, host, peer, port, sent=80_000, got=400_000, end=at + 300 * S)
            self.udp(at, host, peer, port, sent=104, got=300 if dice > 0.6 else 0, sport=6881)
            if n % 10 == 0:
                self.answered(at, self.outside(), host, 6881, sent=50_000, got=60_000)

    def mail_server(self, host: str, start: int, end: int, messages: int = 400, lookups: bool = True) -> None:
        exchangers = [self.outside() for _ in range(120)]
        dead = set(self.random.sample(exchangers, 25))
        for n in range(messages):
            at = start + (end - start) * n // messages
            mx = self.random.choice(exchangers)
            if lookups:
                self.lookup(at, host, f"mx{exchangers.index(mx)}.example", mx)
            if mx in dead:
                self.unanswered(at + S, host, mx, 25)
            else:
                self.answered(at + S, host, mx, 25, sent=4000, got=400, service="smtp")
            if n % 3 == 0:
                self.answered(at, self.outside(), host, 25, sent=4000, got=400, service="smtp")

    def resolver(self, host: str, start: int, end: int, queries: int = 800) -> None:
        servers = [self.outside() for _ in range(200)]
        for n in range(queries):
            at = start + (end - start) * n // queries
            self.udp(at, host, self.random.choice(servers), 53, sent=35, got=120 if self.random.random() < 0.9 else 0)
            if n % 2 == 0:
                self.udp(at, f"10.0.1.{n % 50 + 1}", host, 53, sent=35, got=120)

    def monitor(
        self, host: str, start: int, end: int, hosts: int = 40, every: int = 5 * MINUTE, outage: bool = True
    ) -> None:
        """Polls a fixed list; one site of ten hosts is down for two hours in the middle."""
        middle = (start + end) // 2
        at = start
        while at < end:
            for n in range(hosts):
                down = outage and n < 10 and middle <= at < middle + 2 * HOUR
                make = self.unanswered if down else self.answered
                make(at + n * S, host, f"10.7.{n // 10}.{n % 10 + 1}", 80)
            at += every

    # -- as tables --------------------------------------------------------------------------------------------------

    def arrow(self) -> dict[str, pa.Table]:
        self.flows.sort(key=lambda r: r["start"])
        for n, row in enumerate(self.flows):
            row["flow_id"] = n
            row.setdefault("first_packet_id", n * 10 + 1)
            row.setdefault("last_packet_id", n * 10 + 2)
        for n, row in enumerate(self.dns):
            row["txn_id"] = n
            row.setdefault("flow_id", 0)
        for n, row in enumerate(self.http):
            row["txn_id"] = n
            flow = row.pop("of", None)
            if flow is not None:
                for name in ("flow_id", "src", "sport", "dst", "dport"):
                    row[name] = flow[name]
                row.setdefault("ts", flow["start"])
                row.setdefault("response_ts", flow["end"])
                row.setdefault("end_ts", flow["end"])
                row.setdefault("response_packet_id", flow["last_packet_id"])
                row.setdefault("request_packet_id", flow["first_packet_id"])
        for row in self.heads:
            flow = row.pop("of", None)
            if flow is not None:
                row["flow_id"] = flow["flow_id"]
                row.setdefault("packet_id", flow["last_packet_id"])
        for rows in self.more.values():
            for n, row in enumerate(rows):
                flow = row.pop("of", None)
                row.setdefault("txn_id", n)
                if flow is not None:
                    row |= {k: flow[k] for k in ("flow_id", "src", "sport", "dst", "dport")}
                    row.setdefault("ts", flow["start"])
                    row.setdefault("packet_id", flow["first_packet_id"])
        addresses = sorted({r["src"] for r in self.flows} | {r["dst"] for r in self.flows})
        known = [
            {"address": a, "is_home": a.startswith(self.home), "network": None, "is_access": None} for a in addresses
        ]
        first = min((r["start"] for r in self.flows), default=T0)
        last = max((r["end"] for r in self.flows), default=T0)
        evidence = [
            {"evidence_id": 0, "path": "synthetic.pcap", "kind": "pcap", "packets": 1, "start": first, "end": last}
        ]
        return {
            "flows": table("flows", self.flows),
            "dns": table("dns", self.dns),
            "http": table("http", self.http),
            "heads": table("heads", self.heads),
            "addresses": table("addresses", known),
            "evidence": table("evidence", evidence),
            **{name: table(name, rows) for name, rows in self.more.items()},
        }

    def duck(self, *without: str) -> Duck:
        duck = Duck(threads=2)
        for name, rows in self.arrow().items():
            if name not in without:
                duck.register(name, rows)
        return duck


def detectors() -> catalog.Catalog:
    return catalog.load(detector_pages())
