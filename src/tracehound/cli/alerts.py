"""In: evidence and rules. Out: alerts, printed as they are found. Never here: matching (rules/)."""

from __future__ import annotations

import argparse
import contextlib
import gc
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tracehound.cli import options
from tracehound.edges.progress import progress_line
from tracehound.edges.table_output import STDOUT

if TYPE_CHECKING:
    import pyarrow as pa

    from tracehound.edges.alerting import Found, Ready

SUMMARY: Final = "Match Snort and Suricata rules against captures; print alerts as EVE JSON lines."
_NAMED: Final = 20
_PROFILED: Final = 40
_GARBAGE_AFTER: Final = 100_000
"""New objects after which Python looks for garbage; its own 700 takes an eighth of the time."""
_EXIT_REFUSED: Final = 3
_EXIT_NONE: Final = 1
"""All rules were refused: nothing was asked that could be answered."""


def _parser() -> argparse.ArgumentParser:
    p = options.parser("alerts", SUMMARY)
    p.add_argument("evidence", nargs="+", metavar="EVIDENCE", help="capture file, folder, or - for standard input")
    p.add_argument("-S", "--rules", action="append", default=[], metavar="FILE", help="rule file, folder or pattern; may be given again")
    p.add_argument("-c", "--config", metavar="FILE", help="suricata.yaml or snort.conf: variables, rule files, thresholds")
    p.add_argument("--set", dest="assignments", action="append", default=[], metavar="NAME=VALUE", help="set a variable of the rules")
    p.add_argument("--home", action="append", default=[], metavar="NET", help="HOME_NET (default: the private ranges)")
    p.add_argument("--threshold-file", metavar="FILE", help="threshold.config: suppress, event_filter, rate_filter")
    p.add_argument("--classification-file", metavar="FILE", help="classification.config")
    p.add_argument(
        "-k", dest="checksums", choices=("none", "all", "auto"), default="auto",
        help="verify checksums: none, all (packets with bad ones are left out), auto (default: as none)",
    )  # fmt: skip
    p.add_argument("--midstream", action="store_true", help="follow sessions whose handshake is not in the evidence")
    p.add_argument("--strict", action="store_true", help="end with status 3 if any rule is refused")
    p.add_argument("--jobs", type=int, metavar="N", help="processes that share the work by flow (default: all processors)")
    p.add_argument("--no-cache", action="store_true", help="compile the rules anew; take nothing from the cache folder and keep nothing")
    p.add_argument("--profile", action="store_true", help="print to standard error what each rule cost")
    p.add_argument(
        "--format", choices=("eve", "fast", "table", "csv", "parquet"),
        help="eve: JSON lines (default in a pipe), fast: as Suricata's fast.log, table (default on a terminal), csv, parquet",
    )  # fmt: skip
    p.add_argument("-o", "--output", default="-", metavar="FILE", help="write to FILE (- is standard output)")
    p.add_argument("-q", "--quiet", action="store_true", help="no progress and no notes on standard error")
    return p


def _name_refused(ready: Ready, *, quiet: bool) -> None:
    if quiet:
        return
    for wrong in ready.refused[:_NAMED]:
        print(f"tracehound: {wrong}", file=sys.stderr)
    if len(ready.refused) > _NAMED:
        print(f"tracehound: ... `tracehound rules check` names the other {len(ready.refused) - _NAMED}", file=sys.stderr)
    if ready.refused:
        print(f"tracehound: {len(ready.refused)} rules refused, {len(ready.plans)} loaded", file=sys.stderr)


def _profile(ready: Ready) -> None:
    """What rules cost, the dearest first."""
    from tracehound.rules.outline import looked_at

    rows = sorted((p for p in looked_at(ready.plans) if p.counts.checked or p.counts.candidates), key=lambda p: -p.counts.time_ns)
    print(f"{'sid':>10} {'candidates':>10} {'checked':>9} {'passed':>8} {'ms':>9}  rule", file=sys.stderr)
    for p in rows[:_PROFILED]:
        c = p.counts
        print(f"{p.rule.sid:>10} {c.candidates:>10} {c.checked:>9} {c.passed:>8} {c.time_ns / 1e6:>9.1f}  {p.rule.msg}", file=sys.stderr)


