"""SMB 1 to 3 with what they carry: NTLM, files, DCE/RPC over pipes; DCE/RPC over TCP."""

import hashlib
import struct
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import SHARED, needs_shared
from tests.protocols.conversations import talk
from tracehound.edges.reading import read
from tracehound.protocols.dce_rpc_interfaces import interface_name, operation_name
from tracehound.protocols.nt_status import status_name

SAMR = "12345778-1234-abcd-ef00-0123456789ac"
HANDLE = bytes(range(16))


def wide(text: str) -> bytes:
    return text.encode("utf-16-le")


def framed(*messages: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(m)) + m for m in messages)


def modern(command: int, number: int, body: bytes, *, answer: bool = False, status: int = 0, tree: int = 1) -> bytes:
    return (b"\xfeSMB" + struct.pack("<HHIHHIIQIIQ", 64, 0, status, command, 1, int(answer), 0, number, 0, tree, 9) + bytes(16)
            + body)  # fmt: skip


def ntlm(kind: int, *fields: bytes, flags: int = 1) -> bytes:
    at, table, values = 72, b"", b""
    for value in fields:
        table += struct.pack("<HHI", len(value), len(value), at + len(values))
        values += value
    head = b"NTLMSSP\0" + struct.pack("<I", kind)
    if kind == 2:
        target = table[:8]
        return (head + target + struct.pack("<I", flags) + bytes(16) + table[8:16]).ljust(72, b"\0") + values
    return (head + table + struct.pack("<I", flags)).ljust(72, b"\0") + values


PAIRS = b"".join(struct.pack("<HH", n, len(wide(t))) + wide(t) for n, t in ((1, "SRV"), (2, "DOM"), (3, "srv.dom.example"))) + bytes(4)
CHALLENGE = ntlm(2, wide("DOM"), PAIRS)
RESPONSE = bytes(44) + struct.pack("<HH", 9, 14) + wide("cifs/x\0") + bytes(4)
AUTHENTICATE = ntlm(3, bytes(24), RESPONSE, wide("DOM"), wide("joe"), wide("PC7"), b"")


def setup(token: bytes, *, answer: bool) -> bytes:
    if answer:
        return struct.pack("<HHHH", 9, 0, 72, len(token)) + token
    return struct.pack("<HBBIIHHQ", 25, 0, 0, 0, 0, 88, len(token), 0) + token


def create(name: str, options: int = 0) -> bytes:
    return struct.pack("<HBBIQQIIIIIHHII", 57, 0, 0, 2, 0, 0, 0x10003, 0, 7, 1, options, 120, len(wide(name)), 0, 0) + wide(name)


def created(size: int = 0, handle: bytes = HANDLE) -> bytes:
    return struct.pack("<HBBI", 89, 0, 0, 2) + struct.pack("<Q", 132_000_000_000_000_000) * 4 + struct.pack("<QQII", 0, size, 0, 0) + handle


def written(data: bytes, offset: int) -> bytes:
    return struct.pack("<HHIQ", 49, 112, len(data), offset) + HANDLE + bytes(16) + data


def answered_read(data: bytes) -> bytes:
    return struct.pack("<HBBIII", 17, 80, 0, len(data), 0, 0) + data


def ask_read(size: int, offset: int) -> bytes:
    return struct.pack("<HBBIQ", 49, 0, 0, size, offset) + HANDLE + bytes(16)


def named_info(kind: int, value: bytes) -> bytes:
    return struct.pack("<HBBIHHI", 33, 1, kind, len(value), 96, 0, 0) + HANDLE + value


def close() -> bytes:
    return struct.pack("<HHI", 24, 0, 0) + HANDLE


