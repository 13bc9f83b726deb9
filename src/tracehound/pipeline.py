"""START HERE. In: batches of capture bytes. Out: tables, then a verdict: one call a stage, in the order of the bytes.
Never here: opening, hashing, spilling or asking the time: the edges pass in what a stage needs from the world."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tracehound.capture.records import RawBatch
from tracehound.flowlogs.export_candidates import candidates
from tracehound.flows import assemble as flows
from tracehound.flows.state import DISORDER, EVICTED, FLOW_ID, NEXT_ID, Closed, FlowState
from tracehound.flows.tcp_outcome import flow_table
from tracehound.packets import link_addresses, quality
from tracehound.packets.batch import PacketBatch
from tracehound.packets.decode import DecodeState, decode
from tracehound.packets.packet_table import packet_table

if TYPE_CHECKING:
    from tracehound.detectors.catalog import Ask, Catalog
    from tracehound.enrich.access import ProviderKinds
    from tracehound.enrich.networks import AddressTable
    from tracehound.findings.model import EvidenceItem, QualityItem, Verdict
    from tracehound.flowlogs.export_traffic import ExportTraffic
    from tracehound.flowlogs.flow_rows import LogState
    from tracehound.flowlogs.reader import Block
    from tracehound.flows.assignment import Assignment
    from tracehound.packets.bpf_machine import Filter
    from tracehound.profiles.profile import Profile
    from tracehound.protocols.identify import Heads, Spoken

Add = Callable[[str, pa.Table], None]
"""Takes finished rows of a table; where they are kept is the edge's business."""
Decoded = tuple[RawBatch, PacketBatch]
Rows = tuple[str, pa.Table]
"""Finished rows of a table, by its name."""
Item = TypeVar("Item")


class Overlap(Protocol):
    """May let the iterator run ahead of whoever takes its items, in another thread (edges/ahead.py)."""

    def __call__(self, items: Iterator[Item], /) -> Iterator[Item]: ...


def _in_turn(items: Iterator[Item], /) -> Iterator[Item]:
    return items


_ROWS_AT_ONCE = 16_384


class Conversations(Protocol):
    """Who reads what the flows say: protocols/transactions.py itself, or processes that do (edges/shards.py)."""

    def add(self, packets: PacketBatch, assignment: Assignment, spoken: Spoken) -> dict[str, pa.Table]:
        """Read one batch; returns rows that are finished."""

    def end(self, flow_ids: NDArray[np.int64]) -> dict[str, pa.Table]:
        """These flows are over; returns rows that are finished."""

    def take_services(self) -> dict[int, int]:
        """What flows were found to speak that their own bytes do not tell: flow_id -> code."""

    def finish(self) -> dict[str, pa.Table]:
        """The evidence is over; returns the rows that are left."""


def _here() -> Conversations:
    from tracehound.protocols.transactions import Transactions

    return Transactions()


@dataclass(frozen=True, slots=True)
class LogBatch:
    """A block of records of a flow log, as the evidence edge hands it on; `chain` and `finished_chains` as in RawBatch."""

    block: Block
    evidence_id: int
    chain: int
    finished_chains: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which tables to build. Flows are always built; payload is looked at only if a table needs it."""

    packets: bool = False
    records: bool = True
    """Records of flow logs, one row each, and what their source knows beyond them."""
    transactions: bool = True
    tables: frozenset[str] | None = None
    """Which of the protocols' tables; None = all. What serves no other is not read."""
    verify_checksums: bool = False
    community_id: bool = True
    file_details: bool = True
    """md5, entropy and facts of files, beside their size, kind and SHA-256."""
    link_addresses: bool = False
    """Which hardware address sends packets of which address (ARP messages are always noted)."""
    only: Filter | None = None
    """A capture filter: what it does not let pass is as if it had not been captured."""


@dataclass(slots=True)
class Run:
    """What a run keeps between batches."""

    wanted: Wanted
    add: Add
    decode: DecodeState = field(default_factory=DecodeState)
    quality: quality.QualityState = field(default_factory=quality.QualityState)
    link: link_addresses.LinkState = field(default_factory=link_addresses.LinkState)
    chains: dict[int, FlowState] = field(default_factory=dict)
    log_chains: dict[int, LogState] = field(default_factory=dict)
    exports: dict[int, ExportTraffic] = field(default_factory=dict)
    """Export traffic (NetFlow, IPFIX) that captures hold, by evidence_id."""
    next_flow_id: int = 1
    closed: list[Closed] = field(default_factory=list)
    closed_rows: int = 0
    evicted: int = 0
    disorder: int = 0
    heads: Heads | None = None
    conversations: Conversations | None = None
    """None where no table needs payload; then the modules that read payload are not even loaded."""


