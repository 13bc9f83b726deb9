"""In: the first bytes of a body, and the media type that was declared for it. Out: a short, stable name of what it is.
Never here: unpacking, or a judgement: findings/ says what an executable where a picture was declared means.

The content decides. The declared type is only heard where the content is plain text and nothing in it tells more."""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from collections.abc import Callable
from typing import Final

from tracehound.protocols.hidden_program import xor_key

KINDS: Final[dict[str, str]] = {
    "empty": "No bytes at all.",
    "pe": "Windows program or library (MZ with a PE header).",
    "pe_xor": "Windows program or library under a short XOR key.",
    "dos_exe": "MS-DOS program (MZ without a PE header).",
    "elf": "Program or library of Linux and other Unix systems.",
    "macho": "Program or library of macOS, one or several architectures.",
    "class": "Java class.",
    "dex": "Android bytecode.",
    "jar": "Java archive: ZIP with META-INF/MANIFEST.MF.",
    "apk": "Android package: ZIP with an Android manifest or bytecode.",
    "ooxml": "Office document in Open XML (docx, xlsx, pptx), no macro seen in its first bytes.",
    "ooxml_macro": "Office document in Open XML with a macro project.",
    "odf": "OpenDocument text, sheet or slides.",
    "epub": "Electronic book.",
    "zip": "ZIP archive of any other content.",
    "ole": "OLE2 compound file: Office document before 2007, MSI package, Outlook message.",
    "rtf": "Rich Text Format.",
    "pdf": "Portable Document Format.",
    "postscript": "PostScript program.",
    "lnk": "Windows shortcut.",
    "chm": "Compiled HTML help.",
    "swf": "Shockwave Flash.",
    "cab": "Microsoft cabinet.",
    "gzip": "gzip stream.",
    "bzip2": "bzip2 stream.",
    "xz": "xz stream.",
    "zstd": "Zstandard stream.",
    "lz4": "LZ4 frame.",
    "compress": "Unix compress (.Z).",
    "rar": "RAR archive.",
    "7z": "7-Zip archive.",
    "arj": "ARJ archive.",
    "tar": "tar archive.",
    "iso": "Optical disc image.",
    "gif": "GIF picture.",
    "png": "PNG picture.",
    "jpeg": "JPEG picture.",
    "bmp": "Windows bitmap.",
    "ico": "Windows icon or cursor.",
    "webp": "WebP picture.",
    "tiff": "TIFF picture.",
    "avi": "AVI film.",
    "wav": "WAVE sound.",
    "mp3": "MPEG sound.",
    "mp4": "MPEG-4 or QuickTime film.",
    "ogg": "Ogg container.",
    "flac": "FLAC sound.",
    "midi": "MIDI sound.",
    "flv": "Flash film.",
    "asf": "Windows Media (ASF) film or sound.",
    "matroska": "Matroska or WebM film.",
    "mpeg": "MPEG film.",
    "woff": "Web font.",
    "ttf": "TrueType or OpenType font.",
    "sqlite": "SQLite database.",
    "pcap": "Packet capture (pcap or pcapng).",
    "wasm": "WebAssembly module.",
    "der": "ASN.1 in DER: certificate, revocation list or OCSP.",
    "pem": "PEM: a certificate or key between BEGIN and END lines.",
    "html": "HTML page.",
    "hta": "HTML application: HTML that Windows runs with full rights.",
    "svg": "SVG picture.",
    "xml": "XML of any other kind.",
    "json": "JSON.",
    "javascript": "JavaScript.",
    "css": "Style sheet.",
    "vbs": "VBScript.",
    "powershell": "PowerShell script.",
    "batch": "Windows batch file.",
    "shell": "Unix shell script.",
    "python": "Python script.",
    "perl": "Perl script.",
    "php": "PHP source.",
    "text": "Plain text that tells no more.",
    "data": "Binary data of a kind not named here.",
}

