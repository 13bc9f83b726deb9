"""Kerberos: who asks for which ticket, how it fared, and which encryption can be guessed."""

from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import SHARED, needs_shared
from tests.protocols.conversations import datagrams, talk
from tracehound.edges.reading import read
from tracehound.protocols.kerberos_message import ticket_in


def ber(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return bytes((tag, 0x82)) + len(body).to_bytes(2, "big") + body


def number(value: int) -> bytes:
    return ber(2, value.to_bytes(4, "big", signed=True))


def member(n: int, *parts: bytes) -> bytes:
    return ber(0xA0 | n, *parts)


def words(text: str) -> bytes:
    return ber(0x1B, text.encode())


def principal(*parts: str) -> bytes:
    return ber(0x30, member(0, number(1)), member(1, ber(0x30, *map(words, parts))))


def request(tag: int, who: str, service: tuple[str, ...], *, proof: int | None = None, ciphers=(18, 23)) -> bytes:
    padata = member(3, ber(0x30, ber(0x30, member(1, number(proof)), member(2, ber(4, b"x"))))) if proof else b""
    address = ber(0x30, ber(0x30, member(0, number(20)), member(1, ber(4, b"PC7            \0"))))
    body = ber(0x30, member(0, ber(3, b"\0\x40\x80\0\0")), member(1, principal(who)), member(2, words("EXAMPLE")),
               member(3, principal(*service)), member(5, ber(0x18, b"20370913024805Z")), member(7, number(5)),
               member(8, ber(0x30, *map(number, ciphers))), member(9, address))  # fmt: skip
    return ber(tag, ber(0x30, member(1, number(5)), member(2, number(10)), padata, member(4, body)))


def encrypted(cipher: int) -> bytes:
    return ber(0x30, member(0, number(cipher)), member(2, ber(4, b"secret")))


def ticket(cipher: int, *service: str) -> bytes:
    return ber(0x61, ber(0x30, member(0, number(5)), member(1, words("EXAMPLE")), member(2, principal(*service)),
                         member(3, encrypted(cipher))))  # fmt: skip


def reply(tag: int, who: str, service: tuple[str, ...], cipher: int) -> bytes:
    return ber(tag, ber(0x30, member(0, number(5)), member(1, number(11)), member(3, words("EXAMPLE")), member(4, principal(who)),
                        member(5, ticket(cipher, *service)), member(6, encrypted(18))))  # fmt: skip


def failed(code: int) -> bytes:
    return ber(0x7E, ber(0x30, member(0, number(5)), member(1, number(30)), member(6, number(code)), member(9, words("EXAMPLE")),
                         member(11, words("no"))))  # fmt: skip


TGT = ("krbtgt", "EXAMPLE")
AP = ber(0x6E, ber(0x30, member(0, number(5)), member(1, number(14)), member(2, ber(3, bytes(5))), member(3, ticket(23, "cifs", "srv")),
                   member(4, encrypted(23))))  # fmt: skip


def test_logins_and_tickets():
    said = [
        (True, request(0x6A, "joe", TGT)), (False, failed(25)), (True, request(0x6A, "joe", TGT, proof=2)), (False, failed(24)),
        (True, request(0x6A, "joe", TGT, proof=2)), (False, reply(0x6B, "joe", TGT, 18)),
        (True, request(0x6C, "joe", ("MSSQLSvc", "db"), ciphers=(23,))), (False, reply(0x6D, "joe", ("MSSQLSvc", "db"), 23)),
    ]  # fmt: skip
    rows = datagrams("krb", said)
    assert [(r["request_type"], r["result"], r["preauth"]) for r in rows["kerberos"]] == [
        ("AS", "KDC_ERR_PREAUTH_REQUIRED", False), ("AS", "KDC_ERR_PREAUTH_FAILED", True), ("AS", "SUCCESS", True),
        ("TGS", "SUCCESS", None),
    ]  # fmt: skip
    assert [(r["user"], r["accepted"]) for r in rows["logins"]] == [("joe@EXAMPLE", False), ("joe@EXAMPLE", True)]
    last = rows["kerberos"][-1]
    assert (last["service_principal"], last["ticket_cipher"]) == ("MSSQLSvc/db", "rc4-hmac")
    assert last["reply_cipher"] == "aes256-cts-hmac-sha1-96"
    first = rows["kerberos"][0]
    assert (first["client_ciphers"], first["host_name"]) == (["aes256-cts-hmac-sha1-96", "rc4-hmac"], "PC7")
    assert (first["forwardable"], first["renewable"], first["till"], first["answer"]) == (True, True, 2_136_422_885 * 10**9, "no")


def framed(*messages: bytes) -> bytes:
    return b"".join(len(m).to_bytes(4, "big") + m for m in messages)


STREAM = [(True, framed(request(0x6A, "a", TGT, proof=2), request(0x6A, "b", TGT))), (False, framed(reply(0x6B, "a", TGT, 18), failed(6)))]


def test_over_tcp_one_sided_and_shown():
    rows = talk("krb_tcp", STREAM)
    assert [(r["client"], r["result"]) for r in rows["kerberos"]] == [
        ("a@EXAMPLE", "SUCCESS"), ("b@EXAMPLE", "KDC_ERR_C_PRINCIPAL_UNKNOWN"),
    ]  # fmt: skip
    (row,) = talk("krb_tcp", STREAM[1:])["kerberos"][:1]
    assert (row["note"], row["client"], row["src"]) == ("the request is missing", "a@EXAMPLE", "10.0.0.1")
    (row,) = talk("krb_tcp", [(True, framed(request(0x6C, "a", TGT)))])["kerberos"]
    assert (row["request_type"], row["result"]) == ("TGS", None)
    shown = ticket_in(b"\x60\x82\x01\0\6\x09\x2a\x86\x48\x86\xf7\x12\1\2\2\1\0" + AP)
    assert shown is not None and (shown.service, shown.ticket_cipher) == ("cifs/srv", "rc4-hmac")


@given(st.lists(st.integers(1, 900), max_size=6))
def test_cut_anywhere(cuts):
    assert talk("krb_tcp", STREAM, cuts) == talk("krb_tcp", STREAM)


@given(st.integers(0, 900), st.integers(0, 255))
def test_damage_anywhere(at, byte):
    whole = bytearray(reply(0x6B, "joe", TGT, 18) if at % 2 else request(0x6A, "joe", TGT, proof=2))
    whole[at % len(whole)] = byte
    datagrams("krb", [(True, bytes(whole)), (False, bytes(whole[:at]))])


@needs_shared
def test_a_real_ticket():
    with read(str(SHARED / "captures/zeek/ldap/aduser1.pcap")) as reading:
        rows = reading.table("kerberos").to_pylist()
    found = {(r["request_type"], r["client"], r["service_principal"], r["result"]) for r in rows}
    assert ("AS", "User1@ADHACKING.LOCAL", "krbtgt/ADHACKING.LOCAL", "SUCCESS") in found
