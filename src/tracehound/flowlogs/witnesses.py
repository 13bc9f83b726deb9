"""In: flows of several sources (captures, logs), through SQL. Out: which of them are one connection, how far the sources' clocks are
apart, and what they contradict each other in. Never here: where the rows lie, or the rewriting of tables (edges/witnessing.py).

Flows of one source are never brought together here: that it saw two connections is what it says. Flows of two sources are one
connection if their Community ID is the same and their times meet, the clock of the one set by that of the other. How far the clocks
are apart is the median over connections whose Community ID both sources have exactly once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tracehound.tables import WITNESSES

Ask = Callable[[str, Mapping[str, object] | None], pa.Table]

TOLERANCE_NS: Final = 2_000_000_000
"""Exporters count in milliseconds or seconds, and look at a packet some time before or after it is captured elsewhere."""
FEWEST_FOR_OFFSET: Final = 3
"""Connections of both sources from which the distance of their clocks is believed."""
LARGEST_SPREAD_NS: Final = 2_000_000_000
"""Median deviation beyond which the distance of the clocks is no constant."""


@dataclass(frozen=True, slots=True)
class Source:
    """One witness: captures together (number 0), or one log with those that continue it."""

    number: int
    evidence_id: int
    name: str


@dataclass(frozen=True, slots=True)
class Offset:
    """The clock of a source against the one it was compared with.

    ahead_ns     how far it is ahead; 0 where it could not be told
    connections  common connections it was told from; fewer than FEWEST_FOR_OFFSET: not told"""

    source: Source
    ahead_ns: int
    connections: int
    reference: str


@dataclass(frozen=True, slots=True)
class Matched:
    """flow_id (ascending) -> the flow that it is, and the rank of its source (0 = the one whose words count first)."""

    flow_id: NDArray[np.int64]
    kept: NDArray[np.int64]
    rank: NDArray[np.int64]
    witnesses: pa.Table
    offsets: tuple[Offset, ...]


def match(ask: Ask, sources: Sequence[Source]) -> Matched | None:
    """Which flows are one connection. `ask` reaches the tables `flows` and `log_sources` (evidence_id, source); None where there is
    one source only."""
    ask(
        "CREATE OR REPLACE TEMP TABLE sides AS SELECT f.flow_id, f.community_id AS cid, epoch_ns(f.start) AS s, "
        'epoch_ns(f."end") AS e, l.source, f.pkts_src IS NOT NULL AS counted '
        "FROM flows f JOIN log_sources l USING (evidence_id) WHERE f.community_id IS NOT NULL",
        None,
    )
    # Captures first, then what counts packets, then the larger.
    ranked = ask(
        "SELECT source, COUNT(*) AS n FROM sides GROUP BY source "
        "ORDER BY source <> 0, AVG(CASE WHEN counted THEN 1.0 ELSE 0.0 END) < 0.5, n DESC, source",
        None,
    )["source"].to_pylist()
    if len(ranked) < 2:
        return None
    by_number = {s.number: s for s in reversed(sources)}
    ask("CREATE OR REPLACE TEMP TABLE kept AS SELECT flow_id, cid, s, e FROM sides WHERE source = $source", {"source": ranked[0]})
    ask("CREATE OR REPLACE TEMP TABLE same (flow_id BIGINT, kept BIGINT, rank INTEGER, ahead BIGINT)", None)
    offsets = []
    for rank, number in enumerate(ranked[1:], 1):
        offset = _offset(ask, by_number[number], by_number[ranked[0]].name)
        offsets.append(offset)
        ask(
            "INSERT INTO same SELECT b.flow_id, arg_min(a.flow_id, abs(b.s - $ahead - a.s)), $rank, $ahead "
            "FROM sides b JOIN kept a ON a.cid = b.cid AND b.s - $ahead <= a.e + $slack AND b.e - $ahead >= a.s - $slack "
            "WHERE b.source = $source GROUP BY b.flow_id",
            {"source": number, "rank": rank, "ahead": offset.ahead_ns, "slack": TOLERANCE_NS},
        )
        ask(
            "INSERT INTO kept SELECT b.flow_id, b.cid, b.s - $ahead, b.e - $ahead FROM sides b "
            "WHERE b.source = $source AND NOT EXISTS (SELECT 1 FROM same m WHERE m.flow_id = b.flow_id)",
            {"source": number, "ahead": offset.ahead_ns},
        )
    pairs = ask("SELECT flow_id, kept, rank FROM same ORDER BY flow_id", None)
    flow_id, kept, rank = (pairs[name].to_numpy().astype(np.int64) for name in ("flow_id", "kept", "rank"))
    return Matched(flow_id, kept, rank, _witnesses(ask), tuple(offsets))


def _offset(ask: Ask, source: Source, reference: str) -> Offset:
    row = ask(
        "WITH a AS (SELECT cid, MIN(s) AS s FROM kept GROUP BY cid HAVING COUNT(*) = 1), "
        "b AS (SELECT cid, MIN(s) AS s FROM sides WHERE source = $source GROUP BY cid HAVING COUNT(*) = 1), "
        "d AS (SELECT b.s - a.s AS d FROM a JOIN b USING (cid)) "
        "SELECT CAST(median(d) AS BIGINT) AS ahead, CAST(mad(d) AS BIGINT) AS spread, COUNT(*) AS n FROM d",
        {"source": source.number},
    ).to_pylist()[0]
    told = row["n"] >= FEWEST_FOR_OFFSET and row["spread"] <= LARGEST_SPREAD_NS
    return Offset(source, int(row["ahead"]) if told else 0, int(row["n"]) if told else 0, reference)


def _witnesses(ask: Ask) -> pa.Table:
    """Rows of table `witnesses`: each flow that several sources saw, as each of them has it."""
    rows = ask(
        """
        WITH every AS (
          SELECT flow_id, kept, ahead FROM same UNION ALL SELECT DISTINCT kept, kept, 0 FROM same),
        told AS (
          SELECT m.kept, m.ahead, f.*, k.src AS k_src, k.outcome AS k_outcome, k.pkts_src + k.pkts_dst AS k_pkts,
                 k.payload_dst AS k_payload_dst, k.payload_src AS k_payload_src, m.flow_id = m.kept AS first
          FROM every m JOIN flows f ON f.flow_id = m.flow_id JOIN flows k ON k.flow_id = m.kept)
        SELECT kept AS flow_id, evidence_id, CAST(ahead / 1e9 AS DOUBLE) AS clock_ahead_s, start, "end", src, pkts_src, pkts_dst,
               bytes_src, bytes_dst, payload_src, payload_dst, conn_state, outcome, first_record_id,
               NULLIF(concat_ws('; ',
                 CASE WHEN src <> k_src THEN 'originator: ' || src || ', not ' || k_src END,
                 CASE WHEN outcome <> k_outcome THEN 'outcome: ' || outcome || ', not ' || k_outcome END,
                 CASE WHEN pkts_src + pkts_dst <> k_pkts THEN 'packets: ' || (pkts_src + pkts_dst) || ', not ' || k_pkts END,
                 CASE WHEN src = k_src AND payload_src <> k_payload_src
                      THEN 'payload of the originator: ' || payload_src || ', not ' || k_payload_src END,
                 CASE WHEN src = k_src AND payload_dst <> k_payload_dst
                      THEN 'payload of the responder: ' || payload_dst || ', not ' || k_payload_dst END), '') AS contradiction
        FROM told ORDER BY kept, first DESC, evidence_id, start
        """,
        None,
    )
    return rows.select(WITNESSES.names).cast(WITNESSES.schema)
