"""In: evidence. Out: its packets, printed, one row a record. Never here: decoding."""

from __future__ import annotations

from typing import Final

from tracehound.cli import options

SUMMARY: Final = "Print the packets of captures, one row a record, whatever it holds."
_SQL: Final = "SELECT p.*, e.path AS file FROM packets p JOIN evidence e USING (evidence_id)"
_TERMINAL: Final = (
    "frame, strftime(ts::TIMESTAMP_NS, '%Y-%m-%d %H:%M:%S.%f') AS ts, src, sport, dst, dport, proto, "
    "tcp_flags, seq, ack, \"window\", ttl, payload_len, wirelen, flow_id, decode_note"
)


def main(argv: list[str]) -> int:
    """`tracehound packets`."""
    p = options.parser("packets", SUMMARY)
    options.add_evidence(p)
    options.add_output(p)
    args = p.parse_intermixed_args(argv)
    with options.reading_of(args, packets=True) as reading:
        return options.print_table(args, reading, _SQL, key="packet_id", terminal_columns=_TERMINAL, zeek=None)
