"""HTTP/1 as it is met: cut anywhere, pipelined, chunked, compressed, malformed, partial, one-sided."""

import gzip
import hashlib
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracehound.protocols.http import Connection, Ends, row
from tracehound.protocols.session import rows_table
from tracehound.streams.reassemble import Chunk
from tracehound.streams.segment_map import SegmentMap
from tracehound.tables import HTTP

ENDS = Ends("10.0.0.1", 4000, "192.0.2.1", 80)


def talk(*turns, cuts=(), close=True):
    """turns: (from client?, bytes or gap size). Every turn is cut at `cuts`. Returns the rows as dicts."""
    connection = Connection(7, ENDS, originator_is_client=True)
    offset = {True: 0, False: 0}
    gap = {True: 0, False: 0}
    packet = 0
    for client, data in turns:
        if isinstance(data, int):
            gap[client] += data
            offset[client] += data
            continue
        edges = [0, *sorted({c for c in cuts if 0 < c < len(data)}), len(data)]
        for a, b in pairwise(edges):
            packet += 1
            part = data[a:b]
            if part:
                connection.feed(
                    Chunk(
                        7,
                        client,
                        part,
                        offset[client],
                        gap[client],
                        SegmentMap([offset[client]], [packet], [packet * 10]),
                        0,
                    )
                )
                offset[client] += len(part)
                gap[client] = 0
    if close:
        connection.close()
    table = rows_table(HTTP, [row(t, connection.flow_id, connection.ends, connection.note) for t in connection.done])
    assert table.schema.equals(HTTP.schema)
    columns = [c.cast("int64") if str(c.type).startswith("timestamp") else c for c in table.columns]
    rows = zip(*(c.to_pylist() for c in columns), strict=True)
    return [dict(zip(table.column_names, values, strict=True)) for values in rows]


GET = b"GET /a?b=1 HTTP/1.1\r\nHost: example.org:8080\r\nUser-Agent: test\r\nX: 1\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=x\r\nContent-Length: 5\r\n\r\nhello"


def sha(data):
    return hashlib.sha256(data).hexdigest()


def test_one_transaction():
    (r,) = talk((True, GET), (False, OK))
    assert (r["method"], r["uri"], r["version"], r["host"], r["user_agent"]) == (
        "GET",
        "/a?b=1",
        "1.1",
        "example.org",
        "test",
    )
    assert r["referer"] is None and r["header_names"] == ["Host", "User-Agent", "X"]
    assert (r["status"], r["reason"], r["content_type"], r["response_bytes"]) == (200, "OK", "text/plain", 5)
    assert r["body_sha256"] == sha(b"hello") and r["body_preview"] == b"hello" and r["complete"] and r["note"] is None
    assert r["request_head_bytes"] == len(GET) and r["request_bytes"] == 0
    assert (r["request_packet_id"], r["response_packet_id"], r["ts"], r["end_ts"]) == (1, 2, 10, 20)
    assert (r["src"], r["sport"], r["dst"], r["dport"], r["trans_depth"], r["txn_id"]) == (
        "10.0.0.1",
        4000,
        "192.0.2.1",
        80,
        1,
        7 << 20 | 1,
    )


PIPELINE = GET + b"HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n" + b"POST /p HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc" + GET
ANSWERS = (
    OK
    + b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"
    + b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Made\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n4\r\ndefg\r\n0\r\nT: 1\r\n\r\n"
    + b"HTTP/1.0 404 Not Found\r\n\r\nuntil the end"
)


@given(st.lists(st.integers(1, len(ANSWERS)), max_size=12))
def test_cut_anywhere_gives_the_same_rows(cuts):
    rows = talk((True, PIPELINE), (False, ANSWERS), cuts=cuts)
    assert [(r["method"], r["status"], r["response_bytes"], r["request_bytes"]) for r in rows] == [
        ("GET", 200, 5, 0),
        ("HEAD", 200, 0, 0),
        ("POST", 201, 7, 3),
        ("GET", 404, 13, 0),
    ]
    assert rows[2]["body_sha256"] == sha(b"abcdefg") and rows[2]["request_body_sha256"] == sha(b"abc")
    assert rows[2]["request_preview"] == b"abc" and rows[0]["request_preview"] is None
    assert all(r["complete"] for r in rows) and [r["trans_depth"] for r in rows] == [1, 2, 3, 4]


@given(
    st.lists(st.tuples(st.booleans(), st.binary(max_size=200)), max_size=6), st.lists(st.integers(1, 200), max_size=4)
)
def test_any_bytes_are_read_without_an_exception(turns, cuts):
    talk(*turns, cuts=cuts)


@given(st.data())
def test_any_damage_to_a_real_exchange(data):
    turns = []
    for client, raw in ((True, PIPELINE), (False, ANSWERS)):
        broken = bytearray(raw)
        for _ in range(data.draw(st.integers(0, 5))):
            broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
        at = data.draw(st.integers(0, len(broken)))
        turns += [(client, bytes(broken[:at])), (client, data.draw(st.integers(0, 50))), (client, bytes(broken[at:]))]
    talk(*turns)