def _table(found: Iterable[Found], paths: dict[int, str]) -> pa.Table:
    """Alerts as a table: one row an alert."""
    import pyarrow as pa

    rows = [f.eve(paths[f.evidence_id]) for f in found]

    def column(*names: str) -> list[Any]:
        out = []
        for row in rows:
            value: Any = row
            for name in names:
                value = value.get(name) if isinstance(value, dict) else None
            out.append(value)
        return out

    text, number = pa.string(), pa.int64()
    fields = (
        ("timestamp", text, ("timestamp",)), ("gid", number, ("alert", "gid")), ("sid", number, ("alert", "signature_id")),
        ("rev", number, ("alert", "rev")), ("msg", text, ("alert", "signature")), ("category", text, ("alert", "category")),
        ("severity", number, ("alert", "severity")), ("proto", text, ("proto",)), ("src", text, ("src_ip",)),
        ("sport", number, ("src_port",)), ("dst", text, ("dest_ip",)), ("dport", number, ("dest_port",)),
        ("service", text, ("app_proto",)), ("frame", number, ("pcap_cnt",)), ("file", text, ("pcap_filename",)),
    )  # fmt: skip
    return pa.table({name: pa.array(column(*path), kind) for name, kind, path in fields})


def _write(form: str, output: str, found: Iterable[Found], ready: Ready, paths: dict[int, str]) -> None:
    if form in ("table", "csv", "parquet"):
        from tracehound.edges.duck import Duck
        from tracehound.edges.table_output import write_answer

        with contextlib.closing(Duck()) as duck:
            duck.register("alerts", _table(found, paths))
            shown = "timestamp, sid, msg, src, sport, dst, dport, proto, service, frame" if form == "table" else "*"
            write_answer(duck, f"SELECT {shown} FROM alerts", form, output)
        return
    from tracehound.rules.hits import eve_line

    with contextlib.ExitStack() as stack:
        out = sys.stdout if output == STDOUT else stack.enter_context(Path(output).open("w", encoding="utf-8"))
        batch = None
        for one in found:
            line = one.fast() if form == "fast" else eve_line(one.eve(paths[one.evidence_id]))
            out.write(line + "\n")
            if batch is not None and one.place[0] != batch:
                out.flush()
            batch = one.place[0]


def main(argv: list[str]) -> int:
    """`tracehound alerts`."""
    args = _parser().parse_intermixed_args(argv)
    from tracehound.edges import alerting
    from tracehound.edges.rule_cache import ready_rules
    from tracehound.edges.rule_files import configured_rule_files, read_settings
    from tracehound.errors import UsageError
    from tracehound.rules.engine import Options

    settings, notes = read_settings(
        args.config, assignments=args.assignments, home=args.home, classification=args.classification_file,
        thresholds=args.threshold_file,
    )  # fmt: skip
    paths = [*args.rules, *(configured_rule_files(args.config, settings) if args.config else [])]
    if not paths:
        raise UsageError("alerts: which rules? (-S FILE, or -c with rule-files)")
    # Thousands of rules are a million objects that stay: to look through them again and again for garbage takes as long as the work.
    gc.disable()
    ready = ready_rules(paths, settings, keep=not args.no_cache)
    gc.freeze()
    # Little of what a run makes refers to itself in a circle: it is enough to look for that now and then.
    gc.set_threshold(_GARBAGE_AFTER, 20, 20)
    gc.enable()
    for note in notes if not args.quiet else ():
        print(f"tracehound: {note}", file=sys.stderr)
    _name_refused(ready, quiet=args.quiet)
    if args.strict and ready.refused:
        return _EXIT_REFUSED
    if not ready.plans:
        if not ready.refused:
            raise UsageError(f"alerts: no rules in {', '.join(paths)}")
        return _EXIT_NONE
    files = alerting.list_evidence(args.evidence)
    opts = Options(
        midstream=args.midstream or settings.midstream,
        verify_checksums=args.checksums == "all",
        clock=time.perf_counter_ns if args.profile else None,
    )
    form = args.format or ("table" if args.output == STDOUT and sys.stdout.isatty() else "eve")
    told = alerting.Summary()
    with progress_line(quiet=args.quiet) as progress:
        found = alerting.alerts(
            files, ready, opts, jobs=alerting.processes(files, ready, args.jobs), progress=progress, told=told
        )  # fmt: skip
        _write(form, args.output, found, ready, {file.evidence_id: file.path for file in files})
    if not args.quiet:
        for sid in sorted(told.exhausted)[:_NAMED]:
            print(f"tracehound: sid {sid}: its expression reached the limit of steps; it may have missed a match", file=sys.stderr)
        if told.lost:
            print(f"tracehound: {told.lost} flows were inspected from the middle, to stay within memory", file=sys.stderr)
    if args.profile:
        _profile(ready)
    damaged = [file for file in files if file.damage is not None]
    for file in damaged if not args.quiet else ():
        print(f"tracehound: {file.path}: {file.damage}", file=sys.stderr)
    return options.EXIT_PARTLY if damaged else 0
