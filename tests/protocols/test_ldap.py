"""LDAP: operations, binds in all their kinds, filters as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import SHARED, needs_shared
from tests.protocols.conversations import datagrams, talk
from tests.protocols.test_smb import AUTHENTICATE, CHALLENGE
from tracehound.edges.reading import read
from tracehound.protocols.der import element
from tracehound.protocols.ldap import filter_text


def ber(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return bytes((tag, 0x84)) + len(body).to_bytes(4, "big") + body


def text(value: bytes, tag: int = 4) -> bytes:
    return bytes((tag, len(value))) + value if len(value) < 128 else ber(tag, value)


def number(value: int, tag: int = 2) -> bytes:
    return bytes((tag, 1, value))


def message(ident: int, *operation: bytes) -> bytes:
    return ber(0x30, number(ident), *operation)


def bind(ident: int, name: bytes, *auth: bytes) -> bytes:
    return message(ident, ber(0x60, number(3), text(name), *auth))


def result(ident: int, tag: int, code: int = 0, words: bytes = b"", *more: bytes) -> bytes:
    return message(ident, ber(tag, number(code, 10), text(b""), text(words), *more))


LIKE = ber(0xA4, text(b"cn"), ber(0x30, text(b"a*", 0x80), text(b"z", 0x82)))
FILTER = ber(0xA0, ber(0xA3, text(b"objectClass"), text(b"user")), ber(0xA2, LIKE),
             ber(0xA1, text(b"mail", 0x87), ber(0xA5, text(b"x"), text(b"\xff"))),
             ber(0xA9, text(b"1.2.840.113556.1.4.803", 0x81), text(b"uac", 0x82), text(b"4194304", 0x83)))  # fmt: skip
SEARCH = message(2, ber(0x63, text(b"dc=example"), number(2, 10), number(0, 10), number(0), number(0), number(0, 1), FILTER,
                        ber(0x30, text(b"cn"), text(b"mail"))))  # fmt: skip
TALK = [
    (True, bind(1, b"cn=admin", text(b"secret", 0x80)) + SEARCH),
    (False, result(1, 0x61) + message(2, ber(0x64, text(b"cn=a"))) + message(2, ber(0x64, text(b"cn=b"))) + result(2, 0x65)),
    (True, message(3, ber(0x66, text(b"cn=a"), ber(0x30, ber(0x30, number(2, 10), ber(0x30, text(b"mail"), ber(0x31))))))
     + message(4, text(b"cn=b", 0x4A)) + message(5, text(b"", 0x42))),
    (False, result(3, 0x67) + result(4, 0x6B, 50, b"not you")),
]  # fmt: skip
AS_TEXT = r"(&(objectClass=user)(!(cn=a\2a*z))(|(mail=*)(x>=\ff))(uac:1.2.840.113556.1.4.803:=4194304))"


def test_operations():
    rows = talk("ldap_tcp", TALK)
    said = [(r["operation"], r["object"], r["result"]) for r in sorted(rows["ldap"], key=lambda r: r["message_number"])]
    assert said == [
        ("bind simple", "cn=admin", "success"), ("search", "dc=example", "success"), ("modify", "cn=a", "success"),
        ("delete", "cn=b", "insufficientAccessRights"), ("unbind", None, None),
    ]  # fmt: skip
    search = next(r for r in rows["ldap"] if r["operation"] == "search")
    assert (search["scope"], search["filter"], search["attributes"], search["result_count"]) == ("tree", AS_TEXT, ["cn", "mail"], 2)
    assert next(r for r in rows["ldap"] if r["operation"] == "modify")["attributes"] == ["replace mail"]
    (login,) = rows["logins"]
    assert (login["user"], login["method"], login["cleartext"], login["accepted"]) == ("cn=admin", "simple", True, True)
    assert "secret" not in str(rows)


@given(st.lists(st.integers(1, 400), max_size=6))
def test_cut_anywhere(cuts):
    assert talk("ldap_tcp", TALK, cuts) == talk("ldap_tcp", TALK)


def test_answers_first_and_over_udp():
    swapped = [(not client, data) for client, data in TALK]
    assert {r["result"] for r in talk("ldap_tcp", swapped)["ldap"]} == {"success", "insufficientAccessRights", None}
    (row,) = datagrams("ldap_udp", [(True, SEARCH), (False, message(2, ber(0x64, text(b""))) + result(2, 0x65))])["ldap"]
    assert (row["operation"], row["result"], row["result_count"]) == ("search", "success", 1)


def sasl(ident: int, mechanism: bytes, token: bytes) -> bytes:
    return bind(ident, b"", ber(0xA3, text(mechanism), text(token)))


@pytest.mark.parametrize("said,user,method,accepted", [
    ([(True, bind(1, b"", text(b"", 0x80))), (False, result(1, 0x61))], None, "simple", True),
    ([(True, sasl(1, b"PLAIN", b"\0joe\0secret")), (False, result(1, 0x61, 49, b"80090308"))], "joe", "PLAIN", False),
    ([(True, sasl(1, b"GSS-SPNEGO", b"NTLMSSP\0\1\0\0\0") + sasl(2, b"GSS-SPNEGO", AUTHENTICATE)),
      (False, result(1, 0x61, 14, b"", text(CHALLENGE, 0x87)) + result(2, 0x61, 49))], "DOM\\joe", "NTLM", False),
])  # fmt: skip
def test_binds(said, user, method, accepted):
    rows = talk("ldap_tcp", said)
    (login,) = rows["logins"]
    assert (login["user"], login["method"], login["accepted"]) == (user, method, accepted)
    assert "secret" not in str(rows)
    if method == "NTLM":
        assert rows["ntlm"][0]["server_nb_computer_name"] == "SRV" and rows["ntlm"][0]["service"] == "ldap_tcp"


def test_signed_encrypted_and_tls():
    wrapped = b"\5\4\0\xff\0\x0c\0\0" + bytes(8) + SEARCH + bytes(12)
    sealed = b"\5\4\2\xff\0\x0c\0\0" + bytes(8) + bytes(50)
    said = [(True, sasl(1, b"GSSAPI", b"x") + len(wrapped).to_bytes(4, "big") + wrapped + len(sealed).to_bytes(4, "big") + sealed)]
    rows = talk("ldap_tcp", said)["ldap"]
    assert [(r["operation"], r["note"]) for r in rows] == [("bind SASL", "encrypted from here on"), ("search", "encrypted from here on")]
    start = message(1, ber(0x77, text(b"1.3.6.1.4.1.1466.20037", 0x80)))
    hello = b"\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x03" + bytes(32) + b"\0\0\x02\x13\x01\x01\0"
    rows = talk("ldap_tcp", [(True, start), (False, result(1, 0x78)), (True, hello)])
    assert rows["ldap"][0]["argument"] == "StartTLS" and len(rows["tls"]) == 1


@given(st.binary(max_size=200))
def test_any_filter(data):
    try:
        outer = element(data, 0, len(data))
        filter_text(data, outer)
    except Exception as problem:
        assert type(problem).__name__ == "Broken"


def test_an_operation_without_its_parts():
    """Found by flipping bytes of zeek/ldap/ldap-add.pcap."""
    rows = talk("ldap_tcp", [(True, message(1, ber(0x68)) + message(2, ber(0x60)) + message(3, ber(0x63)))])["ldap"]
    assert [r["operation"] for r in rows] == ["add", "bind", "search"] and rows[0]["note"] == "a message is malformed"


@needs_shared
def test_real_filters():
    with read(str(SHARED / "captures/zeek/ldap/ldap_escaping_test.pcapng")) as reading:
        filters = {r["filter"] for r in reading.table("ldap").to_pylist() if r["filter"]}
    assert any(r"(name=Test\28with_a_\2a\29)" in f for f in filters)
