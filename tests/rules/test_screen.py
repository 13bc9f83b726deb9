"""What is screened out before packets are looked at would not have matched: rules of many kinds over conversations that are cut, out
of order and incomplete tell the same with and without it."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.rules.alerting import in_batches
from tests.wire import Wire
from tracehound.rules.literals import without_ends
from tracehound.rules.rule import ByteTest, Content
from tracehound.rules.ruleset import parse_rules
from tracehound.rules.screen import relaxed
from tracehound.rules.settings import Settings

GET = b"GET /a%2fb/thing.php?id=7 HTTP/1.1\r\nHost: example.org\r\nUser-Agent:  Quiet\r\nX-Long: " + b"z" * 300 + b"\r\n\r\n"
POST = b"POST /up HTTP/1.1\r\nHost: example.org\r\nContent-Length: 26\r\n\r\nname=value&colour=greenish"
OK = b"HTTP/1.1 200 OK\r\nServer: tiny\r\nContent-Type: text/html\r\nContent-Length: 11\r\n\r\nhello world"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel-o\r\n6\r\n earth\r\n0\r\n\r\n"
HELLO = b"\x16\x03\x01\x00\x10\x01\x00\x00\x0c\x03\x03" + b"\x20" + b"\0\5" + b"pick" * 12

RULES = [
    'http.header; content:"User-Agent|3a| Quiet|0d 0a|";',
    'http.header; content:"User-Agent|3a| Qui|0d 0a|";',
    'http.user_agent; bsize:5;',
    'http.uri; content:"/a/b/thing";',
    'http.uri; content:"php"; content:"id"; within:4; distance:1;',
    'urilen:>14; http.method; content:"G";',
    'http.uri; content:"."; offset:11; depth:1; content:!"x"; pcre:"/^\\/a\\/b\\/[a-z]+\\.php/";',
    'http.request_body; content:"colour=gr";',
    'http.request_body; content:"name="; content:!"x"; within:3; content:"&"; distance:5; within:1;',
    'http.host; content:"example"; endswith;',
    'file.data; content:"hello"; offset:0; depth:5; content:" "; within:1;',
    'http.stat_code; content:"200"; http.server; content:"tiny";',
    'file.data; byte_test:1,>,103,0; content:"el"; distance:0; within:2;',
    'http.response_body; pcre:"/^hel.o earth$/";',
    'content:"get "; nocase; depth:4; content:!"GET "; depth:4;',
    'content:"|16 03|"; depth:2; byte_test:1,<,4,0,relative; content:"|01|"; distance:3; within:1;',
    'content:"|16 03|"; depth:2; content:"|03 03|"; offset:9; depth:2; byte_jump:1,0,relative; content:"pick"; within:8;',
    'content:"|00|"; byte_extract:1,0,size,relative; content:"pick"; within:size; isdataat:9,relative;',
    'content:"sesame"; pcre:"/\\bopen sesame\\b/";',
    'pcre:"/(?<!never )open (?:ses|bis)ame(?!s)/";',
    'content:"open"; content:"sesame"; distance:1; within:6; content:!"never"; depth:5;',
    'content:"ses"; offset:6; depth:9; dsize:<20;',
    'content:"same"; isdataat:!1,relative;',
    'byte_test:1,=,110,0; content:"ever";',
    'content:"end of it"; endswith; dsize:9;',
    'flow:to_client,established; content:"|00 02|"; depth:2;',
]


def rules_of(bodies) -> str:
    text = "".join(f"alert tcp any any -> any any ({body} sid:{n};)\n" for n, body in enumerate(bodies, 1))
    return text + 'alert udp any any -> any any (content:"|18|"; depth:1; content:"|00 00|"; distance:2; within:2; sid:900;)\n'


def conversations() -> bytes:
    wire = Wire()
    a, b = wire.host("10.1.0.5"), wire.host("192.0.2.80")
    a.connect(b, 80, at=1.0).send(GET[:40]).wait(0.1).send(GET[40:]).reply(OK[:30]).wait(0.1).reply(OK[30:]).close()
    a.connect(b, 80, at=1.1).send(POST[:90]).wait(0.3).send(POST[90:]).reply(CHUNKED[:60]).wait(0.2).reply(CHUNKED[60:]).close()
    a.connect(b, 443, at=1.2).send(HELLO).reply(b"\x16\x03\x03\x00\x04\x02\0\0\0").close()
    a.connect(b, 4444, at=1.3).send(b"never open ses").wait(0.3).send(b"ame, GET it").reply(b"\0\2open bisame").reply(b"end of it").close()
    a.connect(b, 4445, at=1.4).send(b"y" * 3000 + b"open ses").wait(0.2).send(b"ame" + b"x" * 2800).reply(b"Get the rest").close()
    return wire.pcap()


def damaged(data: bytes, how: str) -> bytes:
    """The same records with some of them missing, late, or twice."""
    at, records = 24, []
    while at < len(data):
        size = 16 + int.from_bytes(data[at + 8 : at + 12], "little")
        records.append(data[at : at + size])
        at += size
    if how == "missing":
        records = [r for n, r in enumerate(records) if n % 11 != 8]
    elif how == "late":
        records = [records[n ^ 1] if n ^ 1 < len(records) else records[n] for n in range(len(records))]
    elif how == "twice":
        records = [r for n, r in enumerate(records) for _ in range(2 if n % 3 == 0 else 1)]
    return data[:24] + b"".join(records)


@pytest.mark.parametrize("how", ["whole", "missing", "late", "twice"])
def test_what_is_screened_out_would_not_have_matched(tmp_path, how):
    data, text = damaged(conversations(), how), rules_of(RULES)
    everything = in_batches(tmp_path, data, text, 10_000, everything=True)
    assert len({sid for sid, *_ in everything}) > 12
    for records in (10_000, 7, 3, 1):
        assert in_batches(tmp_path, data, text, records) == everything


CONTENT = st.builds(
    lambda text, negated, rest: f'content:{negated}"{text}"; {rest}',
    st.text("abA", min_size=1, max_size=3), st.sampled_from(["", "", "", "!"]),
    st.sampled_from([
        "", "nocase; ", "offset:1; ", "depth:4; ", "offset:2; depth:4; ", "distance:0; ", "within:5; ", "distance:1; within:4; ",
        "distance:-3; ", "startswith; ", "endswith; ",
    ]),
)  # fmt: skip
OTHER = st.sampled_from([
    "byte_test:1,=,97,0; ", "byte_test:1,!=,97,1,relative; ", "byte_jump:1,0,relative,bitmask 0x03; ", "isdataat:2,relative; ",
    "isdataat:!3; ",
    'pcre:"/^a/R"; ', 'pcre:"/b$/"; ', 'pcre:"/a.?b/"; ', 'pcre:"/b(?!a)/"; ', "dsize:<6; ",
])  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(CONTENT | OTHER, min_size=1, max_size=4).map("".join), min_size=1, max_size=6),
    st.lists(st.text("abA", min_size=1, max_size=9), min_size=1, max_size=5), st.integers(1, 6),
    st.sampled_from(["whole", "missing", "late", "twice"]),
)
def test_any_rule_over_any_stream(tmp_path, bodies, sent, records, how):
    wire = Wire()
    a, b = wire.host("10.1.0.5"), wire.host("192.0.2.80")
    talk = a.connect(b, 4444, at=1.0)
    for n, text in enumerate(sent):
        talk = (talk.reply if n % 3 == 2 else talk.send)(text.encode()).wait(0.05)
    talk.close()
    kept = [body for body in bodies if not parse_rules([("x", rules_of([body]))], Settings().variables).refused]
    text = rules_of(kept)
    data = damaged(wire.pcap(), how)
    assert in_batches(tmp_path, data, text, records) == in_batches(tmp_path, data, text, 10_000, everything=True)


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        (rb"^a$|\bb\b", b"a|b"), (rb"(?<!x)a(?!b)", b"a"), (rb"[^$]\$\\b", rb"[^$]\$\\b"), (rb"(?:^|x)a", b"(?:|x)a"), (rb"a++", None),
        (rb"(?>ab?)b", None), (rb"(?i)a", None), (rb"(?!(a))b", None), (rb"(?P<n>x)(?P=n)", b"(?P<n>x)(?P=n)"), (rb"(?!a)*b", None),
    ],
)  # fmt: skip
def test_expressions_without_ends(pattern, left):
    assert without_ends(pattern) == left


def test_what_is_left_of_a_rule_that_may_stand_anywhere():
    text = rules_of(['content:"ab"; offset:2; depth:2; content:!"x"; byte_test:1,>,3,5;']).splitlines()[0]
    (rule,) = parse_rules([("x", text)], Settings().variables).rules
    first, second = relaxed(rule.groups[0].steps)
    assert isinstance(first, Content)
    assert isinstance(second, ByteTest)
    assert (first.offset, first.depth) == (None, None)
    # Byte 5 of the buffer is the first behind "ab" at 2 and one more.
    assert (second.relative, second.offset) == (True, 1)