PATH = "\\\\srv\\share"
LOGIN = [
    (True, framed(modern(0, 0, bytes(36)), modern(1, 1, setup(ntlm(1), answer=False)))),
    (False, framed(modern(0, 0, struct.pack("<HHH", 65, 1, 0x311) + bytes(60), answer=True),
                   modern(1, 1, setup(CHALLENGE, answer=True), answer=True, status=0xC0000016))),
    (True, framed(modern(1, 2, setup(b"\x30\x10" + AUTHENTICATE, answer=False)),
                  modern(3, 3, struct.pack("<HHHH", 9, 0, 72, len(wide(PATH))) + wide(PATH)))),
    (False, framed(modern(1, 2, setup(b"", answer=True), answer=True),
                   modern(3, 3, struct.pack("<HBBIII", 16, 1, 0, 0, 0, 0), answer=True))),
]  # fmt: skip
HALF, REST = b"MZ" + bytes(500), bytes(range(256))
FILES = [
    (True, framed(modern(5, 4, create("a\\tool.exe")), modern(9, 5, written(REST, len(HALF))), modern(9, 6, written(HALF, 0)),
                  modern(8, 7, ask_read(65536, 0)), modern(17, 8, named_info(10, bytes(16) + struct.pack("<I", 10) + wide("b.exe"))),
                  modern(17, 9, named_info(13, b"\1")), modern(6, 10, close()))),
    (False, framed(modern(5, 4, created(9), answer=True), modern(9, 5, bytes(17), answer=True), modern(9, 6, bytes(17), answer=True),
                   modern(8, 7, answered_read(b"old bytes"), answer=True), modern(17, 8, bytes(2), answer=True),
                   modern(17, 9, bytes(2), answer=True), modern(6, 10, bytes(60), answer=True))),
]  # fmt: skip


def test_session_share_and_files():
    rows = talk("smb", [*LOGIN, *FILES])
    said = [(r["action"], r["user"], r["share"], r["name"], r["result"]) for r in rows["smb"]]
    assert said == [
        ("negotiate", None, None, None, "SUCCESS"),
        ("session", "joe", None, None, "SUCCESS"),
        ("tree_connect", "joe", PATH, None, "SUCCESS"),
        ("open", "joe", PATH, "a\\tool.exe", "SUCCESS"),
        ("rename", "joe", PATH, "a\\tool.exe", "SUCCESS"),
        ("delete", "joe", PATH, "b.exe", "SUCCESS"),
        ("read", "joe", PATH, "b.exe", "SUCCESS"),
        ("write", "joe", PATH, "b.exe", "SUCCESS"),
    ]
    opened, renamed = rows["smb"][3], rows["smb"][4]
    assert (opened["access"], opened["disposition"], opened["file_size"]) == ("read, write, delete", "created", 9)
    assert opened["created_ts"] == (132_000_000_000_000_000 - 116_444_736_000_000_000) * 100
    assert renamed["new_name"] == "b.exe" and opened["host_name"] == "PC7"
    fetched, sent = rows["files"]
    assert (fetched["sha256"], fetched["complete"], fetched["sent_by_src"]) == (hashlib.sha256(b"old bytes").hexdigest(), True, False)
    assert (sent["sha256"], sent["complete"], sent["sent_by_src"]) == (hashlib.sha256(HALF + REST).hexdigest(), True, True)
    (who,) = rows["ntlm"]
    assert (who["user"], who["domain"], who["host_name"], who["ntlm_version"]) == ("joe", "DOM", "PC7", "NTLMv2")
    assert (who["server_nb_computer_name"], who["server_dns_computer_name"], who["target_spn"]) == ("SRV", "srv.dom.example", "cifs/x")
    (login,) = rows["logins"]
    assert (login["user"], login["method"], login["cleartext"], login["accepted"]) == ("DOM\\joe", "NTLM", False, True)


@given(st.lists(st.integers(1, 2000), max_size=8))
def test_cut_anywhere(cuts):
    assert talk("smb", [*LOGIN, *FILES], cuts) == talk("smb", [*LOGIN, *FILES])


def test_answers_before_requests_and_gaps():
    swapped = [(not client, data) for client, data in LOGIN]
    (mine,) = {tuple(sorted((r["action"], r["user"]) for r in talk("smb", said)["smb"])) for said in (LOGIN, swapped)}
    assert ("tree_connect", "joe") in mine
    rows = talk("smb", [*LOGIN, (True, 100), *FILES])
    assert rows["smb"][-1]["data_bytes"] == len(HALF) + len(REST) and "missing" in rows["smb"][-1]["note"]


def compressed(original: int, offset: int, flags: int = 0) -> bytes:
    """[MS-SMB2] 2.2.42.1: mark, size before compression, algorithm (LZNT1), flags, offset."""
    return framed(b"\xfcSMB" + struct.pack("<IHHI", original, 1, flags, offset) + bytes(40))


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (compressed(4096, 16), 0),
        (compressed(0xFFFFFFFF, 16), 1),
        (compressed(0x28, 0xFFFFFFFF) * 2, 1),
        (compressed(0xFFFFFFFF, 16, flags=1), 0),  # chained: the field is a length
        (framed(b"\xfcSMB\xff\xff\xff\xff"), 0),
    ],
)
def test_compressed_messages_whose_lengths_overflow(message, told):
    rows = talk("smb", [*LOGIN, (True, message)])["smb"]
    assert [r["note"] for r in rows if r["action"] == "compressed"] == ["size and offset of a compressed message overflow 32 bits"] * told


