"""In: the first and last bytes of a file, and its kind. Out: one line of what its content tells an analyst: the header of a
program, the names in an archive, whether a document carries macros. Never here: unpacking, running, judging.

The bytes are hostile: every offset is checked against what is there, every table is bounded, and what does not hold together
is said in words, not raised."""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final

from tracehound.limits import MAX_FACT_CHARACTERS, MAX_FACT_ENTRIES
from tracehound.protocols.hidden_program import under_xor, xor_key

_NAMES_SHOWN: Final = 8
_NAME_CHARACTERS: Final = 80


def _u16(data: bytes, at: int) -> int:
    """Little-endian; 0 beyond the end."""
    return int.from_bytes(data[at : at + 2], "little") if 0 <= at <= len(data) - 2 else 0


def _u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little") if 0 <= at <= len(data) - 4 else 0


def _shown(raw: bytes | str) -> str:
    """Printable text of a name."""
    name = raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else raw
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in name[:_NAME_CHARACTERS])


def _some(names: list[str]) -> str:
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _when(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


# -- PE: Microsoft's "PE Format" -------------------------------------------------------------------------------------------
_PE_MACHINES: Final = {
    0x14C: "x86", 0x8664: "x86-64", 0x1C0: "ARM", 0x1C4: "ARM Thumb-2", 0xAA64: "ARM64", 0x200: "Itanium", 0xEBC: "EFI",
    0x166: "MIPS", 0x1F0: "PowerPC",
}  # fmt: skip
_PE_SUBSYSTEMS: Final = {1: "native", 2: "GUI", 3: "console", 7: "POSIX", 9: "Windows CE", 10: "EFI", 14: "Xbox"}
_BY_ORDINAL: Final = frozenset({"ws2_32", "wsock32", "oleaut32"})
"""The usual import hash spells ordinals of these by a table of names; without it no hash is better than another one."""


class _Pe:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = _u32(data, 60)
        self.optional = self.at + 24
        self.wide = _u16(data, self.optional) == 0x20B
        self.directories = self.optional + (112 if self.wide else 96)
        sections = self.optional + _u16(data, self.at + 20)
        count = min(_u16(data, self.at + 6), MAX_FACT_ENTRIES)
        # Name (8), VirtualSize, VirtualAddress, SizeOfRawData, PointerToRawData, ...
        self.sections = [
            (data[s : s + 8].split(b"\0", 1)[0], *struct.unpack_from("<IIII", data, s + 8))
            for s in range(sections, sections + 40 * count, 40)
            if s + 40 <= len(data)
        ]

    def directory(self, number: int) -> tuple[int, int]:
        """(address, size) of a data directory."""
        if number >= _u32(self.data, self.directories - 4):
            return 0, 0
        return _u32(self.data, self.directories + 8 * number), _u32(self.data, self.directories + 8 * number + 4)

    def offset(self, address: int) -> int:
        """Where a relative virtual address lies in the file; -1 if nowhere."""
        for _name, virtual_size, virtual, raw_size, raw in self.sections:
            if virtual <= address < virtual + max(virtual_size, raw_size):
                return int(raw + address - virtual)
        return -1

    def _text(self, address: int) -> bytes:
        at = self.offset(address)
        return self.data[at : at + 256].split(b"\0", 1)[0] if 0 <= at < len(self.data) else b""

    def imports(self) -> Iterator[tuple[str, str]]:
        """(library, function or ordN) in file order."""
        at = self.offset(self.directory(1)[0])
        left = MAX_FACT_ENTRIES
        while 0 <= at <= len(self.data) - 20 and left > 0:
            lookup, name, bound = _u32(self.data, at), _u32(self.data, at + 12), _u32(self.data, at + 16)
            if not name:
                return
            library = self._text(name).decode("latin-1").lower()
            entry = self.offset(lookup or bound)
            width = 8 if self.wide else 4
            while 0 <= entry <= len(self.data) - width and left > 0:
                value = int.from_bytes(self.data[entry : entry + width], "little")
                if not value:
                    break
                ordinal = value >> (8 * width - 1)
                yield library, f"ord{value & 0xFFFF}" if ordinal else self._text((value & 0x7FFFFFFF) + 2).decode("latin-1")
                entry += width
                left -= 1
            at += 20
            left -= 1


def _import_hash(pe: _Pe) -> str | None:
    """MD5 over "library.function,..." in lower case, the library without .dll, .ocx or .sys (the field's imphash)."""
    words = []
    for library, function in pe.imports():
        stem = re.sub(r"\.(?:dll|ocx|sys)$", "", library)
        if stem in _BY_ORDINAL and re.fullmatch(r"ord\d+", function):
            return None
        words.append(f"{stem}.{function.lower()}")
    return hashlib.md5(",".join(words).encode("latin-1", "replace"), usedforsecurity=False).hexdigest() if words else None


def _pe(head: bytes, _tail: bytes, size: int) -> list[str]:
    pe = _Pe(head)
    if head[pe.at : pe.at + 4] != b"PE\0\0":
        return ["PE header beyond the bytes at hand"]
    flags = _u16(head, pe.at + 22)
    machine = _u16(head, pe.at + 4)
    out = [_PE_MACHINES.get(machine, f"machine {machine:#x}") + (" DLL" if flags & 0x2000 else " program")]
    subsystem = _u16(head, pe.optional + 68)
    out.append(_PE_SUBSYSTEMS.get(subsystem, f"subsystem {subsystem}"))
    stamp = _u32(head, pe.at + 8)
    out.append(f"linked {_when(stamp)}" if stamp else "no link time")
    if pe.directory(14)[0]:
        out.append(".NET")
    at, length = pe.directory(4)
    out.append(("signature " + ("beyond the file's end" if at + length > size else "present")) if at else "not signed")
    out.append("sections " + _some([_shown(s[0]) or "(unnamed)" for s in pe.sections]) if pe.sections else "no sections")
    end = max((raw + raw_size for _n, _v, _a, raw_size, raw in pe.sections), default=0)
    if at:
        end = max(end, at + length)
    if pe.sections and size > end:
        out.append(f"{size - end} bytes behind the last section")
    elif pe.sections and size < end:
        out.append(f"cut: {end - size} bytes lack")
    digest = _import_hash(pe)
    if digest:
        out.append(f"imphash {digest}")
    return out


# -- ELF: System V ABI, chapter 4 ---------------------------------------------------------------------------------------------
_ELF_MACHINES: Final = {
    2: "SPARC", 3: "x86", 4: "m68k", 8: "MIPS", 20: "PowerPC", 21: "PowerPC64", 22: "S390", 40: "ARM", 42: "SuperH",
    43: "SPARCv9", 50: "Itanium", 62: "x86-64", 93: "ARC", 183: "ARM64", 243: "RISC-V", 258: "LoongArch",
}  # fmt: skip
_ELF_TYPES: Final = {1: "object", 2: "program", 3: "shared object or PIE", 4: "core"}


def _elf(head: bytes, _tail: bytes, _size: int) -> list[str]:
    if len(head) < 52:
        return ["header cut"]
    wide, order = head[4] == 2, "big" if head[5] == 2 else "little"

    def number(at: int, width: int) -> int:
        return int.from_bytes(head[at : at + width], "big" if order == "big" else "little")

    machine = number(18, 2)
    out = [
        _ELF_MACHINES.get(machine, f"machine {machine}") + (" 64-bit" if wide else " 32-bit") + f" {order}-endian",
        _ELF_TYPES.get(number(16, 2), "unknown type"),
    ]
    table, entry, count = (number(32, 8), 56, number(56, 2)) if wide else (number(28, 4), 32, number(44, 2))
    kinds = [number(table + entry * i, 4) for i in range(min(count, 128)) if table + entry * (i + 1) <= len(head)]
    # PT_INTERP (3) names the dynamic linker.
    out.append("dynamically linked" if 3 in kinds or 2 in kinds else "statically linked")
    if number(60 if wide else 48, 2) == 0:
        out.append("no section headers")
    for mark, packer in ((b"UPX!", "UPX"),):
        if mark in head[:4096] or mark in head[-4096:]:
            out.append(f"packed with {packer}")
    return out


# -- OLE2: [MS-CFB] -------------------------------------------------------------------------------------------------------------
_STREAMS: Final = {
    "worddocument": "Word document", "workbook": "Excel workbook", "book": "Excel workbook", "powerpoint document": "PowerPoint",
    "__properties_version1.0": "Outlook message", "visiodocument": "Visio",
}  # fmt: skip
_OLE_MARKS: Final = {
    "vba": "VBA macros", "_vba_project": "VBA macros", "macros": "VBA macros", "_vba_project_cur": "VBA macros",
    "\x01ole10native": "embedded object", "objectpool": "embedded objects", "equation native": "Equation Editor object",
    "encryptedpackage": "encrypted", "encryptioninfo": "encrypted",
}  # fmt: skip


def _ole_names(data: bytes) -> list[str]:
    """Names of the directory entries, following the chain of directory sectors through the FAT as far as it is at hand."""
    shift = _u16(data, 30)
    if shift not in (9, 12):
        return []
    sector = 1 << shift
    fat_sectors = [_u32(data, 76 + 4 * i) for i in range(109)]
    names: list[str] = []
    number, steps, seen = _u32(data, 48), 0, set[int]()
    while number < 0xFFFFFFFA and number not in seen and steps < MAX_FACT_ENTRIES:
        seen.add(number)
        at = (number + 1) << shift
        for entry in range(at, min(at + sector, len(data) - 127), 128):
            length = _u16(data, entry + 64)
            if data[entry + 66] and 2 <= length <= 64:
                names.append(data[entry : entry + length - 2].decode("utf-16-le", "replace"))
        index, place = divmod(number, sector // 4)
        if index >= 109 or fat_sectors[index] >= 0xFFFFFFFA:
            break
        place = ((fat_sectors[index] + 1) << shift) + 4 * place
        if place + 4 > len(data):
            break
        number = _u32(data, place)
        steps += 1
    return names


def _ole(head: bytes, tail: bytes, _size: int) -> list[str]:
    names = [n.lower() for n in _ole_names(head)]
    out = list(dict.fromkeys(v for k, v in _STREAMS.items() if k in names))
    marks = dict.fromkeys(v for k, v in _OLE_MARKS.items() if k in names)
    if not names:
        # The directory lies beyond what is at hand: its names are looked for as such.
        both = head + tail
        marks = dict.fromkeys(v for k, v in _OLE_MARKS.items() if k.title().encode("utf-16-le") in both
                              or k.upper().encode("utf-16-le") in both)  # fmt: skip
    out += marks or ["no macros seen"]
    return out


# -- ZIP: APPNOTE.TXT ---------------------------------------------------------------------------------------------------------------
def _zip_entries(head: bytes, tail: bytes, size: int) -> Iterator[tuple[str, bool]]:
    """(name, encrypted) from the central directory where it is at hand, else from the local headers at the beginning."""
    data = head if len(head) == size else tail
    base = size - len(data)
    end = data.rfind(b"PK\x05\x06")
    at = _u32(data, end + 16) - base if end >= 0 else -1
    # Something may stand before the archive (a self-extractor): the directory ends where its end record begins.
    if end >= 0 and data[at : at + 4] != b"PK\x01\x02":
        at = end - _u32(data, end + 12)
    if end >= 0 and 0 <= at <= len(data) and data[at : at + 4] == b"PK\x01\x02":
        for _ in range(MAX_FACT_ENTRIES):
            if data[at : at + 4] != b"PK\x01\x02" or at + 46 > len(data):
                return
            length = _u16(data, at + 28)
            yield _shown(data[at + 46 : at + 46 + length]), bool(_u16(data, at + 8) & 1)
            at += 46 + length + _u16(data, at + 30) + _u16(data, at + 32)
        return
    at = head.find(b"PK\x03\x04")
    for _ in range(MAX_FACT_ENTRIES):
        if at < 0 or at + 30 > len(head):
            return
        length = _u16(head, at + 26)
        yield _shown(head[at + 30 : at + 30 + length]), bool(_u16(head, at + 6) & 1)
        at = head.find(b"PK\x03\x04", at + 30 + length)


_OFFICE_FOLDERS: Final = {"word/": "Word document", "xl/": "Excel workbook", "ppt/": "PowerPoint", "visio/": "Visio"}


def _zip(head: bytes, tail: bytes, size: int) -> list[str]:
    entries = list(_zip_entries(head, tail, size))
    names = [n for n, _ in entries]
    if not names:
        return ["no entry found"]
    out = [v for k, v in _OFFICE_FOLDERS.items() if any(n.startswith(k) for n in names)]
    lowered = [n.lower() for n in names]
    office = bool(out)
    if any(n.endswith("vbaproject.bin") for n in lowered):
        out.append("VBA macros")
    elif office:
        out.append("no macros seen")
    if any("/embeddings/" in n for n in lowered):
        out.append("embedded objects")
    if any(n.startswith("xl/macrosheets/") for n in lowered):
        out.append("Excel 4.0 macros")
    if any(e for _, e in entries):
        out.append("encrypted")
    if not office:
        files = [n for n in names if not n.endswith("/")]
        out.append(f"{len(files)} files: {_some(files)}" if len(files) != 1 else f"1 file: {files[0]}")
    return out


def _rar(head: bytes, _tail: bytes, _size: int) -> list[str]:
    if head[:8] == b"Rar!\x1a\x07\x01\x00":
        # RAR 5: CRC (4), size, type: 4 stands for an archive whose headers are encrypted.
        return ["RAR 5", "encrypted names" if len(head) > 13 and head[13] == 4 else "names readable"]
    flags = _u16(head, 10)
    out = ["RAR 4", "encrypted names" if flags & 0x80 else "names readable"]
    # The first file block follows the main header: type 0x74, flag 4 = encrypted, name at 32 (40 with 64-bit sizes).
    at = 7 + _u16(head, 12)
    if len(head) > at + 32 and head[at + 2] == 0x74 and not flags & 0x80:
        begin = at + (40 if _u16(head, at + 3) & 0x100 else 32)
        out.append("first file " + _shown(head[begin : begin + _u16(head, at + 26)].split(b"\0", 1)[0]))
        if _u16(head, at + 3) & 4:
            out.append("encrypted")
    return out


def _gzip(head: bytes, _tail: bytes, _size: int) -> list[str]:
    """RFC 1952: flag FNAME (8) says that the original name follows the header (and FEXTRA, 4)."""
    if len(head) < 18:
        return []
    at = 10 + (2 + _u16(head, 10) if head[3] & 4 else 0)
    stamp = _u32(head, 4)
    out = [f"original name {_shown(head[at : at + 256].split(bytes(1), 1)[0])}"] if head[3] & 8 else []
    return [*out, f"packed {_when(stamp)}"] if stamp else out


# -- PDF: ISO 32000-1 ------------------------------------------------------------------------------------------------------------
_PDF_MARKS: Final = {
    "JavaScript": "JavaScript", "JS": "JavaScript", "OpenAction": "OpenAction", "AA": "additional actions", "Launch": "Launch action",
    "EmbeddedFile": "embedded files", "Encrypt": "encrypted", "AcroForm": "form", "XFA": "XFA form", "RichMedia": "RichMedia",
    "URI": "links", "SubmitForm": "submits a form",
}  # fmt: skip
_PDF_NAME: Final = re.compile(rb"/([A-Za-z#0-9]{2,40})")


def _pdf(head: bytes, tail: bytes, _size: int) -> list[str]:
    version = re.search(rb"%PDF-([0-9.]{1,5})", head[:1024])
    names = {
        # 7.3.5: any character of a name may be written as #NN, which hides it from a plain search.
        re.sub(rb"#([0-9A-Fa-f]{2})", lambda h: bytes((int(h[1], 16),)), n).decode("latin-1") if b"#" in n else n.decode("latin-1")
        for n in set(_PDF_NAME.findall(head)) | set(_PDF_NAME.findall(tail))
    }  # fmt: skip
    out = [f"version {version[1].decode()}"] if version else []
    out += dict.fromkeys(v for k, v in _PDF_MARKS.items() if k in names)
    return [*out, "objects in streams not looked into"] if "ObjStm" in names else out


# -- LNK: [MS-SHLLINK] -------------------------------------------------------------------------------------------------------------
def _lnk(head: bytes, _tail: bytes, size: int) -> list[str]:
    flags = _u32(head, 20)
    at = 76
    out: list[str] = []
    if flags & 1:
        at += 2 + _u16(head, at)
    if flags & 2:
        base = _u32(head, at + 16)
        if _u32(head, at + 8) & 1 and base:
            path = head[at + base : at + base + 260].split(b"\0", 1)[0]
            out.append(f"target {_shown(path.decode('latin-1'))}")
        at += max(4, _u32(head, at))
    for bit, what in ((4, "description"), (8, "relative path"), (16, "working folder"), (32, "arguments"), (64, "icon")):
        if not flags & bit:
            continue
        count = _u16(head, at)
        raw = head[at + 2 : at + 2 + (2 * count if flags & 128 else count)]
        value = raw.decode("utf-16-le" if flags & 128 else "latin-1", "replace")
        out.append(f"{what} {''.join(c if c.isprintable() else ' ' for c in value[:200])}")
        at += 2 + (2 * count if flags & 128 else count)
    if size > 64 * 1024:
        out.append(f"{size} bytes, far more than a shortcut needs")
    return out


# -- scripts and documents made of text ------------------------------------------------------------------------------------------
_WORDS: Final = (
    "eval(", "unescape(", "fromCharCode", "ActiveXObject", "WScript.Shell", "Scripting.FileSystemObject", "ADODB.Stream", "XMLHTTP",
    "CreateObject", "ShellExecute", "URLDownloadToFile", "FromBase64String", "DownloadString", "DownloadFile", "Invoke-Expression",
    "Invoke-WebRequest", "IEX", "-EncodedCommand", "-enc ", "Add-MpPreference", "AmsiUtils", "VirtualAlloc", "Reflection.Assembly",
    "certutil", "bitsadmin", "mshta", "regsvr32", "rundll32", "powershell", "cmd /c", "cmd.exe", "schtasks", "vssadmin", "/dev/tcp/",
    "chmod +x", "chmod 777", "wget ", "curl ", "base64 -d", "busybox", "nc -e",
)  # fmt: skip
_SCRIPT_BYTES: Final = 512 * 1024


def _script(head: bytes, _tail: bytes, _size: int) -> list[str]:
    wide = head[:2] in (b"\xff\xfe", b"\xfe\xff")
    code = head[:_SCRIPT_BYTES].decode("utf-16" if wide else "latin-1", "replace")
    lowered = code.lower()
    found = [w.strip() for w in _WORDS if w.lower() in lowered]
    lines = code.splitlines()
    out = [f"{len(lines)} lines, the longest {max(map(len, lines), default=0)} characters"]
    return [*out, f"names {_some(found)}"] if found else out


def _rtf(head: bytes, _tail: bytes, _size: int) -> list[str]:
    out = []
    if b"\\objdata" in head:
        out.append("embedded object")
    if re.search(rb"(?i)equation\.3|4571756174696f6e2e33", head):
        out.append("Equation Editor object")
    if b"\\objupdate" in head:
        out.append("object updates itself")
    return out or ["no embedded object seen"]


Facts = Callable[[bytes, bytes, int], list[str]]

def _pe_xor(head: bytes, tail: bytes, size: int) -> list[str]:
    key = xor_key(head)
    if key is None:
        return []
    return [f"XOR key {key.hex()}", *_pe(under_xor(head, key), under_xor(tail, key, size - len(tail)), size)]


FACTS: Final[dict[str, Facts]] = {
    "pe": _pe, "pe_xor": _pe_xor,
    "elf": _elf, "ole": _ole, "ooxml": _zip, "ooxml_macro": _zip, "zip": _zip, "jar": _zip, "apk": _zip, "rar": _rar,
    "gzip": _gzip, "pdf": _pdf, "lnk": _lnk, "rtf": _rtf, "javascript": _script, "vbs": _script, "powershell": _script,
    "batch": _script, "shell": _script, "hta": _script, "python": _script, "perl": _script, "php": _script,
}  # fmt: skip
"""Kinds of body_kind that have facts, and what reads them."""


def file_facts(kind: str, head: bytes, tail: bytes, size: int) -> str | None:
    """What a file's content tells, some words each, joined by "; "; None for kinds that have no facts.

    head   its first bytes (all of them where len(head) == size)
    tail   the last of the bytes behind `head`"""
    read = FACTS.get(kind)
    if read is None or not head:
        return None
    try:
        said = read(head, tail, size)
    except (struct.error, IndexError, ValueError, OverflowError):
        return "content does not hold together"
    return "; ".join(said)[:MAX_FACT_CHARACTERS] or None
