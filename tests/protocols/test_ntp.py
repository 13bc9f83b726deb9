"""NTP: kinds of messages counted, however many there are."""

import struct
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import SHARED, needs_shared
from tests.protocols.conversations import datagrams
from tests.tables_of import tables
from tests.wire import Wire
from tracehound.edges.reading import read

CLIENT = b"\x23" + bytes(47)
SERVER = (b"\x24\x01\x06\xec" + struct.pack(">II", 0x8000, 0x10000) + b"GPS\0" + struct.pack(">I", 3_900_000_000) + bytes(20)
          + struct.pack(">II", 3_900_000_001, 1 << 31))  # fmt: skip
MONLIST = b"\x17\0\3\x2a" + bytes(4)
ANSWER = b"\xd7\0\3\x2a" + bytes(436)
VARIABLES = b"\x16\x82\0\1\0\0\0\0\0\0\0\x10system=\"Linux\"\r\n"


def test_kinds_of_messages():
    said = [(True, CLIENT), (False, SERVER), (True, CLIENT), (True, MONLIST), *[(False, ANSWER)] * 100, (False, VARIABLES)]
    rows = {(r["mode"], r["is_response"]): r for r in datagrams("ntp", said)["ntp"]}
    assert rows["client", False]["messages"] == 2 and rows["client", False]["version"] == "4"
    server = rows["server", False]
    assert (server["stratum"], server["ref_id"], server["poll_s"], server["root_delay_s"]) == (1, "GPS", 64.0, 0.5)
    assert server["transmit_ts"] == (3_900_000_001 - 2_208_988_800) * 10**9 + 500_000_000
    asked, told = rows["private", False], rows["private", True]
    assert asked["operation"] == told["operation"] == "MON_GETLIST_1"
    assert (told["messages"], told["message_bytes"]) == (100, 44_000)
    assert rows["control", True]["answer"] == 'system="Linux"' and rows["control", True]["operation"] == "read variables"
    assert (server["src"], server["dst"]) == ("192.0.2.1", "10.0.0.1")


def test_a_flood_is_counted_however_it_is_cut(tmp_path: Path):
    wire = Wire()
    victim, server = wire.host("10.1.0.5"), wire.host("192.0.2.9")
    for n in range(500):
        victim.exchange(server, 123, MONLIST, ANSWER, 1.0 + n / 100, sport=80)
    path = tmp_path / "flood.pcap"
    path.write_bytes(wire.pcap())
    with read(str(path)) as reading:
        whole = reading.table("ntp").to_pylist()
    assert [(r["messages"], r["operation"]) for r in whole] == [(500, "MON_GETLIST_1")] * 2
    assert tables([path], chunk_bytes=4_000)["flows"].num_rows == 1


@given(st.binary(max_size=80))
def test_any_bytes(data):
    datagrams("ntp", [(True, data), (False, data[::-1])])


@needs_shared
def test_real_servers():
    with read(str(SHARED / "captures/zeek/ntp.pcap")) as reading:
        rows = reading.table("ntp").to_pylist()
    assert ("server", 1, "GPSs") in {(r["mode"], r["stratum"], r["ref_id"]) for r in rows}
