"""DHCP and DHCPv6: who is given which address, and what clients say of themselves."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import SHARED, needs_shared
from tests.protocols.conversations import datagrams
from tracehound.edges.reading import read


def option(number: int, value: bytes) -> bytes:
    return bytes((number, len(value))) + value


def message(op: int, options: bytes, *, yours: bytes = bytes(4), file: bytes = b"", name: bytes = b"") -> bytes:
    head = struct.pack(">BBBBIHH", op, 1, 6, 0, 0xABCD, 0, 0) + bytes(4) + yours + bytes(8)
    fixed = head + bytes.fromhex("020000000001") + bytes(10) + name.ljust(64, b"\0") + file.ljust(128, b"\0")
    return fixed + b"\x63\x82\x53\x63" + options + b"\xff"


REQUEST = message(1, option(53, b"\3") + option(50, bytes((10, 0, 0, 7))) + option(12, b"laptop\0") + option(60, b"MSFT 5.0")
                  + option(55, bytes((1, 3, 6))) + option(81, b"\4\0\0\6laptop\7example\0") + option(61, b"\1\2\0\0\0\0\1")
                  + option(77, b"\4home") + option(82, option(1, b"eth0") + option(2, b"\1\2")))  # fmt: skip
ACK = message(2, option(53, b"\5") + option(51, struct.pack(">I", 3600)) + option(54, bytes((10, 0, 0, 1)))
              + option(3, bytes((10, 0, 0, 1))) + option(6, bytes((10, 0, 0, 2, 10, 0, 0, 3))) + option(15, b"example")
              + option(12, b"a") + option(12, b"b"), yours=bytes((10, 0, 0, 7)), file=b"boot.img")  # fmt: skip


def test_request_and_answer():
    asked, given_ = datagrams("dhcp", [(True, REQUEST), (False, ACK)])["dhcp"]
    assert (asked["message_type"], asked["xid"], asked["mac"]) == ("REQUEST", 0xABCD, "02:00:00:00:00:01")
    assert asked["requested_addr"] == "10.0.0.7"
    assert (asked["host_name"], asked["client_fqdn"], asked["vendor_class"]) == ("laptop", "laptop.example", "MSFT 5.0")
    assert (asked["parameters"], asked["client_id"], asked["user_class"]) == ("1,3,6", "01020000000001", "home")
    assert (asked["agent_circuit"], asked["agent_remote"], asked["src"], asked["dst"]) == ("eth0", "0102", "10.0.0.1", "192.0.2.1")
    assert (given_["message_type"], given_["assigned_addr"], given_["server_addr"]) == ("ACK", "10.0.0.7", "10.0.0.1")
    assert (given_["lease_time_s"], given_["dns_servers"], given_["routers"]) == (3600, ["10.0.0.2", "10.0.0.3"], ["10.0.0.1"])
    assert (given_["dns_domain"], given_["boot_file"], given_["src"]) == ("example", "boot.img", "192.0.2.1")
    assert given_["host_name"] == "ab", "RFC 3396: an option that comes again continues"


def test_overload_bootp_and_damage():
    overloaded = message(1, option(52, b"\3"), file=option(53, b"\1") + b"\xff", name=option(12, b"x") + b"\xff")
    (row,) = datagrams("dhcp", [(True, overloaded)])["dhcp"]
    assert (row["message_type"], row["host_name"], row["boot_file"]) == ("DISCOVER", "x", None)
    (row,) = datagrams("dhcp", [(True, message(1, b"")[:300].replace(b"\x63\x82", b"\0\0") + bytes(64))])["dhcp"]
    assert (row["message_type"], row["note"]) == ("BOOTREQUEST", "no magic cookie")
    (row,) = datagrams("dhcp", [(True, REQUEST[:-6])])["dhcp"]
    assert row["note"] == "options cut" and row["host_name"] == "laptop"
    (row,) = datagrams("dhcp", [(True, REQUEST[:100])])["dhcp"]
    assert row["note"] == "shorter than a message" and row["mac"] is None


def six(number: int, value: bytes) -> bytes:
    return struct.pack(">HH", number, len(value)) + value


DUID = b"\0\1\0\1" + bytes(4) + bytes.fromhex("020000000001")
ADDRESS = bytes.fromhex("20010db8000000000000000000000007")
REPLY = b"\7\0\0\x09" + six(1, DUID) + six(3, bytes(12) + six(5, ADDRESS + struct.pack(">II", 100, 200))) + six(23, ADDRESS) \
    + six(24, b"\7example\0") + six(25, bytes(12) + six(26, struct.pack(">IIB", 1, 2, 56) + ADDRESS)) + six(13, b"\0\2none")  # fmt: skip


def test_dhcpv6():
    (row,) = datagrams("dhcpv6", [(True, REPLY)])["dhcpv6"]
    assert (row["message_type"], row["xid"], row["mac"], row["lease_time_s"]) == ("REPLY", 9, "02:00:00:00:00:01", 200)
    assert (row["addresses"], row["dns_servers"]) == (["2001:db8::7", "2001:db8::7/56"], ["2001:db8::7"])
    assert (row["search_domains"], row["result"], row["answer"]) == (["example"], "NoAddrsAvail", "none")
    relayed = b"\x0d\0" + ADDRESS + bytes(16) + six(9, REPLY)
    (inside,) = datagrams("dhcpv6", [(True, relayed)])["dhcpv6"]
    assert inside == {**row, "relay_addr": "2001:db8::7"}


@given(st.integers(0, 400), st.sampled_from([("dhcp", REQUEST), ("dhcp", ACK), ("dhcpv6", REPLY)]))
def test_cut_anywhere(length, what):
    service, whole = what
    assert len(datagrams(service, [(True, whole[:length])])[service]) == 1


@needs_shared
def test_lease_of_a_real_capture():
    with read(str(SHARED / "captures/zeek/dhcp/dhcp.pcap")) as reading:
        rows = reading.table("dhcp").to_pylist()
    assert ("ACK", "90:b1:1c:99:49:29", "128.2.6.189", 900) in {
        (r["message_type"], r["mac"], r["assigned_addr"], r["lease_time_s"]) for r in rows
    }
