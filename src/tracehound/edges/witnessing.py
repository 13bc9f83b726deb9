"""In: the tables of a run over several sources. Out: the same tables, in which a connection that several sources saw is one flow.
Never here: which flows are one connection (flowlogs/witnesses.py)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tracehound.edges.duck import Duck
from tracehound.edges.evidence import EvidenceFile
from tracehound.edges.store import Store
from tracehound.flowlogs.flow_rows import TXN_MASK, TXN_SHIFT
from tracehound.flowlogs.witnesses import Matched, Offset, Source, match
from tracehound.tables import ALL, TRANSACTIONS

FILLED = ("service", "history", "conn_state", "outcome", "payload_src", "payload_dst", "pkts_src", "pkts_dst", "bytes_src", "bytes_dst")
"""What a flow takes from another witness where its own source does not tell it."""


def bring_together(files: Sequence[EvidenceFile], store: Store) -> tuple[pa.Table, tuple[Offset, ...]] | None:
    """Make one flow of each connection that several sources saw. Returns rows of `witnesses` and the clocks; None where there is one
    source only."""
    sources = [Source(f.source, f.evidence_id, f.path) for f in files]
    if len({s.number for s in sources}) < 2:
        return None
    with Duck(work_folder=store.folder) as duck:
        names = [t.name for t in (ALL["flows"], ALL["records"], ALL["heads"], *TRANSACTIONS)]
        for name in names:
            duck.register(name, store.whole(name))
        numbers = pa.table({"evidence_id": [s.evidence_id for s in sources], "source": [s.number for s in sources]})
        duck.register("log_sources", numbers)
        matched = match(duck.ask, sources)
        if matched is None or not len(matched.flow_id):
            return None if matched is None else (matched.witnesses, matched.offsets)
        more = duck.ask(
            f"SELECT m.kept, {', '.join(f'MAX(f.{c}) AS {c}' for c in FILLED)} "
            "FROM same m JOIN flows f USING (flow_id) GROUP BY m.kept"
        )
        losers = {t.name: _losers(duck, t.name, matched) for t in TRANSACTIONS}
    store.rewrite("flows", lambda rows: _one_flow(rows, matched, more))
    nobody = np.zeros(0, dtype=np.int64)
    for name in ("records", "heads", *losers):
        store.rewrite(name, partial(_moved, matched=matched, lost=losers.get(name, nobody)))
    return matched.witnesses, matched.offsets


def _losers(duck: Duck, name: str, matched: Matched) -> NDArray[np.int64]:
    """Flows whose rows of a transaction table tell again what the rows of a better source tell of the same connection."""
    seen = duck.ask(
        f'WITH t AS (SELECT DISTINCT flow_id FROM "{name}"), '
        "every AS (SELECT flow_id, kept, rank FROM same UNION ALL SELECT DISTINCT kept, kept, 0 FROM same), "
        "told AS (SELECT e.* FROM every e JOIN t USING (flow_id)) "
        "SELECT flow_id FROM told QUALIFY rank > MIN(rank) OVER (PARTITION BY kept) ORDER BY flow_id"
    )
    found: NDArray[np.int64] = seen["flow_id"].to_numpy().astype(np.int64)
    return found


def _kept(flow_id: NDArray[np.int64], matched: Matched) -> NDArray[np.int64]:
    place = np.clip(np.searchsorted(matched.flow_id, flow_id), 0, len(matched.flow_id) - 1)
    kept: NDArray[np.int64] = np.where(matched.flow_id[place] == flow_id, matched.kept[place], flow_id)
    return kept


def _moved(rows: pa.Table, matched: Matched, lost: NDArray[np.int64]) -> pa.Table:
    """Rows under the number of the flow that is kept; without those in `lost`."""
    if rows.num_rows == 0:
        return rows
    if len(lost):
        mine = rows["flow_id"].to_numpy()
        rows = rows.filter(pa.array(~np.isin(mine, lost)))
    missing = rows["flow_id"].is_null().to_numpy()
    before = rows["flow_id"].fill_null(0).to_numpy()
    after = _kept(before, matched)
    if (before == after).all():
        return rows
    place = rows.schema.get_field_index("flow_id")
    rows = rows.set_column(place, rows.schema.field(place), pa.array(after, mask=missing))
    if "txn_id" in rows.column_names:
        place = rows.schema.get_field_index("txn_id")
        number = rows["txn_id"].to_numpy() & TXN_MASK
        rows = rows.set_column(place, rows.schema.field(place), pa.array(after << TXN_SHIFT | number))
    return rows


def _one_flow(rows: pa.Table, matched: Matched, more: pa.Table) -> pa.Table:
    """Flows without those that are another, which gain what only those told."""
    mine = rows["flow_id"].to_numpy()
    rows = rows.filter(pa.array(~np.isin(mine, matched.flow_id)))
    kept = more["kept"].to_numpy()
    order = np.argsort(kept)
    place = np.clip(np.searchsorted(kept[order], rows["flow_id"].to_numpy()), 0, max(len(kept) - 1, 0))
    hit = kept[order][place] == rows["flow_id"].to_numpy()
    if not hit.any():
        return rows
    take = pa.array(order[place], mask=~hit)
    for name in FILLED:
        at = rows.schema.get_field_index(name)
        column = rows.column(at)
        if column.null_count == 0:
            continue
        other = more[name].combine_chunks().take(take)
        if pa.types.is_dictionary(column.type):
            merged = pa.array(
                [a if a is not None else b for a, b in zip(column.to_pylist(), other.to_pylist(), strict=True)], pa.string()
            ).dictionary_encode()
            rows = rows.set_column(at, rows.schema.field(at), merged.cast(column.type))
        else:
            rows = rows.set_column(at, rows.schema.field(at), _first_told(column, other.cast(column.type)))
    return rows


def _first_told(a: pa.ChunkedArray, b: pa.Array) -> pa.Array:
    return pc.coalesce(a.combine_chunks(), b)
