"""In: nothing. Out: the contract of a reader of flow logs: what it is fed, and the shape of what it gives.
Never here: a format (argus.py, netflow.py, zeek.py, ...), or how records become flows (flow_rows.py).

A reader is a state machine over bytes. The edge (edges/evidence.py) opens, decompresses and feeds; the reader gives blocks of
records as columns, a few ten thousand at a time, and never holds more than limits.py allows. It knows nothing of other files:
`flow_rows.py` joins the records of a file into flows, pairs directions, and numbers them; the same connection in several
sources is brought together after that (witnesses.py)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

WHOLE: Final = 0
"""The record is a whole flow as its source saw it (Zeek conn, EVE flow, racluster). Unanswered repetitions are still joined."""
PART: Final = 1
"""Counters are those of one interval: records of the same key that follow within the idle time belong to one flow (Argus)."""
ONE_WAY: Final = 2
"""One direction, and perhaps only an interval of it: records are joined, and paired with those of the other direction
(NetFlow, IPFIX, SiLK, firewall lines)."""
MENTION: Final = 3
"""The record says that the connection was there, not how large it was (Zeek http/dns/ssl, EVE http/alert): it makes a flow
only where no other record does, and what it does not tell is null."""

MISSING: Final = -1
"""What a whole number is where the source does not tell it. Never 0: zero is an answer."""


class Ends(NamedTuple):
    """Addresses of n records as numbers: upper and lower 64 bits (IPv4 as ::ffff:a.b.c.d), and the version.

    hi, lo   uint64[n]
    version  uint8[n]: 4, 6; 48 = a hardware address in the lower 48 bits of `lo`; 0 = none"""

    hi: NDArray[np.uint64]
    lo: NDArray[np.uint64]
    version: NDArray[np.uint8]


@dataclass(slots=True)
class Block:
    """Records of one log in the order of the file, as columns of length n. What a reader leaves out takes its default.

    Always given
    number          int64[n]: number of the record in its file from 1; text: number of the line. Ascending, distinct
    start, end      int64[n]: ns since 1970 UTC
    src, dst        Ends, or a text column (pa.Array: canonical or not; what is no address is null)
    source          kind of log, for all n (text), or a text column where one file mixes them (EVE)

    Often given; MISSING where the source does not tell (None: for all n)
    proto           IP protocol number
    sport, dport    ports; ICMP: type, and code (the type that answers is put in its place later)
    pkts_src, ...   packets, bytes, payload of each direction. Payload is what decides between accepted and answered
    tcp_flags_src, tcp_flags_dst
    offset          int64[n]: where the record begins in the (decompressed) file
    joins           uint8[n] or one number for all: WHOLE, PART, ONE_WAY, MENTION
    syn_count       SYNs without ACK from the originator, where the source counts or implies them
    outcome         codes into flows/tcp_outcome.OUTCOME_NAMES where the source says how it went; else it is derived from
                    packets, flags and payload
    conn_state      codes into flows/tcp_outcome.CONN_STATES, likewise
    closes          bool[n]: the connection ended in this record (what comes later under its key is another flow)
    opens           bool[n]: the connection began in this record (SYN); likewise
    certain         bool[n]: the source knows who the originator is (SYN seen); else ports may decide
    icmp_type, icmp_code, icmp_from   the ICMP error that answered, where the record tells of one
    ttl_src         TTL of the originator
    vlan            identifier (12 bits); MISSING = untagged or unknown
    texts           further columns by name, pa.Array of text (plain or dictionary) or null: of table `records`
                    sensor, uid, proto_name, state, state_flags, direction, cause, label, details; of table `flows`
                    service, history, tunnel; numbers of table `records`: sampled_one_in
    tables          rows of other tables that these records carry, by table name (http, dns, tls, files, argus, ...), as their
                    schemas say, but for: `record_id` and `flow_id` hold the record's `number` (the frame puts the real ones
                    in), txn_id holds any number that rises with the rows (likewise), request_packet_id, packet_id and their
                    like are null or, where the column is not nullable, hold the `number` as well
    inputs          all of it once more as the array that joining.py reads, from a reader whose kernel wrote it so
    """

    number: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    src: Ends | pa.Array
    dst: Ends | pa.Array
    source: str | pa.Array
    proto: NDArray[np.int64] | None = None
    sport: NDArray[np.int64] | None = None
    dport: NDArray[np.int64] | None = None
    pkts_src: NDArray[np.int64] | None = None
    pkts_dst: NDArray[np.int64] | None = None
    bytes_src: NDArray[np.int64] | None = None
    bytes_dst: NDArray[np.int64] | None = None
    payload_src: NDArray[np.int64] | None = None
    payload_dst: NDArray[np.int64] | None = None
    tcp_flags_src: NDArray[np.int64] | None = None
    tcp_flags_dst: NDArray[np.int64] | None = None
    offset: NDArray[np.int64] | None = None
    joins: NDArray[np.uint8] | int = WHOLE
    syn_count: NDArray[np.int64] | None = None
    outcome: NDArray[np.int64] | None = None
    conn_state: NDArray[np.int64] | None = None
    closes: NDArray[np.bool_] | None = None
    opens: NDArray[np.bool_] | None = None
    certain: NDArray[np.bool_] | None = None
    icmp_type: NDArray[np.int64] | None = None
    icmp_code: NDArray[np.int64] | None = None
    icmp_from: Ends | pa.Array | None = None
    ttl_src: NDArray[np.int64] | None = None
    vlan: NDArray[np.int64] | None = None
    texts: Mapping[str, pa.Array] = field(default_factory=dict)
    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    inputs: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.number)


@dataclass(slots=True)
class Took:
    """What one call of a reader's `feed` did.

    consumed  bytes of the buffer that are done with; the rest begins the next buffer (an incomplete record or line). Where
              nothing was consumed the buffer grows, up to limits.MAX_LOG_RECORD_BYTES: what is longer must be called damage
    blocks    records found, none empty; without Options.details their columns may be valid only until the next call
    damage    why nothing after `consumed` can be read, with byte offset in the file and record number; None = nothing wrong"""

    consumed: int
    blocks: list[Block] = field(default_factory=list)
    damage: str | None = None


class Reader(Protocol):
    """One log being read. It opens nothing and asks no clock. Whatever the bytes, it raises nothing."""

    counts: dict[str, tuple[int, str | None]]
    """For the quality record: item -> (how often, what it means for the answers). Lines that could not be read, gaps in
    sequence numbers, sampling, records skipped: bad single records are counted here and reading goes on."""
    words: list[str]
    """Comments that the log carries; one that begins with SYNTHETIC marks invented evidence."""

    def feed(self, buffer: NDArray[np.uint8], length: int, *, final: bool) -> Took:
        """Read records from buffer[:length]; `final`: nothing comes after these bytes. The buffer is reused after the call."""


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of flow log, as an entry of `formats.FORMATS`.

    recognise  whether a (decompressed) file that begins with these bytes (limits.LOG_HEAD_BYTES at most) is of this kind; by
               content, never raises
    open       a reader for it, given the same first bytes and what the user said of it"""

    recognise: Callable[[bytes], bool]
    open: Callable[[bytes, Options], Reader]


@dataclass(frozen=True, slots=True)
class Options:
    """What the user may say about logs that do not say it themselves.

    columns       generic CSV: our column name -> title in the file
    utc_offset_s  of times without a zone; 0 = they are UTC
    year          of the first syslog line, which has none; None = the year that makes the times rise towards `written_s`
    written_s     when the file was last written, s since 1970; None = unknown
    details       whether rows of `records` and of the source's own table are wanted: a reader may leave `texts` and those tables out
                  where they are not (columns that flows carry, service, history and tunnel, are always wanted)"""

    columns: Mapping[str, str] = field(default_factory=dict)
    utc_offset_s: int = 0
    year: int | None = None
    written_s: int | None = None
    details: bool = True


def filled(values: NDArray[Any] | None, count: int) -> NDArray[np.int64]:
    """A whole-number column as int64[count]; MISSING where it was left out."""
    return np.full(count, MISSING, np.int64) if values is None else values.astype(np.int64, copy=False)
