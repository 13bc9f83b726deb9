"""In: exchanges as bytes. Out: what goes with HTTP: files, logins, tunnels, WebSockets, HTTP/2. Never here: framing of HTTP/1."""

import base64
import gzip
import hashlib
import struct
from itertools import pairwise

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tracehound.protocols.http import open_session
from tracehound.protocols.http_frames import PREFACE
from tracehound.protocols.session import FlowEnds, Interest, Row, rows_table
from tracehound.streams.reassemble import Chunk
from tracehound.streams.segment_map import SegmentMap
from tracehound.tables import ALL


def converse(*turns, cuts=(), originator_is_client=True):
    """turns: (from client?, bytes or gap). Returns ({table: rows as dicts}, {txn_id: content})."""
    rows: dict[str, list[Row]] = {}
    kept: dict[int, bytes] = {}

    def emit(table, row):
        rows.setdefault(table, []).append(row)

    def keep(txn_id, data):
        kept[txn_id] = kept.get(txn_id, b"") + data

    interest = Interest(keep=keep, opener=lambda service: open_session if service == "http" else None)
    client, server = ("10.0.0.1", 4000), ("192.0.2.1", 80)
    both = (*client, *server) if originator_is_client else (*server, *client)
    session, offset, gap, packet = None, {True: 0, False: 0}, {True: 0, False: 0}, 0
    for by_client, data in turns:
        if isinstance(data, int):
            gap[by_client] += data
            offset[by_client] += data
            continue
        edges = [0, *sorted({c for c in cuts if 0 < c < len(data)}), len(data)]
        for a, b in pairwise(edges):
            if a == b:
                continue
            packet += 1
            at = offset[by_client]
            chunk = Chunk(7, by_client == originator_is_client, data[a:b], at, gap[by_client],
                          SegmentMap([at], [packet], [packet * 10]), 0)  # fmt: skip
            session = session or open_session(FlowEnds(7, *both, interest), chunk, emit)
            if not session.finished:
                session.feed(chunk)
            offset[by_client] += b - a
            gap[by_client] = 0
    if session is not None:
        session.close("")
    assert interest.held_bytes == 0
    out = {}
    for name, some in rows.items():
        table = rows_table(ALL[name], some)
        columns = [c.cast("int64") if str(c.type).startswith("timestamp") else c for c in table.columns]
        out[name] = [
            dict(zip(table.column_names, v, strict=True)) for v in zip(*(c.to_pylist() for c in columns), strict=True)
        ]
    for table in out.values():
        assert len({r["txn_id"] for r in table}) == len(table)
    return out, kept


def sha(data):
    return hashlib.sha256(data).hexdigest()


GET = b"GET /dir/tool%20one.exe?x=1 HTTP/1.1\r\nHost: h\r\n\r\n"


