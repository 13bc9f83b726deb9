"""In: evidence. Out: its HTTP transactions, printed. Never here: parsing."""

from __future__ import annotations

from typing import Final

from tracehound.cli import options

SUMMARY: Final = "Print the HTTP/1 transactions of captures."
_SQL: Final = (
    "SELECT h.*, e.path AS file FROM http h JOIN flows f USING (flow_id) JOIN evidence e USING (evidence_id)"
)
_TERMINAL: Final = (
    "strftime(ts::TIMESTAMP_NS, '%Y-%m-%d %H:%M:%S.%g') AS ts, src, dst, dport, method, host, uri, status, "
    "body_kind, response_bytes"
)
_ZEEK: Final = (
    'ts, printf(\'C%017d\', flow_id) AS uid, src AS "id.orig_h", sport AS "id.orig_p", dst AS "id.resp_h", '
    'dport AS "id.resp_p", trans_depth, method, host, uri, referer AS referrer, version, user_agent, '
    "request_bytes AS request_body_len, response_bytes AS response_body_len, status AS status_code, reason AS status_msg, "
    "request_body_kind AS orig_mime_types, body_kind AS resp_mime_types"
)


def main(argv: list[str]) -> int:
    """`tracehound http`."""
    p = options.parser("http", SUMMARY)
    options.add_evidence(p)
    options.add_output(p)
    args = p.parse_intermixed_args(argv)
    with options.reading_of(args, transactions=True) as reading:
        return options.print_table(args, reading, _SQL, key="txn_id", terminal_columns=_TERMINAL, zeek=("http", _ZEEK))