def test_refused_and_unanswered():
    denied = framed(modern(5, 4, bytes(9), answer=True, status=0xC0000022))
    ask = framed(modern(5, 4, create("secret.txt")))
    assert talk("smb", [*LOGIN, (True, ask), (False, denied)])["smb"][-1]["result"] == "ACCESS_DENIED"
    assert talk("smb", [*LOGIN, (True, ask)])["smb"][-1]["result"] is None
    assert status_name(0xC0123456) == "0xc0123456"


def rpc(kind: int, call: int, body: bytes) -> bytes:
    return struct.pack("<BBBBIHHI", 5, 0, kind, 3, 0x10, 16 + len(body), 0, call) + body


def bind(name: str) -> bytes:
    return rpc(11, 1, struct.pack("<HHIB3xHBx", 4280, 4280, 0, 1, 0, 1) + uuid.UUID(name).bytes_le + struct.pack("<I", 1) + bytes(20))


def test_calls_over_a_pipe_and_over_tcp():
    ask, answer = rpc(0, 2, struct.pack("<IHH", 8, 0, 64) + bytes(8)), rpc(2, 2, bytes(8) + bytes(4))
    tree = modern(3, 3, struct.pack("<HBBIII", 16, 2, 0, 0, 0, 0), answer=True)
    ioctl = struct.pack("<HHI", 57, 0, 0x11C017) + HANDLE + struct.pack("<IIIIIIII", 120, len(ask), 0, 0, 0, 0, 0, 0)
    out = struct.pack("<HHI", 49, 0, 0x11C017) + HANDLE + struct.pack("<IIIIII", 112, 0, 112, len(answer), 0, 0)
    bound = bind(SAMR)
    said = [
        *LOGIN[:3], (False, framed(modern(1, 2, setup(b"", answer=True), answer=True), tree)),
        (True, framed(modern(5, 4, create("samr")), modern(9, 5, written(bound[:30], 0)), modern(9, 6, written(bound[30:], 0)),
                      modern(11, 7, ioctl + ask), modern(6, 8, close()))),
        (False, framed(modern(5, 4, created(), answer=True), modern(9, 5, bytes(17), answer=True), modern(9, 6, bytes(17), answer=True),
                       modern(11, 7, out + answer, answer=True), modern(6, 8, bytes(60), answer=True))),
    ]  # fmt: skip
    (call,) = talk("smb", said)["dce_rpc"]
    assert (call["service"], call["named_pipe"], call["endpoint"], call["operation"]) == ("smb", "samr", "samr", "SamrConnect5")
    assert (call["result"], call["request_stub_bytes"], call["response_stub_bytes"], call["interface_version"]) == ("response", 8, 4, "1.0")
    fault = rpc(3, 2, bytes(8) + struct.pack("<I", 0x1C010003))
    (direct,) = talk("dce_rpc", [(True, bound + ask), (False, fault)])["dce_rpc"]
    assert (direct["service"], direct["result"], direct["named_pipe"]) == ("dce_rpc", "fault nca_unk_if", None)


def test_names_of_interfaces():
    assert interface_name(SAMR) == "samr" and operation_name(SAMR, 64) == "SamrConnect5"
    assert operation_name("367abb81-9844-35f1-ad32-98f038001003", 12) == "CreateServiceW"
    assert operation_name("12345678-1234-abcd-ef00-01234567cffb", 26) == "NetrServerAuthenticate3"
    assert interface_name("00000000-0000-0000-0000-000000000000") is None and operation_name(SAMR, 999) is None


