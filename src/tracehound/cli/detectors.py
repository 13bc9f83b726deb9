"""In: the packaged detectors. Out: their list, or one detector's page with its query. Never here: running them."""

from __future__ import annotations

import sys
from typing import Final

from tracehound.cli import options
from tracehound.edges.packaged import detector_pages
from tracehound.errors import UsageError

SUMMARY: Final = "List the detectors, or print one detector's page: what it asks, why, look-alikes, parameters, source."


def main(argv: list[str]) -> int:
    """`tracehound detectors`."""
    p = options.parser("detectors", SUMMARY)
    p.add_argument("detector", nargs="?", help="print this detector's page and query")
    args = p.parse_intermixed_args(argv)
    pages = {name.removesuffix(".sql"): text for name, text in sorted(detector_pages().items())}
    if args.detector is None:
        for name, text in pages.items():
            title = next((line[9:].strip() for line in text.splitlines() if line.startswith("-- title:")), "")
            print(f"{name:20s} {title}")
        return 0
    if args.detector not in pages:
        raise UsageError(f"no detector {args.detector!r}; there are {', '.join(pages)}")
    sys.stdout.write(pages[args.detector])
    return 0
