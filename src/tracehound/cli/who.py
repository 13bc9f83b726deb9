"""In: addresses. Out: rows that say who holds them. Never here: printing (main.py), names over the network."""

from __future__ import annotations

from collections.abc import Sequence

from tracehound.enrich.access import ProviderKinds
from tracehound.enrich.addresses import describe
from tracehound.enrich.networks import AddressTable, parse, special_use
from tracehound.errors import UsageError

COLUMNS = ("address", "network", "asn", "provider", "country", "provider_kind", "note")


def who_rows(addresses: Sequence[str], table: AddressTable, kinds: ProviderKinds) -> list[dict[str, object]]:
    """One row an address with COLUMNS, in the order given. Raises UsageError for what is no address."""
    import ipaddress

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
