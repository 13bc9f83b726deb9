"""In: a folder of captures. Out: docs/rule-lab-cases.md: rules drafted from half of the malicious flows of real infections and attacks,
tried on the other half and on all other captures. Never here: drafting or judging (lab/); a figure that was not measured in this run.

    python -m tracehound.cli.rule_gallery CAPTURES docs/rule-lab-cases.md"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tracehound.cli.written_page import write
from tracehound.edges import rule_lab
from tracehound.edges.reading import Reading, read
from tracehound.edges.rule_files import read_settings
from tracehound.lab.draft import Draft, Naming, Refused
from tracehound.lab.trial import Exposure, upper_bound
from tracehound.report.narrative import rule_lines

FIRST: Final = 1_100_001
MADE: Final = "2026_11_27"


class Exhibit(NamedTuple):
    """Files of one infection or attack (a pattern of SQL's LIKE), and which of their flows are malicious."""

    files: str
    title: str
    family: str
    flows: str
    category: str = "malware"


_P: Final = "%malcolm/plugins/"
EXHIBITS: Final = (
    Exhibit(_P + "zeek-quasarrat-detector/%", "Quasar behind TLS", "Quasar", "dport = 1337"),
    Exhibit("%chrissanders/ratinfected.pcapng", "A host under remote control", "RAT", "dport = 4433"),
    Exhibit(
        _P + "zeek-EternalSafety/eternalblue-success%", "EternalBlue against Windows 7", "EternalBlue",
        "dport = 445 AND coalesce(payload_dst, 0) = 0", "exploit"
    ),
    Exhibit(_P + "zerologon/CVE-2020-1472%", "Zerologon against domain controllers", "Zerologon", "dport IN (49670, 49668)", "exploit"),
    Exhibit(_P + "ripple20/dns_caa%", "Ripple20, a flood of CAA queries", "Ripple20", "dport = 53 AND proto = 17", "exploit"),
    Exhibit("%zeek/ftp/bruteforce.pcap", "Passwords guessed over FTP", "FTP Guessing", "dport = 21", "tool"),
    Exhibit(_P + "zeek-EternalSafety/esteemedaudit%", "EsteemAudit against RDP", "EsteemAudit", "dport = 3389", "exploit"),
    Exhibit(_P + "cve-2021-44228/%", "Log4Shell, the request to the attacker's LDAP server", "Log4Shell", "dport = 1389"),
    Exhibit(
        "%chrissanders/http_dvwa_sql%", "SQL injection", "SQL Injection",
        "flow_id IN (SELECT flow_id FROM http WHERE uri LIKE '%/sqli/?id=%')", "exploit",
    ),
    Exhibit(_P + "CVE-2022-3602/%", "SpookySSL, a certificate that overflows", "SpookySSL", "dport = 3000"),
    Exhibit(_P + "CVE-2022-30216/%", "Relay through the server service", "CVE-2022-30216", "dport = 8412", "exploit"),
    Exhibit(_P + "Pingback/%", "Orders in echo requests", "Pingback", "proto = 1"),
)
INTRO: Final = """<!-- Written by `make rule-cases`; changes here are lost. -->

# Rules drafted from real infections and attacks

Of each, every other malicious flow was the sample, and the rule was tried with the engine of `tracehound alerts` on the flows left
over and on all flows of all other captures ({files:,} files, {flows:,} flows). *Exposure* says how many of those passed the rule's header,
have the buffer that it looks at, and hold its fast pattern: a zero over few says little. What gave no rule is listed with the reason.

Which flows are malicious is a condition written beside each. The conditions were narrowed while this page was first made, where flows
to the same port showed nothing of the attack, and have stood as they are since; read the figures as those of somebody who knows the case.

"""


def page(captures: Path, exhibits: Sequence[Exhibit] = EXHIBITS) -> str:
    """The whole page. Raises EvidenceError where a capture is not there."""
    with read([str(captures)]) as reading:
        return _page(reading, captures, exhibits)


class _Made(NamedTuple):
    exhibit: Exhibit
    chosen: frozenset[int]
    left: frozenset[int]
    results: list[Draft | Refused]


def _page(reading: Reading, captures: Path, exhibits: Sequence[Exhibit]) -> str:
    samples, names = rule_lab.samples(reading, None, rule_lab.MOST_BENIGN), rule_lab.names(reading, None)
    made: list[_Made] = []
    sid = FIRST
    for e in exhibits:
        rows = reading.ask(
            "SELECT f.flow_id AS flow_id, f.proto AS proto, f.dport AS dport FROM flows AS f JOIN evidence AS v USING (evidence_id) "
            f"WHERE v.path LIKE $files AND ({e.flows}) AND coalesce(f.payload_src, 0) > 0 ORDER BY f.start", {"files": e.files}
        ).to_pylist()
        ids = [int(r["flow_id"]) for r in rows]
        half, chosen = frozenset(ids[::2]), frozenset(ids)
        ports = {r["dport"] for r in rows}
        port = ports.pop() if len(ports) == 1 else None
        naming = Naming(sid, MADE, e.family, (), rows[0]["proto"] if rows else 6, port, category=e.category)
        results = rule_lab.Material(
            rule_lab.Chosen(chosen), [s for s in samples if s.flow_id in half], [s for s in samples if s.flow_id not in chosen],
            [n for n in names if n.flow_id in half], [n for n in names if n.flow_id not in chosen],
        ).drafts(naming)  # fmt: skip
        sid += sum(isinstance(r, Draft) for r in results)
        made.append(_Made(e, chosen, chosen - half, results))
    texts = [d.text for m in made for d in m.results if isinstance(d, Draft)]
    anywhere = ["HOME_NET=any", "EXTERNAL_NET=any"]
    settings, _ = read_settings(None, assignments=anywhere, home=[], classification=None, thresholds=None)
    with tempfile.TemporaryDirectory(prefix="tracehound-cases-") as folder:
        path = Path(folder) / "cases.rules"
        path.write_text("".join(t + "\n" for t in texts), encoding="utf-8")
        ready = rule_lab.make_ready([str(path)], settings, rationed=False)
        ran = rule_lab.run(ready, [str(captures)])
    flows = rule_lab.named_flows(reading)
    plans = {int(p.rule.sid): p for p in ready.plans}
    head = ["| | recall on the flows left over | false alarms | exposure | rate at most |", "| --- | --- | --- | --- | --- |"]
    parts: list[str] = []
    for m in made:
        lines = [f"## {m.exhibit.title}", "", f"`{m.exhibit.files.strip('%')}`, flows where {m.exhibit.flows}: {len(m.chosen)}, "
                 f"{len(m.chosen) - len(m.left)} of them the sample", ""]  # fmt: skip
        good = [d for d in m.results if isinstance(d, Draft)]
        if good:
            hits = set[rule_lab.Ends]().union(*(ran.hits.get(d.sid, set()) for d in good))
            left = {ends for ends, f in flows if f in m.left}
            bad = {ends for ends, f in flows if f in m.chosen}
            alarms = hits - bad
            found = [rule_lab.exposure(reading, plans[d.sid], m.chosen) for d in good if d.sid in plans]
            exposed = max(found, key=lambda x: x.buffer, default=Exposure(0, 0, 0, 0))
            row = f"{len(hits & left)} of {len(left)} | {len(alarms)} | {exposed.word}: {exposed.header:,} / {exposed.buffer:,} / " \
                f"{exposed.prefilter:,} | {upper_bound(len(alarms), exposed.buffer):.2g}"  # fmt: skip
            head.append(f"| {m.exhibit.title} | {row} |")
            for d in good:
                lines += ["```", *rule_lines(d.text), "```", ""]
        else:
            head.append(f"| {m.exhibit.title} | no rule | | | |")
        refused = [r for r in m.results if isinstance(r, Refused)]
        lines += [f"- No rule for {r.samples} like `{r.kind}`: {r.why}; it would take {r.needs}." for r in refused]
        parts.append("\n".join(lines).rstrip() + "\n")
    intro = INTRO.format(files=len(reading.files), flows=len(flows))
    return intro + "\n".join(head) + "\n\n" + "\n".join(parts)


def main(words: Sequence[str] | None = None) -> int:
    """Write the page."""
    return write(page, "rule_gallery", "Draft and try rules on real captures.", "docs/rule-lab-cases.md", words)


if __name__ == "__main__":
    sys.exit(main())