EXECUTABLE_KINDS: Final = frozenset(
    {
        "pe", "pe_xor", "dos_exe", "elf", "macho", "class", "dex", "jar", "apk", "lnk", "chm", "hta", "vbs", "powershell", "batch",
        "shell", "python", "perl", "php", "ooxml_macro",
    }
)  # fmt: skip
"""Kinds that a host can run. JavaScript is left out: pages are full of it; `ole` and `ooxml` may hold macros unseen."""

KIND_BYTES: Final = 4096
"""Bytes of a head that are looked at; more tell nothing more."""


def _mz(head: bytes) -> str | None:
    """Microsoft PE format: the 32-bit offset of the PE header stands at 0x3c."""
    if len(head) >= 64:
        at = int.from_bytes(head[60:64], "little")
        if at + 4 <= len(head):
            return "pe" if head[at : at + 4] == b"PE\0\0" else "dos_exe"
        return "pe" if at < 0x10_0000 else "dos_exe"
    return None if _is_text(head) else "pe"


def _cafebabe(head: bytes) -> str:
    """Java's and Mach-O's magic are the same: what follows is a class-file version (45 and up) or a count of architectures."""
    return "macho" if len(head) >= 8 and int.from_bytes(head[4:8], "big") < 45 else "class"


def _zip(head: bytes) -> str:
    """By the names in the local headers that the head shows."""
    for mark, kind in _ZIP_MARKS:
        if mark in head:
            return kind
    return "zip"


_ZIP_MARKS: Final = (
    (b"vbaProject.bin", "ooxml_macro"),
    (b"AndroidManifest.xml", "apk"),
    (b"classes.dex", "apk"),
    (b"META-INF/MANIFEST.MF", "jar"),
    (b"mimetypeapplication/vnd.oasis.opendocument", "odf"),
    (b"mimetypeapplication/epub", "epub"),
    (b"[Content_Types].xml", "ooxml"),
    (b"_rels/.rels", "ooxml"),
    (b"META-INF/", "jar"),
)


def _riff(head: bytes) -> str | None:
    return {b"WEBP": "webp", b"AVI ": "avi", b"WAVE": "wav"}.get(head[8:12])


def _bmp(head: bytes) -> str | None:
    """The size of the header that follows the 14 bytes is one of few."""
    return (
        "bmp" if len(head) >= 18 and int.from_bytes(head[14:18], "little") in (12, 40, 52, 56, 64, 108, 124) else None
    )


def _ico(head: bytes) -> str | None:
    """Reserved 0, type 1 or 2, count; the first entry's reserved byte is 0 and its picture lies behind the directory."""
    count = int.from_bytes(head[4:6], "little")
    if len(head) < 22 or not 1 <= count <= 256 or head[9] != 0:
        return None
    return "ico" if int.from_bytes(head[18:22], "little") >= 6 + 16 * count else None


def _der(head: bytes) -> str | None:
    """A SEQUENCE with a two-byte length, holding a SEQUENCE or a small INTEGER."""
    return "der" if len(head) >= 8 and head[4] in (0x30, 0x02, 0x0A, 0x06) else None


def _swf(head: bytes) -> str | None:
    """Signature, version, length of the file."""
    return "swf" if len(head) >= 8 and 1 <= head[3] <= 50 else None


def _mp3(head: bytes) -> str | None:
    """A frame header: layer III, a bit rate and a sampling rate that exist."""
    valid = len(head) >= 4 and head[2] >> 4 not in (0, 15) and head[2] >> 2 & 3 != 3
    return "mp3" if valid else None


Decide = Callable[[bytes], str | None]

