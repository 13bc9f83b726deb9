"""In: requests and conversations. Out: drafts as a person would write them, refusals, trials that mean something.
Never here: rule syntax."""

import json
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire import Wire
from tracehound.cli.main import run
from tracehound.edges import rule_lab
from tracehound.edges.rule_files import read_settings
from tracehound.edges.sid_register import next_sid, record
from tracehound.errors import UsageError
from tracehound.findings.template import Sample
from tracehound.lab import trial
from tracehound.lab.draft import Draft, Naming, Refused, drafts
from tracehound.lab.gate import strength
from tracehound.lab.trial import Exposure, Outcome, upper_bound
from tracehound.lab.twins import changed, request, twins

NAMING = Naming(sid=1_000_001, made="2026_11_27", family="W32/Frethem.K", dport=80, rate_per_min=3.5)
BROWSER = (("Host", "a"), ("User-Agent", "Mozilla/4.0 (compatible)"), ("Accept", "*/*"), ("Referer", "http://a/"))


def get(uri, *headers, n=0, method="GET", body=b""):
    names, values = (tuple(h[i] for h in headers) for i in (0, 1)) if headers else ((), ())
    return Sample(method=method, uri=uri, version="1.1", header_names=names, header_values=values, payload=body, ts_ns=n * 10**9, flow_id=n)


def frethem(n):
    return get(f"/b.cgi?alt&{100_000_000 + n * 7_919_317:09d}&000000000000", ("Host", f"10.0.0.{n}"), n=n)


BAD = [frethem(n) for n in range(1, 9)]
GOOD = [get(f"/page{n}.html?b.cgi=1", *BROWSER, n=100 + n) for n in range(60)]
GOOD += [get(f"/b.cgi?bk={n}", *BROWSER, n=300 + n) for n in range(9)]


def only(found):
    assert len(found) == 1
    return found[0]


def test_the_model_case_gives_the_rule_that_a_person_would_write():
    draft = only(drafts(BAD, GOOD, NAMING))
    assert isinstance(draft, Draft)
    for words in (
        "alert http $HOME_NET any -> $EXTERNAL_NET any (msg:\"LOCAL MALWARE W32/Frethem.K Request (b.cgi)\"; flow:established,to_server;",
        'http.method; content:"GET"; http.uri; urilen:33; content:"/b.cgi?alt&"; startswith; fast_pattern;',
        'content:"&000000000000"; distance:9; within:13; endswith; pcre:"/^\\/b\\.cgi\\?alt&\\d{9}&000000000000$/";',
        'http.header; content:!"Referer|3a|"; nocase;', "threshold:type limit, track by_src, count 1, seconds 600;",
        "classtype:trojan-activity; sid:1000001; rev:1; metadata:created_at 2026_11_27, malware_family W32_Frethem.K",
    ):  # fmt: skip
        assert words in draft.text, words


@pytest.mark.parametrize(
    ("uris", "why"),
    [
        (["/a1/x", "/b2/y", "/c3/z"], "too short|nothing is the same|word of the web|bytes are the same"),
        (["/", "/", "/"], "too short"),
        (["/index.html"] * 3, "word of the web|other requests"),
        (["/rs.sh", "/rs.sh", "/rs.sh"], "bytes are the same|too short"),
        (["/aaaaaaaaaaaaaaaaaaaa"] * 3, "too short"),
    ],
)
def test_what_is_too_short_or_too_common_never_makes_a_rule(uris, why):
    results = drafts([get(u, n=i) for i, u in enumerate(uris)], GOOD, NAMING)
    found = [f for f in results if isinstance(f, Refused)]
    assert len(found) == len(results)
    assert any(re.search(why, f.why) for f in found), [f.why for f in found]
    assert all(f.needs for f in found)


def test_what_others_send_as_well_is_refused_with_an_example():
    refused = only(drafts([get(f"/page{n}.html?b.cgi=1", n=n) for n in range(5)], GOOD, NAMING))
    assert isinstance(refused, Refused)
    assert "other requests hold all of it, for instance GET /page" in refused.why


def test_two_families_give_two_rules_and_a_stray_request_none():
    agent = ("User-Agent", "Agent7")
    other = [get(f"/gate/{n:04x}/report.php?uid={n * 977:08x}", agent, n=50 + n, method="POST", body=b"x") for n in range(9)]
    found = drafts([*BAD, *other, get("/one/only", n=99)], GOOD, NAMING)
    rules = [f for f in found if isinstance(f, Draft)]
    assert [r.sid for r in rules] == [1_000_001, 1_000_002]
    assert any('http.user_agent; content:"Agent7"; bsize:6;' in r.text for r in rules)
    assert [f.why for f in found if isinstance(f, Refused)] == ["1 of 18 requests only"]


