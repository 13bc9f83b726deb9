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
    p.add_argument("--case", action="store_true", help="also make a case of it in DIR/cases, with host records and correspondence")
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
        return _case(folder, path, serve=args.serve, quiet=args.quiet)
    return 0


def _case(folder: Path, capture: Path, *, serve: bool, quiet: bool) -> int:
    """The worked example as a whole case, and the web pages over it."""
    from tracehound.edges.clock import who
    from tracehound.edges.demo_case import build

    cases = folder / "cases"
    with progress_line(quiet=quiet) as progress:
        made, _summary = build(cases, capture, who(), progress=progress)
    print(f"case: {made}", file=sys.stderr)
    if not serve:
        return 0
    from tracehound.cli.main import run

    return run(["serve", str(cases)])


def _write_flow_log(folder: Path, *, quiet: bool) -> Path:
    """Five days of the model case as a probe of Argus 3 would have recorded them: the same packets, read into flows."""
    from tracehound.demo.model_case import FLOW_LOG_NAME, SYNTHETIC, ModelCase, evidence
    from tracehound.flowlogs.argus_write import write_flows
    from tracehound.pipeline import Wanted

    path = folder / FLOW_LOG_NAME
    if path.exists():
        return path
    if not quiet:
        print(f"writing {path} (synthetic; five days, about 15 MB, some ten seconds) ...", file=sys.stderr, flush=True)
    capture, part = path.with_name(path.name + ".pcapng"), path.with_name(path.name + ".part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with capture.open("wb") as out:
            for chunk in evidence(ModelCase(probing_hours=116.5)):
                out.write(chunk)
        with read([str(capture)], wanted=Wanted(transactions=False)) as flows, part.open("wb") as log:
            for piece in write_flows(flows.duck().stream("SELECT * FROM flows ORDER BY start, flow_id", 50_000), SYNTHETIC):
                log.write(piece)
        part.replace(path)
    except OSError as problem:
        raise UsageError(f"cannot write {path}: {problem.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
        capture.unlink(missing_ok=True)
    return path


def _write(folder: Path, *, quiet: bool) -> Path:
    from tracehound.demo.model_case import FILE_NAME, evidence

    path = folder / FILE_NAME
    if path.exists():
        return path
    if not quiet:
        print(f"writing {path} (synthetic; about 25 MB, some seconds) ...", file=sys.stderr, flush=True)
    part = path.with_name(path.name + ".part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as out:
            for chunk in evidence():
                out.write(chunk)
        part.replace(path)
    except OSError as problem:
        raise UsageError(f"cannot write {path}: {problem.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
    return path
