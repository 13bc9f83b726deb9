"""Protocols whose every message is a transaction: what rules see of each; any bytes are read without an error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.asn1.asn1 import ASN1_OID
from scapy.layers.kerberos import KRB_ERROR
from scapy.layers.ntp import NTPHeader
from scapy.layers.snmp import SNMP, SNMPget, SNMPvarbind
from scapy.layers.tftp import TFTP, TFTP_RRQ

from tests.rules.alerting import alerts
from tests.wire import capture
from tracehound.rules.services.catalog import DATAGRAMS, SERVICES

INVITE = (
    b"INVITE sip:bob@example.net SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nVia: SIP/2.0/UDP b\r\nFrom: <sip:a@x>\r\nt: <sip:b@x>\r\n"
    b"User-Agent: probe\r\n"
    b"Content-Type: application/sdp\r\nContent-Length: 77\r\n\r\n"
    b"v=0\r\no=me 1 1 IN IP4 10.0.0.1\r\ns=talk\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\ni=voice\r\n"
)
RINGING = b"SIP/2.0 180 Ringing\r\nVia: SIP/2.0/UDP a\r\nContent-Length: 0\r\n\r\n"
SNMP_GET = bytes(SNMP(community=b"secret", PDU=SNMPget(varbindlist=[SNMPvarbind(oid=ASN1_OID("1.3.6.1"))])))
CONNECT = b"\x10\x1a\x00\x04MQTT\x04\xc2\x00\x3c\x00\x05agent\x00\x02me\x00\x03key"
PUBLISH = b"\x31\x0c\x00\x05a/b/cHELLO"
SUBSCRIBE = b"\x82\x0b\x00\x01\x00\x01x\x00\x00\x02yz\x01"


def datagrams(port: int, query: bytes, answer: bytes | None = None) -> bytes:
    return capture(lambda wire, a, b: a.exchange(b, port, query, answer, at=1.0))


def stream(port: int, query: bytes, answer: bytes) -> bytes:
    return capture(lambda wire, a, b: a.connect(b, port, at=1.0).send(query).reply(answer).close())


@pytest.mark.parametrize(
    ("evidence", "service", "body", "told"),
    [
        (datagrams(5060, INVITE, RINGING), "sip", 'sip.method; content:"INVITE"; bsize:6;', 1),
        (datagrams(5060, INVITE, RINGING), "sip", 'sip.uri; content:"bob@"; startswith;', 0),
        (datagrams(5060, INVITE, RINGING), "sip", 'sip.via; content:"UDP b";', 1),
        (datagrams(5060, INVITE, RINGING), "sip", 'sip.to; content:"b@x";', 1),
        (datagrams(5060, INVITE, RINGING), "sip", 'sip.stat_code; content:"180";', 1),
        (datagrams(5060, INVITE, RINGING), "sip", 'sip.stat_msg; content:"Ringing"; bsize:7;', 1),
        (datagrams(5060, INVITE, RINGING), "sip", 'sdp.media.media; content:"audio"; sdp.media.media_info; content:"voice";', 1),
        (datagrams(5060, INVITE, RINGING), "sip", 'sdp.session_name; content:"talk"; bsize:4;', 1),
        (stream(5060, INVITE, RINGING), "sip", 'sip.user_agent; content:"probe";', 1),
        (datagrams(161, SNMP_GET), "snmp", 'snmp.community; content:"secret"; bsize:6;', 1),
        (datagrams(161, SNMP_GET), "snmp", "snmp.version:2; snmp.pdu_type:get_request;", 1),
        (datagrams(161, SNMP_GET), "snmp", "snmp.pdu_type:3;", 0),
        (datagrams(123, bytes(NTPHeader(version=4, mode=3, stratum=2))), "ntp", "ntp.mode:client; ntp.version:4; ntp.stratum:2;", 1),
        (datagrams(69, bytes(TFTP(op=1) / TFTP_RRQ(filename="boot.img"))), "tftp", 'tftp.file; content:"boot.img"; bsize:8;', 1),
        (datagrams(88, bytes(KRB_ERROR(errorCode=25))), "krb5", "krb5_msg_type:30; krb5_err_code:25;", 1),
        (stream(1883, CONNECT + SUBSCRIBE + PUBLISH, b"\x20\x02\x01\x00"), "mqtt", 'mqtt.connect.clientid; content:"agent"; bsize:5;', 1),
        (stream(1883, CONNECT + SUBSCRIBE + PUBLISH, b"\x20\x02\x01\x00"), "mqtt", 'mqtt.connect.password; content:"key";', 1),
        (stream(1883, CONNECT + SUBSCRIBE + PUBLISH, b"\x20\x02\x01\x00"), "mqtt", 'mqtt.subscribe.topic; content:"yz"; bsize:2;', 1),
        (stream(1883, CONNECT + SUBSCRIBE + PUBLISH, b"\x20\x02\x01\x00"), "mqtt", 'mqtt.publish.message; content:"HELLO"; bsize:5;', 1),
        (stream(1883, CONNECT + SUBSCRIBE + PUBLISH, b"\x20\x02\x01\x00"), "mqtt", "mqtt.connack.session_present:yes;", 1),
        (stream(1883, CONNECT + SUBSCRIBE + PUBLISH, b"\x20\x02\x01\x00"), "mqtt", "mqtt.type:publish;", 1),
        (stream(3389, b"\x03\0\0\x23\x1e\xe0\0\0\0\0\0Cookie: mstshash=bob\r\n\r\n", b"\x03\0\0\x0b\x06\xd0\0\0\0\0\0"),
         "rdp", 'rdp.cookie; content:"bob"; bsize:3;', 1),
    ],
)  # fmt: skip
def test_what_a_rule_sees(tmp_path, evidence, service, body, told):
    assert len(alerts(tmp_path, evidence, f"alert {service} any any -> any any ({body} sid:1;)\n")) == told


def test_a_desktop_over_the_network_has_a_name(tmp_path):
    def write(wire, a, b):
        talk = a.connect(b, 5900, at=1.0).reply(b"RFB 003.008\n").send(b"RFB 003.008\n").reply(b"\x01\x02").send(b"\x02")
        talk.reply(b"c" * 16).send(b"r" * 16).reply(b"\0\0\0\0").send(b"\x01").reply(b"\0" * 20 + b"\0\0\0\x06office").close()

    rules = (
        'alert rfb any any -> any any (rfb.name; content:"office"; bsize:6; sid:1;)\n'
        "alert rfb any any -> any any (rfb.sectype:2; flow:to_client; sid:2;)\n"
        "alert rfb any any -> any any (rfb.secresult:ok; flow:to_client; sid:3;)\n"
    )
    assert sorted(sid for sid, *_ in alerts(tmp_path, capture(write), rules)) == [1, 2, 3]


@pytest.mark.parametrize("made", [*SERVICES.values(), *DATAGRAMS.values()])
@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=80)), max_size=6))
def test_any_bytes_are_read(made, parts):
    service = made()
    for to_server, data in parts:
        if not service.stopped:
            service.feed(to_server, data)
    for side in (True, False):
        service.end(side)
    for tx in service.transactions:
        for source in service.sources.values():
            for side in (True, False):
                assert source.get(tx, side) is None or isinstance(source.get(tx, side), bytes | list)
        service.summary(tx)


KNOWN = (INVITE, RINGING, SNMP_GET, CONNECT, bytes(KRB_ERROR(errorCode=25)), b"\xc0\0\0\0\x01\x08abcdefgh\0\0\x44" + b"x" * 80)


@pytest.mark.parametrize("name", sorted({*SERVICES, *DATAGRAMS}))
@given(st.sampled_from(KNOWN), st.integers(0, 400), st.integers(0, 255), st.booleans())
def test_messages_with_one_byte_changed_are_read(name, message, at, byte, to_server):
    data = bytearray(message)
    data[at % len(data)] = byte
    service = (DATAGRAMS.get(name) or SERVICES[name])()
    service.feed(to_server, bytes(data))
    for tx in service.transactions:
        for source in service.sources.values():
            source.get(tx, to_server)
        service.summary(tx)
