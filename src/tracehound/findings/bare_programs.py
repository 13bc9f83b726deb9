"""In: answers of the detector `bare_programs` (programs that came from a server called by its address). Out: who fetched what, where
more is odd than the address, and look-alikes where nothing else is. Never here: SQL."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from typing import Final

from tracehound.enrich.home import PRIVATE
from tracehound.findings.disguised import KIND_WORDS
from tracehound.findings.model import Confidence, Finding, Innocent
from tracehound.findings.setting import Judged, Oddities, Row, Setting
from tracehound.findings.wording import count, listing, moment, size

KIND: Final = "bare_program"
MAX_FINDINGS: Final = 20
MAX_LET_GO: Final = 5
_BASE: Final = 0.4
"""A program from a bare address outside, with nothing else odd: less than a finding."""
_NEEDED: Final = 0.6
_MOST: Final = 0.85
_PRIVATE: Final = tuple(map(ip_network, PRIVATE))
_WEB_PORTS: Final = frozenset({80, 8080})


def judge(rows: Sequence[Row], setting: Setting) -> Judged:
    """One finding a pair of hosts and port, told of the host that fetched; servers of the home network are let go without a word."""
    findings: list[Finding] = []
    let_go: list[Innocent] = []
    for row in rows:
        if not setting.asked(row["receiver"], row["sender"]) or _at_home(row["sender"], setting):
            continue
        odd = _oddities(row)
        value = round(min(_BASE + odd.weight, _MOST), 2)
        if value >= _NEEDED and len(findings) < MAX_FINDINGS:
            findings.append(
                setting.finding(
                    KIND, len(findings) + 1, row["receiver"], (row["first_ns"], row["last_ns"]), _statement(row),
                    Confidence(value, ("the server was called by its address", *odd.signs)), setting.cite(row), row["files"],
                )
            )  # fmt: skip
        elif value < _NEEDED and len(let_go) < MAX_LET_GO:
            reason = "only this is odd beside the bare address: " + "; ".join(odd.signs) if odd.signs else "nothing else is odd of it"
            let_go.append(Innocent(row["receiver"], f"a host that fetches a program from {row['sender']}", reason, ()))
    return findings, let_go


def _at_home(server: str, setting: Setting) -> bool:
    if setting.home:
        return server in setting.home
    address = ip_address(server)
    return any(address in net for net in _PRIVATE if net.version == address.version)


def _oddities(row: Row) -> Oddities:
    agent = row["agents"][0]
    return Oddities.of((
        (row["odd_agent"], 0.2, f"the request names {f'the agent {agent}' if agent else 'no agent'}, unlike browsers and updaters"),
        (row["odd_name"], 0.15, "the name asked for is no program's"),
        (row["processors"] >= 2, 0.25, f"the same for {count(row['processors'], 'kind')} of processor, as worms of small devices fetch it"),
        (row["by_script"], 0.15, "a script fetched it"),
        (row["unsigned"], 0.1, "it is not signed"),
        (row["no_referer"], 0.1, "no page led to it"),
        (row["dport"] not in _WEB_PORTS, 0.05, f"the port is {row['dport']}"),
    ))  # fmt: skip


def _statement(row: Row) -> str:
    names = listing([n for n in dict.fromkeys(row["uris"]) if n][:3]) or "/"
    kind = KIND_WORDS.get(row["kinds"][0], row["kinds"][0])
    digest = f", sha256 {row['hashes'][0]}" if row["hashes"][0] else ""
    return (
        f"{row['receiver']} fetches {count(row['files'], 'program')} from the bare address {row['sender']} (port {row['dport']}): {names}, "
        f"{kind}, {size(row['sizes'][0])}{digest}, at {moment(row['first_ns'])}."
    )
