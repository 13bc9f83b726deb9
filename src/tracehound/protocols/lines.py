"""In: the ordered bytes of both directions of a flow whose protocol speaks in lines. Out: lines with their packet and time, told
apart by who is the client; stretches that are not lines (mail, literals) are handed over raw. Never here: a protocol's own words.

Bytes of the two directions arrive in stretches, not interleaved as they were on the wire; so nothing here may depend on what the
other side has said so far: `Exchange` pairs commands and replies by their order alone."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from tracehound.limits import MAX_TEXT_FIELD, MAX_TEXT_LINE_BYTES, MAX_TEXT_PIPELINE
from tracehound.protocols.reporter import Reporter, swapped
from tracehound.protocols.session import Emit, FlowEnds, Session
from tracehound.streams.interleave import packets_of
from tracehound.streams.reassemble import Chunk

OnLine = Callable[[bytes, int, int], None]
"""(line with its end, packet_id, ts_ns)"""
Raw = Callable[[bytes, int, Chunk], int]
"""(data, at, chunk): takes bytes from data[at:], returns where it stopped."""

_TLS_HANDSHAKE: Final = 0x16
_REPLY: Final = re.compile(rb"(\d{3})([ -]?)(.*)", re.DOTALL)
_TLS_MODULE: Final = "tracehound.protocols.tls"


def visible(words: str) -> str:
    """Text as kept in tables: characters that do not print as \\xNN, at most MAX_TEXT_FIELD of them."""
    words = words[:MAX_TEXT_FIELD]
    return words if words.isprintable() else "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in words)


def words_of(raw: bytes) -> str:
    """Bytes of a line as text: UTF-8 where it is, Latin-1 otherwise; without the line's end."""
    raw = raw[: 4 * MAX_TEXT_FIELD].rstrip(b"\r\n")
    try:
        return visible(raw.decode("utf-8"))
    except UnicodeDecodeError:
        return visible(raw.decode("latin-1"))


class LineReader:
    """One direction. Hands out lines until `raw` is set; then bytes go there until it is None again.

    A line longer than MAX_TEXT_LINE_BYTES is handed out cut, and its rest dropped. A line that begins with a TLS handshake record
    (RFC 8446 5.1: type 22) is where the protocol has been upgraded: everything from there goes to `on_tls`."""

    def __init__(self, on_line: OnLine, on_gap: Callable[[], None], on_tls: Callable[[Chunk], None]) -> None:
        self.raw: Raw | None = None
        self.tls = False
        self._on_line = on_line
        self._on_gap = on_gap
        self._on_tls = on_tls
        self._held = b""
        self._held_from = (0, 0)
        self._skip = False

    def feed(self, chunk: Chunk) -> None:
        """The next bytes. Packet by packet: a file in a mail is told to begin in the packet that its part begins in."""
        if self.tls:
            self._on_tls(chunk)
            return
        for packet in packets_of(chunk):
            self._packet(packet)

    def _packet(self, chunk: Chunk) -> None:
        if self.tls:
            self._on_tls(chunk)
            return
        if chunk.gap_before:
            # The line that the gap cuts, and what is left of it behind the gap, mean nothing.
            self._held, self._skip = b"", True
            self._on_gap()
        data, at, end = chunk.data, 0, len(chunk.data)
        while at < end:
            if self.raw is not None:
                self._skip = False
                at = self.raw(data, at, chunk)
                continue
            if not self._held and not self._skip and data[at] == _TLS_HANDSHAKE:
                self.tls = True
                self._on_tls(chunk._replace(data=data[at:], offset=chunk.offset + at, gap_before=0))
                return
            at = self._line(data, at, chunk)

    def _line(self, data: bytes, at: int, chunk: Chunk) -> int:
        newline = data.find(b"\n", at)
        stop = newline + 1 if newline >= 0 else len(data)
        if self._skip:
            self._skip = newline < 0
            return stop
        if not self._held:
            self._held_from = chunk.segments.packet_at(chunk.offset + at)
        line = self._held + data[at : min(stop, at + MAX_TEXT_LINE_BYTES + 1 - len(self._held))]
        if newline < 0 and len(line) <= MAX_TEXT_LINE_BYTES:
            self._held = line
            return stop
        self._held = b""
        self._skip = newline < 0
        self._on_line(line[:MAX_TEXT_LINE_BYTES], *self._held_from)
        return stop


