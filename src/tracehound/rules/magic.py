"""In: the first bytes of a file. Out: its type in libmagic's words, for `filemagic`. Never here: the file's name.

libmagic itself is a C library that pip does not install everywhere; protocols/body_kind.py knows the kinds, and here they get the
words that rules are written with."""

from __future__ import annotations

from typing import Final

from tracehound.protocols.body_kind import body_kind

_SIGNS: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\x89PNG\r\n\x1a\n", "PNG image data"), (b"GIF87a", "GIF image data, version 87a"), (b"GIF89a", "GIF image data, version 89a"),
    (b"\xff\xd8\xff", "JPEG image data"), (b"%PDF-", "PDF document"), (b"PK\x03\x04", "Zip archive data"),
    (b"\x1f\x8b", "gzip compressed data"),
    (b"BZh", "bzip2 compressed data"), (b"\xfd7zXZ\x00", "XZ compressed data"), (b"7z\xbc\xaf\x27\x1c", "7-zip archive data"),
    (b"Rar!\x1a\x07", "RAR archive data"), (b"\x7fELF", "ELF"), (b"\xca\xfe\xba\xbe", "compiled Java class data"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Composite Document File V2 Document"), (b"FWS", "Macromedia Flash data"),
    (b"CWS", "Macromedia Flash data (compressed)"), (b"ZWS", "Macromedia Flash data (lzma compressed)"),
    (b"{\\rtf", "Rich Text Format data"),
    (b"MSCF", "Microsoft Cabinet archive data"), (b"BM", "PC bitmap"), (b"II*\x00", "TIFF image data, little-endian"),
    (b"MM\x00*", "TIFF image data, big-endian"), (b"OggS", "Ogg data"), (b"ID3", "Audio file with ID3"), (b"<?xml", "XML document text"),
    (b"\x00\x00\x01\x00", "MS Windows icon resource"), (b"%!PS", "PostScript document text"), (b"ITSF", "MS Windows HtmlHelp Data"),
    (b"L\x00\x00\x00\x01\x14\x02\x00", "MS Windows shortcut"),
)  # fmt: skip
_RIFF: Final = {b"WAVE": ", WAVE audio", b"AVI ": ", AVI", b"WEBP": ", Web/P image"}
_KINDS: Final[dict[str, str]] = {"html": "HTML document", "javascript": "JavaScript source", "json": "JSON data", "text": "ASCII text"}


def _executable(data: bytes) -> str | None:
    """MS-DOS and Windows programs, as libmagic words them."""
    if data[:2] != b"MZ":
        return None
    at = int.from_bytes(data[60:64], "little")
    if data[at : at + 4] != b"PE\0\0" or len(data) < at + 96:
        return "MS-DOS executable"
    wide = int.from_bytes(data[at + 24 : at + 26], "little") == 0x20B
    library = int.from_bytes(data[at + 22 : at + 24], "little") & 0x2000
    machine = int.from_bytes(data[at + 4 : at + 6], "little")
    subsystem = {1: "native", 2: "GUI", 3: "console"}.get(int.from_bytes(data[at + 92 : at + 94], "little"), "unknown")
    cpu = {0x14C: "Intel 80386", 0x8664: "x86-64"}.get(machine, "unknown processor")
    return f"PE32{'+' if wide else ''} executable{' (DLL)' if library else ''} ({subsystem}) {cpu}, for MS Windows"


def magic(data: bytes) -> str:
    """What libmagic would call the file; "data" where nothing is known."""
    found = _executable(data)
    if found is not None:
        return found
    for sign, words in _SIGNS:
        if data.startswith(sign):
            return words
    if data[:4] == b"RIFF":
        return "RIFF (little-endian) data" + _RIFF.get(data[8:12], "")
    if data[4:8] == b"ftyp":
        return "ISO Media, MP4"
    kind = body_kind(data)
    return _KINDS.get(kind, "data")
