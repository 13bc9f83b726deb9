"""Protocols that speak in lines: mail, FTP, IRC, Telnet, SIP; cut anywhere, with gaps, with any bytes at all."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import SHARED, needs_shared
from tests.protocols.conversations import talk
from tracehound.edges.reading import read
from tracehound.protocols.mime import Base64, Message, header_text, parameter
from tracehound.protocols.session import Expected, FlowEnds

PROTOCOLS = ["smtp", "pop3", "imap", "ftp", "irc", "telnet", "sip"]
ENDS = FlowEnds(7, "10.0.0.1", 4000, "192.0.2.1", 25)


CONTENT = bytes(range(256)) * 20
MAIL = (
    b"From: =?utf-8?q?J=C3=B6rg?= <a@example.org>\r\nTo: \"B, C\" <b@example.org>, d@example.org\r\nSubject: =?iso-8859-1?B?"
    + base64.b64encode("Gr\xfc\xdfe".encode("latin-1"))
    + b"?=\r\n =?utf-8?q?_da?=\r\nContent-Type: multipart/mixed;\r\n boundary=\"b=1\"\r\n\r\npreamble\r\n--b=1\r\n\r\n..first\r\n"
    b"--b=1\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n"
    b"Content-Disposition: attachment; filename*0*=utf-8''%C3%A4; filename*1=.exe\r\n\r\n"
    + base64.encodebytes(CONTENT).replace(b"\n", b"\r\n")
    + b"--b=1\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    b"a=3Db=\r\nc\r\n--b=1--\r\nepilogue\r\n"
)
SMTP = [
    (False, b"220-a\r\n220 mail ESMTP\r\n"),
    (True, b"EHLO me\r\nAUTH PLAIN " + base64.b64encode(b"\0joe\0secret")
     + b"\r\nMAIL FROM:<a@x> SIZE=1\r\nRCPT TO:<b@y>\r\nRCPT TO:<c@y>\r\nDATA\r\n"),
    (False, b"250-hello\r\n250 HELP\r\n235 ok\r\n250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n"),
    (True, MAIL + b".\r\nQUIT\r\n"),
    (False, b"250 queued\r\n221 bye\r\n"),
]


def attachment(rows):
    return next(r for r in rows["files"] if r["name"] == "\xe4.exe")


def test_mail_with_its_parts():
    rows = talk("smtp", SMTP)
    (mail,) = rows["smtp"]
    assert (mail["helo"], mail["mailfrom"], mail["rcptto"]) == ("me", "a@x", ["b@y", "c@y"])
    assert mail["mail_subject"] == "Gr\xfc\xdfe da" and mail["mail_from"] == "J\xf6rg <a@example.org>"
    assert mail["mail_to"] == ['"B, C" <b@example.org>', "d@example.org"]
    assert mail["last_reply"] == "250 queued" and mail["complete"] and not mail["tls"]
    plain = MAIL.replace(b"\n..", b"\n.")
    assert mail["message_sha256"] == hashlib.sha256(plain).hexdigest() and mail["message_bytes"] == len(plain)
    assert attachment(rows)["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert [r["sha256"] for r in rows["files"]][::2] == [hashlib.sha256(b).hexdigest() for b in (b".first", b"a=bc")]
    (login,) = rows["logins"]
    assert (login["user"], login["method"], login["accepted"], login["cleartext"]) == ("joe", "PLAIN", True, True)


@given(st.lists(st.integers(1, 8000), max_size=12))
def test_mail_cut_anywhere(cuts):
    assert talk("smtp", SMTP, cuts) == talk("smtp", SMTP)


def test_bdat_pipelined_and_one_sided():
    body = b"Subject: x\r\n\r\nhello\r\n.\r\n"
    said = b"EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<b>\r\nBDAT 10\r\n" + body[:10] + b"BDAT %d LAST\r\n" % len(body[10:]) + body[10:]
    (mail,) = talk("smtp", [(True, said + b"QUIT\r\n")])["smtp"]
    assert mail["message_sha256"] == hashlib.sha256(body).hexdigest()
    assert mail["complete"] and mail["last_reply"] is None and mail["mailfrom"] == ""


def test_starttls_stops():
    rows = talk("smtp", [(False, b"220 a SMTP\r\n"), (True, b"EHLO a\r\nSTARTTLS\r\n\x16\x03\x01garbage\r\nMAIL FROM:<a>\r\n")])
    assert [(r["tls"], r["mailfrom"]) for r in rows["smtp"]] == [(True, None)]


def test_a_gap_is_told():
    half = len(MAIL) // 2
    turns = [*SMTP[:3], (True, MAIL[:half]), (True, 100), (True, MAIL[half + 100 :] + b".\r\n"), (False, b"250 ok\r\n")]
    rows = talk("smtp", turns)
    assert not rows["smtp"][0]["complete"] and "missing" in rows["smtp"][0]["note"]
    assert not attachment(rows)["complete"]


@pytest.mark.parametrize("method,lines,user,cleartext", [
    (b"LOGIN", [base64.b64encode(b"joe"), base64.b64encode(b"secret")], "joe", True),
    (b"CRAM-MD5", [base64.b64encode(b"joe 0123456789abcdef")], "joe", False),
    (b"PLAIN", [base64.b64encode(b"\0joe\0secret")], "joe", True),
])  # fmt: skip
def test_sasl_in_three_protocols(method, lines, user, cleartext):
    answers = {"smtp": (b"220 SMTP\r\n", b"334 \r\n", b"535 no\r\n", b"AUTH "), "pop3": (b"+OK\r\n", b"+ \r\n", b"-ERR no\r\n", b"AUTH "),
               "imap": (b"* OK\r\n", b"+ \r\n", b"a NO no\r\n", b"a AUTHENTICATE ")}  # fmt: skip
    for service, (greeting, more, end, verb) in answers.items():
        rows = talk(service, [(False, greeting), (True, verb + method + b"\r\n" + b"\r\n".join(lines) + b"\r\n"),
                              (False, more * len(lines) + end)])  # fmt: skip
        (login,) = rows["logins"]
        assert (login["user"], login["cleartext"], login["accepted"]) == (user, cleartext, False), service
        assert "secret" not in str(rows) and base64.b64encode(b"secret").decode() not in str(rows)


POP3 = [(False, b"+OK hi <1@x>\r\n"), (True, b"USER joe\r\nPASS secret\r\nLIST\r\nRETR 1\r\nQUIT\r\n"),
        (False, b"+OK\r\n+OK in\r\n+OK\r\n1 5\r\n.\r\n+OK\r\n" + MAIL + b".\r\n+OK bye\r\n")]  # fmt: skip
IMAP = [(False, b"* OK hi\r\n"), (True, b'a1 LOGIN {3}\r\njoe "secret"\r\na2 UID FETCH 1 BODY[]\r\na3 LOGOUT\r\n'),
        (False, b"+ go\r\na1 OK in\r\n* 1 FETCH (UID 1 BODY[] {%d}\r\n" % len(MAIL) + MAIL + b")"
        b"\r\na2 OK\r\n* BYE\r\na3 OK\r\n")]  # fmt: skip


@pytest.mark.parametrize("service,turns", [("pop3", POP3), ("imap", IMAP)])
def test_mail_is_fetched(service, turns):
    rows = talk(service, turns)
    (login,) = rows["logins"]
    assert (login["user"], login["accepted"], login["cleartext"]) == ("joe", True, True)
    assert attachment(rows)["sha256"] == hashlib.sha256(CONTENT).hexdigest() and not attachment(rows)["sent_by_src"]
    assert "secret" not in str(rows)
    assert {r["result"] for r in rows[service]} <= {"+OK", "OK"}


FTP = [(False, b"220 FTP\r\n"), (True, b"USER joe\r\nPASS secret\r\n"
       b"PASV\r\nRETR a.exe\r\nEPRT |2|2001:db8::1|5000|\r\nSTOR b\r\nQUIT\r\n"),
       (False, b"331 ?\r\n230-hello\r\n 230 there\r\n230 in\r\n"
        b"227 ok (10,0,0,9,4,1)\r\n150 x\r\n226 done\r\n200 ok\r\n150 x\r\n226 d\r\n221 b\r\n")]  # fmt: skip


def test_ftp_announces_its_data_connections():
    announced: list[Expected] = []
    rows = talk("ftp", FTP, announced=announced)
    assert [(e.address, e.port) for e in announced] == [("2001:db8::1", 5000), ("10.0.0.9", 1025), ("192.0.2.1", 1025)]
    replies = [(r["command"], r["reply_code"]) for r in sorted(rows["ftp"], key=lambda r: r["txn_id"])]
    assert replies == [(None, 220), ("USER", 331), ("PASS", 230), ("PASV", 227), ("RETR", 226), ("EPRT", 200), ("STOR", 226), ("QUIT", 221)]
    (login,) = rows["logins"]
    assert login["accepted"] and "secret" not in str(rows)


IRC = [(True, b"PASS secret\r\nNICK bot\r\nUSER u 0 * :real name\r\nJOIN #x\r\n"),
       (False, b":srv 001 bot :hi\r\n:srv 332 bot #x :.advscan dcom\r\n"
       b":own!o@h PRIVMSG #x :!ddos 10.0.0.1\r\n:own!o@h PRIVMSG bot :\x01DCC SEND a.exe 3221225985 4444 99\x01\r\n")]  # fmt: skip


def test_irc():
    announced: list[Expected] = []
    rows = talk("irc", IRC, announced=announced)
    assert [(r["command"], r["value"], r["bot_command"]) for r in rows["irc"]][3:] == [
        ("TOPIC", "#x", ".advscan"), ("PRIVMSG", "#x", "!ddos"), ("PRIVMSG", "bot", None)]  # fmt: skip
    assert rows["irc"][-1]["dcc_file_name"] == "a.exe" and rows["irc"][-1]["dcc_file_size"] == 99
    assert [(e.address, e.port) for e in announced] == [("192.0.2.1", 4444)]
    assert rows["logins"][0]["accepted"] and "secret" not in str(rows)


TELNET = [(False, b"\xff\xfd\x18Box 1\r\nlogin: "), (True, b"\xff\xfb\x18\xff\xfa\x18\x00xterm\xff\xf0rooz\x7ft\r\0"),
          (False, b"\r\nPassword: "),
          (True, b"secret\r\n"), (False, b"\r\nLogin incorrect\r\nlogin: "), (True, b"root\r\n"), (False, b"Password: "),
          (True, b"better\r\n"), (False, b"\r\nLast login: today\r\n# ")]  # fmt: skip


def test_telnet():
    rows = talk("telnet", TELNET)
    assert [(r["user"], r["accepted"]) for r in rows["logins"]] == [("root", False), ("root", True)]
    (row,) = rows["telnet"]
    assert (row["terminal"], row["options_server"], row["prompts"]) == ("xterm", ["terminal type"], 2)
    assert "secret" not in str(rows) and "better" not in str(rows)


def test_telnet_with_echo():
    echoed = [(False, b"\xff\xfb\x01Hi\r\nUsername: "), (True, b"adm"), (False, b"adm"), (True, b"in\r\n"), (False, b"in\r\nPassword: "),
              (True, b"secret\r\n"), (False, b"\r\nrouter#sh run")]  # fmt: skip
    rows = talk("telnet", [*echoed[:-1], (False, b"\r\nrouter# sh run"), (True, b"\r\n")])
    assert [(r["user"], r["accepted"]) for r in rows["logins"]] == [("admin", True)]
    assert rows["telnet"][0]["banner"] == "Hi\\x0d\\x0aUsername:" and "secret" not in str(rows)


_SIP = b"v: SIP/2.0/TCP a\r\nFrom: <sip:a@b>\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\nContent-Length: 4\r\n"
SIP = [(True, b"REGISTER sip:b SIP/2.0\r\n" + _SIP + b'Authorization: Digest username="joe", response="x"\r\n\r\nbody'),
       (False, b"SIP/2.0 100 Trying\r\n" + _SIP + b"\r\nbodySIP/2.0 403 No\r\n" + _SIP + b"\r\nbody")]  # fmt: skip


def test_sip():
    rows = talk("sip", SIP)
    (row,) = rows["sip"]
    assert (row["method"], row["status"], row["request_path"], row["response_bytes"]) == ("REGISTER", 403, ["SIP/2.0/TCP a"], 4)
    assert [(r["user"], r["method"], r["accepted"]) for r in rows["logins"]] == [("joe", "Digest", False)]


TALKS = {"smtp": SMTP, "pop3": POP3, "imap": IMAP, "ftp": FTP, "irc": IRC, "telnet": TELNET, "sip": SIP}


@pytest.mark.parametrize("service", [s for s in PROTOCOLS if s != "smtp"])
@given(st.lists(st.integers(1, 400), max_size=8))
def test_cut_anywhere(service, cuts):
    assert talk(service, TALKS[service], cuts) == talk(service, TALKS[service])


@pytest.mark.parametrize("service", PROTOCOLS)
@given(st.data())
def test_any_bytes(service, data):
    turns = TALKS[service]
    damaged: list[tuple[bool, bytes | int]] = []
    for client, said in turns:
        how = data.draw(st.integers(0, 4))
        at = data.draw(st.integers(0, len(said)))
        damaged += [(client, said)] if how > 2 else [(client, said[:at] + data.draw(st.binary(max_size=20)) + said[at + how :])]
        if how == 1:
            damaged.append((client, 7))
    talk(service, damaged)
    talk(service, [(not c, s) for c, s in damaged])


@given(st.binary(max_size=400))
def test_names_of_any_kind(raw):
    text = raw.decode("latin-1")
    assert header_text(text).isprintable()
    parameter("a; " + text, "name")
    Base64().add(raw)
    message = Message(lambda *_: None, lambda *_: None)
    message.add(raw, 1, 1)
    message.close(complete=True)
    assert message.bytes == len(raw)


@needs_shared
def test_ftp_data_of_a_capture_is_tied():
    with read([str(SHARED / "captures/zeek/ftp/ipv4.pcap")]) as reading:
        files = reading.ask("SELECT name, bytes, service FROM files WHERE name IS NOT NULL ORDER BY txn_id").to_pylist()
        assert files == [{"name": "robots.txt", "bytes": 77, "service": "ftp_data"}] * 2
        assert len(reading.ask("SELECT * FROM flows WHERE service = 'ftp_data'")) == 4


@pytest.mark.parametrize("sent", ["=?utf-8?Q?caf\u00c3\u00a9?=", "=?utf-8?B?Y2Fm\u00e9?="])
def test_an_encoded_word_with_bytes_outside_ascii_is_left_as_it_was_sent(sent):
    assert header_text(sent) == sent
