"""Whatever bytes a reader of logs meets: it raises nothing, ends, and gives blocks that keep the contract. Good logs are damaged in many
places, and every reader is also given the logs of the others."""

from __future__ import annotations

import bz2
import random

import lz4.block
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.flowlogs import exports as x
from tests.flowlogs import zeek_logs as z
from tests.flowlogs.reading import read
from tests.flowlogs.test_delimited import SILK
from tests.flowlogs.test_eve import ANSWER, ASK, ENDS, QUERY, V2, lines
from tests.flowlogs.test_firewall_log import BUILT_IN, DROP, down
from tests.flowlogs.test_nfdump_file import lzo_block
from tests.flowlogs.test_nfdump_text import LINE, NEW, OLD
from tests.flowlogs.test_zeek_log import FIELDS, ROW
from tests.fuzz.test_parsers import within_seconds
from tracehound.flowlogs import delimited, eve, firewall_log, netflow, nfdump_file, nfdump_text, zeek_log
from tracehound.flowlogs.formats import FORMATS, log_kind

FORMS = {
    "netflow": netflow.FORMAT,
    "nfdump": nfdump_file.FORMAT,
    "zeek": zeek_log.FORMAT,
    "eve": eve.FORMAT,
    "csv": delimited.FORMAT,
    "nfdump text": nfdump_text.LINES_FORMAT,
    "nfdump json": nfdump_text.JSON_FORMAT,
    "firewall log": firewall_log.FORMAT,
}
SIX = x.Flow(src="2001:db8::1", dst="2001:db8::2")
_V3 = b"".join(x.nfdump_v3_record(f, out=(3, 4)) for f in (x.Flow(), SIX, x.Flow(proto=1, dport=2048)))
_V1 = (
    x.nfdump_v1_map(1, [7, 13, 14, 17]) + x.nfdump_v1_record(x.Flow(), 1, bytes(24)) + x.nfdump_v1_record(SIX, 1, bytes(24), wide=True)
)
GOOD = {
    "netflow v5": ("netflow", x.v1([x.Flow()]) + x.v5([x.Flow(), SIX.__class__(proto=1)]) + x.v7([x.Flow()])),
    "netflow v9": (
        "netflow",
        x.v9([x.one_set(256, x.v9_record(x.Flow()))])
        + x.v9(
            [
                x.one_set(0, x.template(256, x.V9_FIELDS)),
                x.one_set(256, x.v9_record(x.Flow()) * 3),
                x.one_set(1, bytes.fromhex("0101000400080001000400220004")),
                x.one_set(257, bytes(8)),
            ]
        ),
    ),
    "ipfix": (
        "netflow",
        x.ipfix(
            [
                x.one_set(2, x.template(300, [(99, 3, 12345), *x.IPFIX_FIELDS, (82, 65535), (1, 8, 29305), (239, 1)])),
                x.one_set(300, b"abc" + x.ipfix_record(SIX) + b"\x02ab" + bytes(8) + b"\1"),
                x.one_set(3, bytes.fromhex("01010002000100950004012e0008")),
                x.one_set(257, bytes(12)),
            ]
        ),
    ),
    "nfdump v2": ("nfdump", x.nfdump_v2([_V3, _V3], [3, 3])),
    "nfdump v1": ("nfdump", x.nfdump_v1([_V1], [3])),
    "nfdump lz4": ("nfdump", x.nfdump_v2([lz4.block.compress(_V3, store_size=False)], [3], packing=3)),
    "nfdump bz2": ("nfdump", x.nfdump_v2([bz2.compress(_V3)], [3], packing=2)),
    "nfdump lzo": ("nfdump", x.nfdump_v2([lzo_block(_V3)], [3], packing=1)),
    "zeek tsv": (
        "zeek",
        z.tsv("conn", FIELDS, [ROW] * 4) + z.tsv("http", ["ts", "uid", "id.orig_h", "id.resp_h", "uri", "resp_mime_types"], [ROW]),
    ),
    "zeek json": ("zeek", z.json_lines([ROW] * 2, "conn") + z.json_lines([{**ROW, "query": "a", "qtype_name": "A"}], "dns")),
    "eve": (
        "eve",
        lines(
            {"event_type": "flow", **ENDS, "flow": {"pkts_toserver": 1}},
            {"event_type": "dns", **ASK, "dns": QUERY},
            {"event_type": "dns", **ANSWER, "dns": V2},
            {"event_type": "alert", **ENDS, "alert": {"signature_id": 1}},
        ),
    ),
    "silk": ("csv", SILK),
    "csv": ("csv", b'start,src,dst,dport,proto,bytes,flags,"state"\n' + b"1418530010,10.0.0.1,::1,80,tcp,5,S,x\n" * 4),
    "nfdump text": ("nfdump text", LINE),
    "nfdump json": ("nfdump json", b"[\n" + OLD + b",\n" + NEW + b"\n]\n"),
    "firewall log": (
        "firewall log",
        "\n".join(
            [
                f"Jan  1 00:00:00 {DROP}",
                f"Jan  1 00:00:00 {BUILT_IN}",
                f"Jan  1 10:00:10 {down(4711, '192.0.2.1/1', '10.0.0.5/80', '0:00:10', 5, 'x')}",
                "2026-01-01 00:00:43 rule 5/0(match): block in on em0: 192.0.2.1 > 10.0.0.5: ICMP echo request, id 1, seq 1, length 64",
                "Jan  1 00:00:39 pf filterlog[123]: 5,,,1000000103,em0,match,block,in,4,0x0,,64,12345,0,none,"
                "6,tcp,60,192.0.2.1,10.0.0.5,1234,22,0,S,1,,9,,",
            ]
        ).encode(),
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_the_good_ones_are_good_and_told_by_content(name):
    kind, data = GOOD[name]
    assert log_kind(data) == kind
    got = read(FORMS[kind], data)
    assert got.rows() and got.damage is None


@pytest.mark.parametrize("name", GOOD)
def test_damaged_anywhere(name):
    """One byte changed, cut at any place, a piece left out, a piece twice."""
    kind, data = GOOD[name]
    chance = random.Random(name + "3")
    with within_seconds():
        for _ in range(120):
            bad = bytearray(data)
            for _ in range(chance.randint(1, 3)):
                bad[chance.randrange(len(bad))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
            read(FORMS[kind], bytes(bad))
        for _ in range(40):
            a, b = sorted(chance.randrange(len(data) + 1) for _ in range(2))
            for bad in (data[:a], data[:a] + data[b:], data[:b] + data[a:], data[a:]):
                read(FORMS[kind], bytes(bad), step=chance.choice((None, 61)))


@pytest.mark.parametrize("kind", FORMS)
def test_the_logs_of_others(kind):
    for _, data in GOOD.values():
        FORMS[kind].recognise(data)
        read(FORMS[kind], data)


@pytest.mark.parametrize("kind", FORMS)
@settings(max_examples=40, deadline=None)
@given(data=st.binary(max_size=400), step=st.sampled_from([None, 1, 50]))
def test_any_bytes(kind, data, step):
    with within_seconds():
        FORMS[kind].recognise(data)
        read(FORMS[kind], data, step=step)


@pytest.mark.parametrize("name", GOOD)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_bytes_behind_a_good_beginning(name, data):
    kind, good = GOOD[name]
    cut = data.draw(st.integers(0, len(good)))
    with within_seconds():
        read(FORMS[kind], good[:cut] + data.draw(st.binary(max_size=200)) + good[cut:])


_WORDS = st.sampled_from(
    [
        "a",
        "-",
        "(empty)",
        "1",
        "-1",
        "1e9",
        "99999999999999999999",
        "1668586098.757001",
        "\\x09",
        "T",
        "F",
        ",",
        "|",
        "\t",
        " ",
        '"',
        "::",
        "10.0.0.1",
        "2001:db8::1",
        "SF",
        "tcp",
        "#fields\tts\tid.orig_h\tid.resp_h\tconn_state",
        "#separator \\x09",
        "\n",
        "{",
        "}",
        '{"ts":1,"id.orig_h":"a"}',
        '{"event_type":"dns","timestamp":"2020-01-01T00:00:00Z","src_ip":"a","dest_ip":"b"}',
        "Summary\n",
        "2022-11-16 08:08:18",
        "ts,te,td,sa,da,sp,dp,pr",
        "é",
        "\0",
        "Jan  1 00:00:00 gw ",
        "%ASA-6-302013: Built inbound TCP connection 1 for a:1.1.1.1/1 to b:2.2.2.2/2",
        "IN=a SRC=1.1.1.1 DST=2.2.2.2 PROTO=TCP ",
    ]
)


@pytest.mark.parametrize("kind", [k for k in FORMS if k not in ("netflow", "nfdump")])
@settings(max_examples=40, deadline=None)
@given(words=st.lists(_WORDS, max_size=40))
def test_any_words(kind, words):
    text = "".join(words).encode()
    with within_seconds():
        FORMS[kind].recognise(text)
        read(FORMS[kind], text)


def test_every_format_has_its_place():
    assert set(FORMS) <= set(FORMATS)
