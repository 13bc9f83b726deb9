"""In: the ordered bytes of both directions of a flow. Out: a row of table `telnet` a conversation, and logins as rows of `logins`.
Never here: a password, or what is typed behind the login.

RFC 854 (Telnet), 855 (options), 1091 (terminal type). Telnet has no message for a login: it is told by prompts, as Zeek's login
analyzer does. The sides are put in order by time, for their bytes do not arrive interleaved."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final, NamedTuple

from tracehound.limits import MAX_TELNET_BANNER, MAX_TELNET_EVENTS, MAX_TEXT_LINE_BYTES
from tracehound.protocols.lines import visible, words_of
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
_USER_PROMPT: Final = re.compile(rb"(?:login|username|user name|user|account|log in)(?: name| id)?[^\S\n]*:[^\S\n]*\Z", re.IGNORECASE)
_PASSWORD_PROMPT: Final = re.compile(rb"(?:password|passwd|passcode|pass)(?: for [^\n:]{1,80})?[^\S\n]*:[^\S\n]*\Z", re.IGNORECASE)
_LAST: Final = re.compile(rb"last (?:successful )?login|welcome", re.IGNORECASE)
_REFUSED: Final = re.compile(rb"incorrect|fail|invalid|denied|wrong|bad password|not permitted|refused|unknown user", re.IGNORECASE)
_SHELL: Final = re.compile(rb"[$#%>][^\S\n]*(?:\x1b\[[0-9;]*[A-Za-z])*[^\S\n]*\Z")
_MAX_LINE: Final = 512


class Event(NamedTuple):
    """kind: line (of the client), user, password, refused, accepted (of the server)."""

    ts_ns: int
    order: int
    kind: str
    text: str
    packet_id: int


class Side:
    """One direction: commands taken out, options noted."""

    def __init__(self) -> None:
        self.options: list[str] = []
        self.terminal: str | None = None
        self.text = b""
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
        self._banner = b""
        self._banner_open = True
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
        self.finished = len(self._events) >= MAX_TELNET_EVENTS

    def _typed(self, side: Side, text: bytes, packet_id: int, ts_ns: int) -> None:
        """What the client sends: lines end with CR LF or CR NUL (RFC 854), or LF."""
        side.text += text
        *lines, side.text = re.split(rb"\r\n|\r\0|\r|\n", side.text)
        side.text = side.text[-MAX_TEXT_LINE_BYTES:]
        for line in lines:
            if line != b"\0":
                self._event("line", _typed_line(line.strip(b"\0")), packet_id, ts_ns)

    def _shown(self, side: Side, text: bytes, packet_id: int, ts_ns: int) -> None:
        if self._banner_open:
            self._banner = (self._banner + text)[: 4 * MAX_TELNET_BANNER]
        side.text = (side.text + text)[-_MAX_LINE:]
        tail = side.text.rstrip(b"\0")
        kind = "password" if _PASSWORD_PROMPT.search(tail) else "user" if _USER_PROMPT.search(tail) else ""
        if _LAST.search(tail):
            self._event("accepted", words_of(tail.strip().splitlines()[-1]), packet_id, ts_ns)
            side.text = b""
        elif _REFUSED.search(tail):
            found = next((line for line in tail.splitlines() if _REFUSED.search(line)), b"")
            self._event("refused", words_of(found.strip()), packet_id, ts_ns)
            side.text = b""
        elif not kind and _SHELL.search(tail):
            self._event("accepted", "", packet_id, ts_ns)
        if kind and tail:
            self._event(kind, "", packet_id, ts_ns)
            self._banner_open = False
            side.text = b""

    def _event(self, kind: str, text: str, packet_id: int, ts_ns: int) -> None:
        if len(self._events) < MAX_TELNET_EVENTS:
            self._events.append(Event(ts_ns, len(self._events), kind, text, packet_id))

    def close(self, note: str) -> None:
        notes = "; ".join(filter(None, (note, "bytes are missing" if self._missing else ""))) or None
        e = self._ends
        ends = (e.originator, e.originator_port, e.responder, e.responder_port)
        logins = self._logins()
        for n, (user, asked, accepted, answer) in enumerate(logins):
            self._emit("logins", (e.flow_id << TXN_SHIFT | n, e.flow_id, asked.ts_ns, *ends, "telnet", user, "password", True,
                                  accepted, answer or None, asked.packet_id, notes))  # fmt: skip
        banner = visible(words_of(self._banner.strip(b"\r\n \0"))[:MAX_TELNET_BANNER])
        prompts = sum(event.kind == "user" for event in self._events)
        self._emit("telnet", (e.flow_id << TXN_SHIFT, e.flow_id, self._ts_ns, *ends, self._client.options, self._server.options,
                              self._client.terminal, banner or None, prompts, self._packet_id, notes))  # fmt: skip

    def _logins(self) -> list[tuple[str | None, Event, bool | None, str]]:
        """User, the line with the password, whether it was accepted, the server's words."""
        logins: list[tuple[str | None, Event, bool | None, str]] = []
        due = ""
        user: str | None = None
        attempt: Event | None = None
        for event in sorted(self._events):
            if event.kind == "line":
                if due == "user":
                    user = event.text or None
                elif due == "password":
                    attempt = event
                due = ""
                continue
            if attempt is not None:
                # A further prompt means that the attempt failed.
                logins.append((user, attempt, event.kind == "accepted", event.text))
                attempt = None
            due = event.kind if event.kind in ("user", "password") else due
        if attempt is not None:
            logins.append((user, attempt, None, ""))
        return logins


def _typed_line(line: bytes) -> str:
    """A line as it was meant: what was rubbed out (BS, DEL) is gone."""
    out = bytearray()
    for octet in line[:_MAX_LINE]:
        if octet in (8, 127):
            del out[-1:]
        else:
            out.append(octet)
    return words_of(bytes(out))


def open_session(ends: FlowEnds, chunk: Chunk, emit: Emit) -> TelnetSession:
    """Opener for STREAMS."""
    return TelnetSession(ends, chunk, emit)
