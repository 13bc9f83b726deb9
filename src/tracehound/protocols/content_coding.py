"""In: a Content-Encoding and the bytes of a body as transferred, in order. Out: the bytes that they stand for, within a bound.
Never here: headers, hashing, or what the body is.

gzip (RFC 1952), deflate (RFC 1950, which many servers send as bare RFC 1951), zstd (RFC 8878), br (RFC 7932; needs the module
`brotli`, an extra). A body that does not hold what its header says is taken as it is, with a note."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Final, Protocol

from tracehound.limits import MAX_HTTP_BODY_DECODED_BYTES, MAX_HTTP_CODINGS, MAX_ZSTD_WINDOW_BYTES

CUT: Final = "decoded body cut at the limit"
_ZSTD_INPUT_BYTES: Final = 2048
"""zstandard gives no bound for one call's output: 2 KiB of input are at most 512 blocks of 128 KiB."""


class CodingError(Exception):
    """The bytes are not what the coding says."""


class _Step(Protocol):
    def decode(self, data: bytes, room: int) -> tuple[bytes, bool]:
        """At most `room` bytes of output (b"" for none yet), and whether more was left out. Raises CodingError."""


class _Zlib:
    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._z = zlib.decompressobj(wbits)
        self._begun = False

    def decode(self, data: bytes, room: int) -> tuple[bytes, bool]:
        pieces: list[bytes] = []
        while data:
            if self._z.eof:
                # RFC 1952 2.2: members follow one another; anything else behind the end is not part of the body.
                if self._wbits != 31 or data[:2] != b"\x1f\x8b"[: len(data)]:
                    break
                self._z = zlib.decompressobj(31)
            if room <= 0:
                return b"".join(pieces), True
            try:
                out = self._z.decompress(data, room)
            except zlib.error as problem:
                if self._wbits == 15 and not self._begun:
                    self._wbits, self._z = -15, zlib.decompressobj(-15)
                    continue
                if pieces:
                    break
                raise CodingError from problem
            self._begun = True
            pieces.append(out)
            room -= len(out)
            if self._z.unconsumed_tail:
                return b"".join(pieces), True
            data = self._z.unused_data if self._z.eof else b""
        return b"".join(pieces), False


class _Zstd:
    def __init__(self) -> None:
        import zstandard

        self._error = zstandard.ZstdError
        # RFC 9659: a content coding's window is 8 MiB at most.
        self._z = zstandard.ZstdDecompressor(max_window_size=MAX_ZSTD_WINDOW_BYTES).decompressobj()

    def decode(self, data: bytes, room: int) -> tuple[bytes, bool]:
        pieces: list[bytes] = []
        for at in range(0, len(data), _ZSTD_INPUT_BYTES):
            if self._z.eof:
                break
            try:
                out = self._z.decompress(data[at : at + _ZSTD_INPUT_BYTES])
            except self._error as problem:
                if pieces:
                    break
                raise CodingError from problem
            pieces.append(out[:room])
            if len(out) > room:
                return b"".join(pieces), True
            room -= len(out)
        return b"".join(pieces), False


class _Brotli:
    def __init__(self, module: Any) -> None:
        self._error = module.error
        self._z = module.Decompressor()

    def decode(self, data: bytes, room: int) -> tuple[bytes, bool]:
        pieces: list[bytes] = []
        while not self._z.is_finished():
            if room <= 0:
                return b"".join(pieces), True
            try:
                out = self._z.process(data, output_buffer_limit=room)
            except self._error as problem:
                if pieces:
                    break
                raise CodingError from problem
            # The buffer grows by blocks and may pass the limit a little.
            pieces.append(out[:room])
            room -= len(out)
            data = b""
            if self._z.can_accept_more_data() and not out:
                break
        return b"".join(pieces), room < 0


def _brotli() -> _Step | str:
    try:
        import brotli
    except ImportError:
        return "content coding br: module brotli is not installed; body taken as sent"
    return _Brotli(brotli)


_CODINGS: Final[dict[str, Callable[[], _Step | str]]] = {
    "gzip": lambda: _Zlib(31),
    "x-gzip": lambda: _Zlib(31),
    "deflate": lambda: _Zlib(15),
    "zstd": _Zstd,
    "br": _brotli,
}


class Decoding:
    """The content codings of one body, taken off. `note` says what went wrong ("" = nothing)."""

    __slots__ = ("_given", "_steps", "note")

    def __init__(self, encoding: str) -> None:
        self.note = ""
        self._given = 0
        self._steps: list[_Step] = []
        names = [n for n in (part.strip().lower() for part in encoding.split(",")) if n not in ("", "identity")]
        # RFC 9110 8.4: codings are listed in the order in which they were applied.
        for name in reversed(names[:MAX_HTTP_CODINGS]):
            make = _CODINGS.get(name)
            step = make() if make is not None else f"content coding {name[:20]!r} is not known; body taken as sent"
            if isinstance(step, str):
                self.note = step
                break
            self._steps.append(step)

    def __bool__(self) -> bool:
        return bool(self._steps)

    def decode(self, data: bytes) -> bytes:
        """The next bytes without their codings."""
        sent = data
        for number, step in enumerate(self._steps):
            room = MAX_HTTP_BODY_DECODED_BYTES - self._given
            if room <= 0:
                self.note = CUT
                return b""
            try:
                data, cut = step.decode(data, room)
            except CodingError:
                return self._broken(sent if number == 0 else b"")
            if cut:
                self.note = CUT
            if not data:
                return b""
        self._given += len(data)
        return data

    def _broken(self, data: bytes) -> bytes:
        if self._given == 0 and data:
            # Not what Content-Encoding says; taken as it is.
            self._steps.clear()
            self.note = "content coding does not hold; body taken as sent"
            return data
        self.note = "content coding broken off"
        self._steps = [_Nothing()]
        return b""


class _Nothing:
    """What follows the damage of a coded body is lost."""

    def decode(self, data: bytes, room: int) -> tuple[bytes, bool]:
        return b"", False
