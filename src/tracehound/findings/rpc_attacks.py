"""In: answers of the detector `rpc_attacks` (calls by source, target and kind of attack). Out: the attacks, named, and look-alikes that
were let go. Never here: SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from tracehound.findings.model import Confidence, Finding, Innocent
from tracehound.findings.setting import Judged, Row, Setting
from tracehound.findings.wording import count, moment

KIND: Final = "rpc_attack"
MAX_FINDINGS: Final = 20
MAX_LET_GO: Final = 5


class _Attack(NamedTuple):
    """What it is called, what the source does (put before the target), how sure a call alone makes, and why not surer."""

    name: str
    does: str
    confidence: float
    doubt: str = ""


ATTACKS: Final[dict[str, _Attack]] = {
    "driver": _Attack(
        "PrintNightmare (CVE-2021-1675, CVE-2021-34527)", "adds a printer driver, which is a program, to", 0.85,
        "administrators of printers do so, too, from few machines",
    ),
    "coerce_print": _Attack("the printer bug", "asks for notices of the print service, which makes it log in elsewhere, of", 0.6,
                            "print clients of old ask for notices as well"),
    "coerce_efs": _Attack("PetitPotam", "calls the encrypting file system, which makes a server log in elsewhere, of", 0.85),
    "coerce_dfs": _Attack("DFSCoerce", "changes roots of the distributed file system, which makes a server log in elsewhere, of", 0.8),
    "coerce_shadow": _Attack("ShadowCoerce", "asks for shadow copies of a share, which makes a server log in elsewhere, of", 0.75,
                             "backup programs do so on file servers"),
    "coerce_server": _Attack(
        "CVE-2022-30216", "calls a certificate check of the server service, which makes it log in elsewhere, of", 0.85
    ),
    "dcsync": _Attack("DCSync", "asks for the directory's secrets, as only domain controllers do, of", 0.8,
                      "a domain controller that is not known as such, or a directory synchronisation"),
    "netlogon_password": _Attack("a password change of a machine over Netlogon", "sets a machine's password by Netlogon at", 0.4,
                                 "machines change their own passwords so every month"),
    "doublepulsar": _Attack(
        "DoublePulsar, as after EternalBlue and EternalRomance (MS17-010)",
        "asks by SMB whether a back door of the kernel is there, at", 0.85,
    ),
    "doublepulsar_there": _Attack(
        "DoublePulsar (MS17-010), and it is installed", "talks by SMB to a back door in the kernel of", 0.95
    ),
    "portmap_overflow": _Attack(
        "CVE-2022-26937", "answers a question of its port mapper with an address that is longer than any, to", 0.85
    ),
    "smbghost": _Attack("SMBGhost (CVE-2020-0796)", "sends compressed SMB messages whose lengths overflow to", 0.9),
    "zerologon": _Attack("Zerologon (CVE-2020-1472)", "tries to log on as a machine again and again at", 0.85),
}  # fmt: skip
"""By the detector's name for it."""


def judge(rows: Sequence[Row], setting: Setting) -> Judged:
    """Findings and look-alikes let go. A password that is set after many tries to log on belongs to the tries."""
    tried = {(r["src"], r["dst"]) for r in rows if r["attack"] == "zerologon"}
    findings: list[Finding] = []
    let_go: list[Innocent] = []
    for row in rows:
        attack = ATTACKS[row["attack"]]
        pair = (row["src"], row["dst"])
        if not setting.asked(*pair):
            continue
        if row["attack"] == "dcsync" and row["from_controller"]:
            if len(let_go) < MAX_LET_GO:
                what = f"a host that {attack.does} {row['dst']} ({attack.name})"
                let_go.append(Innocent(row["src"], what, "it is a domain controller itself, and they replicate", ()))
            continue
        succeeded = row["attack"] == "netlogon_password" and pair in tried
        if row["attack"] == "netlogon_password" and not succeeded:
            continue
        if len(findings) < MAX_FINDINGS:
            findings.append(_finding(row, attack, succeeded, len(findings) + 1, setting))
    return findings, let_go


def _finding(row: Row, attack: _Attack, succeeded: bool, serial: int, setting: Setting) -> Finding:
    name = "Zerologon, and it succeeded" if succeeded else attack.name
    operation = f" ({row['operation']})" if row["operation"] else ""
    answered = f"{row['answered']:,} answered" if row["answered"] else "none was seen to be answered"
    reasons = [f"{count(row['calls'], 'call')}{operation}, {answered}", *([attack.doubt] if attack.doubt and not succeeded else [])]
    return setting.finding(
        KIND,
        serial,
        row["src"],
        (row["first_ns"], row["last_ns"]),
        f"{row['src']} {attack.does} {row['dst']}: {name}; {count(row['calls'], 'call')}{operation} from {moment(row['first_ns'])} on, "
        f"{answered}.",
        Confidence(0.9 if succeeded else attack.confidence, tuple(reasons)),
        setting.cite(row),
        row["calls"],
    )
