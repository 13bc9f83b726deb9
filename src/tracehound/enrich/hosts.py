"""In: the tables of a run (through `ask`), the makers of hardware, the home networks. Out: the tables `hosts` and `host_facts`: who is
on the network, with what told each thing. Never here: where facts stand (host_facts.py), how systems are told (systems.py)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any, Final

import pyarrow as pa

from tracehound import tables
from tracehound.detectors.catalog import Ask
from tracehound.enrich.hardware import HardwareTable
from tracehound.enrich.home import is_home
from tracehound.enrich.host_facts import FRAMES, Fact, facts
from tracehound.enrich.names import clean
from tracehound.enrich.networks import parse
from tracehound.enrich.systems import HINTS, Said, chosen, of_stack, said

MANY_AGENTS: Final = 4
"""Systems named by User-Agents from which on one address is taken for many machines (address translation, a proxy)."""
MOST: Final = 12
"""Entries of one list of a host; table host_facts has all."""
_ROLES: Final[tuple[tuple[str, frozenset[str]], ...]] = (
    ("domain controller", frozenset({"kerberos+ldap"})),
    ("name server", frozenset({"dns", "udp/53", "tcp/53"})),
    ("mail server", frozenset({"smtp", "pop3", "imap", "tcp/25", "tcp/465", "tcp/587", "tcp/110", "tcp/143", "tcp/993", "tcp/995"})),
    ("web server", frozenset({"http", "tcp/80", "tcp/443", "tcp/8080", "tcp/8443"})),
    ("file server", frozenset({"smb", "nfs", "tcp/445", "tcp/2049", "ftp", "tftp"})),
    ("database server", frozenset({"mysql", "postgresql", "tds", "redis", "mongodb", "tcp/3306", "tcp/5432", "tcp/1433", "tcp/6379"})),
    ("remote access", frozenset({"ssh", "telnet", "rdp", "rfb", "tcp/22", "tcp/23", "tcp/3389", "tcp/5900"})),
    ("time server", frozenset({"ntp", "udp/123"})),
    ("printer", frozenset({"tcp/9100", "tcp/515", "tcp/631", "ipp"})),
    ("telephony", frozenset({"sip", "udp/5060", "tcp/5060"})),
    ("industrial controller", frozenset(
        {"modbus", "dnp3_tcp", "enip", "s7comm", "profinet", "opcua_binary", "bsap", "genisys", "tcp/502", "tcp/20000", "tcp/102"}
    )),
    ("chat server", frozenset({"irc"})),
    ("directory server", frozenset({"ldap", "ldap_tcp", "tcp/389"})),
)  # fmt: skip
"""What a host is for, by services that it answered: by content, or by port where content is not known."""
_TRAFFIC: Final = """
SELECT address, MIN(start_ns) AS start_ns, MAX(end_ns) AS end_ns, CAST(SUM(pkts_out) AS BIGINT) AS pkts_out,
       CAST(SUM(pkts_in) AS BIGINT) AS pkts_in, CAST(SUM(bytes_out) AS BIGINT) AS bytes_out, CAST(SUM(bytes_in) AS BIGINT) AS bytes_in,
       COUNT(DISTINCT CASE WHEN pkts_in > 0 AND pkts_out > 0 THEN peer END) AS peers
FROM (
  SELECT CAST(src AS VARCHAR) AS address, CAST(dst AS VARCHAR) AS peer, epoch_ns(start) AS start_ns, epoch_ns("end") AS end_ns,
         pkts_src AS pkts_out, pkts_dst AS pkts_in, bytes_src AS bytes_out, bytes_dst AS bytes_in FROM flows
  UNION ALL
  SELECT CAST(dst AS VARCHAR), CAST(src AS VARCHAR), epoch_ns(start), epoch_ns("end"), pkts_dst, pkts_src, bytes_dst, bytes_src
  FROM flows) AS t
WHERE address NOT IN ('0.0.0.0', '::')
GROUP BY address
HAVING SUM(pkts_out) > 0
ORDER BY address
"""
_STACKS: Final = """
SELECT CAST(src AS VARCHAR) AS address, CAST(ttl_src AS INTEGER) AS ttl, CAST(syn_window AS INTEGER) AS win,
       CAST(syn_options AS INTEGER) AS options, COUNT(*) AS n, MIN(first_packet_id) AS packet_id, MIN(epoch_ns(start)) AS ts_ns
