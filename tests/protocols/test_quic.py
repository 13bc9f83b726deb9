"""QUIC: keys of Initial packets against the RFCs' examples, hellos in pieces, retries, old versions of Google's."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import SHARED, needs_shared
from tests.protocols.conversations import datagrams
from tracehound.edges.reading import read
from tracehound.protocols.quic import chlo_tags
from tracehound.protocols.quic_initial import VERSION_2, keys_for, varint, version_name

DCID = bytes.fromhex("8394c8f03e515708")


@pytest.mark.parametrize("version,client,key,iv,mask", [
    (1, True, "1f369613dd76d5467730efcbe3b1a22d", "fa044b2f42a3fd3b46fb255c", "9f50449e04a0e810283a1e9933adedd2"),
    (1, False, "cf3a5331653c364c88f0f379b6067e37", "0ac1493ca1905853b0bba03e", "c206b8d9b9f0f37644430b490eeaa314"),
    (VERSION_2, True, "8b1a0bc121284290a29e0971b5cd045d", "91f73e2351d8fa91660e909f", "45b95e15235d6f45a6b19cbcb0294ba9"),
    (VERSION_2, False, "82db637861d55e1d011f19ea71d5d2a7", "dd13c276499c0249d3310652", "edf6d05c83121201b436e16877593c3a"),
])  # fmt: skip
def test_keys_are_those_of_the_standards(version, client, key, iv, mask):
    """RFC 9001 appendix A.1, RFC 9369 appendix A.1."""
    assert [part.hex() for part in keys_for(version, DCID)[client]] == [key, iv, mask]


def number(value: int) -> bytes:
    return struct.pack(">H", 0x4000 | value)


def sealed(frames: bytes, *, client: bool, version: int = 1, dcid: bytes = DCID, keyed_by: bytes = DCID, scid: bytes = b"\1\2") -> bytes:
    """An Initial packet, protected as RFC 9001 5.3 and 5.4 say."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    keys = keys_for(version, keyed_by)[client]
    frames = frames.ljust(64, b"\0")
    first = 0xD3 if version == VERSION_2 else 0xC3
    header = bytes((first,)) + struct.pack(">I", version) + bytes((len(dcid),)) + dcid + bytes((len(scid),)) + scid
    header += b"\0" + number(4 + len(frames) + 16) + b"\0\0\0\7"
    nonce = (int.from_bytes(keys.iv, "big") ^ 7).to_bytes(12, "big")
    body = AESGCM(keys.key).encrypt(nonce, frames, header)
    mask = Cipher(algorithms.AES(keys.mask), modes.ECB()).encryptor().update(body[:16])
    hidden = bytes(a ^ b for a, b in zip(b"\0\0\0\7", mask[1:5], strict=True))
    return bytes((header[0] ^ mask[0] & 15,)) + header[1:-4] + hidden + body


def crypto(data: bytes, at: int = 0) -> bytes:
    return b"\6" + number(at) + number(len(data)) + data


def extension(kind: int, data: bytes) -> bytes:
    return struct.pack(">HH", kind, len(data)) + data


def hello(kind: int, middle: bytes, extensions: bytes) -> bytes:
    body = b"\3\3" + bytes(32) + middle + struct.pack(">H", len(extensions)) + extensions
    return bytes((kind,)) + len(body).to_bytes(3, "big") + body


AGENT = b"Chrome/115 Windows"
CLIENT = hello(1, b"\0\0\2\x13\1\1\0", extension(0, b"\0\x0e\0\0\x0bwww.example") + extension(16, b"\0\3\2h3")
               + extension(43, b"\2\3\4") + extension(0x39, b"\x71\x29" + bytes((len(AGENT),)) + AGENT))  # fmt: skip
SERVER = hello(2, b"\0\x13\1\0", extension(43, b"\3\4") + extension(51, b"\0\x1d\0\0"))
DARK = (True, b"\x40" + bytes(40))


