"""In: a folder. Out: the worked example's evidence written there, and its investigation. Never here: packets (demo/)."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Final

from tracehound.cli import investigate, options
from tracehound.edges.investigation import verdict_of
from tracehound.edges.progress import progress_line
from tracehound.edges.reading import read
from tracehound.edges.table_output import opened
from tracehound.errors import UsageError

SUMMARY: Final = (
    "Write the worked example's evidence (a synthetic reconstruction of the Frethem host of August 2002, with a campus of "
    "ordinary hosts) and investigate it."
)


def main(argv: list[str]) -> int:
    """`tracehound demo`."""
    p = options.parser("demo", SUMMARY)
    p.add_argument("folder", nargs="?", default="tracehound-demo", metavar="DIR", help="where to write (default: tracehound-demo)")
    p.add_argument(
        "--flow-logs", action="store_true",
        help="instead of a capture, write five days of the same network as Argus flow records (Argus 3, binary) and investigate those",
    )  # fmt: skip
    p.add_argument(
        "--case", action="store_true",
        help="also make a case of it in DIR/cases: capture, five days of flow records, host records, correspondence, hypotheses, a rule",
    )  # fmt: skip
    p.add_argument("--serve", action="store_true", help="make the case and show it in a browser")
    p.add_argument("-q", "--quiet", action="store_true", help="no progress and no notes on standard error")
    investigate.add_answers(p)
    args = p.parse_intermixed_args(argv)
    folder = Path(args.folder)
    path = (_write_flow_log if args.flow_logs else _write)(folder, quiet=args.quiet)
    if args.report is None:
        args.report = str(folder / "report.html")
    began = time.monotonic()
    with progress_line(quiet=args.quiet) as progress:
        reading = read([str(path)], hashes=True, progress=progress)
    with reading:
        investigate.answer(args, investigate.drafted(reading, verdict_of(reading)))
    if not args.quiet:
        print(f"investigated in {time.monotonic() - began:.1f} s; evidence: {path}", file=sys.stderr)
        table = "flows" if args.flow_logs else "http"
        print(f"look closer: tracehound {table} {path} --where \"src = '130.216.54.131'\"", file=sys.stderr)
    if args.case or args.serve:
        return _case(folder, serve=args.serve, quiet=args.quiet)
    return 0


def _case(folder: Path, *, serve: bool, quiet: bool) -> int:
    """The worked example as a whole case, and the web pages over it."""
    from tracehound.edges.clock import who
    from tracehound.edges.demo_case import build

    cases = folder / "cases"
    capture, flow_log = _write(folder, quiet=quiet), _write_flow_log(folder, quiet=quiet)

    def say(what: str) -> None:
        if not quiet:
            print(f"{what} ...", file=sys.stderr, flush=True)

    with progress_line(quiet=quiet) as progress:
        made, _summary = build(cases, capture, who(), flow_log=flow_log, rules=True, progress=progress, say=say)
    print(f"case: {made}", file=sys.stderr)
    if not serve:
        return 0
    from tracehound.cli.main import run

    return run(["serve", str(cases)])


def _write_flow_log(folder: Path, *, quiet: bool) -> Path:
    """Five days of the model case as flow records; the capture that ends them is written, too."""
    from tracehound.demo.model_case import FLOW_LOG_NAME
    from tracehound.edges.demo_case import write_flow_log

    capture = _write(folder, quiet=quiet)
    if not quiet and not (folder / FLOW_LOG_NAME).exists():
        print(f"writing {folder / FLOW_LOG_NAME} (synthetic; five days, about 15 MB, some twenty seconds) ...", file=sys.stderr, flush=True)
    return write_flow_log(folder, capture)


def _write(folder: Path, *, quiet: bool) -> Path:
    from tracehound.demo.model_case import FILE_NAME, evidence

    path = folder / FILE_NAME
    if path.exists():
        return path
    if not quiet:
        print(f"writing {path} (synthetic; about 25 MB, some seconds) ...", file=sys.stderr, flush=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise UsageError(f"cannot write {path}: {problem.strerror}") from None
    with opened(str(path)) as out:
        for chunk in evidence():
            out.write(chunk)
    return path