FROM flows
WHERE ttl_src IS NOT NULL AND ttl_src > 0 AND proto = 6 AND syn_count > 0
GROUP BY src, ttl_src, syn_window, syn_options
ORDER BY n DESC, address, ttl, win, options
"""


def host_tables(
    ask: Ask, available: Collection[str], home: Sequence[str], hardware: HardwareTable
) -> tuple[pa.Table, pa.Table]:
    """(hosts, host_facts)."""
    traffic = ask(_TRAFFIC, {}).to_pylist()
    known = {r["address"] for r in traffic}
    by_host: dict[str, list[Fact]] = defaultdict(list)
    silent: dict[str, list[Fact]] = defaultdict(list)
    found = facts(ask, available)
    on_link = _at_home({f.address for f in found if f.told_by == FRAMES}, home)
    for fact in found:
        tidy = _tidy(fact)
        # What comes from elsewhere comes in the router's frames.
        if tidy is not None and (fact.told_by != FRAMES or fact.address in on_link):
            (by_host if tidy.address in known else silent)[tidy.address].append(tidy)
    for address, told in silent.items():
        # Whoever answers ARP, or got a lease, is there, although none of its packets is a flow.
        if any(f.fact == "mac" and f.told_by == "arp" for f in told):
            by_host[address] = told
            traffic.append(_unseen(address, told))
    for row in ask(_STACKS, {}).to_pylist():
        hint = of_stack(row["ttl"], row["win"], row["options"])
        if row["address"] in by_host or row["address"] in known:
            mine = by_host[row["address"]]
            if not any(f.fact == "stack" for f in mine):
                mine.append(Fact(row["address"], "stack", hint.why, "flows: first SYN", row["n"], row["ts_ns"], row["packet_id"]))
                mine.append(Fact(row["address"], "system hint", f"{hint.system}|{hint.weight}|{hint.why}", "", 1, None, None))
    machines = _machines(by_host)
    traffic.sort(key=lambda r: r["address"])
    at_home = is_home(home, *parse([r["address"] for r in traffic])).tolist() if traffic else []
    rows, all_facts = [], []
    for row, inside in zip(traffic, at_home, strict=True):
        told = by_host[row["address"]]
        host, more = _host(row, inside, told, machines.get(row["address"], []), hardware)
        rows.append(host)
        all_facts += [f for f in told if f.fact != "system hint"] + more
    return pa.Table.from_pylist(rows, schema=tables.HOSTS.schema), _fact_table(all_facts)


def _at_home(addresses: Collection[str], home: Sequence[str]) -> set[str]:
    ordered = sorted(addresses)
    inside = is_home((*home, "fe80::/10"), *parse(ordered)).tolist() if ordered else []
    return {a for a, here in zip(ordered, inside, strict=True) if here}


def _tidy(fact: Fact) -> Fact | None:
    """A fact fit to be shown: names that are names, hardware addresses in one spelling."""
    told = fact.told.strip().strip("\x00").strip()
    if fact.fact == "name":
        name = clean(told)
        return None if name is None or name == "*" else fact._replace(told=name)
    if fact.fact == "mac":
        mac = told.lower()
        return None if mac in ("00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff") else fact._replace(told=mac)
    return fact._replace(told=told) if told else None


def _unseen(address: str, told: Sequence[Fact]) -> dict[str, Any]:
    times = [f.ts_ns for f in told if f.ts_ns is not None]
    nothing = dict.fromkeys(("pkts_out", "pkts_in", "bytes_out", "bytes_in", "peers"), 0)
    return {"address": address, "start_ns": min(times), "end_ns": max(times), **nothing}


def _machines(by_host: dict[str, list[Fact]]) -> dict[str, list[str]]:
    """Address -> further addresses with the same hardware address, as ARP, DHCP or frames of few addresses tell."""
    by_mac: dict[str, set[str]] = defaultdict(set)
    for address, told in by_host.items():
        for mac in {f.told for f in told if f.fact == "mac"}:
            by_mac[mac].add(address)
    found: dict[str, set[str]] = defaultdict(set)
    for addresses in by_mac.values():
        if 1 < len(addresses) <= 8:
            for address in addresses:
                found[address] |= addresses - {address}
    return {a: sorted(others) for a, others in found.items()}


def _distinct(told: Sequence[Fact], kind: str) -> list[str]:
    """Values of one kind, in order of trust, without repetitions that differ in capitals only."""
    seen: dict[str, str] = {}
    for fact in told:
        if fact.fact == kind:
            seen.setdefault(fact.told.lower(), fact.told)
    return list(seen.values())


def _system(told: Sequence[Fact]) -> tuple[str, str] | None:
    hints = [h for f in told if f.fact in HINTS for h in [said(f.fact, f.told, f.told_by)] if h is not None]
    agents = {h.system for f in told if f.fact == "user agent" for h in [said(f.fact, f.told, f.told_by)] if h is not None}
    if len(agents) >= MANY_AGENTS:
        return f"several ({len(agents)} systems behind one address)", f"User-Agents name {', '.join(sorted(agents)[:6])}"
    for fact in told:
        if fact.fact == "system hint":
            system, weight, why = fact.told.split("|", 2)
            hints.append(Said(system, float(weight), why))
    return chosen(hints)


def _listed(told: Sequence[Fact], kind: str, noun: str) -> list[str]:
    some = sorted((f for f in told if f.fact == kind), key=lambda f: (-f.times, f.told))[:MOST]
    return [f"{f.told}, {f.times:,} {noun}{'' if f.times == 1 else 's'}" for f in some]


def _roles(told: Sequence[Fact]) -> list[str]:
    offered: set[str] = set()
    for fact in told:
        if fact.fact == "service":
            port, _, content = fact.told.partition(" ")
            # Content decides; a port stands for its service only where content is not known or is encrypted.
            offered.add(content if content and content != "ssl" else port)
    if offered & {"krb", "krb_tcp", "kerberos", "udp/88", "tcp/88"} and offered & {"ldap", "ldap_tcp", "ldap_udp", "tcp/389", "udp/389"}:
        offered.add("kerberos+ldap")
    roles = [name for name, signs in _ROLES if offered & signs]
    roles += [r for r in _distinct(told, "role") if r not in roles]
    return roles or (["client"] if any(f.fact == "uses" for f in told) else [])


def _host(
    row: dict[str, Any], inside: bool, told: Sequence[Fact], also: list[str], hardware: HardwareTable
) -> tuple[dict[str, Any], list[Fact]]:
    """A row of `hosts`, and the facts that are concluded here."""
    address = row["address"]
    macs = _distinct(told, "mac")
    maker = hardware.made_by(macs[0]) if macs else None
    system = _system(told)
    software = (_distinct(told, "software") + _distinct(told, "user agent"))[:MOST]
    roles = _roles(told)
    concluded = [Fact(address, "role", r, "services that it answered", 1, None, None) for r in roles if r not in _distinct(told, "role")]
    if maker is not None:
        concluded.append(Fact(address, "maker", maker, f"prefix of {macs[0]}", 1, None, None))
    if system is not None:
        concluded.append(Fact(address, "system", system[0], system[1], 1, None, None))
    concluded += [Fact(address, "also", a, "the same hardware address", 1, None, None) for a in also]
    return {
        "address": address, "is_home": inside, "also": also, "mac": macs[0] if macs else None, "maker": maker,
        "host_names": _distinct(told, "name")[:MOST], "system": system[0] if system else None,
        "system_reason": system[1] if system else None, "roles": roles, "services": _listed(told, "service", "client"),
        "uses": _listed(told, "uses", "server"), "users": _distinct(told, "user")[:MOST], "software": software,
        "start": row["start_ns"], "end": row["end_ns"], "pkts_sent": row["pkts_out"], "pkts_received": row["pkts_in"],
        "bytes_sent": row["bytes_out"], "bytes_received": row["bytes_in"], "peers": row["peers"],
    }, concluded  # fmt: skip


def _fact_table(found: Sequence[Fact]) -> pa.Table:
    names = ("address", "fact", "told", "told_by", "times", "ts", "packet_id")
    return pa.Table.from_pylist([dict(zip(names, f, strict=True)) for f in found], schema=tables.HOST_FACTS.schema)