@pytest.mark.parametrize("version,name", [(1, "1"), (VERSION_2, "2"), (0xFF00001D, "draft-29")])
def test_both_hellos(version, name):
    half = len(CLIENT) // 2
    said = [
        (True, sealed(crypto(CLIENT[half:], half), client=True, version=version)),
        (True, sealed(b"\1" + crypto(CLIENT[:half]), client=True, version=version)),
        (False, sealed(b"\2\0\0\0\0" + crypto(SERVER), client=False, version=version, dcid=b"\1\2", scid=b"\7\7")),
        DARK,
        (True, b"\x40nothing of this is read" + bytes(40)),
    ]
    rows = datagrams("quic", said)
    (row,), (tls,) = rows["quic"], rows["tls"]
    assert (row["version"], row["server_name"], row["client_protocols"]) == (name, "www.example", ["h3"])
    assert (row["client_initial_dcid"], row["client_scid"], row["server_scid"]) == (DCID.hex(), "0102", "0707")
    assert row["user_agent"] == AGENT.decode() and row["ja4"].startswith("q13d0104h3_") and row["packet_history"] == "ISis"
    assert (tls["version"], tls["cipher"], tls["curve"]) == ("TLSv13", "TLS_AES_128_GCM_SHA256", "x25519")
    assert tls["server_name"] == "www.example" and tls["established"] and tls["ja4"] == row["ja4"]


def test_retry_and_coalesced_packets():
    retry = b"\xf0\0\0\0\1\2\1\2\4abcdtoken" + bytes(16)
    said = [
        (True, sealed(crypto(CLIENT), client=True)),
        (False, retry),
        (True, sealed(crypto(CLIENT), client=True, dcid=b"abcd", keyed_by=b"abcd") + b"\xe3\0\0\0\1\4abcd\2\1\2\x05hello"),
        (False, sealed(crypto(SERVER), client=False, keyed_by=b"abcd", scid=b"abcd")),
        DARK,
    ]
    rows = datagrams("quic", said)
    assert rows["quic"][0]["retry"] and rows["quic"][0]["note"] is None and rows["tls"][0]["cipher"] == "TLS_AES_128_GCM_SHA256"


def test_what_cannot_be_read_is_told():
    (row,) = datagrams("quic", [(True, sealed(crypto(CLIENT), client=True, keyed_by=b"other"))])["quic"]
    assert row["note"] == "an Initial packet cannot be decrypted" and row["server_name"] is None


def test_google_before_the_standard():
    tags = [(b"SNI\0", b"www.example"), (b"UAID", b"Chrome/60")]
    table, values = b"", b""
    for tag, value in tags:
        values += value
        table += tag + struct.pack("<I", len(values))
    chlo = b"CHLO" + struct.pack("<HH", len(tags), 0) + table + values
    assert chlo_tags(b"xx" + chlo) == dict(tags)
    (row,) = datagrams("quic", [(True, b"\x0d" + bytes(8) + b"Q043\1" + bytes(12) + b"\xa0\1\0\0" + chlo)])["quic"]
    assert (row["version"], row["server_name"], row["user_agent"]) == ("Q043", "www.example", "Chrome/60")


@given(st.integers(0, 200), st.integers(0, 255))
def test_damage_anywhere(at, byte):
    whole = bytearray(sealed(crypto(CLIENT), client=True))
    whole[at % len(whole)] = byte
    datagrams("quic", [(True, bytes(whole)), (True, bytes(whole[:at]))])


def test_numbers_and_names():
    assert [varint(bytes.fromhex(x), 0)[0] for x in ("c2197c5eff14e88c", "9d7f3e7d", "7bbd", "25", "40")] == [
        151288809941952652, 494878333, 15293, 37, -1]  # fmt: skip
    assert [version_name(v) for v in (1, VERSION_2, 0xFF00001B, 0x51303530, 0x0A0A0A0A)] == ["1", "2", "draft-27", "Q050", "0x0a0a0a0a"]


@needs_shared
def test_real_connections_agree_with_tshark():
    """tshark -r FILE -Y tls.handshake.type==1 -T fields -e tls.handshake.extensions_server_name -e tls.handshake.ja3"""
    names = (
        "chromium-115.0.5790.110-api-cirrus-com.pcap", "curl-8.1.2-dev-http3-www-google-de.pcap",
        "quicv2-echo-dpd-custom-port-4433.pcap",
    )  # fmt: skip
    with read([str(SHARED / "captures/zeek/quic" / n) for n in names]) as reading:
        rows = reading.table("tls").to_pylist()
    assert {(r["server_name"], r["ja3"]) for r in rows} == {
        ("api.cirrus-ci.com", "526bdfecc3fb6cf46540d7ff70e88cec"), ("www.google.de", "f75253b5e2b4dcb3fdae9b78ce8c6e49"),
        ("localhost", "3e9680842aa1ac1f48edc74e779ebc97"),
    }  # fmt: skip