def test_payload_that_is_no_http_gives_positions():
    payloads = [bytes([1, 2, n, 4]) + b"\x00MAGIC-WORD" + bytes([n]) for n in range(6)]
    samples = [Sample(payload=p, length=len(p), ts_ns=i, flow_id=i) for i, p in enumerate(payloads)]
    draft = only(drafts(samples, [], Naming(sid=1, made="2026_11_27", proto=17, dport=53413)))
    assert isinstance(draft, Draft)
    assert draft.text.startswith("alert udp $HOME_NET any -> $EXTERNAL_NET 53413 (")
    assert "dsize:16;" in draft.text
    assert 'content:"|01 02|"; depth:2;' in draft.text
    assert "distance:1; within:12; fast_pattern;" in draft.text


def test_a_literal_of_one_byte_is_weak_however_long():
    assert (strength(b"000000000000"), strength(b"/b.cgi?alt&"), strength(b"")) == (1, 11, 0)


def test_near_misses_differ_in_one_byte_of_the_same_kind():
    draft = only(drafts(BAD, GOOD, NAMING))
    made = list(twins(BAD[0], draft.tokens))
    assert len(made) == 2
    for what, twin in made:
        assert what.startswith("http.uri: ")
        assert sum(a != b for a, b in zip(twin.uri, BAD[0].uri, strict=True)) == 1
    assert changed(b"abc", b"zz") is None
    assert request(BAD[0]).startswith(b"GET /b.cgi?alt&")


@given(st.integers(0, 30), st.integers(1, 5_000))
def test_the_bound_is_above_the_rate_and_falls_with_what_was_tried(hits, tried):
    bound = upper_bound(min(hits, tried), tried)
    assert min(hits, tried) / tried <= bound <= 1
    if hits < tried:
        assert upper_bound(hits, tried * 2) < bound


def test_bounds_that_are_known():
    # Rule of three: about 3 / n where nothing was found (specs of the methods: 0.00299 of 1,000).
    assert upper_bound(0, 1_000) == pytest.approx(0.00299, abs=1e-5)
    assert upper_bound(1, 10) == pytest.approx(0.3942, abs=1e-4)
    assert upper_bound(0, 0) == upper_bound(5, 5) == 1


def outcome(**more):
    base = {"sid": 1, "msg": "x", "malicious": 10, "hit": 10, "benign": 100, "false_alarms": 0}
    base["exposure"] = Exposure(100, 50, 20, 3)
    return Outcome(**{**base, **more})


def test_a_zero_over_what_could_not_be_reached_is_blind():
    words = [Exposure(9_000, 9_000, b, 0).word for b in (0, 10, 5_000)]
    assert words == ["blind", "thin", "measured"]
    assert outcome(exposure=Exposure(9_000, 9_000, 0, 0)).bound == 1


def test_expectations_as_text_json_and_junit():
    outcomes = [outcome(hit=5, twins=(trial.Twin("http.uri: x", True),))]
    expected = trial.expectations(outcomes, least_recall=0.95, most_alarms=0)
    assert [x.held for x in expected] == [False, True, False]
    text = trial.table(outcomes, expected)
    assert "5 of 10 (50%)" in text
    assert "FAIL  sid 1: recall at least 0.95: 5 of 10" in text
    assert json.loads(json.dumps(trial.as_dict(outcomes, expected)))["held"] is False
    suite = ElementTree.fromstring(trial.junit(expected))
    assert (suite.get("tests"), suite.get("failures")) == ("3", "2")


def test_checks_of_suricata_verify():
    events = [{"event_type": "alert", "alert": {"signature_id": 1}, "dest_port": 80}]
    checks = [
        {"filter": {"count": 1, "match": {"event_type": "alert", "alert.signature_id": 1, "has-key": "dest_port"}}},
        {"filter": {"count": 0, "match": {"event_type": "alert", "not-has-key": "dest_port"}}},
        {"filter": {"count": 5, "match": {"event_type": "alert"}}}, {"filter": {"count": 3, "match": {"event_type": "http"}}},
        {"shell": {}},
    ]  # fmt: skip
    assert [x.held for x in trial.checked(events, checks)] == [True, True, False]


def test_the_register_gives_every_number_once(tmp_path):
    register = tmp_path / "sids.txt"
    assert next_sid(register) == 1_000_001
    record(register, {1_000_001: 'alert tcp any any -> any any (msg:"one"; sid:1000001;)'})
    assert next_sid(register) == 1_000_002
    assert register.read_text().endswith(" one\n")
    with pytest.raises(UsageError, match="1000001 is taken"):
        record(register, {1_000_001: ""})
    register.write_text("1999999 2026-01-01 last\n")
    with pytest.raises(UsageError, match="range ends"):
        next_sid(register)


