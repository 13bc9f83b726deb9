"""In: answers of the detector `tls_attacks` (oddities of handshakes by server and client). Out: who deceives whom, or whose connections
can be read. Never here: SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tracehound.findings.model import Confidence, Finding
from tracehound.findings.setting import Judged, Row, Setting
from tracehound.findings.wording import count, moment

KIND: Final = "tls_attack"
WEAKNESS: Final = "tls_weakness"
"""What lets others read a host's connections: not the host's misdeed."""
MAX_FINDINGS: Final = 20
_SENTENCES: Final[dict[str, tuple[str, str, float, str]]] = {
    "curve": (
        "dst", "{dst} shows {src} a certificate for {subject} whose curve is spelled out: a forged chain for readers of Windows "
        "(CVE-2020-0601)", 0.85, "nobody issues such certificates; RFC 5480 forbids them",
    ),
    "server_label": (
        "dst", "{dst} shows {src} a certificate ({subject}) with a name longer than any may be: it overflows OpenSSL 3.0.0 to 3.0.6 "
        "(CVE-2022-3602)", 0.85, "a label of a name has 63 bytes at most",
    ),
    "client_label": (
        "src", "{src} shows {dst} a certificate ({subject}) with a name longer than any may be: it overflows OpenSSL 3.0.0 to 3.0.6 "
        "(CVE-2022-3602)", 0.85, "a label of a name has 63 bytes at most",
    ),
    "client_heartbeat": (
        "src", "{src} sends {dst} heartbeats made to read the memory of OpenSSL 1.0.1 to 1.0.1f (Heartbleed, CVE-2014-0160){leak}", 0.85,
        "the heartbeat asks for more bytes than it brought, or got more back; RFC 6520 forbids both",
    ),
    "server_heartbeat": (
        "dst", "{dst} sends its client {src} heartbeats made to read the memory of OpenSSL 1.0.1 to 1.0.1f (Heartbleed, "
        "CVE-2014-0160){leak}", 0.85, "the heartbeat asks for more bytes than it brought, or got more back; RFC 6520 forbids both",
    ),
    "ticket": (
        "dst", "Session tickets of {dst} for {src} are encrypted under a key of zeros (GnuTLS 3.6.4 to 3.6.13, CVE-2020-13777): whoever "
        "recorded these connections can read them", 0.75, "the key's name is all zeros, which chance never gives",
    ),
}  # fmt: skip
"""Kind -> whose deed it is, the sentence, how sure, why."""


def judge(rows: Sequence[Row], setting: Setting) -> Judged:
    """One finding a server, client and kind."""
    findings: list[Finding] = []
    for row in rows[:MAX_FINDINGS]:
        if not setting.asked(row["src"], row["dst"]):
            continue
        side, sentence, confidence, why = _SENTENCES[row["attack"]]
        subject = row["subject"] or row["server_name"] or "an unknown name"
        leak = ", and memory came back" if row["leaks"] else "; no memory came back in this evidence"
        told = sentence.format(src=row["src"], dst=row["dst"], subject=subject, leak=leak)
        findings.append(
            setting.finding(
                WEAKNESS if row["attack"] == "ticket" else KIND, len(findings) + 1, row[side], (row["first_ns"], row["last_ns"]),
                f"{told}; {count(row['handshakes'], 'handshake')} from {moment(row['first_ns'])} on, port {row['dport']}.",
                Confidence(confidence, (why,)), setting.cite(row), row["handshakes"],
            )
        )  # fmt: skip
    return findings, []