def classic(command: int, words: bytes, data: bytes, *, answer: bool = False, status: int = 0, multiplex: int = 1) -> bytes:
    head = b"\xffSMB" + struct.pack("<BIBHHQHHHHH", command, status, 0x80 if answer else 0, 0xC001, 0, 0, 0, 5, 1, 7, multiplex)
    return head + bytes((len(words) // 2,)) + words + struct.pack("<H", len(data)) + data


def test_classic():
    account = b"\0" + wide("joe\0") + wide("DOM\0") + wide("os\0") + wide("lm\0")
    login = struct.pack("<BBHHHHIHHII", 0xFF, 0, 0, 4356, 50, 0, 0, 24, 24, 0, 0)
    tree = struct.pack("<BBHHH", 0xFF, 0, 0, 0, 1)
    name = wide("x\\evil.exe")
    opened = struct.pack("<BBHBHIIQIIII", 0xFF, 0, 0, 0, len(name), 0, 0, 0x1, 0, 0, 0, 1)[:39] + struct.pack("<IIB", 0, 2, 0)
    times = struct.pack("<Q", 132_000_000_000_000_000) * 4
    handle = struct.pack("<BBHBHI", 0xFF, 0, 0, 0, 77, 1) + times + struct.pack("<IQQHHB", 0, 4, 4, 0, 0, 0) + b"\0"
    asked = struct.pack("<BBHHIHHIHI", 0xFF, 0, 0, 77, 0, 4, 4, 0, 0, 0)
    got = struct.pack("<BBHHHHHHHQ", 0xFF, 0, 0, 0, 0, 0, 4, 32 + 1 + 24 + 2, 0, 0)
    dialects = b"\2PC NETWORK PROGRAM 1.0\0\2NT LM 0.12\0"
    said = [
        (True, framed(classic(0x72, b"", dialects), classic(0x73, login, bytes(48) + account, multiplex=2),
                      classic(0x75, tree, b"\0" + wide("\\\\s\\C$\0") + b"?????\0", multiplex=3),
                      classic(0xA2, opened, b"\0" + name, multiplex=4), classic(0x2E, asked, b"", multiplex=5),
                      classic(0x04, struct.pack("<HI", 77, 0), b"", multiplex=6),
                      classic(0x06, b"\0\0", b"\4" + wide("gone\0"), multiplex=7))),
        (False, framed(classic(0x72, b"\1\0" + bytes(32), b"", answer=True),
                       classic(0x73, b"\xff\0\0\0\0\0", b"", answer=True, multiplex=2),
                       classic(0x75, b"\xff\0\0\0\0\0", b"A:\0" + wide("NTFS\0"), answer=True, multiplex=3),
                       classic(0xA2, handle, b"", answer=True, multiplex=4), classic(0x2E, got, b"data", answer=True, multiplex=5),
                       classic(0x04, b"", b"", answer=True, multiplex=6),
                       classic(0x06, b"", b"", answer=True, status=0xC0000022, multiplex=7))),
    ]  # fmt: skip
    rows = talk("smb", said)
    assert [(r["action"], r["name"], r["result"]) for r in rows["smb"]] == [
        ("negotiate", None, "SUCCESS"), ("session", None, "SUCCESS"), ("tree_connect", None, "SUCCESS"),
        ("open", "x\\evil.exe", "SUCCESS"), ("read", "x\\evil.exe", "SUCCESS"), ("delete", "gone", "ACCESS_DENIED"),
    ]  # fmt: skip
    assert {(r["version"], r["dialect"]) for r in rows["smb"]} == {("SMB1", "NT LM 0.12")}
    assert rows["smb"][3]["share"] == "\\\\s\\C$" and rows["smb"][3]["share_type"] == "DISK"
    assert (rows["logins"][0]["user"], rows["logins"][0]["cleartext"]) == ("DOM\\joe", False)
    assert rows["files"][0]["sha256"] == hashlib.sha256(b"data").hexdigest() and rows["files"][0]["complete"]


@needs_shared
@pytest.mark.parametrize("path,names", [
    ("zeek/smb/smb2readwrite.pcap", {"pythonfile", "pythonfile2"}),
    ("zeek/smb/smb1.pcap", {"Test\\2009-12 Payroll.xlsx"}),
])  # fmt: skip
def test_files_of_real_captures(path, names):
    with read(str(SHARED / "captures" / path)) as reading:
        assert {r["name"] for r in reading.table("files").to_pylist()} == names


@needs_shared
def test_zerologon_shows_its_calls():
    with read(str(SHARED / "captures/malcolm/plugins/zerologon/CVE-2020-1472_exploit_win2019.pcap")) as reading:
        calls = [r["operation"] for r in reading.table("dce_rpc").to_pylist()]
    assert calls.count("NetrServerAuthenticate3") > 10 and "NetrServerPasswordSet2" in calls