# -- with the engine ------------------------------------------------------------------------------------------------------

def written(path, requests, host="10.0.0.5"):
    wire = Wire(1_028_219_400 * 10**9)
    client = wire.host(host)
    for n, sample in enumerate(requests):
        talk = client.connect(wire.host(f"198.51.100.{n % 200 + 1}"), 80, 1.0 + n).send(request(sample))
        talk.reply(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").close()
    path.write_bytes(wire.pcap())
    return str(path)


@pytest.fixture
def evidence(tmp_path):
    return written(tmp_path / "bad.pcap", [*BAD, *GOOD[:20]]), written(tmp_path / "good.pcap", GOOD, host="10.0.0.9")


FLOWS = "flow_id IN (SELECT flow_id FROM http WHERE uri LIKE '/b.cgi?alt&%')"


def test_a_draft_is_tested_with_the_engine_that_alerts_uses(evidence, tmp_path):
    bad, good = evidence
    drafted = rule_lab.draft([bad], flows=FLOWS, benign=[good], family="Frethem", half=True)
    draft = only([r for r in drafted.results if isinstance(r, Draft)])
    rules = tmp_path / "drafted.rules"
    rules.write_text(draft.text + "\n")
    settings, _ = read_settings(None, assignments=[], home=[], classification=None, thresholds=None)
    found = only(rule_lab.trial([str(rules)], [bad], [good], settings, flows=FLOWS, made_of={draft.sid: draft}))
    assert (found.hit, found.malicious, found.false_alarms) == (8, 8, 0)
    assert found.exposure.buffer == 20 + len(GOOD)
    assert 0 < found.exposure.prefilter + 1 <= found.exposure.buffer
    assert found.twins
    assert not any(t.fired for t in found.twins)


def test_a_limit_on_notices_hides_neither_hits_nor_false_alarms(evidence, tmp_path):
    bad, good = evidence
    rules = tmp_path / "limited.rules"
    rules.write_text(
        'alert http any any -> any any (msg:"x"; http.uri; content:"b.cgi"; '
        "threshold:type limit, track by_src, count 1, seconds 600; sid:1;)\n"
    )
    settings, _ = read_settings(None, assignments=[], home=[], classification=None, thresholds=None)
    found = only(rule_lab.trial([str(rules)], [bad], [good], settings, flows=FLOWS))
    assert (found.hit, found.malicious, found.false_alarms) == (8, 8, 20 + len(GOOD))
    assert rule_lab.run(rule_lab.make_ready([str(rules)], settings), [bad]).alerts[1] == 1


def test_draft_and_test_on_the_command_line(evidence, tmp_path, capsys):
    bad, good = evidence
    rules, register = tmp_path / "d.rules", tmp_path / "sids.txt"
    assert run(["rules", "draft", bad, "--flows", FLOWS, "--benign", good, "--register", str(register), "-o", str(rules), "-q"]) == 0
    assert rules.read_text().count("sid:1000001;") == 1
    capsys.readouterr()
    words = ["rules", "test", str(rules), "--malicious", bad, "--benign", good, "--flows", FLOWS, "--junit", str(tmp_path / "j.xml")]
    assert run(words) == 0
    out = capsys.readouterr().out
    assert "hits          8 of 8 (100%)" in out
    assert "exposure" in out
    assert ElementTree.parse(tmp_path / "j.xml").getroot().get("failures") == "0"
    assert run([*words, "--json", "--least-recall", "1.1"]) == 1
    assert json.loads(capsys.readouterr().out)["held"] is False
    assert ElementTree.parse(tmp_path / "j.xml").getroot().get("failures") == "1"
    assert run(["rules", "draft", good, "--flows", "true", "-q"]) in (0, 1)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["rules", "test", "x.rules"], "nothing to test on"),
        (["rules", "draft", "BAD", "--flows", "x", "--finding", "y"], "exclude each other"),
        (["rules", "draft", "BAD", "--flows", "dport = 9999"], "no flow fits"),
        (["rules", "draft", "BAD", "--sid", "0"], "not between"),
        (["rules", "test", "x.rules", "--malicious", "BAD", "--expect", "none.yaml"], "x.rules|none.yaml"),
    ],
)
def test_what_makes_no_sense_is_said(evidence, words, why):
    with pytest.raises(UsageError, match=why):
        run([evidence[0] if w == "BAD" else w for w in words])
