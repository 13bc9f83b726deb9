"""In: the ordered bytes of both directions of a flow. Out: a row of table `telnet` a conversation, and logins as rows of `logins`.
Never here: a password, or what is typed behind the login.

RFC 854 (Telnet), 855 (options), 1091 (terminal type). Telnet has no message for a login: it is told by prompts, as Zeek's login
analyzer does. The sides are put in order by time, for their bytes do not arrive interleaved."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final, NamedTuple

from tracehound.limits import MAX_TELNET_BANNER, MAX_TELNET_BYTES, MAX_TELNET_EVENTS, MAX_TEXT_LINE_BYTES
from tracehound.protocols.lines import words_of
from tracehound.protocols.session import TXN_SHIFT, Emit, FlowEnds
from tracehound.streams.reassemble import Chunk

_COMMAND: Final = re.compile(rb"\xff(?:\xfa([^\xff]*(?:\xff\xff[^\xff]*)*)\xff\xf0|([\xfb-\xfe])(.)|[\xf0-\xf9])", re.DOTALL)
"""RFC 854: IAC SB ... IAC SE; IAC WILL/WONT/DO/DONT option; IAC command."""
_UNFINISHED: Final = re.compile(rb"\xff(?:[\xfb-\xfe]?|\xfa[^\xff]{0,400}\xff?)\Z", re.DOTALL)
_OPTIONS: Final = {
    0: "binary", 1: "echo", 3: "suppress go ahead", 5: "status", 6: "timing mark", 24: "terminal type", 25: "end of record",
    31: "window size", 32: "terminal speed", 33: "remote flow control", 34: "linemode", 35: "x display", 36: "environment",
    37: "authentication", 38: "encryption", 39: "new environment", 40: "tn3270e", 42: "charset", 46: "tls", 86: "mccp2",
}  # fmt: skip
_ASKS: Final = (b"\xfb", b"\xfd")
_USER_PROMPT: Final = re.compile(
    rb"(?<!last )\b(?:login|user ?name|user|account|log in)(?: name| id)?[^\S\n]*:[^\n]{0,80}\Z", re.IGNORECASE)
_PASSWORD_PROMPT: Final = re.compile(
    rb"\b(?:password|passwd|passcode|pass)(?: for [^\n:]{1,80})?[^\S\n]*:[^\n]{0,80}\Z", re.IGNORECASE)
"""The server echoes what is typed behind a prompt, mostly before the line is sent."""
_LAST: Final = re.compile(rb"last (?:successful )?login|welcome", re.IGNORECASE)
_REFUSED: Final = re.compile(rb"incorrect|fail|invalid|denied|wrong|bad password|not permitted|refused|unknown user", re.IGNORECASE)
_SHELL: Final = re.compile(rb"[$#%>](?:\x1b\[[0-9;]{0,20}[A-Za-z])*(?:[^\S\n]|\Z)")
_MAX_LINE: Final = 512


class Event(NamedTuple):
    """What one side says at a time: the server a stretch, the client a whole line."""

    ts_ns: int
    order: int
    by_client: bool
    text: bytes
    packet_id: int


class Login(NamedTuple):
    user: str | None
    attempt: Event
    accepted: bool | None
    answer: str | None


class Side:
    """One direction: commands taken out, options noted."""

    def __init__(self) -> None:
        self.options: list[str] = []
        self.terminal: str | None = None
        self.text = b""
        self.after_cr = False
        self._rest = b""

    def add(self, data: bytes) -> bytes:
        """The text among the bytes."""
        data = self._rest + data
        self._rest = b""
        cut = _UNFINISHED.search(data)
        if cut is not None and len(data) - cut.start() < _MAX_LINE:
            data, self._rest = data[: cut.start()], data[cut.start() :]
        if b"\xff" not in data:
            return data
        for found in _COMMAND.finditer(data):
            self._option(found)
        return _COMMAND.sub(b"", data).replace(b"\xff\xff", b"\xff")

    def _option(self, found: re.Match[bytes]) -> None:
        sub, verb, option = found.groups()
        if verb in _ASKS:
            name = _OPTIONS.get(option[0], str(option[0]))
            if name not in self.options:
                self.options.append(name)
        # RFC 1091: IAC SB TERMINAL-TYPE IS ... IAC SE.
        if sub is not None and sub[:2] == b"\x18\x00":
            self.terminal = words_of(sub[2:82])


class TelnetSession:
    """One conversation."""

    def __init__(self, ends: FlowEnds, chunk: Chunk, emit: Emit) -> None:
        self.finished = False
        self._emit = emit
        self._client_is_originator = ends.responder_port == 23 or ends.originator_port != 23
        self._ends = ends if self._client_is_originator else ends._replace(
            originator=ends.responder, originator_port=ends.responder_port, responder=ends.originator,
            responder_port=ends.originator_port,
        )  # fmt: skip
        self._packet_id, self._ts_ns = chunk.segments.packet_at(chunk.offset)
        self._client, self._server = Side(), Side()
        self._events: list[Event] = []
        self._bytes = 0
        self._missing = False

    def feed(self, chunk: Chunk) -> None:
        self._missing |= chunk.gap_before > 0
        by_client = chunk.from_originator == self._client_is_originator
        side = self._client if by_client else self._server
        take = self._typed if by_client else self._shown
        starts = [int(s) - chunk.offset for s in chunk.segments.starts]
        edges = sorted({0, *(s for s in starts if 0 < s < len(chunk.data)), len(chunk.data)})
        for begin, end in pairwise(edges):
            packet_id, ts_ns = chunk.segments.packet_at(chunk.offset + begin)
            if (packet_id & 0xFF_FFFF_FFFF) and ts_ns < self._ts_ns:
                self._packet_id, self._ts_ns = packet_id, ts_ns
            take(side, side.add(chunk.data[begin:end]), packet_id, ts_ns)
        self.finished = len(self._events) >= MAX_TELNET_EVENTS or self._bytes >= MAX_TELNET_BYTES

    def _typed(self, side: Side, text: bytes, packet_id: int, ts_ns: int) -> None:
        """What the client sends: lines end with CR LF or CR NUL (RFC 854), or LF."""
        side.text += text
        # A line also ends with a lone CR; the LF or NUL of one that was cut from its CR then begins the next line.
        *lines, rest = re.split(rb"\r[\n\0]?|\n", side.text)
        if side.after_cr and lines and not lines[0] and text[:1] == b"\n":
            del lines[0]
        rest = rest[1:] if side.after_cr and rest[:1] == b"\0" else rest
        side.after_cr = side.text.endswith(b"\r") if text else side.after_cr
        side.text = rest[-MAX_TEXT_LINE_BYTES:]
        for line in lines:
            self._event(True, line, packet_id, ts_ns)

    def _shown(self, side: Side, text: bytes, packet_id: int, ts_ns: int) -> None:
        if text:
            self._event(False, text, packet_id, ts_ns)

    def _event(self, by_client: bool, text: bytes, packet_id: int, ts_ns: int) -> None:
        if len(self._events) < MAX_TELNET_EVENTS and self._bytes < MAX_TELNET_BYTES:
            self._bytes += len(text)
            self._events.append(Event(ts_ns, len(self._events), by_client, text, packet_id))

    def close(self, note: str) -> None:
        notes = "; ".join(filter(None, (note, "bytes are missing" if self._missing else ""))) or None
        e = self._ends
        ends = (e.originator, e.originator_port, e.responder, e.responder_port)
        banner, prompts, logins = read_logins(self._events)
        for n, login in enumerate(logins):
            self._emit("logins", (e.flow_id << TXN_SHIFT | n, e.flow_id, login.attempt.ts_ns, *ends, "telnet", login.user, "password",
                                  True, login.accepted, login.answer, login.attempt.packet_id, notes))  # fmt: skip
        self._emit("telnet", (e.flow_id << TXN_SHIFT, e.flow_id, self._ts_ns, *ends, self._client.options, self._server.options,
                              self._client.terminal, banner, prompts, self._packet_id, notes))  # fmt: skip


def read_logins(events: list[Event]) -> tuple[str | None, int, list[Login]]:
    """Banner, how often the server asked for a name, and the logins: what the client typed at the prompts."""
    logins: list[Login] = []
    banner: str | None = None
    prompts = 0
    user: str | None = None
    attempt: Event | None = None
    spoken: list[bytes] = []
    first = True
    for event in [*sorted(events), None]:
        if event is not None and not event.by_client:
            spoken.append(event.text)
            continue
        said = b"".join(spoken).replace(b"\0", b"")
        spoken = []
        tail = said[-_MAX_LINE:].rsplit(b"\n", 1)[-1]
        for_password = _PASSWORD_PROMPT.search(tail) is not None
        for_user = not for_password and _USER_PROMPT.search(tail) is not None
        if first:
            first = False
            # Behind a prompt stands what was typed.
            shown = said[: said.rfind(b":") + 1] if for_user or for_password else said
            banner = words_of(shown[: 4 * MAX_TELNET_BANNER].strip(b"\r\n "))[:MAX_TELNET_BANNER] or None
        if attempt is not None and (said.strip() or event is None):
            logins.append(Login(user, attempt, *_outcome(said, tail, attempt.text.strip(b"\0"), asked_again=for_user or for_password)))
            attempt = None
        prompts += for_user
        if event is None:
            break
        if for_user:
            user = _typed_line(event.text) or None
        elif for_password:
            attempt = event
    return banner, prompts, logins


def _outcome(said: bytes, tail: bytes, secret: bytes, *, asked_again: bool) -> tuple[bool | None, str | None]:
    """Whether the server's words let in, and which words say so; a server's echo of the secret is not repeated."""
    lines = [line.strip() for line in said[: 8 * _MAX_LINE].splitlines() if line.strip()]
    telling = [line for line in lines if _LAST.search(line) or _REFUSED.search(line)]
    refused = [line for line in telling if not _LAST.search(line)]
    words = next((words_of(line) for line in refused or telling if not secret or secret not in line), None)
    if asked_again or refused:
        return False, words
    return (True, words) if telling or _SHELL.search(tail) else (None, None)


def _typed_line(line: bytes) -> str:
    """A line as it was meant: what was rubbed out (BS, DEL) is gone."""
    out = bytearray()
    for octet in line[:_MAX_LINE]:
        if octet == 0:
            continue
        if octet in (8, 127):
            del out[-1:]
        else:
            out.append(octet)
    return words_of(bytes(out))


def open_session(ends: FlowEnds, chunk: Chunk, emit: Emit) -> TelnetSession:
    """Opener for STREAMS."""
    return TelnetSession(ends, chunk, emit)