def _decoded(batches: Iterable[RawBatch], run: Run) -> Iterator[Decoded]:
    for whole in batches:
        raw = whole
        if run.wanted.only is not None:
            from tracehound.packets.bpf_machine import filtered

            raw = filtered(whole, run.wanted.only)
            quality.leave_out(raw.evidence_id, whole.records.ts.size - raw.records.ts.size, run.quality)
        packets = decode(raw, run.decode)
        if run.heads is not None:
            _observe(raw, packets, run)
        yield raw, packets


def _observe(raw: RawBatch, packets: PacketBatch, run: Run) -> None:
    """What is counted of packets without their flows. Of two stages that overlap, that which has less to do does it: decoding, where
    payload is read; otherwise the assembly of flows."""
    quality.observe(raw, packets, run.quality)
    link_addresses.observe_arp(raw, packets, run.link)
    if run.wanted.link_addresses:
        link_addresses.observe_senders(raw, packets, run.link)


def _sorted(parts: list[Closed]) -> Closed:
    """Closed flows as one, in order of flow_id: with few flows, that is all of them. `parts` is emptied on the way."""
    order = np.argsort(np.concatenate([part[FLOW_ID] for part in parts]))
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    # In memory a flow's record lies in one piece (flows/state.py).
    records = np.empty((order.size, parts[0].shape[0]), np.int64)
    begin = 0
    while parts:
        part = parts.pop(0)
        records[place[begin : begin + part.shape[1]]] = part.T
        begin += part.shape[1]
    return records.T


def _emit_flows(run: Run, rows: Closed | None = None) -> None:
    """Turn closed flows into rows of table `flows`, some thousand at a time."""
    if rows is not None and rows.shape[1]:
        run.closed.append(rows)
        run.closed_rows += rows.shape[1]
        if run.closed_rows < _ROWS_AT_ONCE:
            return
    if run.closed_rows == 0 or (rows is not None and run.closed_rows < _ROWS_AT_ONCE):
        return
    closed = _sorted(run.closed)
    run.closed_rows = 0
    table = flow_table(closed, with_community_id=run.wanted.community_id)
    if run.heads is not None:
        from tracehound.protocols.identify import with_service

        table = with_service(table, run.heads)
    run.add("flows", table)


def _end_chain(run: Run, number: int) -> Iterator[Closed | Rows]:
    state = run.chains.pop(number)
    run.evicted += int(state.clock[EVICTED])
    run.disorder += int(state.clock[DISORDER])
    rows = flows.finish(state)
    yield from _end_streams(run, rows)
    yield rows


def _end_streams(run: Run, rows: Closed) -> Iterator[Rows]:
    if run.conversations is not None and rows.shape[1]:
        yield from run.conversations.end(rows[FLOW_ID]).items()


def _converse(run: Run, packets: PacketBatch, assignment: Assignment) -> Iterator[Rows]:
    """What do the flows speak, and what do they say?"""
    if run.heads is None or run.conversations is None:
        return
    from tracehound.protocols.identify import heads, spoken

    yield "heads", heads(packets, assignment, run.heads)
    yield from run.conversations.add(packets, assignment, spoken(assignment.flow_id, run.heads)).items()
    for flow_id, code in run.conversations.take_services().items():
        run.heads.codes[flow_id] = code


def _assembled(decoded: Iterator[Decoded], run: Run) -> Iterator[Closed | Rows]:
    """Flows that ended, and finished rows of other tables."""
    for raw, packets in decoded:
        if run.heads is None:
            _observe(raw, packets, run)
        for number in raw.finished_chains:
            yield from _end_chain(run, number)
        state = run.chains.setdefault(raw.chain, FlowState())
        state.clock[NEXT_ID] = run.next_flow_id
        assignment, closed = flows.assemble(packets, state)
        run.next_flow_id = int(state.clock[NEXT_ID])
        if run.wanted.packets:
            yield "packets", packet_table(packets, assignment.flow_id, raw.base_offset, raw.length)
        yield from _converse(run, packets, assignment)
        yield from _end_streams(run, closed)
        yield closed
        yield from _exported(run, packets, raw.evidence_id)
    for number in sorted(run.chains):
        yield from _end_chain(run, number)


