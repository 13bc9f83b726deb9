"""In: answers of the detector `outward_transfers` (places to which a host sent much more than it got). Out: who carries data out
in a strange way, and who only sends much. Never here: SQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from tracehound.findings.beacons import COMMON_PORTS
from tracehound.findings.model import Confidence, Finding, Innocent
from tracehound.findings.setting import Judged, Oddities, Row, Setting
from tracehound.findings.wording import count, duration, moment, percent, service, size

KIND: Final = "outward_transfer"
WEIGHT_NEEDED: Final = 3.0
"""An upload of much to a bare address by one host, by HTTPS, weighs 2.5 and is only told among the look-alikes."""
MAX_FINDINGS: Final = 10
MAX_LET_GO: Final = 5
PACKED: Final = ("zip", "rar", "7z", "7-zip", "gzip", "bzip2", "xz", "tar", "sqlite", "cab", "encrypted", "registry")
"""Kinds of file (as in files.kind) in which stolen data travels."""
_MAIL: Final = frozenset({25, 465, 587})
_LARGE: Final = 10_000_000
_NAMELESS: Final = frozenset({(17, 53), (6, 53), (1, 0), (58, 0)})


def judge(rows: Sequence[Row], setting: Setting) -> Judged:
    """Findings and look-alikes let go. Only what leaves the home networks counts; where home is not known, everything does."""
    findings: list[Finding] = []
    let_go: list[Innocent] = []
    places = Counter(r["src"] for r in rows)
    for row in rows:
        if not setting.asked(row["src"]) or setting.outside(row["src"]) or (setting.home and row["dst"] in setting.home):
            continue
        if row["dst"] in ("255.255.255.255",) or row["dst"].startswith(("ff", "224.", "239.")):
            continue
        excuse = _excuse(row, setting, places[row["src"]])
        odd = _oddities(row, setting)
        if excuse is None and odd.weight >= WEIGHT_NEEDED and len(findings) < MAX_FINDINGS:
            findings.append(
                setting.finding(
                    KIND, len(findings) + 1, row["src"], (row["first_ns"], row["last_ns"]), _statement(row, odd),
                    Confidence(round(min(0.25 + 0.1 * odd.weight, 0.8), 2), odd.signs), setting.cite(row), row["flows"],
                )
            )  # fmt: skip
        elif row["sent"] >= _LARGE and len(let_go) < MAX_LET_GO:
            reason = excuse or "only this is odd: " + ("; ".join(odd.signs) or "the amount")
            let_go.append(
                Innocent(
                    row["src"], f"a host that carries {size(row['sent'])} out to {row['name'] or row['dst']}", reason,
                    (("bytes sent", f"{row['sent']:,}"), ("bytes received", f"{row['got']:,}")),
                )
            )  # fmt: skip
    return findings, let_go


def _excuse(row: Row, setting: Setting, places: int) -> str | None:
    role = setting.roles.get(row["src"])
    if row["proto"] == 6 and row["dport"] in _MAIL and not row["files"]:
        return "mail that goes out by a mail port"
    if role is not None and role["peer_to_peer"]:
        return "peer-to-peer client, which sends to many"
    if row["users"] >= 3:
        return f"{row['users']:,} hosts send to the same place"
    if row["days"] >= 3 and row["flows"] >= 3:
        return f"a backup or a feed: it sends there on {row['days']:,} days"
    if places >= 5:
        return f"it sends much to {places:,} places: a server or a peer-to-peer client"
    return None


def _oddities(row: Row, setting: Setting) -> Oddities:
    span = setting.last_ns - setting.first_ns
    common = (row["proto"], row["dport"]) in COMMON_PORTS
    packed = [k for k in PACKED if k in (row["kinds"] or "")]
    bare = row["asks_dns"] and not row["named"] and row["name"] is None
    signaller = (row["proto"], row["dport"]) in _NAMELESS
    return Oddities.of(
        [
            (row["sent"] >= _LARGE, 0.5, f"{size(row['sent'])} sent"),
            (row["sent"] >= 10 * _LARGE, 0.5, "that is very much"),
            (row["sent"] >= 20 * (row["got"] + 1), 0.5, f"hardly anything came back ({size(row['got'])})"),
            (row["sent"] >= 0.5 * row["total_sent"], 0.5, f"{percent(row['sent'] / row['total_sent'])} of all that the host sent"),
            (bare, 1.0, "no name led to the address"),
            (signaller, 2.0, "by a protocol that is for names and errors, not for data"),
            (not common and not signaller, 1.0, "the port is not one of common services"),
            (row["service"] is None and row["proto"] == 6, 0.5, "what is spoken there is no known protocol"),
            (row["users"] == 1 and setting.hosts >= 3, 0.5, f"none of the other {setting.hosts - 1} hosts uses the place"),
            (bool(packed), 1.0, f"packed files or databases went out ({row['kinds']})"),
            (row["service"] in ("ftp_data", "ftp", "tftp"), 0.5, "by plain file transfer"),
            (span > 0 and row["first_ns"] - setting.first_ns > 0.3 * span and row["flows"] <= 20, 0.5, "the place is new to the host"),
        ]
    )


def _statement(row: Row, odd: Oddities) -> str:
    place = f"{row['name']} ({row['dst']})" if row["name"] and row["name"] != row["dst"] else row["dst"]
    took = duration(row["last_ns"] - row["first_ns"])
    return (
        f"{row['src']} sends {size(row['sent'])} out to {place}, {service(row['proto'], row['dport'] or None)}, and gets "
        f"{size(row['got'])} back: "
        f"{count(row['flows'], 'connection')} from {moment(row['first_ns'])} on, within {took}; {'; '.join(odd.signs)}."
    )
