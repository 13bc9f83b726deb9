"""In: answers of the detector `cleartext_logins`. Out: findings that name servers whose passwords can be read on the way. They
tell of a weakness: their confidence never becomes an accusation. Never here: SQL, passwords."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tracehound.findings.model import Confidence
from tracehound.findings.setting import Judged, Row, Setting
from tracehound.findings.wording import count

KIND: Final = "cleartext_credentials"
MAX_FINDINGS: Final = 10
_READABLE: Final = Confidence(
    0.6, ("the password itself was in the evidence", "a weakness of the service, not a sign that the host misbehaves")
)


def judge(rows: Sequence[Row], setting: Setting) -> Judged:
    """One finding a server and service."""
    mine = [r for r in rows if setting.asked(r["client"], r["dst"]) and not _tried(r, setting)]
    return [
        setting.finding(
            KIND, n, row["dst"], (row["first_ns"], row["last_ns"]), _statement(row), _READABLE, setting.cite(row), row["logins"]
        )
        for n, row in enumerate(mine[:MAX_FINDINGS], 1)
    ], []


def _tried(row: Row, setting: Setting) -> bool:
    """Whether it is a prober's try, which is told of the prober."""
    return row["clients"] == 1 and any(host == row["client"] and port in (None, row["dport"]) for host, _proto, port in setting.accused)


def _statement(row: Row) -> str:
    who = row["client"] if row["clients"] == 1 else count(row["clients"], "client")
    accounts = f"the account {row['account']!r}" if row["users"] == 1 else count(row["users"], "account") if row["users"] else "an account"
    name = row["service"].removesuffix("_tcp").upper()
    fate = f", {row['accepted']:,} accepted" if row["accepted"] else ""
    return (
        f"The password of {accounts} crosses the network readably: {who} logs in at {row['dst']} by {name} "
        f"(port {row['dport']}, {row['methods'] or 'password'}), {count(row['logins'], 'login')}{fate}."
    )
