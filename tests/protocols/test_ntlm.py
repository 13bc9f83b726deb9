"""NTLM: what its messages say of both sides, whatever protocol carries them."""

import base64

from hypothesis import given
from hypothesis import strategies as st

from tests.protocols.conversations import talk
from tests.protocols.test_smb import AUTHENTICATE, CHALLENGE, ntlm, wide
from tracehound.protocols.ntlm import messages_in, parse_authenticate, parse_challenge


def test_over_http():
    asked = b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: %s\r\n\r\n"
    refused = b"HTTP/1.1 401 No\r\nWWW-Authenticate: %s\r\nContent-Length: 0\r\n\r\n"
    said = [
        (True, asked % (b"NTLM " + base64.b64encode(ntlm(1)))), (False, refused % (b"NTLM " + base64.b64encode(CHALLENGE))),
        (True, asked % (b"NTLM " + base64.b64encode(AUTHENTICATE))), (False, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ]  # fmt: skip
    rows = talk("http", said)
    (row,), (login,) = rows["ntlm"], rows["logins"]
    assert (row["service"], row["user"], row["domain"], row["host_name"], row["accepted"]) == ("http", "joe", "DOM", "PC7", True)
    assert (row["server_nb_computer_name"], row["target_name"]) == ("SRV", "DOM")
    assert (login["user"], login["accepted"]) == ("DOM\\joe", True)


def test_kinds_of_responses():
    who = (wide("DOM"), wide("joe"), wide("PC7"), b"")
    kinds = [((bytes(24), bytes(24)), "NTLMv1"), ((b"\1" * 8 + bytes(16), bytes(24)), "NTLMv1 with session security"),
             ((bytes(24), bytes(60)), "NTLMv2"), ((bytes(24), b""), "LM")]  # fmt: skip
    for responses, version in kinds:
        said = parse_authenticate(ntlm(3, *responses, *who))
        assert said is not None and said.version == version
    nobody = parse_authenticate(ntlm(3, b"\0", b"", b"", b"", b"", b""))
    assert nobody is not None and (nobody.version, nobody.user) == ("anonymous", None)
    old = parse_authenticate(ntlm(3, bytes(24), bytes(24), b"DOM", b"joe", b"PC7", b"", flags=0))
    assert old is not None and (old.domain, old.user, old.host_name) == ("DOM", "joe", "PC7")


@given(st.binary(max_size=200))
def test_any_bytes(data):
    for kind in (b"\2\0\0\0", b"\3\0\0\0"):
        message = messages_in(data + b"NTLMSSP\0" + kind + data)
        assert message is not None
        parse_challenge(message)
        parse_authenticate(message)
