"""In: paths of evidence and what is wanted of it. Out: a `Reading`: the evidence as tables, to be asked with SQL.
Never here: how a stage works (pipeline.py calls them), or an answer to a question (findings/)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from tracehound import limits
from tracehound.edges import machine_code
from tracehound.edges.ahead import ahead
from tracehound.edges.evidence import (
    EvidenceFile,
    evidence_table,
    hash_in_background,
    list_evidence,
    notes_table,
    read_batches,
    read_logs,
)
from tracehound.edges.first_use import after_helper
from tracehound.edges.store import Store
from tracehound.errors import UsageError
from tracehound.packets import link_addresses, quality
from tracehound.pipeline import Conversations, Run, Wanted, add_logs, build_tables
from tracehound.protocols.session import Interest, Keep
from tracehound.tables import ALL, LOGS, QUALITY, TRANSACTIONS

if TYPE_CHECKING:
    from tracehound.edges.duck import Duck
    from tracehound.edges.shards import Shards
    from tracehound.flowlogs.reader import Options
    from tracehound.flowlogs.witnesses import Offset

Progress = Callable[[int, int | None], None]
_BATCHES_AHEAD = 1
Together = tuple[pa.Table, "tuple[Offset, ...]"]
"""Rows of table `witnesses`, and how the sources' clocks stand."""
PassOn = Callable[[Sequence[EvidenceFile], pa.Table], None]
"""Takes finished rows of table `flows`, of these files."""
Item = TypeVar("Item")


def _overlapping(items: Iterator[Item], /) -> Iterator[Item]:
    return after_helper(ahead(items, _BATCHES_AHEAD))


