"""In: answers of the detector `dns_tunnels` (many long names under one zone). Out: who carries data in DNS, and look-alikes that
were let go. Never here: SQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from tracehound.findings.model import Confidence, Finding, Innocent
from tracehound.findings.name_letters import entropy_bits
from tracehound.findings.setting import Judged, Oddities, Row, Setting
from tracehound.findings.wording import count, moment, percent, size

KIND: Final = "dns_tunnel"
WEIGHT_NEEDED: Final = 3.0
MAX_FINDINGS: Final = 10
MAX_LET_GO: Final = 5
_HEXADECIMAL: Final = frozenset("0123456789abcdef.-")


def judge(rows: Sequence[Row], setting: Setting) -> Judged:
    """Findings and look-alikes let go."""
    askers: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        askers[row["zone"]].add(row["src"])
    servers = {(row["zone"], row["server"]) for row in rows}
    findings: list[Finding] = []
    let_go: list[Innocent] = []
    for row in rows:
        if not setting.asked(row["src"]) or setting.outside(row["src"]):
            continue
        if (row["zone"], row["src"]) in servers and len(askers[row["zone"]]) > 1:
            continue  # A resolver repeats what its clients ask.
        excuse = _excuse(row)
        odd = _oddities(row, setting.hosts)
        if excuse:
            if odd.weight >= WEIGHT_NEEDED - 1 and len(let_go) < MAX_LET_GO:
                let_go.append(Innocent(row["src"], f"a host that carries data in names under {row['zone']}", excuse, _figures(row)))
        elif odd.weight >= WEIGHT_NEEDED and len(findings) < MAX_FINDINGS:
            findings.append(
                setting.finding(
                    KIND, len(findings) + 1, row["src"], (row["first_ns"], row["last_ns"]), _statement(row, odd),
                    Confidence(round(min(0.35 + 0.1 * odd.weight, 0.9), 2), odd.signs), setting.cite(row), row["queries"],
                )
            )  # fmt: skip
    return findings, let_go


def _figures(row: Row) -> tuple[tuple[str, str], ...]:
    return (("names", f"{row['names']:,}"), ("mean length", f"{row['length_mean']:.0f}"))


def _excuse(row: Row) -> str | None:
    """Why so many names are innocent."""
    n, replies = row["queries"], max(row["replies"], 1)
    if row["backward"] >= 0.8 * n:
        return "block list: the names are addresses written backwards"
    if row["listed"] + row["nxdomain"] >= 0.95 * replies and row["rare_types"] == 0 and row["replies"] >= 0.5 * n:
        return (
            f"reputation service, as anti-virus programs ask: {percent((row['listed'] + row['nxdomain']) / replies)} of the answers "
            "are 127.x.y.z or 'no such name', which carry no data back"
        )
    if row["names"] < 0.3 * n:
        return f"the same {row['names']:,} names are asked for again and again, as of a content network"
    if row["users"] >= 5:
        return f"{row['users']:,} hosts ask for names under it"
    return None


def _oddities(row: Row, hosts: int) -> Oddities:
    letters = entropy_bits(row["subs"])
    mean = row["length_mean"]
    hexadecimal = all(set(s) <= _HEXADECIMAL for s in row["subs"])
    carried = row["down_bytes"] / max(row["replies"], 1)
    return Oddities.of(
        [
            (mean >= 25, 1.0 if mean >= 40 else 0.5, f"{mean:.0f} characters a name before the zone, {row['length_max']} at most"),
            (row["names"] >= 0.9 * row["queries"], 0.5, f"{percent(row['names'] / row['queries'])} of the names are asked for once"),
            (letters >= 4.2 or (hexadecimal and letters >= 3.5), 1.0, f"letters as in encoded data ({letters:.1f} bits each)"),
            (row["carriers"] >= 0.5 * row["queries"], 0.5, f"mostly asks for {row['qtype']}, which can carry data back"),
            (row["rare_types"] >= 0.2 * row["queries"], 1.0, "asks for types that only tunnels use"),
            (carried >= 60 and row["carriers"] >= 0.3 * row["queries"], 1.0, f"answers carry {carried:.0f} bytes each"),
            (row["up_bytes"] >= 10_000, 0.5, f"the names carry {size(row['up_bytes'])}"),
            (row["names"] >= 250, 0.5, f"{row['names']:,} names under one zone"),
            (row["users"] == 1 and hosts >= 3, 0.5, f"none of the other {hosts - 1} hosts asks for names under it"),
        ]
    )


def _statement(row: Row, odd: Oddities) -> str:
    example = max(row["subs"], key=len)
    return (
        f"{row['src']} carries data in DNS names under {row['zone']}: {count(row['queries'], 'query', 'queries')} for "
        f"{row['names']:,} names such as {example[:60]}{'...' if len(example) > 60 else ''}, {size(row['up_bytes'])} up and "
        f"{size(row['down_bytes'])} down, by {row['server']}, from {moment(row['first_ns'])} to {moment(row['last_ns'])}; "
        f"{'; '.join(odd.signs[:3])}."
    )