class Exchange:
    """Commands and replies of a protocol that answers in order, paired by `pair(command, reply)`; a command that gets no reply
    any more is given to `pair` with None. After a gap nothing is paired: what belongs together can no longer be told."""

    def __init__(self, pair: Callable[[Any, Any], None]) -> None:
        self.aligned = True
        self._pair = pair
        self._commands: deque[Any] = deque()
        self._replies: deque[Any] = deque()

    def command(self, command: Any) -> None:
        if not self.aligned:
            self._pair(command, None)
            return
        self._commands.append(command)
        self._match()

    def reply(self, reply: Any) -> None:
        if self.aligned:
            self._replies.append(reply)
            self._match()

    @property
    def oldest(self) -> Any:
        """The command whose reply is due; None = no command waits."""
        return self._commands[0] if self._commands else None

    def _match(self) -> None:
        while self._commands and self._replies:
            self._pair(self._commands.popleft(), self._replies.popleft())
        if len(self._commands) > MAX_TEXT_PIPELINE or len(self._replies) > MAX_TEXT_PIPELINE:
            self.lose()

    def lose(self) -> None:
        """Pair nothing more; what waits is given out."""
        self.aligned = False
        self._replies.clear()
        while self._commands:
            self._pair(self._commands.popleft(), None)


class Replies:
    """Three-digit replies (RFC 5321 4.2, RFC 959 4.2), put together from their lines: (code, text of the last line).

    RFC 959 4.2: lines between "230-" and "230 " need not begin with a code."""

    def __init__(self) -> None:
        self._open = b""

    @property
    def unfinished(self) -> bool:
        """Whether a reply of several lines is open."""
        return self._open != b""

    def line(self, raw: bytes) -> tuple[int, str] | None:
        """Next line; gives the reply that it completes."""
        match = _REPLY.match(raw.rstrip(b"\r\n"))
        if match is None:
            return None
        code, mark, rest = match.groups()
        if self._open and code != self._open:
            return None
        if mark == b"-":
            self._open = code
            return None
        self._open = b""
        return int(code), words_of(rest)


class TextSession(Reporter):
    """A session of a protocol that speaks in lines. Subclasses name `service`, tell a server's first bytes (`server_first`), and
    take `client_line` and `server_line`; `src` of their rows is the client, whoever the flow's originator is."""

    server_first: re.Pattern[bytes] = re.compile(rb"\d")

    def __init__(self, ends: FlowEnds, chunk: Chunk, emit: Emit) -> None:
        self.finished = False
        server_speaks = self.server_first.match(chunk.data) is not None
        self._client_is_originator = chunk.from_originator != server_speaks
        self.given_ends = ends
        super().__init__(ends if self._client_is_originator else swapped(ends), emit)
        self.client = LineReader(self.client_line, lambda: self.gap(True), self._tls)
        self.server = LineReader(self.server_line, lambda: self.gap(False), self._tls)
        self._inner: Session | None = None

    # -- what a protocol says ---------------------------------------------------------------------------------------------
    def client_line(self, line: bytes, packet_id: int, ts_ns: int) -> None:
        """A line of the client."""

    def server_line(self, line: bytes, packet_id: int, ts_ns: int) -> None:
        """A line of the server."""

    def gap(self, client: bool) -> None:
        """Bytes of one side are missing."""

    def done(self) -> None:
        """The flow is over: hand out what is unfinished."""

    # -- Session ------------------------------------------------------------------------------------------------------------
    def feed(self, chunk: Chunk) -> None:
        if chunk.gap_before and not self.tls:
            self.note("bytes are missing")
        (self.client if chunk.from_originator == self._client_is_originator else self.server).feed(chunk)

    def close(self, note: str) -> None:
        self.note(note)
        self.done()
        if self._inner is not None:
            self._inner.close(note)

    @property
    def tls(self) -> bool:
        """Whether the conversation went on in TLS."""
        return self.client.tls or self.server.tls

    def _tls(self, chunk: Chunk) -> None:
        """RFC 3207, 2595, 4217: behind STARTTLS the protocol is TLS, which its own reader reads."""
        if self._inner is None and importlib.util.find_spec(_TLS_MODULE) is not None:
            self._inner = importlib.import_module(_TLS_MODULE).open_session(self.given_ends, chunk, self.emit)
        if self._inner is not None:
            if not self._inner.finished:
                self._inner.feed(chunk)
            self.finished = self._inner.finished and self.client.tls and self.server.tls
        else:
            self.finished = self.client.tls and self.server.tls
