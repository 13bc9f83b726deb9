"""In: evidence. Out: who is on the network: one row a host, or one row a fact with what told it, printed. Never here: a judgement."""

from __future__ import annotations

from typing import Final

from tracehound.cli import options
from tracehound.edges.investigation import host_tables_of

SUMMARY: Final = (
    "Say who is on the network: addresses, names, hardware, operating system, services offered and used, accounts. Only from what the "
    "evidence shows; nothing is asked."
)
_HOSTS: Final = (
    "address, host_names[1] AS name, mac, maker, system, array_to_string(roles, ', ') AS roles, "
    "array_to_string(services[1:3], '; ') AS services, pkts_sent, pkts_received"
)
_FACTS: Final = "address, fact, told, told_by, times, frame"


def main(argv: list[str]) -> int:
    """`tracehound hosts`."""
    p = options.parser("hosts", SUMMARY)
    options.add_evidence(p)
    p.add_argument("--facts", action="store_true", help="one row a fact: what told it, how often, in which file and frame first")
    p.add_argument("--home", metavar="NET", action="append", default=[], help="a home network (CIDR); may be repeated; inferred otherwise")
    options.add_output(p)
    args = p.parse_intermixed_args(argv)
    with options.reading_of(args, transactions=True, link_addresses=True) as reading:
        for name, table in host_tables_of(reading, tuple(args.home)).items():
            reading.register(name, table)
        if args.facts:
            base = (
                "SELECT h.*, h.packet_id & 1099511627775 AS frame, e.path AS file FROM host_facts h "
                "LEFT JOIN evidence e ON e.evidence_id = h.packet_id >> 40"
            )
            key = "address, fact, times DESC, told, told_by"
            return options.print_table(args, reading, base, key=key, terminal_columns=_FACTS, zeek=None)
        return options.print_table(
            args, reading, "SELECT * FROM hosts", key="NOT is_home, pkts_sent DESC, address", terminal_columns=_HOSTS, zeek=None
        )