def answer(body, *headers, status=b"200 OK"):
    lines = [b"HTTP/1.1 " + status, *headers, b"Content-Length: %d" % len(body)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@given(st.lists(st.integers(1, 400), max_size=5))
def test_every_body_is_a_file(cuts):
    out, kept = converse((True, GET), (False, answer(b"MZ" + b"x" * 300, b"Content-Type: image/png")), cuts=cuts)
    (file,) = out["files"]
    assert (file["name"], file["declared_type"], file["bytes"], file["complete"]) == ("tool one.exe", "image/png", 302, True)
    assert file["sha256"] == sha(b"MZ" + b"x" * 300) == out["http"][0]["body_sha256"] and not file["sent_by_src"]
    assert file["md5"] == hashlib.md5(b"MZ" + b"x" * 300).hexdigest()
    assert kept == {file["txn_id"]: b"MZ" + b"x" * 300}


def test_the_servers_name_for_a_file_holds():
    head = b"Content-Disposition: attachment; filename=\"a.txt\"; filename*=UTF-8''b%c3%a9.doc"
    out, _ = converse((True, GET), (False, answer(b"text", head)))
    assert out["files"][0]["name"] == "bé.doc"


def test_zstd_and_two_codings():
    body = b"<html>" + b"word " * 900
    sent = zstandard.compress(gzip.compress(body))
    out, _ = converse((True, GET), (False, answer(sent, b"Content-Encoding: gzip, zstd")), cuts=(150, 160))
    assert out["http"][0]["response_bytes"] == len(body) and out["http"][0]["note"] is None


def test_brotli_or_a_note():
    body = b"hello " * 200
    expected: tuple[str, str | None]
    try:
        import brotli
    except ImportError:
        sent = b"\x1b whatever"
        expected = (sha(sent), "response: content coding br: module brotli is not installed; body taken as sent")
    else:
        sent = brotli.compress(body)
        expected = (sha(body), None)
    out, _ = converse((True, GET), (False, answer(sent, b"Content-Encoding: br")))
    assert (out["http"][0]["body_sha256"], out["http"][0]["note"]) == expected


def test_zstd_bomb_is_cut(monkeypatch):
    monkeypatch.setattr("tracehound.protocols.content_coding.MAX_HTTP_BODY_DECODED_BYTES", 5000)
    sent = zstandard.compress(b"\0" * 10_000_000)
    out, _ = converse((True, GET), (False, answer(sent, b"Content-Encoding: zstd")))
    assert out["http"][0]["response_bytes"] == 5000 and "limit" in out["http"][0]["note"]


FORM = (
    b'preamble\r\n--B\r\nContent-Disposition: form-data; name="user"\r\n\r\nana\r\n--B\r\nContent-Disposition: form-data; '
    b'name="password"\r\n\r\nsecret\r\n--B\r\nContent-Disposition: form-data; name="f"; filename="a b.exe"\r\n'
    b"Content-Type: application/x-thing\r\n\r\nMZ\r\n--Bx\r\n\r\n--B\r\nContent-Disposition: form-data; name=\"g\"; "
    b'filename=""\r\n\r\n\r\n--B--\r\nrest'
)


@given(st.lists(st.integers(1, len(FORM) + 120), max_size=8))
def test_uploads_in_a_form(cuts):
    head = b"POST /up HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=B\r\nContent-Length: %d\r\n\r\n" % len(FORM)
    out, kept = converse((True, head + FORM), (False, answer(b"")), cuts=cuts)
    part, whole = sorted(out["files"], key=lambda f: f["bytes"])
    assert (part["name"], part["declared_type"], part["bytes"]) == ("a b.exe", "application/x-thing", 10)
    assert kept[part["txn_id"]] == b"MZ\r\n--Bx\r\n" and part["sent_by_src"] and part["complete"]
    assert kept[whole["txn_id"]] == FORM and "1 uploads" in whole["note"]
    (login,) = out["logins"]
    assert (login["user"], login["method"], login["cleartext"], login["accepted"]) == ("ana", "form", True, None)
    assert "secret" not in str(out["logins"])


def ranged(first, last, total, body, etag=b"1"):
    content_range = b"Content-Range: bytes %d-%d/%d" % (first, last, total)
    return answer(body, content_range, b"ETag: " + etag, status=b"206 Partial Content")


def test_ranges_that_follow_one_another_are_one_file():
    out, kept = converse(
        (True, GET * 3), (False, ranged(0, 3, 10, b"abcd") + ranged(4, 6, 10, b"efg") + ranged(7, 9, 10, b"hij"))
    )
    (file,) = out["files"]
    assert (file["bytes"], file["sha256"], file["complete"], file["note"]) == (10, sha(b"abcdefghij"), True, None)
    assert [r["body_sha256"] for r in out["http"]] == [sha(b"abcd"), sha(b"efg"), sha(b"hij")]
    assert kept[file["txn_id"]] == b"abcdefghij"


def test_ranges_of_other_files_are_not_joined():
    out, _ = converse((True, GET * 2), (False, ranged(0, 3, 10, b"abcd") + ranged(4, 6, 10, b"efg", etag=b"2")))
    assert [(f["bytes"], f["complete"], f["note"]) for f in sorted(out["files"], key=lambda f: f["txn_id"])] == [
        (4, False, "bytes 0-3 of 10"),
        (3, False, "bytes 4-6 of 10"),
    ]


def test_what_a_proxy_carries_is_read_again():
    inside = b"GET /inside HTTP/1.0\r\nHost: other\r\n\r\n"
    turns = [
        (True, b"CONNECT other:80 HTTP/1.1\r\nHost: other:80\r\n\r\n" + inside),
        (False, b"HTTP/1.1 200 Connection established\r\n\r\n" + b"HTTP/1.0 200 OK\r\n\r\nhello"),
    ]
    out, kept = converse(*turns)
    assert sorted((r["method"], r["uri"], r["response_bytes"]) for r in out["http"]) == [
        ("CONNECT", "other:80", 0),
        ("GET", "/inside", 5),
    ]
    assert kept == {out["files"][0]["txn_id"]: b"hello"}


def test_a_refused_proxy_request_leaves_http_as_it_is():
    turns = [
        (True, b"CONNECT other:80 HTTP/1.1\r\n\r\n" + GET),
        (False, answer(b"no", status=b"403 Forbidden") + answer(b"hello")),
    ]
    out, _ = converse(*turns)
    assert [(r["method"], r["status"], r["response_bytes"]) for r in out["http"]] == [("CONNECT", 403, 2), ("GET", 200, 5)]


UPGRADE = b"GET /chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: a, b\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: b\r\n\r\n"


def frame(opcode, data, key=None, fin=True):
    size = len(data)
    head = bytes((opcode | 0x80 * fin,))
    mask = 0x80 if key else 0
    head += bytes((mask | size,)) if size < 126 else bytes((mask | 126,)) + struct.pack(">H", size)
    body = bytes(b ^ key[i % 4] for i, b in enumerate(data)) if key else data
    return head + (key or b"") + body


@given(st.lists(st.integers(1, 500), max_size=8))
def test_websocket(cuts):
    key = b"\x01\x02\x03\x04"
    turns = [
        (True, UPGRADE + frame(1, b"hello " * 40, key, fin=False) + frame(9, b"p", key) + frame(0, b"end", key)),
        (False, SWITCH + frame(2, b"\0\1\2") + frame(1, b"reply") + frame(8, b"\x03\xe8bye")),
        (True, frame(8, b"\x03\xe8", key)),
    ]
    out, _ = converse(*turns, cuts=cuts)
    (row,) = out["websocket"]
    assert (row["opcodes_src"], row["opcodes_dst"]) == ("text 1, ping 1, continuation 1, close 1", "binary 1, text 1, close 1")
    assert row["first_text_src"] == "hello " * 40 + "end" and row["first_text_dst"] == "reply"
    assert (row["close_code"], row["subprotocol"], row["client_protocols"]) == (1000, "b", ["a", "b"])
    assert (row["data_bytes_src"], row["data_bytes_dst"], row["note"]) == (246, 13, None)


def test_http_inside_a_websocket():
    key = b"\x09\x08\x07\x06"
    turns = [
        (True, UPGRADE + frame(2, b"GET /in HTTP/1.0\r\n\r\n", key)),
        (False, SWITCH + frame(2, b"HTTP/1.0 200 OK\r\n\r\nhello")),
    ]
    out, _ = converse(*turns)
    assert out["websocket"][0]["inner_service"] == "http"
    assert [(r["uri"], r["response_bytes"]) for r in out["http"]] == [("/chat", 0), ("/in", 5)]


def h2(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


# RFC 7541, C.4.1 (Huffman): :method GET, :scheme http, :path /, :authority www.example.com.
C41 = bytes.fromhex("828684418cf1e3c2e5f23a6ba0ab90f4ff")
# C.4.2: the same with cache-control: no-cache, by the dynamic table.
C42 = bytes.fromhex("828684be5886a8eb10649cbf")
# C.6.1: :status 302, cache-control private, date, location.
C61 = bytes.fromhex(
    "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3"
)
H2_CLIENT = PREFACE + h2(4, 0, 0) + h2(1, 5, 1, C41) + h2(1, 4, 3, C42) + h2(0, 1, 3, b"sent")
H2_SERVER = (
    h2(4, 0, 0) + h2(1, 4, 1, C61) + h2(0, 0, 1, b"abc") + h2(0, 9, 1, b"\x02def\0\0") + h2(1, 1, 3, C61[:2]) + h2(9, 4, 3, C61[2:])
)


@given(st.lists(st.integers(1, 300), max_size=8), st.booleans())
def test_http2_with_prior_knowledge(cuts, originator_is_client):
    out, kept = converse((True, H2_CLIENT), (False, H2_SERVER), cuts=cuts, originator_is_client=originator_is_client)
    rows = [(r["method"], r["uri"], r["host"], r["version"], r["status"], r["request_bytes"], r["response_bytes"], r["complete"])
            for r in out["http"]]  # fmt: skip
    assert rows == [
        ("GET", "/", "www.example.com", "2", 302, 0, 6, True),
        ("GET", "/", "www.example.com", "2", 302, 4, 0, True),
    ]
    assert out["http"][1]["header_names"][-1] == "cache-control" and out["http"][1]["header_values"][-1] == "no-cache"
    assert sorted(kept.values()) == [b"abcdef", b"sent"]


def test_upgrade_to_http2():
    turns = [
        (True, b"GET /up HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + PREFACE + h2(4, 0, 0)),
        (False, b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n" + h2(4, 0, 0) + h2(1, 4, 1, C61) + h2(0, 1, 1, b"body")),
    ]
    out, _ = converse(*turns)
    assert sorted((r["trans_depth"], r["uri"], r["status"], r["response_bytes"]) for r in out["http"]) == [
        (1, "/up", 101, 0),
        (2, "/up", 302, 4),
    ]


def b64(raw):
    return base64.b64encode(raw)


@pytest.mark.parametrize(
    ("credentials", "user", "method", "cleartext"),
    [
        (b"Basic " + b64(b"ana:geheim"), "ana", "Basic", True),
        (b"basic   " + b64(b"ana:geheim"), "ana", "Basic", True),
        (b'Digest username="ana", realm="x", response="0"', "ana", "Digest", False),
        (b"Bearer e30." + b64(b'{"sub":"ana"}').rstrip(b"=") + b".sig", "ana", "Bearer", True),
        (b"Negotiate YIIabcd=", None, "Kerberos", False),
        (b"NTLM " + b64(b"NTLMSSP\0\3\0\0\0" + bytes(16) + struct.pack("<HHIHHI", 6, 6, 64, 6, 6, 70) + bytes(16) + b"\1\0\0\0"
                        + "DOMana".encode("utf-16-le")), "DOM\\ana", "NTLM", False),
    ],
)  # fmt: skip
def test_credentials_in_headers(credentials, user, method, cleartext):
    asked = b"GET / HTTP/1.1\r\nAuthorization: " + credentials + b"\r\n\r\n"
    out, _ = converse((True, asked * 3), (False, answer(b"", status=b"401 No") + answer(b"") * 2))
    assert [(r["user"], r["method"], r["cleartext"], r["accepted"]) for r in out["logins"]] == [
        (user, method, cleartext, False),
        (user, method, cleartext, True),
    ]
    assert "geheim" not in str(out["logins"])


@pytest.mark.parametrize(
    ("asked", "user"),
    [
        (b"POST /l HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 28\r\n\r\n"
         b"log=a%40b&user_pass=x&go=yes!", "a@b"),
        (b'POST /l HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 32\r\n\r\n{"username":"ana","passwd":"xy"}', "ana"),
        (b"GET /l?user=ana&password=xy HTTP/1.1\r\n\r\n", "ana"),
    ],
)  # fmt: skip
def test_forms_that_log_in(asked, user):
    out, _ = converse((True, asked), (False, answer(b"")))
    (row,) = out["logins"]
    assert (row["user"], row["method"], row["cleartext"], row["accepted"]) == (user, "form", True, None)


@pytest.mark.parametrize("target", [b"/?passage=1&author=2", b"/?q=compass", b"/passwords?id=3", b"/"])
def test_targets_that_do_not(target):
    out, _ = converse((True, b"GET " + target + b" HTTP/1.1\r\n\r\n"), (False, answer(b"")))
    assert "logins" not in out


def test_answer_that_is_not_http():
    out, kept = converse((True, b"GET /x HTTP/1.1\r\n\r\n"), (False, b"raw bytes"))
    (row,) = out["http"]
    assert (row["status"], row["response_bytes"], row["body_preview"]) == (None, None, b"raw bytes")
    assert list(kept.values()) == [b"raw bytes"]


def test_answer_to_a_request_without_version():
    out, _ = converse((True, b"GET /HTTP/1.1\r\nHost: h\r\n\r\n"), (False, b"HTTP/1.0 400 Bad\r\n\r\nno"))
    (row,) = out["http"]
    assert (row["version"], row["uri"], row["host"], row["status"], row["response_bytes"]) == ("0.9", "/HTTP/1.1", "h", None, 22)


EVERYTHING = [
    [(True, UPGRADE + frame(1, b"hello", b"abcd")), (False, SWITCH + frame(2, b"GET / HTTP/1.0\r\n\r\n"))],
    [(True, H2_CLIENT), (False, H2_SERVER)],
    [(True, b"POST / HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=B\r\nContent-Length: 400\r\n\r\n" + FORM)],
    [(True, GET), (False, answer(zstandard.compress(b"x" * 500), b"Content-Encoding: zstd"))],
]


@given(st.data())
def test_any_damage_is_read_without_an_exception(data):
    turns = []
    for client, raw in data.draw(st.sampled_from(EVERYTHING)):
        broken = bytearray(raw)
        for _ in range(data.draw(st.integers(0, 5))):
            broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
        at = data.draw(st.integers(0, len(broken)))
        turns += [(client, bytes(broken[:at])), (client, data.draw(st.integers(0, 20))), (client, bytes(broken[at:]))]
    converse(*turns)


@pytest.mark.parametrize("agreed", [True, False])
def test_waiting_for_the_proxy_is_bounded(monkeypatch, agreed):
    monkeypatch.setattr("tracehound.protocols.http.MAX_TUNNEL_WAIT_BYTES", 50)
    post = b"POST /big HTTP/1.1\r\nContent-Length: 200\r\n\r\n" + b"x" * 200
    first = b"HTTP/1.1 200 OK\r\n\r\n" if agreed else answer(b"", status=b"403 No")
    out, _ = converse((True, b"CONNECT h:80 HTTP/1.1\r\n\r\n" + post), (False, first + answer(b"ok")), (True, GET))
    assert [r["method"] for r in sorted(out["http"], key=lambda r: r["ts"])][:2] == ["CONNECT", "POST"]
    post_row = next(r for r in out["http"] if r["method"] == "POST")
    assert not post_row["complete"] and "bytes not in the capture" in post_row["note"]
