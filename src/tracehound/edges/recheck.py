"""In: a host and a port that somebody named. Out: whether it answers now, in one word, with what it said.
Never here: a guess whom to ask. The one place of the program that sends anything, and only for a verb that says so.

A TCP connection is opened and closed; or one HEAD or GET is sent with a fixed, harmless agent, no redirection followed, no cookie, no
more than RECHECK_BYTES read. Nothing that evidence holds is ever sent."""

from __future__ import annotations

import ipaddress
import socket
import time
from dataclasses import dataclass
from typing import Final

from tracehound import limits
from tracehound.errors import UsageError
from tracehound.report.visible import visible

HOWS: Final = ("connect", "head", "get")
AGENT: Final = "tracehound-recheck"
_REFUSED: Final = "refused"
_OUTCOMES: Final[dict[type[BaseException], str]] = {
    ConnectionRefusedError: _REFUSED,
    ConnectionResetError: "reset",
    TimeoutError: "unanswered",
    socket.gaierror: "no such name",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """outcome is accepted, answered, refused, reset, unanswered, unreachable, no such name; took_ms is until then."""

    outcome: str
    detail: str
    asked_ns: int
    took_ms: int


def check(host: str, port: int, how: str) -> None:
    """Raises UsageError where one of the three makes no sense."""
    if not 0 < port < 65_536:
        raise UsageError(f"recheck: port {port} is not between 1 and 65535")
    if how not in HOWS:
        raise UsageError(f"recheck: {how!r} is none of {', '.join(HOWS)}")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if not all(c.isalnum() or c in "-." for c in host) or not host.isascii() or len(host) > 253:
            raise UsageError(f"recheck: {host!r} is neither an address nor a name") from None


def ask(host: str, port: int, how: str = "connect", *, timeout_s: float = limits.RECHECK_TIMEOUT_S) -> Answer:
    """Ask once. Raises UsageError; every answer of the network, also none, is an Answer."""
    check(host, port, how)
    asked_ns, begun = time.time_ns(), time.monotonic()

    def after(outcome: str, detail: str = "") -> Answer:
        return Answer(outcome, detail, asked_ns, round((time.monotonic() - begun) * 1000))

    try:
        with socket.create_connection((host, port), timeout=timeout_s) as connection:
            if how == "connect":
                return after("accepted")
            shown = f"[{host}]" if ":" in host else host
            request = f"{how.upper()} / HTTP/1.1\r\nHost: {shown}:{port}\r\nUser-Agent: {AGENT}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
            connection.sendall(request.encode("ascii"))
            head = _read(connection, begun + timeout_s)
            return after("answered", visible(head.split(b"\r\n", 1)[0].decode("latin-1"), 200)) if head else after("accepted", "silent")
    except OSError as cause:
        return after(_OUTCOMES.get(type(cause), "unreachable"), visible(cause.strerror or str(cause), 200))


def _read(connection: socket.socket, until: float) -> bytes:
    """Up to RECHECK_BYTES, or until the other side or the time ends."""
    got = b""
    while len(got) < limits.RECHECK_BYTES and (left := until - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            piece = connection.recv(limits.RECHECK_BYTES - len(got))
        except TimeoutError:
            break
        if not piece:
            break
        got += piece
    return got
