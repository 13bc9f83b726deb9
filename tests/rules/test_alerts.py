"""Rules over conversations: which packet tells, which bytes are seen, what is remembered; cut anywhere, shared by processes."""

import pytest

from tests.rules.alerting import alerts, in_batches
from tests.wire import Wire, capture, exchange
from tracehound.edges import alerting
from tracehound.edges.evidence import list_evidence
from tracehound.rules.engine import Options
from tracehound.rules.inspect import Note
from tracehound.rules.ruleset import parse_rules
from tracehound.rules.settings import Settings, read_thresholds

GET = b"GET /a%2fb//c?x=1 HTTP/1.1\r\nHost: Example.org\r\nUser-Agent: probe\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello"


def rule(body: str, head: str = "alert tcp any any -> any any") -> str:
    return f"{head} ({body} sid:1;)\n"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ('http.uri; content:"/a/b/c";', True),
        ('http.uri; content:"%2f";', False),
        ('http.uri.raw; content:"%2fb//c";', True),
        ('content:"/c?x="; http_uri;', True),
        ('http.host; content:"example.org";', True),
        ('http.host; content:"Example";', False),
        ('http.host.raw; content:"Example";', True),
        ('http.user_agent; content:"probe"; startswith; endswith;', True),
        ('http.header; content:"User-Agent|3a 20|probe|0d 0a|";', True),
        ('http.header_names; content:"|0d 0a|Host|0d 0a|User-Agent|0d 0a|";', True),
        ('http.stat_code; content:"200";', True),
        ('file.data; content:"hello"; bsize:5;', True),
        ('file.name; content:"c";', True),
        ('file.name; content:"b/c?x="; file.data; content:"hello";', False),
        ('file.data; content:"hello"; file.name; content:"/a/b/c";', True),
        ('http.referer; absent;', True),
        ('urilen:>50;', False),
        ('flow:established,to_client; content:"hello";', True),
        ('flow:to_server; content:"hello";', False),
        ('content:"GET"; content:"probe"; distance:0;', True),
        ('content:"probe"; content:"GET"; distance:0;', False),
        ('content:!"absent words"; content:"probe";', True),
        (r'pcre:"/User-Agent\x3a\s+pr[aeiou]be/";', True),
        ('http.uri; to_lowercase; content:"/a/b/c";', True),
        # Within counts from where distance leads: eight bytes lie between /a and x=1.
        ('http.uri.raw; content:"/a"; content:"x=1"; distance:8; within:3;', True),
        ('http.uri.raw; content:"/a"; content:"x=1"; distance:5; within:6;', True),
        ('http.uri.raw; content:"/a"; content:"x=1"; distance:5; within:5;', False),
        ('http.uri.raw; content:"/a"; content:"x=1"; within:11;', True),
        ('http.uri.raw; content:"/a"; content:"x=1"; within:10;', False),
        ('http.uri.raw; content:"c?"; content:"a%2"; distance:-9; within:3;', True),
        ('http.uri.raw; content:"c?"; content:"%2f"; distance:-9; within:3;', False),
        ('http.uri.raw; content:"/a"; content:!"x=1"; distance:5; within:6;', False),
    ],
)
def test_what_a_rule_sees_of_a_transaction(tmp_path, body, told):
    found = alerts(tmp_path, exchange(GET, OK), rule(body, "alert http any any -> any any"))
    assert bool(found) == told
    assert len(found) <= 1


def test_the_packet_that_completes_a_request_is_the_next_one_of_its_direction(tmp_path):
    # 1 SYN, 2 SYN-ACK, 3 ACK, 4 request, 5 its acknowledgement or the response: the request is known from then on.
    found = alerts(tmp_path, exchange(GET, OK), rule('http.method; content:"GET";', "alert http any any -> any any"))
    ((sid, frame, _, to_port),) = found
    assert (sid, to_port) == (1, 80)
    assert frame > 4


def test_a_stream_is_seen_over_its_segments_and_a_packet_is_not(tmp_path):
    def cut_in_two(wire, a, b):
        a.connect(b, 4444, at=1.0).send(b"first half of a se").wait(0.1).send(b"cret word").reply(b"thanks").close()

    whole = 'content:"secret word";'
    assert [s for s, *_ in alerts(tmp_path, capture(cut_in_two), rule(whole))] == [1]
    assert alerts(tmp_path, capture(cut_in_two), rule(whole, "alert tcp-pkt any any -> any any")) == []


def test_without_its_handshake_a_session_is_not_followed(tmp_path):
    def midstream(wire, a, b):
        a.midstream(b, 4444, at=1.0).send(b"the word").reply(b"thanks").close()

    text = rule('flow:established; content:"the word";')
    assert alerts(tmp_path, capture(midstream), text) == []
    assert len(alerts(tmp_path, capture(midstream), text, midstream=True)) == 1


def test_flow_bits_hold_within_their_flow(tmp_path):
    def two(wire, a, b):
        a.connect(b, 4444, at=1.0).send(b"open sesame").reply(b"the door").close()
        a.connect(b, 4445, at=5.0).send(b"nothing").reply(b"the door").close()

    text = (
        'alert tcp any any -> any any (flow:to_server; content:"open sesame"; flowbits:set,opened; flowbits:noalert; sid:1;)\n'
        'alert tcp any any -> any any (flow:to_client; content:"the door"; flowbits:isset,opened; sid:2;)\n'
        'alert tcp any any -> any any (flow:to_client; content:"the door"; flowbits:isnotset,opened; sid:3;)\n'
    )
    assert [(sid, src) for sid, _, src, _ in alerts(tmp_path, capture(two), text)] == [(2, 4444), (3, 4445)]


