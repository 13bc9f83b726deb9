"""In: names, passwords, tokens. Out: who somebody is and what they may do. Never here: HTTP (app.py), or a case.

    CASES/accounts.sqlite   users with argon2id hashes; sessions and API tokens as SHA-256 only; failed logins

Roles: a reader sees, an analyst also changes cases, an admin also manages users. A password is never kept, a token never shown twice."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from tracehound import limits
from tracehound.edges.clock import now_ns
from tracehound.errors import UsageError

ACCOUNTS: Final = "accounts.sqlite"
ROLES: Final = ("reader", "analyst", "admin")
"""Each may do what those before it may."""
_S_NS: Final = 1_000_000_000
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS users(name TEXT PRIMARY KEY, role TEXT NOT NULL, hash TEXT NOT NULL, made_ns INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS sessions(digest TEXT PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, until_ns INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS tokens(
  digest TEXT PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, says TEXT NOT NULL, made_ns INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS failures(key TEXT NOT NULL, at_ns INTEGER NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS failures_of ON failures(key, at_ns);
"""


@dataclass(frozen=True, slots=True)
class User:
    """Who asks. `session` is the secret of the session that a form's token is made of; empty for API tokens."""

    name: str
    role: str
    session: str = ""

    def may(self, role: str) -> bool:
        return ROLES.index(self.role) >= ROLES.index(role)

    @property
    def form_token(self) -> str:
        """What a form must carry, so that no other site can send one in this user's name."""
        return hmac.new(self.session.encode(), b"form", hashlib.sha256).hexdigest() if self.session else ""


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


class TooMany(UsageError):
    """Too many failed logins; `wait_s` until the next try counts."""

    def __init__(self, wait_s: float) -> None:
        self.wait_s = wait_s
        super().__init__(f"too many failed logins; try again in {wait_s:.0f} s")


