"""In: a folder of captures. Out: docs/gallery.md: what the program says of ten real infections and attacks among them, in its own
words. Never here: a word about a capture that the verdict does not say, but for the title and where the capture comes from.

    python -m tracehound.cli.gallery CAPTURES docs/gallery.md"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tracehound.cli.written_page import write
from tracehound.edges.investigation import investigate
from tracehound.findings.model import Citations, Verdict
from tracehound.report import narrative
from tracehound.report.visible import visible

SHOWN_FINDINGS: Final = 8
"""Findings of one capture that are listed."""


class Exhibit(NamedTuple):
    """One capture of the gallery: its place in the folder, what it is known as, and who published it."""

    path: str
    title: str
    origin: str


_MALCOLM: Final = "test captures of Malcolm (github.com/cisagov/Malcolm)"
_BOOK: Final = "captures of C. Sanders, Practical Packet Analysis"
EXHIBITS: Final = (
    Exhibit("chrissanders/ratinfected.pcapng", "A host under remote control", _BOOK),
    Exhibit(
        "malcolm/plugins/zeek-quasarrat-detector/09ffabf7-774a-43a3-8c97-68f2046fd385.pcap", "Quasar behind TLS", _MALCOLM
    ),
    Exhibit(
        "malcolm/plugins/zeek-asyncrat-detector/cd010953-5faf-4054-86be-58c020c3a532.pcap", "AsyncRAT behind TLS", _MALCOLM
    ),
    Exhibit("malcolm/plugins/Pingback/Pingback_ICMP.pcap", "Orders in echo requests", _MALCOLM),
    Exhibit(
        "malcolm/plugins/zeek-EternalSafety/eternalblue-success-unpatched-win7.pcap", "EternalBlue against Windows 7", _MALCOLM
    ),
    Exhibit("malcolm/plugins/zerologon/CVE-2020-1472_exploit_win2019.pcap", "Zerologon against a domain controller", _MALCOLM),
    Exhibit("malcolm/plugins/cve-2021-44228/log4j-user_agent.pcap", "Log4Shell, attack and success", _MALCOLM),
    Exhibit("chrissanders/http_dvwa_sqlinjection_passwords.pcapng", "SQL injection that asks for passwords", _BOOK),
    Exhibit("malcolm/plugins/SIGred/cve-2020-1350.pcap", "SIGRed, an answer too long", _MALCOLM),
    Exhibit("malcolm/plugins/bro-simple-scan/445_scan.pcap", "A slow scan of tcp/445 from outside", _MALCOLM),
)
INTRO: Final = """<!-- Written by `make gallery`; changes here are lost. -->

# Gallery

What `tracehound investigate` says of ten real captures, word for word: the verdict's sentence, then its findings. Nothing was
told beforehand: no host, no home network, no rule. The captures are public; they are not part of this repository.
"""


def exhibit_text(exhibit: Exhibit, verdict: Verdict) -> str:
    """One capture as Markdown."""
    item = verdict.evidence[0]
    facts = [
        f"`{exhibit.path}`, {exhibit.origin}",
        f"{narrative.count_of(item.packets, 'packet')}, {narrative.period(verdict.start_ns, verdict.end_ns)}",
        f"SHA-256 `{item.sha256}`",
    ]
    lines = [f"## {exhibit.title}", "", *(f"- {fact}" for fact in facts), "", f"> {_plain(verdict.summary)}"]
    found = verdict.findings[:SHOWN_FINDINGS]
    if found:
        lines += ["", "| finding | host | confidence | cites |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {f.kind.replace('_', ' ')} | {f.host or ''} | {narrative.confidence(f.confidence)} | {_frames(f.citations)} |"
            for f in found
        ]
    if len(verdict.findings) > len(found):
        lines += ["", f"... and {narrative.count_of(len(verdict.findings) - len(found), 'more finding')}."]
    return "\n".join(lines) + "\n"


def _frames(citations: Citations) -> str:
    frames = [f for group in narrative.by_file(citations) for f in group.frames][:6]
    return ("frames " if len(frames) > 1 else "frame ") + ", ".join(map(str, frames)) if frames else ""


def _plain(text: str) -> str:
    """Evidence text that Markdown takes as it stands."""
    return "".join("\\" + c if c in "\\`*_[]<>|#$" else c for c in visible(text))


def page(captures: Path, exhibits: Sequence[Exhibit] = EXHIBITS) -> str:
    """The whole page. Raises EvidenceError where a capture is not there."""
    return "\n".join([INTRO, *(exhibit_text(e, investigate(str(captures / e.path))) for e in exhibits)])


def main(words: Sequence[str] | None = None) -> int:
    """Write the page; status 3 where a capture is missing."""
    return write(page, "gallery", "Write the gallery from a folder of captures.", "docs/gallery.md", words)


if __name__ == "__main__":
    sys.exit(main())