@pytest.mark.parametrize(
    ("threshold", "count"),
    [
        ("threshold:type limit, track by_src, count 2, seconds 60;", 2),
        ("threshold:type threshold, track by_src, count 3, seconds 60;", 2),
        ("threshold:type both, track by_src, count 3, seconds 60;", 1),
        ("detection_filter:track by_src, count 4, seconds 60;", 2),
    ],
)
def test_thresholds_count_over_flows(tmp_path, threshold, count):
    def six(wire, a, b):
        for n in range(6):
            a.unanswered(b, 22, at=1.0 + n, times=(0.0,))

    assert len(alerts(tmp_path, capture(six), rule(f"flags:S; {threshold}"))) == count


def test_pass_keeps_other_rules_of_the_flow_quiet(tmp_path):
    text = (
        'pass http any any -> any any (http.user_agent; content:"probe"; sid:1;)\n'
        'alert http any any -> any any (http.uri; content:"/a/b"; sid:2;)\n'
    )
    assert alerts(tmp_path, exchange(GET, OK), text) == []
    assert len(alerts(tmp_path, exchange(GET.replace(b"probe", b"other"), OK), text)) == 1


def several() -> bytes:
    """Conversations of several kinds, some at the same time."""
    wire = Wire()
    a, b, c = wire.host("10.1.0.5"), wire.host("192.0.2.80"), wire.host("192.0.2.81")
    a.connect(b, 80, at=1.0).send(GET).reply(OK).close()
    a.connect(c, 80, at=1.01).send(GET.replace(b"probe", b"other")).reply(OK).close()
    b.connect(a, 4444, at=1.02).send(b"x" * 4000 + b"open ses").wait(0.2).send(b"ame" + b"y" * 3000).reply(b"the door").close()
    a.unanswered(b, 22, at=1.5, times=(0.0, 3.0))
    return wire.pcap()


SEVERAL = (
    'alert http any any -> any any (http.user_agent; content:"probe"; sid:1;)\n'
    'alert http any any -> any any (file.data; content:"hello"; sid:2;)\n'
    'alert tcp any any -> any any (content:"open sesame"; flowbits:set,opened; sid:3;)\n'
    'alert tcp any any -> any any (flow:to_client; content:"the door"; flowbits:isset,opened; sid:4;)\n'
    "alert tcp any any -> any 22 (flags:S; sid:5;)\n"
    "alert ip 10.1.0.5 any -> any any (sid:6;)\n"
)


def test_cut_anywhere_is_whole(tmp_path):
    whole = in_batches(tmp_path, several(), SEVERAL, 10_000)
    assert {sid for sid, *_ in whole} == {1, 2, 3, 4, 5, 6}
    for records in (1, 2, 3, 7):
        assert in_batches(tmp_path, several(), SEVERAL, records) == whole


def test_the_prefilter_loses_nothing(tmp_path):
    filtered = [x for x in in_batches(tmp_path, several(), SEVERAL, 10_000) if x[0] != 6]
    assert [x for x in in_batches(tmp_path, several(), SEVERAL, 10_000, everything=True) if x[0] != 6] == filtered


def test_several_processes_tell_the_same(tmp_path):
    alone = alerts(tmp_path, several(), SEVERAL)
    assert alone
    assert alerts(tmp_path, several(), SEVERAL, jobs=3) == alone


def test_notes_say_where_a_rule_stopped(tmp_path):
    notes: list[Note] = []
    found = alerts(
        tmp_path, exchange(GET, OK), rule('http.uri; content:"/a/"; content:"missing"; distance:0;', "alert http any any -> any any"),
        notes=notes, everything=True,
    )  # fmt: skip
    assert found == []
    furthest = max(notes, key=lambda n: n.depth)
    assert (furthest.buffer, furthest.step, furthest.offset) == ("http.uri", 1, 3)
    assert furthest.data == b"/a/b/c?x=1"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("rate_filter gen_id 1, sig_id 1, track by_src, count 2, seconds 60, new_action pass, timeout 5", [1, 2, 6, 7]),
        ("rate_filter gen_id 1, sig_id 1, track by_rule, count 2, seconds 60, new_action pass, timeout 0", [1, 2]),
        ("rate_filter gen_id 1, sig_id 1, track by_src, count 2, seconds 60, new_action drop, timeout 5", [1, 2, 3, 4, 5, 6, 7]),
        ("rate_filter gen_id 1, sig_id 2, track by_src, count 2, seconds 60, new_action pass, timeout 5", [1, 2, 3, 4, 5, 6, 7]),
        ("rate_filter gen_id 1, sig_id 1, track by_src, count 9, seconds 60, new_action pass, timeout 5", [1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_above_a_rate_a_rule_has_another_action(tmp_path, line, told):
    def write(wire, a, b):
        for at in (1, 2, 3, 4, 5, 70, 75):
            a.datagram(b, 999, b"knock", at=at, sport=4000)

    settings = read_thresholds(line, "threshold.config", Settings())
    made = alerting.make_ready(parse_rules([("t", 'alert udp any any -> any 999 (content:"knock"; sid:1;)')], settings.variables), settings)
    path = tmp_path / "a.pcap"
    path.write_bytes(capture(write))
    found = alerting.alerts(list_evidence([str(path)]), made, Options())
    assert [f.eve("")["pcap_cnt"] for f in found] == told
