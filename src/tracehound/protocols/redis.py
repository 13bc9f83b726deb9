"""In: the ordered bytes of a flow that speaks RESP (Redis). Out: a row of table `database`. Never here: values that are stored or read.

Redis documentation, "Redis serialization protocol specification"; commands AUTH, HELLO, CONFIG SET."""

from __future__ import annotations

import re
from typing import Final

from tracehound.limits import MAX_REDIS_REPLIES, MAX_TEXT_LINE_BYTES
from tracehound.protocols.database import DatabaseSession
from tracehound.protocols.lines import words_of
from tracehound.protocols.reporter import swapped
from tracehound.protocols.session import Emit, FlowEnds
from tracehound.streams.reassemble import Chunk

_SHOWN_WORDS: Final = 8
_SECRET_SETTINGS: Final = frozenset({"requirepass", "masterauth", "masteruser"})
_VERSION: Final = re.compile(rb"redis_version:([\w.]{1,32})")
_NESTED: Final = 4_096


class _Values:
    """One direction, split into top-level values; only the words of arrays of bulk strings are kept."""

    def __init__(self) -> None:
        self._buffer = b""
        self._skip = 0
        self._left = 0
        self._words: list[bytes] = []
        self._kind = b""
        self.lost = False
        self.where = (0, 0)

    def feed(self, chunk: Chunk) -> list[tuple[bytes, list[bytes], tuple[int, int]]]:
        """(first letter of the value, its words, where it begins) of the values that are complete."""
        found: list[tuple[bytes, list[bytes], tuple[int, int]]] = []
        if chunk.gap_before:
            self.lost = True
        if self.lost:
            return found
        data, at = self._buffer + chunk.data, 0
        base = chunk.offset - len(self._buffer)
        while at < len(data):
            if not self._left:
                self.where = chunk.segments.packet_at(max(base + at, chunk.offset))
            end = data.find(b"\r\n", at)
            if end < 0:
                self.lost = len(data) - at > MAX_TEXT_LINE_BYTES
                break
            line, after = data[at:end], end + 2
            kind = line[:1]
            size = int(line[1:]) if kind in b"*$%~>" and kind and line[1:].lstrip(b"-").isdigit() and len(line) < 12 else -1
            if kind == b"$" and size >= 0:
                if after + size + 2 > len(data):
                    if size > 1 << 20:
                        self.lost = True
                    break
                self._word(data[after : after + min(size, 512)], kind)
                after += size + 2
            elif kind in b"*%~>" and kind and size > 0:
                count = size * (2 if kind == b"%" else 1)
                self._kind = self._kind or kind
                # The value itself counts as one that is over once its members are.
                self._left = (self._left - 1 if self._left else 0) + min(count, 1 << 20)
                at = after
                continue
            else:
                self._word(line, kind)
            at = after
            if self._left == 0:
                found.append((self._kind, self._words, self.where))
                self._words, self._kind = [], b""
        self._buffer = data[at:]
        return found

    def _word(self, word: bytes, kind: bytes) -> None:
        self._kind = self._kind or kind
        if len(self._words) < _NESTED:
            self._words.append(word)
        if self._left:
            self._left -= 1


class RedisSession(DatabaseSession):
    service = "redis"

    def __init__(self, ends: FlowEnds, emit: Emit, *, originator_is_client: bool) -> None:
        super().__init__(ends if originator_is_client else swapped(ends), emit)
        self._originator_is_client = originator_is_client
        self._sides = {True: _Values(), False: _Values()}
        self._sent = 0
        self._replied = 0
        self._auth_at: int | None = None
        self._replies: dict[int, bytes] = {}

    def read(self, chunk: Chunk) -> None:
        client = chunk.from_originator == self._originator_is_client
        if not client and self._replied >= MAX_REDIS_REPLIES:
            return
        for kind, words, where in self._sides[client].feed(chunk):
            if client:
                self._command(words, where)
            else:
                self._reply(kind, words)

    def _command(self, words: list[bytes], where: tuple[int, int]) -> None:
        number, self._sent = self._sent, self._sent + 1
        parts = [words_of(w) for w in words[:_SHOWN_WORDS]]
        if len(parts) == 1:
            # Inline commands are words of one line.
            parts = parts[0].split()[:_SHOWN_WORDS]
        if not parts:
            return
        parts[0] = parts[0].upper()
        upper = [p.upper() for p in parts]
        auth = upper.index("AUTH") if upper[0] in ("AUTH", "HELLO") and "AUTH" in upper else None
        if auth is not None and len(parts) > auth + 1:
            # AUTH password, AUTH user password, HELLO n AUTH user password.
            named = len(parts) > auth + 2
            self.user = parts[auth + 1] if named else "default"
            self.method, self.cleartext, self.asked, self._auth_at = "AUTH", True, where, number
            parts = [*parts[: auth + 1], *([parts[auth + 1]] if named else []), "<hidden>"]
            self._settle()
        elif parts[0] == "CONFIG" and len(parts) > 3 and parts[2].lower() in _SECRET_SETTINGS:
            parts[3:] = ["<hidden>"]
        elif parts[0] == "SELECT" and len(parts) > 1:
            self.database = parts[1]
        elif parts[0] == "CLIENT" and len(parts) > 2 and parts[1].upper() == "SETNAME":
            self.client_software = parts[2]
        self.command(" ".join(parts))

    def _reply(self, kind: bytes, words: list[bytes]) -> None:
        number, self._replied = self._replied, self._replied + 1
        first = words[0] if words else b""
        found = _VERSION.search(first) if kind == b"$" else None
        if found is not None:
            self.server_version = "Redis " + words_of(found.group(1))
        if first[:1] == b"-" and self.answer is None:
            self.answer = words_of(first[1:])
        self._replies[number] = first[:1] if kind in (b"+", b"-") else kind
        self._settle()

    def _settle(self) -> None:
        """The answer to AUTH is the reply of the same number."""
        if self._auth_at is not None and self._auth_at in self._replies:
            self.accepted = self._replies[self._auth_at] != b"-"


def open_session(ends: FlowEnds, chunk: Chunk, emit: Emit) -> RedisSession:
    """Opener for STREAMS: a client speaks in arrays."""
    return RedisSession(ends, emit, originator_is_client=chunk.from_originator == (chunk.data[:1] == b"*"))
