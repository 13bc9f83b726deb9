"""In: addresses. Out: rows that say who holds them, printed. Never here: names or look-ups over the network."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from tracehound.cli import options
from tracehound.edges.duck import Duck
from tracehound.edges.packaged import address_table, provider_text
from tracehound.edges.table_output import write_answer
from tracehound.enrich.access import ProviderKinds, parse_kinds
from tracehound.enrich.addresses import describe
from tracehound.enrich.networks import AddressTable, parse, special_use
from tracehound.errors import UsageError

SUMMARY: Final = (
    "Say whose addresses are: network, AS, provider, kind, country. Offline, from the table that ships along."
)
COLUMNS: Final = ("address", "network", "asn", "provider", "country", "provider_kind", "note")


def who_rows(addresses: Sequence[str], table: AddressTable, kinds: ProviderKinds) -> list[dict[str, object]]:
    """One row an address with COLUMNS, in the order given. Raises UsageError for what is no address."""
    tidy: list[str] = []
    for text in addresses:
        try:
            tidy.append(str(ipaddress.ip_address(text.strip())))
        except ValueError:
            raise UsageError(f"not an address: {text}") from None
    special = special_use(*parse(tidy))
    rows: list[dict[str, object]] = []
    for row, what in zip(describe(tidy, table, kinds).to_pylist(), special, strict=True):
        note = what or (kinds.reasons.get(row["provider_kind"], "") if row["provider_kind"] else "")
        rows.append({**{c: row.get(c) for c in COLUMNS if c != "note"}, "note": note})
    return rows


def main(argv: list[str]) -> int:
    """`tracehound who`."""
    p = options.parser("who", SUMMARY)
    p.add_argument(
        "addresses", nargs="+", metavar="ADDR", help="IPv4 or IPv6 address; - reads one a line from standard input"
    )
    options.add_format(p)
    args = p.parse_intermixed_args(argv)
    wanted = [a for arg in args.addresses for a in (sys.stdin.read().split() if arg == "-" else [arg])]
    table = address_table()
    rows = who_rows(wanted, table, parse_kinds(provider_text()))
    types = {"asn": pa.int64()}
    duck = Duck(threads=1)
    duck.register("who", pa.table({c: pa.array([r[c] for r in rows], types.get(c, pa.string())) for c in COLUMNS}))
    form = options.chosen_format(args)
    write_answer(duck, "SELECT * FROM who", form, args.output)
    if form == "table":
        print(f"Table of {table.date}. {table.attribution}", file=sys.stderr)
    return 0
