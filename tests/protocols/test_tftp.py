"""TFTP: requests, and data that flow from another port."""

import hashlib
import struct
from pathlib import Path

from tests.protocols.conversations import datagrams
from tests.wire import Wire
from tracehound.edges.reading import read

CONTENT = bytes(range(256)) * 5


def blocks(data: bytes, size: int = 512) -> list[bytes]:
    cut = [data[i : i + size] for i in range(0, len(data) + 1, size)]
    return [struct.pack(">HH", 3, n) + part for n, part in enumerate(cut, 1)]


def test_in_one_flow():
    asked = b"\0\2boot/a.bin\0octet\0blksize\x001024\0"
    said = [(True, asked), (False, b"\0\6blksize\x001024\0"), *((True, b) for b in blocks(CONTENT, 1024))]
    rows = datagrams("tftp", said)
    (row,) = rows["tftp"]
    assert (row["command"], row["name"], row["transfer_mode"], row["tftp_options"]) == ("WRQ", "boot/a.bin", "octet", ["blksize=1024"])
    assert (row["result"], row["data_bytes"]) == ("complete", len(CONTENT))
    assert rows["files"][0]["sha256"] == hashlib.sha256(CONTENT).hexdigest() and rows["files"][0]["sent_by_src"]


def test_errors_disorder_and_loss():
    (row,) = datagrams("tftp", [(True, b"\0\1x\0octet\0"), (False, b"\0\5\0\1no such file\0")])["tftp"]
    assert (row["result"], row["answer"]) == ("file not found", "no such file")
    one, two, three = blocks(CONTENT)
    shuffled = datagrams("tftp", [(True, b"\0\1x\0octet\0"), *((False, b) for b in (two, one, one, three))])
    assert shuffled["files"][0]["complete"] and shuffled["files"][0]["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    lost = datagrams("tftp", [(True, b"\0\1x\0octet\0"), (False, one), (False, three)])
    assert not lost["files"][0]["complete"] and lost["tftp"][0]["note"] == "blocks are missing"
    (row,) = datagrams("tftp", [(True, b"\0\1x\0octet\0")])["tftp"]
    assert row["result"] == "unanswered"


def test_data_from_another_port_are_tied(tmp_path: Path):
    wire = Wire()
    client, server = wire.host("10.1.0.5"), wire.host("10.1.0.6")
    port = client.exchange(server, 69, b"\0\1tool.exe\0octet\0", None, 1.0)
    for n, block in enumerate(blocks(CONTENT), 1):
        server.exchange(client, port, block, struct.pack(">HH", 4, n), 2.0 + n, sport=40_000)
    path = tmp_path / "tftp.pcap"
    path.write_bytes(wire.pcap())
    with read(str(path)) as reading:
        (row,), flows = reading.table("tftp").to_pylist(), reading.table("flows").to_pylist()
        (file,) = reading.table("files").to_pylist()
    assert [f["service"] for f in flows] == ["tftp", "tftp_data"]
    assert (row["data_port"], row["data_flow_id"], row["result"]) == (40_000, flows[1]["flow_id"], "complete")
    assert file["sha256"] == hashlib.sha256(CONTENT).hexdigest() and file["name"] == "tool.exe" and not file["sent_by_src"]
