"""In: the first bytes of a file. Out: what it is: a capture format, a compression, or a word for what it looks like instead.
Never here: names or suffixes of files (they lie), reading a file.

Sources: the formats' own specifications; `looks_like` serves messages only."""

from __future__ import annotations

from typing import Final

HEAD_BYTES: Final = 24
"""Bytes that suffice to tell every kind in this file (and the length of a pcap file header)."""

CAPTURE_MAGIC: Final[dict[bytes, str]] = {
    bytes.fromhex("d4c3b2a1"): "pcap",  # microseconds
    bytes.fromhex("a1b2c3d4"): "pcap",
    bytes.fromhex("4d3cb2a1"): "pcap",  # nanoseconds
    bytes.fromhex("a1b23c4d"): "pcap",
    bytes.fromhex("34cdb2a1"): "pcap",  # Kuznetzov's modified record header
    bytes.fromhex("a1b2cd34"): "pcap",
    bytes.fromhex("0a0d0d0a"): "pcapng",
}
COMPRESSION_MAGIC: Final[tuple[tuple[bytes, str], ...]] = (
    (bytes.fromhex("1f8b08"), "gzip"),
    (b"BZh", "bzip2"),
    (bytes.fromhex("fd377a585a00"), "xz"),
    (bytes.fromhex("28b52ffd"), "zstd"),
    (bytes.fromhex("04224d18"), "lz4"),
)
BYTE_ORDER_MAGIC: Final = (bytes.fromhex("1a2b3c4d"), bytes.fromhex("4d3c2b1a"))
OTHER_MAGIC: Final[tuple[tuple[bytes, str], ...]] = (
    (b"snoop\0\0\0", "a Solaris snoop capture"),
    (b"GMBU", "a Microsoft Network Monitor capture"),
    (b"RTSS", "a Microsoft Network Monitor capture"),
    (b"XCP\0", "a NetXRay or Sniffer capture"),
    (b"TRSNIFF data", "a Sniffer capture"),
    (bytes.fromhex("1c0001ab"), "an IxVeriWave or Ixia capture"),
    (bytes.fromhex("1c0001ac"), "an IxVeriWave or Ixia capture"),
    (bytes.fromhex("0ca5"), "an nfdump file"),
    (b"\x83\x10\x00", "an argus file"),
    (b"#separator", "a Zeek log"),
    (b"#fields", "a Zeek log"),
    (b"PK\x03\x04", "a zip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x1f\x9d", "a file packed with compress"),
    (bytes.fromhex("02214c18"), "lz4's old format"),
    (b"PAR1", "a Parquet file"),
    (b"\x7fELF", "an ELF program"),
    (b"MZ", "a Windows program"),
    (b"%PDF", "a PDF document"),
    (b"<!DOCTYPE", "an HTML or XML document"),
    (b"<html", "an HTML document"),
    (b"<?xml", "an XML document"),
    (b"{", "JSON"),
    (b"[", "JSON"),
)


def capture_kind(head: bytes) -> str | None:
    """The capture format that begins with `head` ("pcap", "pcapng"), or None."""
    kind = CAPTURE_MAGIC.get(head[:4])
    # pcapng section 4.1: the byte-order magic follows the block type, which text with blank lines could show as well.
    if kind == "pcapng" and len(head) >= 12 and head[8:12] not in BYTE_ORDER_MAGIC:
        return None
    return kind


def compression(head: bytes) -> str | None:
    """The compression that begins with `head`, or None."""
    for magic, name in COMPRESSION_MAGIC:
        if head.startswith(magic):
            # bzip2: the fourth byte is the block size in units of 100 kB.
            return None if name == "bzip2" and head[3:4] not in b"123456789" else name
    # Zstandard, section 3.1.2: a skippable frame (magic 0x184D2A50 to 5F) may come first; pzstd writes one.
    if len(head) >= 4 and 0x50 <= head[0] <= 0x5F and head[1:4] == bytes.fromhex("2a4d18"):
        return "zstd"
    return None


def looks_like(head: bytes) -> str:
    """A phrase for what `head` seems to begin, for messages about files that are no evidence."""
    if not head:
        return "an empty file"
    for magic, name in OTHER_MAGIC:
        if head.startswith(magic):
            return name
    if all(0x20 <= byte < 0x7F or byte in b"\t\n\r\x0c" for byte in head):
        return "plain text"
    return "an unknown format (it begins with " + head[:8].hex(" ") + ")"
