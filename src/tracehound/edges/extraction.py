"""In: the content of files as they are met, piece by piece, and the rows of table `files`. Out: those files in a folder, with an
index; or their content for a moment, to try YARA rules on. Never here: what a file is (protocols/), or which are wanted.

Names come from a number and a sanitised copy of the sender's name, never from its path. Nothing that exists is overwritten,
nothing written can be executed, and every bound is a name of limits.py."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from tracehound.errors import UsageError
from tracehound.limits import (
    MAX_EXTRACTED_BYTES,
    MAX_EXTRACTED_FILE_BYTES,
    MAX_EXTRACTED_FILES,
    MAX_EXTRACTED_NAME_CHARACTERS,
)

INDEX: Final = "index.jsonl"
_ESCAPED: Final = re.compile(r"\\x[0-9a-f]{2}")
_ODD: Final = re.compile(r"[^A-Za-z0-9._-]+")
_ENDINGS: Final = {
    "pe": "exe", "dos_exe": "exe", "elf": "elf", "macho": "macho", "ooxml": "ooxml", "ooxml_macro": "ooxml", "ole": "ole",
    "gzip": "gz", "bzip2": "bz2", "zstd": "zst", "compress": "Z", "jpeg": "jpg", "javascript": "js", "powershell": "ps1",
    "batch": "bat", "shell": "sh", "python": "py", "perl": "pl", "text": "txt", "data": "bin", "ico": "ico", "matroska": "mkv",
    "mpeg": "mpg", "sqlite": "db", "der": "der", "postscript": "ps", "empty": "bin",
}  # fmt: skip
"""Endings that differ from the kind's own name."""


def safe_name(txn_id: int, name: str | None, kind: str | None) -> str:
    """What a file is called on disk: its number, letters and digits of the sender's name, an ending by its content."""
    last = re.split(r"[\\/]", _ESCAPED.sub("_", name or ""))[-1]
    plain = _ODD.sub("_", last).strip("._-")
    ending = _ENDINGS.get(kind or "data", kind or "bin")
    if len(plain) > MAX_EXTRACTED_NAME_CHARACTERS:
        plain = plain[:MAX_EXTRACTED_NAME_CHARACTERS].rstrip("._-")
    if not plain:
        return f"{txn_id}.{ending}"
    return f"{txn_id}-{plain}" if plain.lower().endswith("." + ending.lower()) else f"{txn_id}-{plain}.{ending}"


class Spill:
    """Content of files, one spill file each, in a folder of their own that goes with this object.

    folder   where that folder is made; None = wherever the system keeps temporary files"""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix=".tracehound-", dir=folder)
        self._root = Path(self._folder.name)
        self._sizes: dict[int, int] = {}
        self._total = 0
        self.left_out = 0

    def keep(self, txn_id: int, data: bytes) -> None:
        """The next bytes of a file, as far as the bounds let them in."""
        size = self._sizes.get(txn_id)
        if size is None:
            if len(self._sizes) >= MAX_EXTRACTED_FILES:
                self.left_out += 1
                return
            size = 0
        room = max(0, min(MAX_EXTRACTED_FILE_BYTES - size, MAX_EXTRACTED_BYTES - self._total))
        part = data[:room]
        self._sizes[txn_id] = size + len(part)
        self._total += len(part)
        if part:
            place = os.open(self.path(txn_id), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                view = memoryview(part)
                while view:
                    view = view[os.write(place, view) :]
            except OSError as problem:
                raise UsageError(f"content of files cannot be kept: {problem.strerror}") from None
            finally:
                os.close(place)

    def path(self, txn_id: int) -> Path:
        return self._root / str(txn_id)

    def size(self, txn_id: int) -> int:
        """Bytes that are kept of a file."""
        return self._sizes.get(txn_id, 0)

    def content(self, txn_id: int, most: int) -> bytes:
        """The first `most` bytes of a file; b"" where none are kept."""
        if not self.size(txn_id):
            return b""
        with self.path(txn_id).open("rb") as file:
            return file.read(most)

    def __enter__(self) -> Spill:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._folder.cleanup()


def prepared_folder(place: str) -> Path:
    """The folder to extract into: made, or there and empty. Raises UsageError."""
    folder = Path(place)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"--extract {place}: the folder is not empty, and nothing is ever overwritten")
    except OSError as problem:
        raise UsageError(f"--extract {place}: {problem.strerror}") from None
    return folder


def write_files(rows: Sequence[Mapping[str, Any]], spill: Spill, folder: Path) -> int:
    """Move the content of these rows of table `files` into `folder` and write its index; returns how many were written.

    rows   every column of `files` plus whatever the index shall say of each; `bytes` tells whether the content is whole"""
    written = 0
    with _new(folder / INDEX) as index:
        for row in rows:
            txn_id = int(row["txn_id"])
            size = spill.size(txn_id)
            entry = {"extracted": None, "extracted_bytes": size, **row}
            if size:
                name = safe_name(txn_id, row.get("name"), row.get("kind"))
                target = folder / name
                # Made anew, so that nothing can be there; then the content takes its place.
                _new(target).close()
                os.replace(spill.path(txn_id), target)  # noqa: PTH105
                entry["extracted"] = name
                written += 1
            if size < int(row["bytes"]):
                entry["note"] = "; ".join(n for n in (row.get("note"), "not written in full: limit of the extraction") if n)
            index.write(json.dumps(entry, ensure_ascii=True, default=str).encode() + b"\n")
    return written


def _new(path: Path) -> Any:
    """A file that did not exist before, for its owner alone. Raises UsageError."""
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    except OSError as problem:
        raise UsageError(f"{path}: {problem.strerror}") from None