@pytest.mark.parametrize(
    ("coding", "encode"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda b: zlib.compress(b)[2:-4]),
        ("identity", lambda b: b),
    ],
)
def test_content_codings_are_removed(coding, encode):
    body = b"<html>" + b"word " * 500
    sent = encode(body)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (coding.encode(), len(sent))
    (r,) = talk((True, GET), (False, head + sent), cuts=(200, 230, 300))
    assert (r["response_bytes"], r["body_sha256"], r["body_kind"]) == (len(body), sha(body), "html")


def test_broken_gzip_gives_what_it_can():
    sent = gzip.compress(bytes(range(256)) * 200)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(sent)
    (r,) = talk((True, GET), (False, head + sent[:200]))
    assert r["response_bytes"] > 0 and not r["complete"] and "not whole" in r["note"]


def test_decompression_bomb_is_cut(monkeypatch):
    monkeypatch.setattr("tracehound.protocols.content_coding.MAX_HTTP_BODY_DECODED_BYTES", 10_000)
    sent = gzip.compress(b"\0" * 1_000_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(sent)
    (r,) = talk((True, GET), (False, head + sent))
    assert r["response_bytes"] == 10_000 and "limit" in r["note"]


def test_gap_inside_a_body_is_counted_and_the_rest_goes_on():
    two = GET + GET
    (a, b) = talk((True, two), (False, OK[:-3]), (False, 2), (False, b"o" + OK))
    assert (a["status"], a["response_bytes"], a["complete"]) == (200, 5, False) and "2 bytes not in the capture" in a[
        "note"
    ]
    assert (b["status"], b["complete"]) == (200, True)


def test_gap_over_a_message_boundary_finds_the_next_start():
    two = GET + GET
    rows = talk((True, two), (False, OK[:-3]), (False, 50), (False, b"garbage\r\n" + OK))
    assert [r["status"] for r in rows] == [200, 200] and not rows[0]["complete"] and rows[1]["complete"]


def test_requests_alone_and_responses_alone():
    (r,) = talk((True, GET))
    assert r["status"] is None and "no response" in r["note"] and not r["complete"]
    (r,) = talk((False, OK))
    assert r["method"] is None and r["status"] == 200 and "request not in the capture" in r["note"]


def test_connect_ends_http():
    turns = [
        (True, b"CONNECT h:443 HTTP/1.0\r\n\r\n"),
        (False, b"HTTP/1.0 200 ok\r\n\r\n"),
        (True, b"\x16\x03\x01binary"),
    ]
    (r,) = talk(*turns)
    assert (r["method"], r["status"], r["complete"]) == ("CONNECT", 200, True)


def test_upgrade_ends_http():
    turns = [(True, GET), (False, b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n"), (False, b"\x81\x05hello")]
    (r,) = talk(*turns)
    assert (r["status"], r["response_bytes"]) == (101, 0)


def test_http_0_9():
    (r,) = talk((True, b"GET /old\r\n"), (False, b"<html>plain body</html>"))
    assert (r["method"], r["uri"], r["version"], r["response_bytes"], r["body_kind"]) == (
        "GET",
        "/old",
        "0.9",
        23,
        "html",
    )


@pytest.mark.parametrize(
    ("request_bytes", "expected"),
    [
        (b"get /low HTTP/1.0\n\n", ("get", "/low", "1.0")),
        (b"GET /with space HTTP/1.1\r\nHost: a\r\n\r\n", ("GET", "/with space", "1.1")),
        (b"PROPFIND / HTTP/1.1\r\n\r\n", ("PROPFIND", "/", "1.1")),
        (b"\r\n\r\nGET /late HTTP/1.1\r\n\r\n", ("GET", "/late", "1.1")),
        (b"GET /\xff\x00 HTTP/1.1\r\n\r\n", ("GET", "/\\xff\\x00", "1.1")),
    ],
)
def test_odd_requests(request_bytes, expected):
    (r,) = talk((True, request_bytes))
    assert (r["method"], r["uri"], r["version"]) == expected


def test_headers_as_they_come():
    raw = b"GET / HTTP/1.1\r\nHOST : h\r\nFolded: one\r\n two\r\nno colon here\r\nReferer:\r\n\r\n"
    (r,) = talk((True, raw))
    assert r["header_names"] == ["HOST ", "Folded", "Referer"] and r["header_values"] == ["h", "one two", ""]
    assert r["referer"] == "" and "without colon" in r["note"]


def test_absolute_uri_names_the_host():
    (r,) = talk((True, b"GET http://user@site.example:81/x HTTP/1.0\r\n\r\n"))
    assert r["host"] == "site.example"


def test_many_requests_in_one_segment_are_bounded(monkeypatch):
    monkeypatch.setattr("tracehound.protocols.http.MAX_HTTP_PIPELINE", 10)
    rows = talk((True, GET * 50))
    assert len(rows) == 50