def build_tables(
    batches: Iterable[RawBatch],
    wanted: Wanted,
    add: Add,
    overlap: Overlap = _in_turn,
    conversations: Callable[[], Conversations] = _here,
) -> Run:
    """Read every batch; hand rows to `add` as they are finished.

    conversations  makes the reader of what flows say, if a table needs one
    overlap        may run a stage ahead in another thread: reading and decoding ahead of the assembly of flows, and that ahead of
                   their rows (where payload is read, services are found on both sides of that, and they take turns)"""
    run = Run(wanted, add, DecodeState(verify_checksums=wanted.verify_checksums))
    if wanted.transactions:
        from tracehound.protocols.identify import Heads

        run.heads, run.conversations = Heads(), conversations()
    items = _assembled(overlap(_decoded(batches, run)), run)
    for item in items if run.heads is not None else overlap(items):
        if isinstance(item, tuple):
            add(*item)
        else:
            _emit_flows(run, item)
    _emit_flows(run)
    for evidence_id in sorted(run.exports):
        if -evidence_id in run.log_chains:
            add(*_end_log(run, -evidence_id))
    if run.conversations is not None:
        for name, table in run.conversations.finish().items():
            add(name, table)
    return run


def add_logs(batches: Iterable[LogBatch], run: Run) -> None:
    """Flow logs become rows of the same tables as captures."""
    for batch in batches:
        for number in batch.finished_chains:
            run.add(*_end_log(run, number))
        for name, rows in _take_block(run, batch.block, batch.chain, batch.evidence_id):
            run.add(name, rows)
    for number in sorted(run.log_chains):
        run.add(*_end_log(run, number))


def _take_block(run: Run, block: Block, chain: int, evidence_id: int) -> Iterator[Rows]:
    from tracehound.flowlogs import flow_rows

    state = run.log_chains.setdefault(chain, flow_rows.LogState())
    made = flow_rows.take(
        block, state, run.next_flow_id, evidence_id, with_records=run.wanted.records, with_community_id=run.wanted.community_id
    )
    run.next_flow_id = made.next_flow_id
    yield from made.tables.items()


def _end_log(run: Run, chain: int) -> Rows:
    from tracehound.flowlogs import flow_rows

    state = run.log_chains.pop(chain)
    run.evicted += state.joins.evicted
    return "flows", flow_rows.finish(state, with_community_id=run.wanted.community_id)


def _exported(run: Run, packets: PacketBatch, evidence_id: int) -> Iterator[Rows]:
    """Flow records that datagrams of NetFlow and IPFIX among the packets carry: a log inside the capture, in a chain of its own."""
    if not candidates(packets).size:
        return
    from tracehound.flowlogs.export_traffic import ExportTraffic

    for block in run.exports.setdefault(evidence_id, ExportTraffic()).add(packets):
        yield from _take_block(run, block, -evidence_id, evidence_id)


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What the program knows before it sees any evidence: loaded by the edge, passed in as values."""

    catalog: Catalog
    profiles: tuple[Profile, ...]
    addresses: AddressTable
    kinds: ProviderKinds


@dataclass(frozen=True, slots=True)
class Question:
    """What the officer asks beside "who behaves strangely?".

    host   only this host
    home   home networks as given; empty = infer them from the evidence"""

    host: str | None = None
    home: tuple[str, ...] = ()


def investigate(
    ask: Ask,
    register: Callable[[str, pa.Table], None],
    knowledge: Knowledge,
    question: Question,
    *,
    evidence: Sequence[EvidenceItem],
    quality_items: Sequence[QualityItem],
    version: str,
    synthetic: str = "",
) -> Verdict:
    """The verdict over tables that `ask` reaches. `register` makes a further table available to `ask`."""
    from tracehound.enrich.addresses import address_rows
    from tracehound.enrich.home import given, infer_home
    from tracehound.enrich.names import names
    from tracehound.findings import targets, verdict
    from tracehound.findings.model import Probing, TargetSummary
    from tracehound.findings.probes import Probes

    if question.home:
        home, why = given(question.home), "given by --home"
    else:
        home, why = infer_home(ask)
    addresses = address_rows(ask, knowledge.addresses, knowledge.kinds, home, names(ask))
    register("addresses", addresses)

    def targets_of(probing: Probing, probes: Probes, _ask: Ask) -> TargetSummary:
        counted = np.bincount(probes.target, minlength=len(probes.targets))
        return targets.summarise(
            [targets.Target(a, int(n) * probes.stride) for a, n in zip(probes.targets, counted, strict=True) if n],
            addresses,
            own=probing.host,
            table_date=knowledge.addresses.date,
            evidence_start_ns=probing.start_ns,
            kind_reasons=knowledge.kinds.reasons,
            order=probing.order,
            revisits=probing.revisits,
        )

    run = verdict.Run(
        evidence=tuple(evidence), quality=tuple(quality_items), home_networks=home, home_reason=why,
        version=version, synthetic=synthetic,
    )  # fmt: skip
    return verdict.judge(
        ask, knowledge.catalog, run, host=question.host, profiles=knowledge.profiles, targets_of=targets_of
    )
