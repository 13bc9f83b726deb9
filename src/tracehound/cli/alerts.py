"""In: evidence and rules. Out: alerts, printed as they are found. Never here: matching (rules/)."""

from __future__ import annotations

import sys
from typing import Final

from tracehound.cli import options

SUMMARY: Final = "Match Snort and Suricata rules against captures; print alerts as EVE JSON lines."


def main(argv: list[str]) -> int:
    """`tracehound alerts`."""
    p = options.parser("alerts", SUMMARY)
    p.add_argument("evidence", nargs="+", metavar="EVIDENCE", help="capture file, folder, or - for standard input")
    p.add_argument("-S", "--rules", action="append", default=[], metavar="FILE", help="rule file, folder or pattern; may be given again")
    p.add_argument("-c", "--config", metavar="FILE", help="suricata.yaml or snort.conf: variables, rule files, thresholds")
    p.add_argument("--set", dest="assignments", action="append", default=[], metavar="NAME=VALUE", help="set a variable of the rules")
    p.add_argument("--home", action="append", default=[], metavar="NET", help="HOME_NET (default: the private ranges)")
    p.add_argument("--threshold-file", metavar="FILE", help="threshold.config: suppress, event_filter, rate_filter")
    p.add_argument("--classification-file", metavar="FILE", help="classification.config")
    p.add_argument("-k", dest="checksums", choices=("none", "all", "auto"), default="auto",
                   help="verify checksums: none, all (packets with bad ones are left out), auto (default: as none)")  # fmt: skip
    p.add_argument("--midstream", action="store_true", help="follow sessions whose handshake is not in the evidence")
    p.add_argument("--strict", action="store_true", help="end with status 3 if any rule is refused")
    p.add_argument("--format", choices=("eve", "fast"), default="eve")
    p.add_argument("-o", "--output", default="-", metavar="FILE", help="write to FILE (- is standard output)")
    p.add_argument("-q", "--quiet", action="store_true", help="no progress and no notes on standard error")
    args = p.parse_intermixed_args(argv)
    from tracehound.edges import alerting
    from tracehound.edges.rule_files import load_rules, read_settings
    from tracehound.rules.engine import Options
    from tracehound.rules.hits import eve_line

    settings, _notes = read_settings(args.config, assignments=args.assignments, home=args.home,
                                    classification=args.classification_file, thresholds=args.threshold_file)
    ready = alerting.make_ready(load_rules(args.rules, settings), settings)
    for wrong in ready.refused[:20]:
        print(f"tracehound: {wrong}", file=sys.stderr)
    if ready.refused:
        print(f"tracehound: {len(ready.refused)} rules refused, {len(ready.plans)} loaded", file=sys.stderr)
    files = alerting.list_evidence(args.evidence)
    opts = Options(midstream=args.midstream or settings.midstream, verify_checksums=args.checksums == "all")
    out = sys.stdout
    for match, path in alerting.alerts(files, ready, opts):
        if args.format == "fast":
            print(ready.descriptions.fast(match), file=out)
        else:
            print(eve_line(ready.descriptions.eve(match, path)), file=out)
    return 0
