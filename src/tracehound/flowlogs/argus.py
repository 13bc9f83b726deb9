"""In: bytes of an Argus file, versions 3 and 5, as written by argus, radium, racluster and their like. Out: its records as
columns (reader.Block), with rows of table `argus` beside them. Never here: how bytes are read (argus_records.py), which rules hold
(argus_rules.py), or argus' words (argus_words.py).

A record covers one interval of a flow (5 s by default), with counters of that interval only: joined by the frame."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tracehound import limits
from tracehound.flowlogs import argus_columns
from tracehound.flowlogs import argus_records as records
from tracehound.flowlogs import joining as j
from tracehound.flowlogs.argus_layout import (
    ACK_DATA,
    ACTIVE_MEAN,
    ACTIVE_SD,
    AGR,
    ASN,
    BASE,
    BEGIN,
    BLOCK,
    COUNTRY,
    FINISH,
    ICMP,
    ICMP_NODE,
    INTERFACE_AT,
    IP_ID,
    LABEL_AT,
    LABEL_SIZE,
    LABELS,
    MAC,
    MAR,
    MAX_SIZE,
    MIN_SIZE,
    NET,
    NET_TCP_INITIAL,
    NET_TCP_PERFORMANCE,
    NET_TCP_STATUS,
    NUMBER,
    OFFSET,
    OPTIONS,
    PKTS,
    PROTO,
    RETRANS,
    SENSOR_AT,
    SENSOR_KIND,
    SENSOR_SIZE,
    SEQ,
    SHIFT,
    STATUS,
    SYN_ACK,
    TOS,
    TTL,
    USER_AT,
    USER_SIZE,
    VLAN,
    WINDOW,
)
from tracehound.flowlogs.argus_records import COOKIES, V4_MAPPED, Bytes, Rows
from tracehound.flowlogs.argus_rules import KNOWN_PORT
from tracehound.flowlogs.argus_words import causes, directions, flags, gap, protocols, states
from tracehound.flowlogs.reader import PART, Block, Ends, Format, Options, Took
from tracehound.kernels import kernel
from tracehound.packets.addresses import address_text
from tracehound.tables import ARGUS

REMARK: Final = b"prog:tracehound\n"
"""What the text of an event record of this program begins with."""
ROOMS: Final = 8
"""Blocks of 5 MB that are kept for further use."""
ROWS_AT_ONCE: Final = 16_384
"""Records read at once: their rows take 14 MB."""


@kernel
def write_gaps(rows: Rows, out: NDArray[np.int64]) -> None:
    for i in range(rows.shape[0]):
        for end in range(2):
            out[end, i] = gap(rows[i], end)


def _at(rows: Rows, place: int) -> NDArray[np.int64]:
    return np.ascontiguousarray(rows[:, place])


def _optional(values: NDArray[Any], kind: pa.DataType, missing: NDArray[np.bool_]) -> pa.Array:
    """Numbers as a column, null where `missing`."""
    return pa.array(np.where(missing, 0, values).astype(kind.to_pandas_dtype()), mask=missing)


def hardware(values: NDArray[np.int64]) -> pa.Array:
    """48-bit numbers as aa:bb:cc:dd:ee:ff; -1 is null."""
    encoded = pa.array(values).dictionary_encode()
    texts = [
        None if v < 0 else ":".join(f"{v >> shift & 0xFF:02x}" for shift in (40, 32, 24, 16, 8, 0))
        for v in encoded.dictionary.to_pylist()
    ]
    return _dictionary(encoded.indices, texts)


def ipv4(values: NDArray[np.int64], missing: NDArray[np.bool_]) -> pa.Array:
    """32-bit numbers as dotted quads."""
    encoded = pa.array(np.where(missing, -1, values)).dictionary_encode()
    texts = [None if v < 0 else address_text(0, V4_MAPPED | v, 4) for v in encoded.dictionary.to_pylist()]
    return _dictionary(encoded.indices, texts)


def _dictionary(indices: pa.Array, texts: list[str | None]) -> pa.Array:
    """A dictionary column of which some entries may be null."""
    empty = np.array([t is None for t in texts], dtype=bool)
    codes = indices.to_numpy()
    mask = empty[codes] if len(texts) else np.zeros(0, dtype=bool)
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32), mask=mask), pa.array([t or "" for t in texts], pa.string()))


def _sensor_text(kind: int, raw: bytes) -> str:
    """The probe's identifier (section 6.1) as `ra` prints it."""
    if kind == 0x21:
        return raw.rstrip(b"\0").decode("ascii", "replace")
    if kind == 0x20:
        return str(int.from_bytes(raw, "big"))
    if len(raw) == 16:
        high, low = int.from_bytes(raw[:8], "big"), int.from_bytes(raw[8:], "big")
        if kind == 0x22:
            text = raw.hex()
            return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
        return address_text(high, low, 6)
    if len(raw) == 8:
        return ":".join(f"{byte:02x}" for byte in raw[:6])
    return ".".join(str(byte) for byte in raw)


