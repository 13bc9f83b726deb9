"""In: answers of the detector `disguised_programs` (programs that were passed on under another name). Out: who sent or fetched them.
Never here: SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tracehound.findings.model import Confidence, Finding
from tracehound.findings.setting import Judged, Row, Setting
from tracehound.findings.wording import count, listing, moment, size

KIND: Final = "disguised_program"
MAX_FINDINGS: Final = 20
KIND_WORDS: Final[dict[str, str]] = {
    "pe": "a Windows program", "pe_xor": "a Windows program under an XOR key",
    "dos_exe": "a DOS program", "elf": "a Unix program (ELF)", "macho": "a macOS program",
    "dex": "an Android program", "lnk": "a Windows shortcut", "msi": "a Windows installer",
}  # fmt: skip
_MAILED: Final = frozenset({"smtp", "pop3", "imap"})
_WHY: Final[dict[str, tuple[float, str]]] = {
    "type": (0.85, "the first bytes are a program's, the declared type says otherwise"),
    "key": (0.9, "a program is put under a key so that filters do not know it"),
    "name": (0.8, "the first bytes are a program's, the name says otherwise"),
    "double": (0.7, "the name ends twice, so that its true ending goes unseen"),
}


def judge(rows: Sequence[Row], setting: Setting) -> Judged:
    """One finding a pair of hosts, service and disguise. It is told of the host that acted: who sent the mail, or who fetched."""
    findings: list[Finding] = []
    for row in rows:
        actor = row["sender"] if row["sent_by_src"] else row["receiver"]
        if len(findings) >= MAX_FINDINGS or not setting.asked(row["sender"], row["receiver"]):
            continue
        value, why = _WHY[row["disguise"]]
        findings.append(
            setting.finding(
                KIND, len(findings) + 1, actor, (row["first_ns"], row["last_ns"]), _statement(row), Confidence(value, (why,)),
                setting.cite(row), row["files"],
            )
        )  # fmt: skip
    return findings, []


def _statement(row: Row) -> str:
    what = count(row["files"], "program" if row["programs"] == row["files"] else "file")
    other = row["receiver"] if row["sent_by_src"] else row["sender"]
    sends = "mails" if row["service"] in _MAILED else "sends"
    verb = f"{row['sender']} {sends} {other}" if row["sent_by_src"] else f"{row['receiver']} fetches from {other}"
    name = listing([n for n in dict.fromkeys(row["names"]) if n]) or "without a name"
    claimed = row["types"][0]
    as_what = f", declared {claimed}" if claimed and row["disguise"] == "type" else ""
    kind = KIND_WORDS.get(row["kinds"][0], row["kinds"][0])
    digest = f", sha256 {row['hashes'][0]}" if row["hashes"][0] else ""
    return (
        f"{verb} {what} under another name: {name}{as_what}, really {kind}, {size(row['sizes'][0])}{digest}, by "
        f"{row['service'].upper()} at {moment(row['first_ns'])}."
    )
