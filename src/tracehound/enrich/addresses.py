"""In: flows (through `ask`), the address table, provider kinds, home networks and names. Out: the table `addresses`.
Never here: files, network look-ups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tracehound import tables
from tracehound.detectors.catalog import Ask
from tracehound.enrich.access import ProviderKinds, is_access, judge, reason_text
from tracehound.enrich.home import is_home
from tracehound.enrich.names import Name
from tracehound.enrich.networks import SPECIAL, AddressTable, lookup, parse, special_codes

_DISTINCT: Final = """
SELECT DISTINCT address FROM (
    SELECT CAST(src AS VARCHAR) AS address FROM flows UNION ALL SELECT CAST(dst AS VARCHAR) FROM flows
) WHERE address IS NOT NULL ORDER BY address
"""


def address_rows(
    ask: Ask, table: AddressTable, kinds: ProviderKinds, home: Sequence[str], names: Mapping[str, Name]
) -> pa.Table:
    """tables.ADDRESSES for all distinct addresses of the flows."""
    return describe(ask(_DISTINCT, {})["address"], table, kinds, home, names)


def describe(
    addresses: pa.ChunkedArray | pa.Array | Sequence[str],
    table: AddressTable,
    kinds: ProviderKinds,
    home: Sequence[str] = (),
    names: Mapping[str, Name] | None = None,
) -> pa.Table:
    """tables.ADDRESSES for the addresses given, in their order."""
    column = addresses if isinstance(addresses, pa.Array | pa.ChunkedArray) else pa.array(addresses, pa.string())
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    hi, lo = parse(column)
    found = lookup(table, hi, lo)
    numbers, place = np.unique(found.asn, return_inverse=True)
    providers = table.providers(numbers)
    provider_kinds = [kinds.kind(int(n), p) if n else None for n, p in zip(numbers.tolist(), providers, strict=True)]

    # Judgements are kept once each: those of the providers, of the special blocks, then those of single names.
    unnamed = [judge(None, "", k, p) for k, p in zip(provider_kinds, providers, strict=True)]
    access: list[bool | None] = [is_access(j) for j in unnamed] + [None] * len(SPECIAL)
    reasons = [reason_text(j, None) for j in unnamed] + [what for _, what in SPECIAL]
    special = special_codes(hi, lo)
    judged = np.where(special >= 0, special + len(unnamed), place)
    named: dict[int, Name] = {}
    for i, text in enumerate(column.to_pylist() if names else ()):
        name = (names or {}).get(text)
        if name is None:
            continue
        named[i] = name
        if special[i] < 0:
            judgement = judge(name.name, text, provider_kinds[place[i]], providers[place[i]])
            judged[i] = len(access)
            access.append(is_access(judgement))
            reasons.append(reason_text(judgement, name.name))
    named_at = np.full(len(column), len(named), np.int64)
    named_at[np.array(list(named), np.int64)] = np.arange(len(named))
    columns: dict[str, pa.Array] = {
        "address": column.cast(pa.string()),
        "is_home": pa.array(is_home(home, hi, lo)),
        "network": found.network,
        "asn": pa.array(found.asn, pa.int64(), mask=found.asn == 0),
        "provider": _take(providers, place),
        "country": found.country,
        "provider_kind": _take(provider_kinds, place),
        "name": _take([*(n.name for n in named.values()), None], named_at),
        "name_source": _take([*(n.source for n in named.values()), None], named_at),
        "is_access": pa.array(access, pa.bool_()).take(pa.array(judged)),
        "access_reason": _take(reasons, judged),
    }
    return pa.Table.from_arrays(list(columns.values()), schema=tables.ADDRESSES.schema)


def _take(texts: Sequence[str | None], place: NDArray[np.int64]) -> pa.Array:
    return pa.array(texts, pa.string()).take(pa.array(place))
