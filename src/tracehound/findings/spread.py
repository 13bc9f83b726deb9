"""In: answers of the detector `internal_spread` (parents and children of one pattern). Out: one finding for each tree of
infection, with who took whom when; and look-alikes that were let go. Never here: SQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from tracehound.findings.model import Confidence, Finding, Innocent
from tracehound.findings.setting import Judged, Oddities, Row, Setting
from tracehound.findings.suspects import PEER_PORTS
from tracehound.findings.wording import count, duration, listing, moment, percent, service

KIND: Final = "internal_spread"
WEIGHT_NEEDED: Final = 2.0
MAX_FINDINGS: Final = 5
MAX_TOLD: Final = 6
"""Steps of the tree that the sentence names."""
_QUICK_NS: Final = 600 * 1_000_000_000


def judge(rows: Sequence[Row], setting: Setting) -> Judged:
    """Findings and look-alikes let go."""
    by_service: dict[tuple[int, int], list[Row]] = defaultdict(list)
    for row in rows:
        by_service[row["proto"], row["dport"]].append(row)
    findings: list[Finding] = []
    let_go: list[Innocent] = []
    for (proto, dport), some in sorted(by_service.items()):
        for tree in _trees(some):
            first = tree[0]
            if not setting.asked(*(h for r in tree for h in (r["parent"], r["child"]))):
                continue
            what = f"{first['parent']} spreads by {service(proto, dport)}"
            excuse = _excuse(tree, dport, setting)
            odd = _oddities(tree)
            if excuse is None and odd.weight >= WEIGHT_NEEDED and len(findings) < MAX_FINDINGS:
                findings.append(_finding(tree, odd, len(findings) + 1, setting, proto, dport))
            elif excuse is not None:
                let_go.append(Innocent(first["parent"], f"a worm's beginning ({what})", excuse, (("steps", f"{len(tree):,}"),)))
    return findings, let_go[:5]


def _trees(rows: Sequence[Row]) -> list[list[Row]]:
    """Steps that hang together, each tree in order of time."""
    root: dict[str, str] = {}

    def top(host: str) -> str:
        while root.get(host, host) != host:
            host = root[host]
        return host

    for row in rows:
        root[top(row["child"])] = top(row["parent"])
    grouped: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[top(row["parent"])].append(row)
    return [sorted(g, key=lambda r: (r["onset_ns"], r["child"])) for g in grouped.values()]


def _excuse(tree: Sequence[Row], dport: int, setting: Setting) -> str | None:
    hosts = {h for r in tree for h in (r["parent"], r["child"])}
    if dport in PEER_PORTS or any(setting.roles.get(h, {}).get("peer_to_peer") for h in hosts):
        return "peers of a peer-to-peer network contact each other"
    reached = 1 - sum(r["dead"] for r in tree) / max(sum(r["targets"] for r in tree), 1)
    if len(tree) == 1 and reached >= 0.9:
        return f"a server that passes on what it is asked: {percent(reached)} of its targets answered it"
    return None


def _alike(row: Mapping[str, object]) -> bool:
    mine, theirs = row["request_median"], row["parent_request"]
    return isinstance(mine, float) and isinstance(theirs, float) and mine > 0 and abs(mine - theirs) <= 0.1 * max(mine, theirs)


def _oddities(tree: Sequence[Row]) -> Oddities:
    dead, targets = sum(r["dead"] for r in tree), sum(r["targets"] for r in tree)
    quick = sum(r["onset_ns"] - r["contact_ns"] <= _QUICK_NS for r in tree)
    alike = sum(_alike(r) for r in tree)
    return Oddities.of(
        [
            (True, 0.5, f"{count(len(tree), 'host')} began to spread after being reached by a spreader"),
            (len(tree) >= 2, 0.5, "more than one did"),
            (len(tree) >= 4, 0.5, "it goes on from host to host"),
            (quick >= 0.5 * len(tree), 0.5, f"{quick:,} of them within {duration(_QUICK_NS)} of the contact"),
            (alike >= 0.5 * len(tree), 0.5, f"{alike:,} of them send requests of the size of those that reached them"),
            (dead >= 0.3 * targets, 0.5, f"{percent(dead / max(targets, 1))} of their targets were never reached"),
        ]
    )


def _finding(tree: Sequence[Row], odd: Oddities, serial: int, setting: Setting, proto: int, dport: int) -> Finding:
    first = tree[0]
    steps = [
        f"{r['parent']} reached {r['child']} at {moment(r['contact_ns'])}, which tries {count(r['targets'], 'target')} from "
        f"{duration(r['onset_ns'] - r['contact_ns'])} later on"
        for r in tree[:MAX_TOLD]
    ]
    more = f", and {len(tree) - MAX_TOLD:,} more" if len(tree) > MAX_TOLD else ""
    victims = list(dict.fromkeys(r["child"] for r in tree))
    cited = [setting.citer.packet(r["packet_id"], flow_id=r["flow_ids"][0], ts_ns=r["contact_ns"]) for r in tree]
    return setting.finding(
        KIND,
        serial,
        first["parent"],
        (first["parent_onset_ns"], max(r["last_ns"] for r in tree)),
        f"{first['parent']} spreads by {service(proto, dport)}: what it does is taken up by {count(len(victims), 'host')} that it or they "
        f"reached ({listing(victims, 6)}): {'; '.join(steps)}{more}.",
        Confidence(round(min(0.45 + 0.12 * odd.weight, 0.9), 2), odd.signs),
        cited,
        len(tree),
    )
