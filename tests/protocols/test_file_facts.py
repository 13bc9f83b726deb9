"""In: small files made here, damaged ones, and real ones. Out: their facts. Never here: kinds (test_body_kind.py)."""

import hashlib
import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import SHARED, needs_shared
from tracehound.edges.reading import read
from tracehound.protocols.file_facts import FACTS, file_facts


def zipped(*names, password=False):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, b"x" * 10)
    raw = bytearray(out.getvalue())
    if password:
        raw[raw.find(b"PK\x01\x02") + 8] |= 1
    return bytes(raw)


def facts(kind, data):
    return file_facts(kind, data, b"", len(data)) or None


def test_zip():
    assert facts("zip", zipped("a.txt", "b/evil.exe")) == "2 files: a.txt, b/evil.exe"
    assert facts("zip", zipped("invoice.js", password=True)) == "encrypted; 1 file: invoice.js"
    assert facts("ooxml", zipped("word/document.xml")) == "Word document; no macros seen"
    assert facts("ooxml", zipped("xl/vbaProject.bin", "xl/embeddings/o.bin")) == "Excel workbook; VBA macros; embedded objects"


def test_zip_whose_middle_is_not_at_hand():
    data = zipped(*(f"name{n}.txt" for n in range(50)))
    assert "50 files" in str(file_facts("zip", data[:100], data[-4000:], len(data)))
    assert "1 file: name0.txt" in str(file_facts("zip", data[:45], b"", len(data)))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"%PDF-1.5\n1 0 obj <</OpenAction 2 0 R>> <</S /Java#53cript /JS (x)>>", "version 1.5; JavaScript; OpenAction"),
        (b"%PDF-1.4\nnothing", "version 1.4"),
    ],
)
def test_pdf(data, said):
    assert facts("pdf", data) == said


def test_script():
    assert facts("powershell", b"IEX (New-Object Net.WebClient).DownloadString('x')\n") == (
        "1 lines, the longest 50 characters; names DownloadString, IEX"
    )


def test_shell_link():
    header = bytearray(76)
    header[0], header[20] = 76, 32 | 128
    words = "-enc AAAA"
    assert facts("lnk", bytes(header) + len(words).to_bytes(2, "little") + words.encode("utf-16-le")) == "arguments -enc AAAA"


def test_elf():
    header = bytearray(64)
    header[:6] = b"\x7fELF\x02\x01"
    header[16], header[18] = 2, 62
    assert facts("elf", bytes(header)) == "x86-64 64-bit little-endian; program; statically linked; no section headers"


def test_kinds_without_facts_have_none():
    assert facts("gif", b"GIF89a") is None and facts("pe", b"") is None


@given(st.sampled_from(sorted(FACTS)), st.binary(max_size=600), st.binary(max_size=200), st.integers(0, 2000))
def test_any_bytes(kind, head, tail, more):
    said = file_facts(kind, head, tail, len(head) + len(tail) + more)
    assert said is None or said.isprintable()


@given(st.data())
def test_damaged_archives_and_programs(data):
    kind, raw = data.draw(st.sampled_from([("zip", zipped("a", "b")), ("ole", OLE), ("pe", PE)]))
    broken = bytearray(raw)
    for _ in range(data.draw(st.integers(0, 8))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    assert file_facts(kind, bytes(broken), b"", len(broken))


def _ole():
    """One FAT sector, one directory sector with two entries."""
    header = bytearray(512)
    header[:8] = bytes.fromhex("d0cf11e0a1b11ae1")
    header[30] = 9
    header[48:52] = (1).to_bytes(4, "little")
    header[76:512] = b"\0\0\0\0" + b"\xff" * 432
    fat = (0xFFFFFFFD).to_bytes(4, "little") + (0xFFFFFFFE).to_bytes(4, "little") + b"\xff" * 504
    directory = b""
    for name, kind in (("Root Entry", 5), ("WordDocument", 2), ("Macros", 1), ("", 0)):
        text = name.encode("utf-16-le") + b"\0\0" if name else b""
        directory += (text.ljust(64, b"\0") + len(text).to_bytes(2, "little") + bytes((kind,))).ljust(128, b"\0")
    return bytes(header) + fat + directory


OLE = _ole()
PE = (b"MZ".ljust(60, b"\0") + (64).to_bytes(4, "little") + b"PE\0\0\x4c\x01\x01\0" + bytes(12) + b"\xe0\0\x02\x21\x0b\x01" + bytes(90)
      + (16).to_bytes(4, "little") + bytes(128) + b".text\0\0\0" + bytes(32))  # fmt: skip


def test_ole():
    assert facts("ole", OLE) == "Word document; VBA macros"


def test_pe():
    assert facts("pe", PE).startswith("x86 DLL; subsystem 0; no link time; not signed; sections .text")


def test_a_program_under_a_key():
    hidden = bytes(b ^ b"key"[n % 3] for n, b in enumerate(PE))
    assert facts("pe_xor", hidden) == f"XOR key {b'key'.hex()}; {facts('pe', PE)}"
    cut = file_facts("pe_xor", hidden[:300], hidden[300:], len(hidden))
    assert cut == f"XOR key {b'key'.hex()}; {file_facts('pe', PE[:300], PE[300:], len(PE))}"


@needs_shared
def test_a_real_program():
    with read(str(SHARED / "captures/zeek/http/putty-upload.pcap")) as reading:
        (program,) = [f for f in reading.table("files").to_pylist() if f["kind"] == "pe"]
    assert "x86-64 program; GUI; linked 2022-10-28 17:25:37" in program["facts"] and "_RDATA" in program["facts"]
    assert len(program["md5"]) == hashlib.md5().digest_size * 2 and 0 < program["entropy"] < 8