_MAGIC: Final[tuple[tuple[int, bytes, str | Decide], ...]] = (
    (0, b"MZ", _mz),
    (0, b"\x7fELF", "elf"),
    (0, b"\xca\xfe\xba\xbe", _cafebabe),
    (0, b"\xfe\xed\xfa\xce", "macho"),
    (0, b"\xfe\xed\xfa\xcf", "macho"),
    (0, b"\xce\xfa\xed\xfe", "macho"),
    (0, b"\xcf\xfa\xed\xfe", "macho"),
    (0, b"dex\n", "dex"),
    (0, b"\0asm\x01\0\0\0", "wasm"),
    (0, b"PK\x03\x04", _zip),
    (0, b"PK\x05\x06", "zip"),
    (0, b"PK00PK\x03\x04", _zip),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
    (0, b"{\\rt", "rtf"),
    (0, b"%!PS", "postscript"),
    (0, b"L\0\0\0\x01\x14\x02\0", "lnk"),
    (0, b"ITSF", "chm"),
    (0, b"FWS", _swf),
    (0, b"CWS", _swf),
    (0, b"ZWS", _swf),
    (0, b"MSCF\0\0\0\0", "cab"),
    (0, b"\x1f\x8b\x08", "gzip"),
    (0, b"BZh", lambda head: "bzip2" if head[4:10] in (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90") else None),
    (0, b"\xfd7zXZ\0", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (0, b"\x04\x22\x4d\x18", "lz4"),
    (0, b"\x1f\x9d", "compress"),
    (0, b"Rar!\x1a\x07", "rar"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"\x60\xea", "arj"),
    (257, b"ustar", "tar"),
    (0, b"GIF87a", "gif"),
    (0, b"GIF89a", "gif"),
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"\xff\xd8\xff", "jpeg"),
    (0, b"BM", _bmp),
    (0, b"\0\0\x01\0", _ico),
    (0, b"\0\0\x02\0", _ico),
    (0, b"RIFF", _riff),
    (0, b"II*\0", "tiff"),
    (0, b"MM\0*", "tiff"),
    (4, b"ftyp", "mp4"),
    (4, b"moov", "mp4"),
    (0, b"OggS", "ogg"),
    (0, b"fLaC", "flac"),
    (0, b"MThd", "midi"),
    (0, b"FLV\x01", "flv"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "asf"),
    (0, b"\x1aE\xdf\xa3", "matroska"),
    (0, b"\0\0\x01\xba", "mpeg"),
    (0, b"\0\0\x01\xb3", "mpeg"),
    (0, b"ID3", "mp3"),
    (0, b"\xff\xfb", _mp3),
    (0, b"\xff\xf3", _mp3),
    (0, b"wOFF", "woff"),
    (0, b"wOF2", "woff"),
    (0, b"\0\x01\0\0\0", "ttf"),
    (0, b"OTTO\0", "ttf"),
    (0, b"SQLite format 3\0", "sqlite"),
    (0, b"\xd4\xc3\xb2\xa1", "pcap"),
    (0, b"\xa1\xb2\xc3\xd4", "pcap"),
    (0, b"\x0a\x0d\x0d\x0a", "pcap"),
    (0, b"\x30\x82", _der),
)
"""Offset, bytes there, and the kind or what decides it. In this order; the first that says something holds."""

_PDF: Final = re.compile(rb"\s{0,16}%PDF-[0-9]")
"""Readers accept a header within the first bytes of the file (ISO 32000-1, annex H.3.4.1), so droppers put some before it."""


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


_TEXTS: Final[tuple[tuple[str, re.Pattern[str], tuple[str, ...]], ...]] = tuple(
    (kind, _pattern(text), words)
    for kind, text, words in (
        ("pem", r"-----BEGIN [A-Z0-9 ]{1,64}-----", ()),
        ("php", r"<\?php\b|#![^\n]{0,64}\bphp", ()),
        ("python", r"#![^\n]{0,64}\bpython", ()),
        ("perl", r"#![^\n]{0,64}\bperl", ()),
        ("powershell", r"#![^\n]{0,64}\bpwsh", ()),
        ("javascript", r"#![^\n]{0,64}\bnode", ()),
        ("shell", r"#!", ()),
        ("hta", r"<hta:application\b", ("<hta:",)),
        ("svg", r"(?:<\?xml[^>]{0,200}\?>\s{0,64})?(?:<!--.{0,400}?-->\s{0,64})?(?:<!DOCTYPE svg\b|<svg\b)", ()),
        ("html", r"(?:<\?xml[^>]{0,200}\?>\s{0,64})?(?:<!--.{0,400}?-->\s{0,64})?"
                 r"<(?:!DOCTYPE\s{1,64}html|html|head|title|body|meta|script|iframe|frameset|table|div|center|h[1-6]|p|br|font"
                 r"|form|a|img|style|link|base|span|ul|b|i|pre|hr)\b", ()),
        ("xml", r"<\?xml\b|<[A-Za-z_][\w.-]{0,64}:[A-Za-z_][\w.-]{0,64}\s+xmlns|<(?:rss|feed|soap)\b", ()),
        ("html", r"<!--", ()),
        ("json", r'\{\s{0,64}(?:"(?:[^"\\\n]|\\.){0,200}"\s{0,16}:|\}\s{0,64}$)', ()),
        ("json", r'\[\s{0,64}(?:\{\s{0,64}["}]|\[|"(?:[^"\\\n]|\\.){0,200}"\s{0,16}[,\]]'
                 r"|-?[0-9]{1,20}(?:\.[0-9]{1,20})?\s{0,16}[,\]]|(?:true|false|null)\s{0,16}[,\]]|\]\s{0,64}$)", ()),
        ("batch", r"@?echo off\b|@echo\b|@rem\b|rem [^\n]*\n|setlocal\b|@?start /", ()),
        ("powershell", r"\bNew-Object\s+(?:System\.)?(?:Net|IO)\.|\bInvoke-(?:Expression|WebRequest|RestMethod)\b|\bIEX\s*\("
                       r"|\[System\.(?:Convert|Text|Reflection|Net)[\w.]{0,40}\]::|\$env:\w|Set-StrictMode\b"
                       r"|\bStart-Process\b",
         ("new-object", "invoke-", "iex", "[system.", "$env:", "set-strictmode", "start-process")),
        ("powershell", r"(?:<#|param\s{0,16}\(\s{0,16}\[|function [A-Z][a-z]{1,20}-[A-Z]\w{0,40}"
                       r"|\$\w{1,40}\s{0,16}=\s{0,16}[\[@$'\"])", ()),
        ("vbs", r"(?:on error resume next|option explicit|dim [a-z_]\w{0,40}(?:\s{0,8},|\s{0,8}[\r\n:])"
                r"|set \w{1,40}\s{0,8}=\s{0,8}(?:createobject|getobject|wscript)"
                r"|'[^\n]*\n\s{0,16}(?:dim|set|sub|on error) )", ()),
        ("vbs", r"\b(?:Set\s+\w{1,40}\s*=\s*CreateObject\s*\(|WScript\.CreateObject\s*\()", ("createobject",)),
        ("shell", r"(?:cd /[\w./]{0,64}\s{0,8}(?:\|\||;|&&|\n)|(?:wget|curl|tftp|ftpget) [^\n]{0,200}(?:;|&&|\|)"
                  r"|/?bin/busybox\b|busybox "
                  r"|export [A-Z_]{2,40}=|PATH=)", ()),
        ("python", r"(?:import [a-z_][\w.]{0,40}(?:,|\s{0,8}\n|\s{1,8}as )"
                   r"|from [a-z_][\w.]{0,40} import |def [a-z_]\w{0,40}\(\w{0,40}\):)", ()),
        ("javascript", r"""(?:var\s{1,8}[\w$]{1,64}|let\s{1,8}[\w$]{1,64}\s{0,8}=|const\s{1,8}[\w${\[]{1,64}"""
                       r"""|function\b\s{0,8}[\w$]{0,64}\s{0,8}\("""
                       r"""|[!+;]?\(?\s{0,4}function\s{0,4}\(|\(\(?[\w$,]{0,40}\)?\s{0,4}=>"""
                       r"""|["']use strict["']|eval\s{0,4}\("""
                       r"""|(?:document|window|self|jQuery|\$)[.(\[]|if\s{0,4}\(|try\s{0,4}\{|import\s{1,8}[\w*{"'])""", ()),
        ("css", r"(?:@(?:charset|import|media|font-face|namespace)\b"
                r"|[.#*]?[\w.#:,>*\[\]= -]{1,120}\{\s{0,64}[\w-]{1,40}\s{0,8}:"
                r"|[.#*]?[\w.#:,>* \r\n-]{1,200}\{\s{0,64}[\w-]{1,40}\s{0,8}:)", ()),
    )
)  # fmt: skip
"""Kind, pattern, and the words of which one is in every text that the pattern matches somewhere (looking for words takes a
hundredth of the time that a search by pattern does); () = the pattern stands at the beginning. Every repetition is bounded."""

_DECLARED: Final[dict[str, str]] = {
    "text/html": "html",
    "application/xhtml+xml": "html",
    "text/css": "css",
    "application/json": "json",
    "text/json": "json",
    "text/javascript": "javascript",
    "application/javascript": "javascript",
    "application/x-javascript": "javascript",
    "application/ecmascript": "javascript",
    "text/vbscript": "vbs",
    "application/x-sh": "shell",
    "text/x-sh": "shell",
    "text/x-python": "python",
    "application/hta": "hta",
}
"""What a declared media type makes of plain text that tells nothing by itself."""

_COMMENT: Final = re.compile(r"\s{0,64}(?:/\*.{0,4000}?\*/|//[^\n]{0,400}\n)\s{0,64}", re.DOTALL)
_BINARY_CONTROL: Final = bytes(c for c in range(32) if c not in b"\t\n\r\f\x08\x1b") + b"\x7f"
_BOMS: Final = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))