def sensors(rows: Rows, buffer: Bytes) -> pa.Array:
    """The probe's identifier, with the interface behind it where it is told ("1234/eth0")."""
    places, kinds, sizes = rows[:, SENSOR_AT], rows[:, SENSOR_KIND], rows[:, SENSOR_SIZE]
    # Probes are few: the bytes of each record's identifier are compared as one number, and each distinct one is spelled once.
    word = _words(buffer, places)
    face = _words(buffer, rows[:, INTERFACE_AT])
    _, first, inverse = np.unique(np.stack([kinds, sizes, word, face], axis=1), axis=0, return_index=True, return_inverse=True)
    texts: list[str | None] = []
    for i in first.tolist():
        at, size = int(places[i]), int(sizes[i])
        if at < 0 or (kinds[i] == 0 and word[i] == 0):
            texts.append(None)
            continue
        text = _sensor_text(int(kinds[i]), buffer[at : at + size].tobytes())
        interface = int(rows[i, INTERFACE_AT])
        if interface >= 0:
            text += "/" + buffer[interface : interface + 4].tobytes().rstrip(b"\0").decode("ascii", "replace")
        texts.append(text)
    return _dictionary(pa.array(inverse.reshape(-1)), texts)


def _words(buffer: Bytes, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """The four bytes at each place as a number; -1 where there is none."""
    inside = (places >= 0) & (places + 4 <= buffer.size)
    at = np.where(inside, places, 0)
    word = sum(buffer[np.minimum(at + k, max(buffer.size - 1, 0))].astype(np.int64) << (24 - 8 * k) for k in range(4))
    return np.where(inside, word, -1)


def cut_out(buffer: Bytes, places: NDArray[np.int64], sizes: NDArray[np.int64]) -> list[bytes | None]:
    """The bytes at each place; None where there are none."""
    return [buffer[a : a + n].tobytes() if a >= 0 else None for a, n in zip(places.tolist(), sizes.tolist(), strict=True)]


def labels(rows: Rows, buffer: Bytes) -> pa.Array:
    if not (rows[:, LABEL_AT] >= 0).any():
        return pa.nulls(len(rows), pa.string())
    texts = cut_out(buffer, rows[:, LABEL_AT], rows[:, LABEL_SIZE])
    return pa.array([None if t is None else t.split(b"\0")[0].decode("utf-8", "backslashreplace") for t in texts], pa.string())


def block_of(inputs: Rows, rows: Rows, buffer: Bytes) -> Block:
    """Records as a block; `rows` has none where their words are not wanted."""
    version = inputs[:, j.I_VERSION].astype(np.uint8)
    told_by = inputs[:, j.I_ICMP_VERSION].astype(np.uint8)
    details = len(rows) > 0

    def ends(place: int, of: NDArray[np.uint8]) -> Ends:
        hi, lo = inputs[:, j.I_HI + place], inputs[:, j.I_LO + place]
        return Ends(np.ascontiguousarray(hi).view(np.uint64), np.ascontiguousarray(lo).view(np.uint64), of)

    # What flows are made of is in `inputs`; columns are views of it.
    return Block(
        number=inputs[:, j.I_RECORD].copy(),
        start=inputs[:, j.I_START],
        end=inputs[:, j.I_END],
        src=ends(0, version),
        dst=ends(1, version),
        source="argus",
        proto=inputs[:, j.I_PROTO],
        sport=inputs[:, argus_columns.SPORT],
        dport=inputs[:, argus_columns.DPORT],
        pkts_src=inputs[:, j.I_PKTS],
        pkts_dst=inputs[:, j.I_PKTS + 1],
        bytes_src=inputs[:, j.I_BYTES],
        bytes_dst=inputs[:, j.I_BYTES + 1],
        payload_src=inputs[:, j.I_PAYLOAD],
        payload_dst=inputs[:, j.I_PAYLOAD + 1],
        tcp_flags_src=inputs[:, j.I_FLAGS],
        tcp_flags_dst=inputs[:, j.I_FLAGS + 1],
        offset=rows[:, OFFSET].copy() if details else None,
        joins=PART,
        icmp_type=inputs[:, j.I_ICMP_TYPE],
        icmp_code=inputs[:, j.I_ICMP_CODE],
        icmp_from=Ends(
            inputs[:, j.I_ICMP_HI].astype(np.uint64), np.ascontiguousarray(inputs[:, j.I_ICMP_LO]).view(np.uint64), told_by
        ),
        ttl_src=inputs[:, j.I_TTL],
        vlan=inputs[:, j.I_VLAN],
        texts=words(rows, buffer) if details else {},
        tables={"argus": argus_table(rows, buffer)} if details else {},
        inputs=inputs,
    )


def words(rows: Rows, buffer: Bytes) -> dict[str, pa.Array]:
    """Argus' own words for the records."""
    return {
        "sensor": sensors(rows, buffer),
        "proto_name": protocols(rows),
        "state": states(rows),
        "state_flags": flags(rows),
        "direction": directions(rows),
        "cause": causes(rows),
        "label": labels(rows, buffer),
    }


def _float(values: NDArray[np.int64]) -> pa.Array:
    """Bits of float32 as numbers; -1 is null."""
    return pa.array(values.astype(np.uint32).view(np.float32), mask=values < 0)


def argus_table(rows: Rows, buffer: Bytes) -> pa.Table:
    """Rows of table `argus`; `record_id` holds the number of the record in its file."""
    n = len(rows)
    net, tcp = rows[:, NET], rows[:, PROTO] == 6
    told = tcp & np.isin(net, (NET_TCP_INITIAL, NET_TCP_STATUS, NET_TCP_PERFORMANCE))
    performance = tcp & (net == NET_TCP_PERFORMANCE)
    no = [rows[:, PKTS + end] == 0 for end in (0, 1)]
    gaps = np.zeros((2, n), dtype=np.int64)
    write_gaps(rows, gaps)
    based = [told & (rows[:, BASE + end] != 0) for end in (0, 1)]
    schema = ARGUS.schema

    def number(name: str, values: NDArray[Any], missing: NDArray[np.bool_]) -> pa.Array:
        kind = schema.field(name).type
        if pa.types.is_timestamp(kind):
            return pa.array(np.where(missing, 0, values), mask=missing).cast(kind)
        return _optional(values, kind, missing)

    def letters(values: NDArray[np.int64]) -> pa.Array:
        encoded = pa.array(values).dictionary_encode()
        texts = [None if v == 0 else bytes((v >> 8, v & 0xFF)).decode("ascii", "replace") for v in encoded.dictionary.to_pylist()]
        return _dictionary(encoded.indices, texts)

    def user(end: int) -> pa.Array:
        if not (rows[:, USER_AT + end] >= 0).any():
            return pa.nulls(n, pa.binary())
        return pa.array(cut_out(buffer, rows[:, USER_AT + end], rows[:, USER_SIZE + end]), pa.binary())

    never = np.zeros(n, dtype=np.bool_)
    built: dict[str, pa.Array] = {
        "record_id": pa.array(_at(rows, NUMBER)),
        "seq_number": number("seq_number", rows[:, SEQ], rows[:, SEQ] < 0),
        "transactions": number("transactions", np.where(rows[:, AGR] >= 0, rows[:, AGR], 1), never),
        "status_bits": number("status_bits", rows[:, STATUS], ~told),
        "syn_ack_us": number("syn_ack_us", rows[:, SYN_ACK], ~performance),
        "ack_data_us": number("ack_data_us", rows[:, ACK_DATA], ~performance),
        "tcp_options": number("tcp_options", rows[:, OPTIONS], ~(performance | (tcp & (net == NET_TCP_INITIAL)))),
        "icmp_node": ipv4(rows[:, ICMP_NODE], rows[:, ICMP] < 0),
    }
    for end, side in ((0, "src"), (1, "dst")):
        lost = performance & (rows[:, BLOCK + end] == 1)
        built |= {
            f"{side}_start": number(f"{side}_start", rows[:, BEGIN + end], rows[:, BEGIN + end] == 0),
            f"{side}_end": number(f"{side}_end", rows[:, FINISH + end], rows[:, FINISH + end] == 0),
            f"tos_{side}": number(f"tos_{side}", rows[:, TOS + end], rows[:, TOS + end] < 0),
            f"ttl_{side}": number(f"ttl_{side}", rows[:, TTL + end], rows[:, TTL + end] < 0),
            f"ip_id_{side}": number(f"ip_id_{side}", _swapped(rows[:, IP_ID + end]), rows[:, IP_ID + end] < 0),
            f"mac_{side}": hardware(rows[:, MAC + end]),
            f"vlan_{side}": number(f"vlan_{side}", rows[:, VLAN + end], rows[:, VLAN + end] < 0),
            f"mpls_{side}": number(f"mpls_{side}", rows[:, LABELS + end], rows[:, LABELS + end] < 0),
            f"tcp_base_{side}": number(f"tcp_base_{side}", rows[:, BASE + end], ~based[end]),
            f"window_{side}": number(
                f"window_{side}", rows[:, WINDOW + end] << np.minimum(rows[:, SHIFT + end], 14), ~performance | no[end]
            ),
            f"lost_{side}": number(f"lost_{side}", rows[:, RETRANS + end], ~lost),
            f"gap_{side}": number(f"gap_{side}", gaps[end], ~lost),
            f"min_size_{side}": number(f"min_size_{side}", rows[:, MIN_SIZE + end], rows[:, MIN_SIZE + end] < 0),
            f"max_size_{side}": number(f"max_size_{side}", rows[:, MAX_SIZE + end], rows[:, MAX_SIZE + end] < 0),
            f"interval_{side}_us": _float(rows[:, ACTIVE_MEAN + end]),
            f"jitter_{side}_us": _float(rows[:, ACTIVE_SD + end]),
            f"asn_{side}": number(f"asn_{side}", rows[:, ASN + end], rows[:, ASN + end] < 0),
            f"country_{side}": letters(rows[:, COUNTRY + end]),
            f"user_{side}": user(end),
        }
    return pa.table([built[name] for name in ARGUS.names], schema=schema)


def _swapped(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Probes on little-endian machines forget to turn the identification round."""
    return (values & 0xFF) << 8 | values >> 8 & 0xFF


class ArgusReader:
    """reader.Reader for Argus files."""

    def __init__(self, *, correct: bool = True, details: bool = True) -> None:
        """correct   decide anew who the originator is, as argus' clients do
        details   with words and table `argus`"""
        self.counts: dict[str, tuple[int, str | None]] = {}
        self.words: list[str] = []
        self._correct = correct
        self._base = 0
        self._number = 0
        self._details = details
        self._rooms: list[Rows] = []
        self._scratch = records.room(1)[0]
        self._rows = records.room(ROWS_AT_ONCE if details else 0)
        self._tally = np.zeros(argus_columns.TALLIES, dtype=np.int64)

    def feed(self, buffer: Bytes, length: int, *, final: bool) -> Took:
        took = Took(0)
        all_words = records.words_of(buffer, length)
        while True:
            here = buffer[took.consumed :]
            out = self._room(len(took.blocks))
            consumed, count, number, verdict = argus_columns.read_columns(
                all_words[took.consumed >> 2 :], length - took.consumed, self._base + took.consumed, self._number,
                records.ABSENT, self._scratch, KNOWN_PORT, self._correct, out, self._rows, self._tally,
            )  # fmt: skip
            self._number = int(number)
            self._remarks(here[: int(consumed)])
            if count:
                took.blocks.append(block_of(out[:count], self._rows[:count], here))
            took.consumed += int(consumed)
            if count < ROWS_AT_ONCE:
                break
        if verdict == records.NO_RECORD:
            first = int(buffer[took.consumed])
            took.damage = self._at(took.consumed, f"no Argus record begins here (first byte 0x{first:02x})")
        elif verdict == records.CUT and final:
            rest = length - took.consumed
            took.damage = self._at(took.consumed, f"the record is cut short: {rest} bytes are left of it")
        self._base += took.consumed
        self._count()
        return took

    def _room(self, place: int) -> Rows:
        """Rows for the block at this place of the answer. They are used again with the next call where flows are all that is wanted:
        fresh memory costs more than filling it."""
        if self._details or place >= len(self._rooms):
            room = np.empty((ROWS_AT_ONCE, argus_columns.WIDTH), dtype=np.int64)
            if not self._details and place < ROOMS:
                self._rooms.append(room)
            return room
        return self._rooms[place]

    def _remarks(self, read: Bytes) -> None:
        """Words in an event near the beginning of the file: this program marks evidence that it invents so (argus_write.remark)."""
        if self._base or self.words or not self._tally[argus_columns.STRANGE]:
            return
        head = read[: limits.LOG_HEAD_BYTES].tobytes()
        at = head.find(REMARK)
        if at >= 0:
            self.words.append(head[at + len(REMARK) :].split(b"\0")[0].decode("ascii", "replace"))

    def _at(self, place: int, cause: str) -> str:
        return f"byte {self._base + place}, record {self._number + 1}: {cause}"

    def _count(self) -> None:
        dropped, strange, timeless = self._tally.tolist()
        if dropped:
            self.counts["packets dropped by the probe's machine"] = (dropped, "as the probe says; its flows lack them")
        if strange:
            self.counts["records that tell of no flow"] = (strange, "events, and records without key")
        if timeless:
            self.counts["records without a time"] = (timeless, "the probe saw none; they stand at 1970")


def recognise(head: bytes) -> bool:
    """Section 2.3: the first record is a management record of 128 bytes with the cookie at 8."""
    return len(head) >= 12 and head[0] & 0xF0 == MAR and head[2:4] == b"\x00\x20" and head[8:12] in COOKIES


def open_reader(head: bytes, options: Options) -> ArgusReader:
    """A reader; what the user says of logs does not matter to a format that says it all."""
    return ArgusReader(details=options.details)


FORMAT: Final = Format(recognise, open_reader)
