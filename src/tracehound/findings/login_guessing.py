"""In: answers of the detector `login_guessing` (pairs with many attempts to log in). Out: who guesses logins of whom, with what
success, and who only looks like it. Never here: SQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tracehound.findings.model import Confidence, Finding, Innocent
from tracehound.findings.setting import Judged, Row, Setting
from tracehound.findings.wording import S_NS, count, duration, listing, moment, per_minute, percent

KIND: Final = "login_guessing"
MIN_REFUSED: Final = 10
"""Refused logins of one source from which on they are looked at (Zeek's own thresholds are 20 for FTP, 30 for SSH)."""
MIN_ALIKE: Final = 20
"""Connections of one size that stand for guesses where the logins themselves cannot be read."""
MIN_SPRAYED: Final = 5
"""Servers, or accounts, from which on guessing is a spray."""
SLOW_NS: Final = 60 * S_NS
"""A slower pace of one account is a program with an old password, or monitoring."""
MAX_FINDINGS: Final = 10
MAX_LET_GO: Final = 5
_LEAST_BYTES: Final = {"ssh": 400, "rdp": 300, "smb": 300}
"""Whoever sends less did not come to a login: the greeting and the key exchange alone are longer than monitoring's."""
_NAMES: Final = {
    "ssh": "SSH", "ftp": "FTP", "telnet": "Telnet", "rdp": "RDP", "smb": "SMB", "http": "HTTP", "smtp": "SMTP", "pop3": "POP3",
    "imap": "IMAP", "mysql": "MySQL", "mssql": "MS SQL", "postgresql": "PostgreSQL", "rfb": "VNC", "winrm": "WinRM", "ldap": "LDAP",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Guessing:
    """All that one source tries on one service, in one way of seeing it."""

    src: str
    way: str
    kind: str
    rows: tuple[Row, ...]

    @property
    def servers(self) -> list[str]:
        return list(dict.fromkeys(r["dst"] for r in self.rows))

    @property
    def tries(self) -> int:
        return sum(r["tries"] for r in self.rows)

    @property
    def refused(self) -> int:
        return sum(r["refused"] or 0 for r in self.rows)

    @property
    def accepted(self) -> int:
        return sum(r["accepted"] or 0 for r in self.rows)

    @property
    def users(self) -> int:
        return max(r["users"] or 0 for r in self.rows)

    @property
    def span(self) -> tuple[int, int]:
        return min(r["first_ns"] for r in self.rows), max(r["last_ns"] for r in self.rows)

    @property
    def gap_ns(self) -> float:
        """Usual distance between two tries of one pair."""
        return float(min((r["last_ns"] - r["first_ns"]) / max(r["tries"] - 1, 1) for r in self.rows))

    @property
    def name(self) -> str:
        return _NAMES.get(self.kind, self.kind)


def judge(rows: Sequence[Row], setting: Setting) -> Judged:
    """Findings and look-alikes let go. Refused logins are believed before sizes of connections are."""
    grouped: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        if setting.asked(row["src"], row["dst"]):
            grouped[row["src"], row["kind"], row["way"]].append(row)
    findings: list[Finding] = []
    let_go: list[Innocent] = []
    told: set[tuple[str, str]] = set()
    for way in ("logins", "forms", "flows"):
        for (src, kind, seen), some in grouped.items():
            if seen != way or (src, kind) in told:
                continue
            guess = _Guessing(src, way, kind, tuple(some))
            if way == "flows":
                guess = _guesses_by_size(guess)
                if not guess.rows:
                    continue
            if not _enough(guess):
                if way == "logins" and guess.accepted >= 0.5 * guess.tries:
                    told.add((src, kind))  # Its connections are logins that work.
                continue
            told.add((src, kind))
            excuse = _excuse(guess)
            if excuse and len(let_go) < MAX_LET_GO:
                let_go.append(excuse)
            elif excuse is None and len(findings) < MAX_FINDINGS:
                findings.append(_finding(guess, len(findings) + 1, setting))
    crowds = _crowds(rows, told, setting, len(findings) + 1)
    return findings + crowds, let_go


def _guesses_by_size(guess: _Guessing) -> _Guessing:
    least = _LEAST_BYTES.get(guess.kind, 1)
    rows = [r for r in guess.rows if r["size_median"] >= least]
    if len({r["dst"] for r in rows}) < MIN_SPRAYED:
        rows = [r for r in rows if r["tries"] >= MIN_ALIKE]
    return _Guessing(guess.src, guess.way, guess.kind, tuple(rows))


def _enough(guess: _Guessing) -> bool:
    if guess.way == "logins":
        return guess.refused >= MIN_REFUSED and guess.refused >= 0.7 * (guess.refused + guess.accepted)
    if guess.way == "forms":
        # Ever other words, and ever the same answer: no two people fill in a form so.
        return guess.tries >= MIN_ALIKE and guess.users >= 0.8 * max(r["tries"] for r in guess.rows) and (
            guess.refused >= 0.8 * guess.tries or all(r["size_mad"] <= 0.1 * max(r["size_median"], 1) for r in guess.rows)
        )
    return guess.tries >= MIN_ALIKE


def _excuse(guess: _Guessing) -> Innocent | None:
    if guess.gap_ns < SLOW_NS or len(guess.servers) >= MIN_SPRAYED or guess.users >= MIN_SPRAYED:
        return None
    what = f"{count(guess.tries, 'attempt')} to log in by {guess.name} at {listing(guess.servers)}"
    pace = f"one every {duration(guess.gap_ns)}"
    reason = (
        f"a program with an old password: one account, {pace}"
        if guess.way == "logins"
        else f"monitoring or a task by the clock: {pace}, and guessing is quicker"
    )
    return Innocent(guess.src, f"a host that guesses logins ({what})", reason, (("attempts", f"{guess.tries:,}"),))


def _finding(guess: _Guessing, serial: int, setting: Setting) -> Finding:
    cited = [c for r in guess.rows[:5] for c in setting.cite(r)]
    return setting.finding(
        KIND, serial, guess.src, guess.span, _statement(guess), _confidence(guess), cited, guess.tries
    )


def _statement(guess: _Guessing) -> str:
    first, last = guess.span
    servers = listing(guess.servers) if len(guess.servers) <= 3 else count(len(guess.servers), "server")
    pace = per_minute((guess.tries - 1) / ((last - first) / (60 * S_NS))) if last > first and guess.tries > 1 else ""
    times = f"from {moment(first)} to {moment(last)}" + (f", {pace}" if pace else "")
    if guess.way == "logins":
        accounts = (
            f"for {count(guess.users, 'account')}" if guess.users != 1 else f"for the account {guess.rows[0]['account']!r}"
        )
        text = (
            f"{guess.src} guesses {guess.name} logins at {servers}: {count(guess.tries, 'attempt')} {accounts}, "
            f"{guess.refused:,} refused, {times}."
        )
        late = [r for r in guess.rows if r["accepted_ns"] is not None and r["refused"]]
        if late:
            text += f" A login worked at {moment(late[0]['accepted_ns'])} ({late[0]['dst']})."
        elif guess.accepted == 0:
            text += " None was seen to work." if guess.refused < guess.tries else " None worked."
        return text
    if guess.way == "forms":
        return (
            f"{guess.src} guesses web logins at {servers} ({guess.rows[0]['page']}): {count(guess.tries, 'form')} with "
            f"{guess.users:,} different contents, {times}; "
            + (f"{guess.refused:,} refused." if guess.refused else "the answers are all of nearly one size.")
        )
    size = guess.rows[0]["size_median"]
    longer = max((r["longer_bytes"] or 0 for r in guess.rows), default=0)
    return (
        f"{guess.src} opens {count(guess.tries, f'{guess.name} connection')} of nearly one size (about {size:,.0f} bytes sent) to "
        f"{servers}, {times}, as guessing logins does"
        + (f"; another connection carried {longer:,} bytes, so a login may have worked." if longer else ".")
    )


def _confidence(guess: _Guessing) -> Confidence:
    quick = guess.gap_ns <= 10 * S_NS
    reasons = []
    if guess.way == "logins":
        value = 0.65 + (0.1 if guess.refused >= 20 else 0) + (0.1 if quick else 0) + (0.1 if guess.users >= MIN_SPRAYED else 0)
        reasons = [f"{percent(guess.refused / guess.tries)} of {count(guess.tries, 'login')} refused"]
    elif guess.way == "forms":
        value = 0.6 + (0.1 if quick else 0) + (0.1 if guess.refused else 0)
        reasons = [f"{guess.users:,} contents in {count(guess.tries, 'form')}"]
    else:
        value = 0.45 + (0.1 if guess.tries >= 60 else 0) + (0.1 if quick else 0) + (0.1 if len(guess.servers) >= MIN_SPRAYED else 0)
        reasons = ["sizes and number of connections only: whether a login was refused cannot be seen"]
    if quick:
        reasons.append(f"one every {duration(guess.gap_ns)}: quicker than people type")
    if len(guess.servers) >= MIN_SPRAYED:
        reasons.append(f"{len(guess.servers):,} servers")
    return Confidence(round(min(value, 0.95), 2), tuple(reasons))


def _crowds(rows: Sequence[Row], told: set[tuple[str, str]], setting: Setting, serial: int) -> list[Finding]:
    """Servers at which many sources fail a little each: guessing shared out among many."""
    by_server: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        if row["way"] == "logins" and row["refused"] and (row["src"], row["kind"]) not in told and setting.asked(row["src"], row["dst"]):
            by_server[row["dst"], row["kind"]].append(row)
    found: list[Finding] = []
    for (dst, kind), some in sorted(by_server.items()):
        refused = sum(r["refused"] for r in some)
        sources = list(dict.fromkeys(r["src"] for r in some))
        worked = sum(r["accepted"] or 0 for r in some)
        if len(sources) < MIN_SPRAYED or refused < 3 * MIN_REFUSED or worked > 0.3 * refused:
            continue
        span = min(r["first_ns"] for r in some), max(r["last_ns"] for r in some)
        found.append(
            setting.finding(
                KIND, serial + len(found), None, span,
                f"{count(len(sources), 'host')} ({listing(sources)}) guess {_NAMES.get(kind, kind)} logins at {dst}: "
                f"{refused:,} refused in all, "
                f"from {moment(span[0])} to {moment(span[1])}.",
                Confidence(0.6, (f"{refused:,} refused logins from {count(len(sources), 'source')}",)),
                [c for r in some[:5] for c in setting.cite(r)[:2]],
                refused,
            )
        )  # fmt: skip
    return found
