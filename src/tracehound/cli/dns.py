"""In: evidence. Out: its DNS transactions, printed. Never here: parsing."""

from __future__ import annotations

from typing import Final

from tracehound.cli import options

SUMMARY: Final = "Print the DNS transactions of captures."
_SQL: Final = (
    "SELECT d.*, e.path AS file FROM dns d JOIN flows f USING (flow_id) JOIN evidence e USING (evidence_id)"
)
_TERMINAL: Final = (
    "strftime(ts::TIMESTAMP_NS, '%Y-%m-%d %H:%M:%S.%g') AS ts, src, dst, qtype, query, rcode, "
    "array_to_string(answers, ', ') AS answers"
)
_ZEEK: Final = (
    'ts, printf(\'C%017d\', flow_id) AS uid, src AS "id.orig_h", sport AS "id.orig_p", dst AS "id.resp_h", '
    'dport AS "id.resp_p", CASE proto WHEN 6 THEN \'tcp\' ELSE \'udp\' END AS proto, trans_id, '
    "(epoch_ns(response_ts) - epoch_ns(ts)) / 1e9 AS rtt, query, qclass, qtype AS qtype_name, rcode AS rcode_name, "
    "authoritative AS AA, truncated AS TC, recursion_desired AS RD, recursion_available AS RA, answers"
)


def main(argv: list[str]) -> int:
    """`tracehound dns`."""
    p = options.parser("dns", SUMMARY)
    options.add_evidence(p)
    options.add_output(p)
    args = p.parse_intermixed_args(argv)
    with options.reading_of(args, transactions=True) as reading:
        return options.print_table(args, reading, _SQL, key="txn_id", terminal_columns=_TERMINAL, zeek=("dns", _ZEEK))