class Reading:
    """Evidence as tables. Attributes are Arrow tables by name (`reading.flows`, `reading.http`, ...).

    Use as a context manager, or call `close()`: large evidence lies in a work folder until then."""

    def __init__(self, files: list[EvidenceFile], store: Store, run: Run, together: Together | None = None) -> None:
        self.files = files
        self._store = store
        self._run = run
        self._together = together
        self._duck: Duck | None = None
        self._extra: dict[str, pa.Table] = {
            "evidence": evidence_table(files),
            "capture_notes": notes_table(files),
            "quality": self._quality(),
            "arp": link_addresses.arp_table(run.link),
        }
        if together is not None:
            self._extra["witnesses"] = together[0]
        if run.wanted.link_addresses:
            self._extra["link_addresses"] = link_addresses.senders_table(run.link)

    def _quality(self) -> pa.Table:
        rows = quality.items(self._run.quality, self._run.decode.fragments)
        for file in self.files:
            if file.is_log:
                rows.append((file.evidence_id, "records", file.records, None))
                rows += [(file.evidence_id, item, n, note) for item, (n, note) in file.log_counts.items() if n]
            if file.damage is not None:
                rows.append((file.evidence_id, "damaged: read up to the damage", 1, file.damage))
            if file.dropped:
                rows.append((file.evidence_id, "packets dropped by the capturing machine", file.dropped, None))
        for evidence_id, exports in self._run.exports.items():
            if exports.records:
                rows.append((evidence_id, "flow records in export traffic", exports.records, "of NetFlow or IPFIX in the capture"))
            rows += [(evidence_id, item, n, note) for item, (n, note) in exports.counts.items()]
        for offset in self._together[1] if self._together is not None else ():
            if offset.connections:
                note = f"its clock is {offset.ahead_ns / 1e9:+.3f} s ahead of that of {offset.reference}; taken off to find common flows"
                rows.append((offset.source.evidence_id, "connections that other sources saw as well", offset.connections, note))
            else:
                note = f"how far its clock is from that of {offset.reference} could not be told; taken as the same"
                rows.append((offset.source.evidence_id, "source without a common clock", 1, note))
        if self._run.evicted:
            first = self.files[0].evidence_id
            rows.append((first, "flows closed early to stay within memory", self._run.evicted, None))
        columns: list[Any] = list(zip(*rows, strict=True)) if rows else [[], [], [], []]
        return pa.table(
            [pa.array(c, f.type) for c, f in zip(columns, QUALITY.schema, strict=True)], schema=QUALITY.schema
        )

    @property
    def damaged(self) -> bool:
        """Whether some file could only be read in part."""
        return any(file.damage is not None for file in self.files)

    def register(self, name: str, table: pa.Table) -> None:
        """Add a table of the run (answers of a stage that comes after reading)."""
        self._extra[name] = table
        if self._duck is not None:
            self._duck.register(name, table)

    def names(self) -> list[str]:
        """Tables that can be asked for."""
        built = ["flows"]
        built += ["packets"] if self._run.wanted.packets else []
        if self._run.wanted.records and (self._run.exports or any(file.is_log for file in self.files)):
            built += [t.name for t in LOGS if t.name != "witnesses"]
        asked = self._run.wanted.tables
        built += ["heads", *(t.name for t in TRANSACTIONS if asked is None or t.name in asked)] if self._run.wanted.transactions else []
        return [*built, *self._extra]

    def in_memory(self, name: str) -> bool:
        """Whether all of a table is there without a file being read."""
        return name in self._extra or isinstance(self._store.whole(name), pa.Table)

    def table(self, name: str) -> pa.Table:
        """A whole table in memory, flows in order of flow_id and transactions in order of txn_id."""
        if name in self._extra:
            return self._extra[name]
        if name not in self.names():
            raise UsageError(f"no table {name!r} here; there are {', '.join(sorted(self.names()))}")
        whole = self._store.whole(name)
        key = ALL[name].names[0]
        if isinstance(whole, pa.Table):
            return whole.sort_by(key)
        return self.ask(f'SELECT * FROM "{name}" ORDER BY "{key}"').cast(ALL[name].schema)

    def __getattr__(self, name: str) -> pa.Table:
        if name.startswith("_") or name not in ALL:
            raise AttributeError(name)
        return self.table(name)

    def duck(self) -> Duck:
        """The database over all tables of this run."""
        if self._duck is None:
            from tracehound.edges.duck import Duck

            self._duck = Duck(work_folder=self._store.folder)
            for name in self.names():
                self._duck.register(name, self._extra[name] if name in self._extra else self._store.whole(name))
        return self._duck

    def ask(self, sql: str, parameters: dict[str, object] | None = None) -> pa.Table:
        """Run SQL over the tables; parameters are named ($name). Raises UsageError."""
        return self.duck().ask(sql, parameters)

    def sql(self, statement: str) -> pa.Table:
        """Run a user's SQL: no file, no setting and no network can be reached from it."""
        duck = self.duck()
        duck.lock()
        return duck.ask(statement)

    def close(self) -> None:
        """Forget the tables and remove the work folder."""
        if self._duck is not None:
            self._duck.close()
            self._duck = None
        self._store.close()

    def __enter__(self) -> Reading:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read(
    paths: str | Sequence[str],
    *,
    wanted: Wanted | None = None,
    hashes: bool = False,
    progress: Progress | None = None,
    keep: Keep | None = None,
    log_options: Options | None = None,
    bpf: str | None = None,
    flows_to: PassOn | None = None,
) -> Reading:
    """Read capture files, flow logs, folders or '-' into tables.

    wanted   which tables (default: all but `packets`, one row a packet)
    bpf      a capture filter in the language of tcpdump: what it does not let pass is as if it had not been captured
    hashes   also take the SHA-256 of every file (in a background thread)
    keep     takes the content of the files that are met in the evidence
    log_options  what the user says of logs that do not say it themselves
    flows_to     is given the flows and the files, in the order in which flows ended: while the evidence is read where nothing can be
                 found out about a flow that ended (no transactions wanted, captures alone), and then they are not kept in the
                 reading; otherwise when it was read
    Raises EvidenceError where a path gives nothing at all; damage inside a file is kept in its quality record."""
    machine_code.install()
    wanted = wanted or Wanted()
    if bpf is not None:
        from tracehound.packets.bpf_machine import compiled

        wanted = replace(wanted, only=compiled(bpf))
    files = list_evidence([paths] if isinstance(paths, str) else list(paths), options=log_options)
    wait = hash_in_background(files) if hashes else None
    store = Store()
    shards = _shards(files, wanted, store) if keep is None else None
    at_once = flows_to if not wanted.transactions and not any(f.is_log for f in files) else None

    def add(name: str, rows: pa.Table) -> None:
        if at_once is not None and name == "flows":
            at_once(files, rows)
        else:
            store.add(name, rows)

    try:
        batches = read_batches(files, progress=progress)
        run = build_tables(
            batches, wanted, add, _overlapping, lambda: shards or _transactions(wanted, keep),
        )  # fmt: skip
        logs = [f for f in files if f.is_log]
        if logs:
            from tracehound.flowlogs.reader import Options

            options = replace(log_options or Options(), details=wanted.records)
            add_logs(read_logs(files, options=options, progress=progress), run)
        if shards is not None:
            told = shards.collect(store.adopt)
            if told:
                from tracehound.protocols.identify import with_told_services

                store.rewrite("flows", lambda flows: with_told_services(flows, told))
        together = _bring_together(files, store) if logs and wanted.community_id and len(files) > 1 else None
        if flows_to is not None and at_once is None:
            for rows in store.pieces("flows"):
                flows_to(files, rows)
        if wait is not None:
            wait()
        return Reading(files, store, run, together)
    except BaseException:
        if shards is not None:
            shards.stop()
        store.close()
        raise


def _bring_together(files: list[EvidenceFile], store: Store) -> Together | None:
    from tracehound.edges.witnessing import bring_together

    return bring_together(files, store)


def _shards(files: list[EvidenceFile], wanted: Wanted, store: Store) -> Shards | None:
    """Processes that read what flows say, where there is enough of it and more than one processor."""
    count = min(os.cpu_count() or 1, limits.MAX_SHARDS)
    size = sum(f.size or 0 for f in files if not f.is_log)
    if not wanted.transactions or count < 2 or size < limits.SHARD_FROM_BYTES:
        return None
    from tracehound.edges.shards import Shards

    return Shards(count, store.folder / "shards", Interest(details=wanted.file_details, tables=wanted.tables))


def _transactions(wanted: Wanted, keep: Keep | None) -> Conversations:
    from tracehound.protocols.transactions import Transactions

    return Transactions(Interest(details=wanted.file_details, keep=keep, tables=wanted.tables))