class Accounts:
    """Users of one folder of cases. A connection an operation: the server's threads share nothing."""

    def __init__(self, cases: Path) -> None:
        cases.mkdir(parents=True, exist_ok=True)
        self._path = cases / ACCOUNTS
        self._hasher = PasswordHasher()
        with self._open() as db:
            db.executescript(_TABLES)
        self._path.chmod(0o600)

    def _open(self) -> _Closing:
        return _Closing(self._path)

    def exist(self) -> bool:
        """Whether there is any user."""
        with self._open() as db:
            return db.execute("SELECT 1 FROM users LIMIT 1").fetchone() is not None

    def add(self, name: str, password: str, role: str) -> None:
        """Add a user, or give one a new password and role; ends their sessions. Raises UsageError."""
        if role not in ROLES:
            raise UsageError(f"role: {role!r} is none of {', '.join(ROLES)}")
        if not 0 < len(name) <= 64 or not name.isprintable():
            raise UsageError("name: 1 to 64 printable characters")
        if not limits.MIN_PASSWORD_CHARACTERS <= len(password) <= limits.MAX_PASSWORD_CHARACTERS:
            raise UsageError(f"password: {limits.MIN_PASSWORD_CHARACTERS} to {limits.MAX_PASSWORD_CHARACTERS} characters")
        hashed = self._hasher.hash(password)
        with self._open() as db:
            db.execute(
                "INSERT INTO users(name, role, hash, made_ns) VALUES (?, ?, ?, ?) "
                "ON CONFLICT(name) DO UPDATE SET role = excluded.role, hash = excluded.hash",
                (name, role, hashed, now_ns()),
            )
            db.execute("DELETE FROM sessions WHERE name = ?", (name,))

    def remove(self, name: str) -> bool:
        """Remove a user with all sessions and tokens; false where there is none."""
        with self._open() as db:
            for table in ("sessions", "tokens"):
                db.execute(f"DELETE FROM {table} WHERE name = ?", (name,))
            return db.execute("DELETE FROM users WHERE name = ?", (name,)).rowcount > 0

    def users(self) -> list[tuple[str, str]]:
        with self._open() as db:
            return [(r[0], r[1]) for r in db.execute("SELECT name, role FROM users ORDER BY name")]

    def login(self, name: str, password: str, place: str) -> User | None:
        """A new session; None where name or password is wrong. Raises TooMany.

        place   where the try comes from: failures count for the place and for the name"""
        keys = [f"name:{name[:64]}", f"place:{place[:64]}"]
        self._check_failures(keys)
        with self._open() as db:
            row = db.execute("SELECT role, hash FROM users WHERE name = ?", (name,)).fetchone()
        # A name that does not exist takes as long as one that does: time must not tell them apart.
        hashed = row[1] if row is not None else _NOBODY
        try:
            good = self._hasher.verify(hashed, password[: limits.MAX_PASSWORD_CHARACTERS]) and row is not None
        except (VerificationError, InvalidHashError):
            good = False
        if not good:
            with self._open() as db:
                db.executemany("INSERT INTO failures(key, at_ns) VALUES (?, ?)", [(k, now_ns()) for k in keys])
            return None
        return self.session(name, str(row[0]))

    def _check_failures(self, keys: list[str]) -> None:
        since = now_ns() - limits.LOGIN_WINDOW_S * _S_NS
        with self._open() as db:
            db.execute("DELETE FROM failures WHERE at_ns < ?", (since,))
            for key in keys:
                count, first = db.execute("SELECT count(*), min(at_ns) FROM failures WHERE key = ? AND at_ns >= ?", (key, since)).fetchone()
                if count >= limits.LOGIN_FAILURES:
                    raise TooMany((first - since) / _S_NS)

    def session(self, name: str, role: str) -> User:
        """Begin a session; its secret is in the user that is returned, and nowhere else."""
        secret = secrets.token_urlsafe(32)
        with self._open() as db:
            db.execute("DELETE FROM sessions WHERE until_ns < ?", (now_ns(),))
            db.execute(
                "INSERT INTO sessions(digest, name, role, until_ns) VALUES (?, ?, ?, ?)",
                (_digest(secret), name, role, now_ns() + limits.SESSION_S * _S_NS),
            )
        return User(name, role, secret)

    def of_session(self, secret: str) -> User | None:
        with self._open() as db:
            row = db.execute(
                "SELECT name, role FROM sessions WHERE digest = ? AND until_ns > ?", (_digest(secret), now_ns())
            ).fetchone()
        return None if row is None else User(row[0], row[1], secret)

    def logout(self, secret: str) -> None:
        with self._open() as db:
            db.execute("DELETE FROM sessions WHERE digest = ?", (_digest(secret),))

    def token(self, name: str, role: str, says: str) -> str:
        """A token for the API, shown this once."""
        secret = "th_" + secrets.token_urlsafe(32)
        with self._open() as db:
            db.execute(
                "INSERT INTO tokens(digest, name, role, says, made_ns) VALUES (?, ?, ?, ?, ?)",
                (_digest(secret), name, role, says, now_ns()),
            )
        return secret

    def of_token(self, secret: str) -> User | None:
        with self._open() as db:
            row = db.execute("SELECT name, role FROM tokens WHERE digest = ?", (_digest(secret),)).fetchone()
        return None if row is None else User(row[0], row[1])


_NOBODY: Final = "$argon2id$v=19$m=65536,t=3,p=4$1GZIpCdHBRMg6JANO/O3+Q$r4lyFhdnaPnbi5wzxe/AMExxe82oREXMStS2ENxB8YI"
"""A hash of random bytes that nobody kept: verified for names that do not exist."""


class _Closing:
    """A connection for one operation: committed and closed at its end."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, timeout=30)
        self._db.execute("PRAGMA journal_mode = WAL")

    def __enter__(self) -> sqlite3.Connection:
        return self._db

    def __exit__(self, kind: object, value: object, trace: object) -> None:
        if kind is None:
            self._db.commit()
        self._db.close()
