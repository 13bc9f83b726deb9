"""In: captures, and the rows of Zeek's http.log for them. Out: how far `tracehound http` agrees, field by field, and where
it does not. Never here: reading a capture; the program is asked as a user would ask it.

    python -m bench.http_agreement CAPTURES REFERENCE.jsonl.gz [--only TEXT] [--skip REGEX] [--show N] [--worst N] [--json]

REFERENCE holds one JSON object a line, `capture` (path below CAPTURES) and `rows` (rows of http.log, unset fields left out).
Rows are paired within a capture by the four of the connection and `trans_depth`. A field is compared in every pair; a row of
the reference that is missing lowers the share `found`; rows that it does not have are counted as extra. Zeek's log prints
request targets with %NN taken back and `status_code` 0 for an answer that is a body alone; the table keeps the target as sent
and no status, so both are brought to one form first."""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import shlex
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote_to_bytes

Row = Mapping[str, Any]
Key = tuple[str, int, str, int, int]
COMMAND: Final = shlex.split(os.environ.get("TRACEHOUND", f"{sys.executable} -m tracehound"))
_HEX: Final = re.compile(r"\\x([0-9a-fA-F]{2})")


def _octets(value: Any) -> bytes:
    """A request target as bytes: both programs print what is not ASCII as \\xNN; %NN stands for a byte."""
    plain = _HEX.sub(lambda m: chr(int(m[1], 16)), str(value or "").replace("(empty)", ""))
    return unquote_to_bytes(plain.encode("latin-1", "replace"))


def _number(value: Any) -> int:
    return int(value or 0)


def _word(value: Any) -> str:
    return str(value or "")


def _host(value: Any) -> str:
    """Zeek's splits a port off Host (RFC 9110 7.2) as the table does, but not off the target of CONNECT."""
    return re.sub(r":\d+$", "", str(value or "").lower())


FIELDS: Final[tuple[tuple[str, str, Callable[[Any], Any]], ...]] = (
    ("method", "method", _word),
    ("host", "host", _host),
    ("uri", "uri", _octets),
    ("status_code", "status", _number),
    ("request_body_len", "request_bytes", _number),
    ("response_body_len", "response_bytes", _number),
)
"""Zeek's field, the table's column, and the form in which both are compared."""


@dataclass(slots=True)
class Agreement:
    """Counts over all captures; `differences` are (capture, row, field, ours, reference)."""

    good: Counter[str] = field(default_factory=Counter)
    total: Counter[str] = field(default_factory=Counter)
    missing: int = 0
    extra: int = 0
    rows: int = 0
    differences: list[tuple[str, str, str, str, str]] = field(default_factory=list)

    def score(self, capture: str, row: str, name: str, have: Any, want: Any) -> None:
        self.total[name] += 1
        if have == want:
            self.good[name] += 1
        else:
            self.differences.append((capture, row, name, repr(have), repr(want)))

    def share(self, name: str) -> float:
        return self.good[name] / max(1, self.total[name])


def references(captures: Path, reference: Path, only: str, skip: str) -> dict[str, list[Row]]:
    """Rows of the reference by the real path of their capture."""
    out: dict[str, list[Row]] = {}
    with gzip.open(reference, "rt", encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            path = (captures / entry["capture"]).resolve()
            if only in entry["capture"] and not re.search(skip, entry["capture"]) and path.exists():
                out[str(path)] = entry["rows"]
    return out


def ours(paths: list[str]) -> Iterator[Row]:
    """Rows of table http over these captures, each file read for itself, so that no flow runs from one into another."""
    for path in paths:
        done = subprocess.run([*COMMAND, "http", path, "--format", "jsonl", "-o", "-"], stdout=subprocess.PIPE, check=False)
        if done.returncode not in (0, 4):
            raise SystemExit(f"{path}: the program ended with {done.returncode}")
        for line in done.stdout.splitlines():
            yield {**json.loads(line), "file": path}


def compare(reference: Mapping[str, list[Row]], rows: Iterator[Row], captures: Path) -> Agreement:
    """Pair the rows and count."""
    have: dict[str, dict[Key, Row]] = defaultdict(dict)
    for r in rows:
        have[r["file"]][r["src"], r["sport"], r["dst"], r["dport"], r["trans_depth"]] = r
    result = Agreement()
    for path, wanted in sorted(reference.items()):
        capture = os.path.relpath(path, captures.resolve())
        left = dict(have[path])
        for want in wanted:
            key = (
                str(want["id.orig_h"]), int(want["id.orig_p"]), str(want["id.resp_h"]), int(want["id.resp_p"]),
                int(want["trans_depth"]),
            )  # fmt: skip
            name = f"{key[0]}:{key[1]} > {key[2]}:{key[3]} #{key[4]}"
            got = left.pop(key, None)
            result.rows += 1
            result.missing += got is None
            result.score(capture, name, "found", got is not None, True)
            if got is not None:
                for theirs, column, form in FIELDS:
                    result.score(capture, name, theirs, form(got.get(column)), form(want.get(theirs)))
        result.extra += len(left)
        for key in left:
            result.differences.append((capture, f"{key[0]}:{key[1]} > {key[2]}:{key[3]} #{key[4]}", "extra", "a row", "none"))
    return result


def _worst(result: Agreement, count: int) -> list[tuple[str, int]]:
    return Counter(capture for capture, *_ in result.differences).most_common(count)


def _summary(result: Agreement, worst: int) -> dict[str, Any]:
    shares = {name: round(result.share(name), 4) for name in result.total}
    return {
        "rows": result.rows, "missing": result.missing, "extra": result.extra, "fields": shares,
        "agreement": round(sum(shares.values()) / max(1, len(shares)), 4), "worst": dict(_worst(result, worst)),
    }  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Measure and print; 0 where every field reaches --need, otherwise 1."""
    p = argparse.ArgumentParser(prog="bench.http_agreement", description="Agreement of table http with Zeek's http.log.")
    p.add_argument("captures", type=Path)
    p.add_argument("reference", type=Path)
    p.add_argument("--only", default="", help="captures whose path holds this text")
    p.add_argument("--skip", default="(?!)", help="leave out captures whose path matches this expression")
    p.add_argument("--show", type=int, default=0, metavar="N", help="print N differences")
    p.add_argument("--worst", type=int, default=5, metavar="N", help="captures with most differences to name")
    p.add_argument("--need", type=float, default=0.98, help="share that every field must reach")
    p.add_argument("--json", action="store_true", help="print one JSON object")
    args = p.parse_args(argv)
    wanted = references(args.captures, args.reference, args.only, args.skip)
    result = compare(wanted, ours(sorted(wanted)), args.captures)
    said = _summary(result, args.worst)
    if args.json:
        said["differences"] = [list(d) for d in result.differences]
        print(json.dumps(said, indent=1))
    else:
        for capture, row, name, have, want in result.differences[: args.show]:
            print(f"{capture}  {row}  {name}: {have}, reference {want}")
        for name, share in said["fields"].items():
            print(f"{name:18s} {share:.4f} of {result.total[name]}")
        print(f"rows {result.rows}, missing {result.missing}, extra {result.extra}")
        for capture, count in said["worst"].items():
            print(f"  {count:4d} differences in {capture}")
        print(f"agreement {said['agreement']:.4f} over {result.rows}")
    return 0 if all(share >= args.need for share in said["fields"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