def _is_text(head: bytes) -> bool:
    """No control bytes but those of text, and UTF-8 (which may be cut at the end) or mostly ASCII."""
    if len(head.translate(None, _BINARY_CONTROL)) != len(head):
        return False
    try:
        getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return sum(byte >= 0x80 for byte in head) * 10 < len(head) * 3
    return True


def _as_text(head: bytes) -> str | None:
    for mark, coding in _BOMS:
        if head.startswith(mark):
            text = head[len(mark) :].decode(coding, "replace")
            odd = sum(character == "\ufffd" or character < "\t" for character in text)
            return text if odd * 10 <= len(text) else None
    # Windows writes scripts as UTF-16 without a mark, too.
    if len(head) >= 8 and not any(head[1:64:2]) and all(head[0:64:2]):
        return head.decode("utf-16-le", "replace")
    return head.decode("utf-8", "replace") if _is_text(head) else None


_BY_FIRST_BYTE: Final = tuple(
    tuple(one for one in _MAGIC if one[0] or one[1][0] == first) for first in range(256)
)  # fmt: skip
"""Those of _MAGIC that a body with this first byte may be, in the same order."""


def _magic(head: bytes) -> str | None:
    for offset, mark, kind in _BY_FIRST_BYTE[head[0]]:
        if head.startswith(mark, offset):
            said = kind if isinstance(kind, str) else kind(head)
            if said is not None:
                return said
    return "pdf" if _PDF.match(head) else None


def _text_kind(text: str) -> str | None:
    text = text.lstrip()
    bare = text
    for _ in range(4):
        comment = _COMMENT.match(bare)
        if comment is None:
            break
        bare = bare[comment.end() :]
    lower = text.lower()
    for kind, pattern, words in _TEXTS:
        if words and not any(word in lower for word in words):
            continue
        if (pattern.search(text) if words else pattern.match(bare)) is not None:
            return kind
    return None


def body_kind(head: bytes, declared: str | None = None) -> str:
    """What a body is: a key of KINDS.

    head       its first bytes, content coding removed; some hundred are enough for most kinds
    declared   its Content-Type, parameters and case do not matter; None = not declared"""
    if not head:
        return "empty"
    head = head[:KIND_BYTES]
    said = _magic(head)
    if said is not None:
        return said
    # Zeros under a printable key look like text.
    if xor_key(head) is not None:
        return "pe_xor"
    text = _as_text(head)
    if text is None:
        return "data"
    media_type = (declared or "").partition(";")[0].strip().lower()
    return _text_kind(text) or _DECLARED.get(media_type, "text")
