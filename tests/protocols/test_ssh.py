"""SSH: banners, what is agreed, fingerprints, and logins told from lengths."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import SHARED, needs_shared
from tests.protocols.conversations import talk
from tracehound.edges.reading import read


def packet(payload: bytes) -> bytes:
    padding = 8 - (5 + len(payload)) % 8 + 8
    return struct.pack(">IB", len(payload) + padding + 1, padding) + payload + bytes(padding)


def kexinit(kex=b"curve25519-sha256,ext-info-c", key=b"ssh-ed25519", cipher=b"aes128-ctr", mac=b"hmac-sha2-256") -> bytes:
    lists = [kex, key, cipher, cipher, mac, mac, b"none", b"none", b"", b""]
    return packet(b"\x14" + bytes(16) + b"".join(struct.pack(">I", len(x)) + x for x in lists) + bytes(5))


KEY = struct.pack(">I", 11) + b"ssh-ed25519" + bytes(36)
REPLY = packet(b"\x1f" + struct.pack(">I", len(KEY)) + KEY + bytes(40))
NEWKEYS = packet(b"\x15")
HELLO = [
    (True, b"SSH-2.0-OpenSSH_9.0 x\r\n" + kexinit() + packet(b"\x1e" + bytes(36))),
    (False, b"SSH-2.0-dropbear\r\n" + kexinit(kex=b"sntrup,curve25519-sha256") + REPLY + NEWKEYS),
    (True, NEWKEYS),
]
ACCEPT = (False, bytes(32 + 32))
FAILURE, SUCCESS = (False, bytes(80)), (False, bytes(48))
ASK = (True, bytes(96))


def test_what_is_agreed():
    (row,) = talk("ssh", HELLO)["ssh"]
    assert (row["version"], row["client_software"], row["server_software"]) == ("2", "OpenSSH_9.0", "dropbear")
    assert row["client_banner"] == "SSH-2.0-OpenSSH_9.0 x"
    assert (row["kex_alg"], row["host_key_alg"], row["cipher_alg"]) == ("curve25519-sha256", "ssh-ed25519", "aes128-ctr")
    assert row["hassh_algorithms"] == "curve25519-sha256,ext-info-c;aes128-ctr;hmac-sha2-256;none"
    assert len(row["host_key"]) == 47 and row["auth_attempts"] is None and row["auth_success"] is None


@pytest.mark.parametrize("answers,attempts,success", [
    ([FAILURE, SUCCESS], 1, True),
    ([FAILURE, FAILURE, FAILURE, SUCCESS], 3, True),
    ([FAILURE, FAILURE, FAILURE], 2, False),
    ([FAILURE], 0, None),
])  # fmt: skip
def test_logins_are_told_from_lengths(answers, attempts, success):
    said = [*HELLO, ACCEPT]
    for answer in answers:
        said += [ASK, answer]
    rows = talk("ssh", said)
    assert (rows["ssh"][0]["auth_attempts"], rows["ssh"][0]["auth_success"]) == (attempts, success)
    assert [r["accepted"] for r in rows.get("logins", [])] == ([success] if attempts else [])


@given(st.lists(st.integers(1, 400), max_size=8))
def test_cut_anywhere(cuts):
    assert talk("ssh", HELLO, cuts) == talk("ssh", HELLO)


def test_words_before_the_banner_and_a_gap():
    rows = talk("ssh", [(False, b"hello\r\nSSH-1.99-x\r\n"), (True, 100), (True, bytes(50))])
    assert rows["ssh"][0]["server_banner"] == "SSH-1.99-x" and rows["ssh"][0]["note"] == "bytes are missing"


@needs_shared
def test_fingerprints_agree_with_tshark():
    """tshark -r FILE -T fields -e ssh.kex.hassh -e ssh.kex.hasshserver"""
    with read([str(SHARED / "captures/zeek/ssh/ssh_version_199.pcap"), str(SHARED / "captures/zeek/tcp/ssh-dups.pcap")]) as reading:
        found = {(r["hassh"], r["hassh_server"]) for r in reading.table("ssh").to_pylist()}
    assert found == {
        ("3cc67862bceac0f334c62ad1b76895b4", "3cc67862bceac0f334c62ad1b76895b4"),
        ("ec7378c1a92f5a8dde7e8b7a1ddf33d1", "b12d2871a1189eff20364cf5333619ee"),
    }
