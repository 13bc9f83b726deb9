"""In: flows (through `ask`), the address table, provider kinds, home networks and names. Out: the table `addresses`.
Never here: files, network look-ups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from tracehound import tables
from tracehound.detectors.catalog import Ask
from tracehound.enrich.access import Judgement, ProviderKinds, is_access, judge, reason_text
from tracehound.enrich.home import is_home
from tracehound.enrich.names import Name
from tracehound.enrich.networks import AddressTable, lookup, parse, special_use

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
    known = names or {}
    texts: list[str] = addresses.to_pylist() if isinstance(addresses, pa.Array | pa.ChunkedArray) else list(addresses)
    hi, lo = parse(texts)
    found = lookup(table, hi, lo)
    numbers, place = np.unique(found.asn, return_inverse=True)
    providers = [table.provider(int(n)) if n else None for n in numbers.tolist()]
    provider_kinds = [kinds.kind(int(n), p) if n else None for n, p in zip(numbers.tolist(), providers, strict=True)]
    unnamed = [judge(None, "", k, p) for k, p in zip(provider_kinds, providers, strict=True)]

    def taken(values: Sequence[Any]) -> Any:
        filled = np.empty(len(values), object)
        filled[:] = values
        return filled[place]

    access = taken([is_access(j) for j in unnamed])
    reasons = taken([reason_text(j, None) for j in unnamed])
    special = np.empty(len(texts), object)
    special[:] = special_use(hi, lo)
    own = np.array([s is not None for s in special], bool)
    access[own] = None
    reasons[own] = special[own]
    name_column: list[str | None] = [None] * len(texts)
    source_column: list[str | None] = [None] * len(texts)
    if known:
        for i, text in enumerate(texts):
            name = known.get(text)
            if name is None:
                continue
            name_column[i], source_column[i] = name
            if own[i]:
                continue
            judgement: Judgement = judge(name.name, text, provider_kinds[place[i]], providers[place[i]])
            access[i], reasons[i] = is_access(judgement), reason_text(judgement, name.name)
    schema = tables.ADDRESSES.schema
    columns: dict[str, Any] = {
        "address": texts,
        "is_home": is_home(home, hi, lo) if home else np.zeros(len(texts), bool),
        "network": found.network,
        "asn": pa.array(found.asn, pa.int64(), mask=found.asn == 0),
        "provider": taken(providers),
        "country": found.country,
        "provider_kind": taken(provider_kinds),
        "name": name_column,
        "name_source": source_column,
        "is_access": access,
        "access_reason": reasons,
    }
    arrays = [
        values if isinstance(values, pa.Array) else pa.array(values, schema.field(name).type)
        for name, values in columns.items()
    ]
    return pa.Table.from_arrays(arrays, schema=schema)
