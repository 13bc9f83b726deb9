"""In: rules with one fault each. Out: that fault, at its place, and no other; rules without faults stay unnamed."""

from __future__ import annotations

import json

import pytest

from tests.rules.spoken import VARIABLES
from tracehound.cli.main import run
from tracehound.rules.checks.catalog import CHECKS, find
from tracehound.rules.checks.sarif import sarif
from tracehound.rules.ruleset import parse_rules
from tracehound.rules.settings import Settings

META = ' msg:"m"; reference:url,x.org; classtype:misc-attack; rev:1;'
EVERYTHING = frozenset({"*"})


def faults(text):
    """(check, sid, line, column) of all that is found in rules that lack nothing else."""
    return [(f.check, f.sid, f.line, f.column) for f in find(parse_rules([("f", text)], VARIABLES), Settings(), EVERYTHING)]


def checks_of(options, header="alert tcp any any -> any any"):
    return [check for check, *_ in faults(f"{header} ({META} {options} sid:1;)")]


GOOD = f'alert tcp $HOME_NET any -> $EXTERNAL_NET any (flow:established; content:"longenough"; pcre:"/long[a-z]{{3,6}}/R";{META} sid:9;)'


def test_a_good_rule_stays_unnamed():
    assert faults(GOOD) == []


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ('content:"ab";', ["weak-fast-pattern"]),
        ('content:"GET ";', ["weak-fast-pattern"]),
        ('content:"|00 00 00 00 00 00|";', ["weak-fast-pattern"]),
        ('content:"longenough"; content:"ab"; fast_pattern;', ["weak-fast-pattern"]),
        ('content:"longenough"; content:"ab";', []),
        ('pcre:"/abc/";', ["pcre-without-content"]),
        ('pcre:"/abc/"; flags:S;', []),
        ('content:"longenough"; pcre:"/(a+)+b/";', ["slow-expression"]),
        ('content:"longenough"; pcre:"/.*b/";', ["slow-expression"]),
        ('content:"longenough"; pcre:"/^a[^b]*b/";', []),
        ("", ["matches-everything"]),
        ("flags:S;", []),
        ('content:!"abcdef";', ["only-absence"]),
        ("urilen:33<>34;", ["never-matches"]),
        ("dsize:<5; dsize:>9;", ["invalid-option"]),
        ("ttl:<5; ttl:>9;", ["never-matches"]),
        ('content:"longenough"; dsize:<5;', ["never-matches"]),
        ('content:"longenough"; content:!"longenough";', ["never-matches"]),
        ('content:"longenough"; content:!"longenough"; distance:0;', []),
        ('content:"longenough"; distance:4;', ["relative-to-nothing"]),
        ('http.uri; content:"/longenough"; bsize:11; startswith;', ["length-says-it"]),
        ("flowbits:isset,odd;", ["mark-never-set"]),
        ('content:"longenough"; flowbits:set,odd; flowbits:noalert;', ["mark-never-asked"]),
        ("nosuch;", ["unknown-keyword"]),
        ('content:"abcd"; depth:3;', ["contradiction"]),
        ("lua:x;", ["not-honoured"]),
    ],
)  # fmt: skip
def test_faults_of_one_rule(options, found):
    assert checks_of(options) == found


def test_places():
    text = f'alert tcp any any -> any any ({META}\\\n content:"longenough"; content:"ab"; fast_pattern; sid:1;)'
    assert faults(text) == [("weak-fast-pattern", 1, 2, 38)]


def test_missing_words():
    bare = 'alert tcp any any -> any any (content:"longenough"; classtype:odd; reference:odd,1; sid:1;)'
    assert [c for c, *_ in faults(bare)] == ["missing-metadata", "unknown-classtype", "unknown-reference"]
    undated = 'alert tcp any any -> any any (content:"longenough"; msg:"m"; classtype:misc-attack; rev:1; sid:1;)'
    assert [c for c, *_ in faults(undated)] == ["undated"]


def two(first, second, headers=("alert tcp any any -> any any", "alert tcp any any -> any any")):
    lines = [f"{h} ({META} {o} sid:{n};)" for n, (h, o) in enumerate(zip(headers, (first, second), strict=True), 1)]
    return [(check, sid) for check, sid, *_ in faults("\n".join(lines))]


def test_duplicates_however_written():
    a = 'content:"/longenough"; http_uri; nocase; content:"HEADxy"; http_method; fast_pattern;'
    b = 'http.method; content:"HEADxy"; http.uri; content:"/longenough"; nocase;'
    assert two(a, b) == [("duplicate", 2)]
    assert two(a, b.replace("nocase", "depth:20")) == [("shadowed", 2)]
    assert two(a, b.replace('"HEADxy"', '"HEADxz"')) == []


def test_shadowed_rules():
    broad = 'content:"longenough";'
    assert two(broad, 'content:"longenough"; content:"more than that";') == [("shadowed", 2)]
    assert two('content:"longenough"; content:"more than that";', broad) == [("shadowed", 1)]
    # Narrower header, narrower text, more tests: all covered.
    narrow = ("alert tcp any any -> any any", "alert tcp 10.0.0.0/8 any -> any 80")
    assert two(broad, 'content:"xlongenoughx"; content:"longenough"; flags:A;', narrow) == [("shadowed", 2)]
    # The other asks for something that this one does not.
    assert two('content:"longenough"; flags:A;', 'content:"longenough"; content:"more than that";') == []
    assert two('content:"longenough"; depth:10;', 'content:"longenough"; content:"more than that";') == []
    assert two(broad, 'content:"longenough"; content:"more"; flowbits:set,x;') == []
    assert two(broad, 'content:"longenough"; content:"more";', ("alert udp any any -> any any", narrow[1])) == []
    assert two(broad, 'content:"longenough"; content:"more";', ("pass tcp any any -> any any", narrow[1])) == [("shadowed", 2)]


def test_sids_that_clash():
    text = f'{GOOD}\n{GOOD.replace("longenough", "otherwords")}\n{GOOD.replace("rev:1", "rev:2").replace("longenough", "differently")}'
    assert [(check, line) for check, _, line, _ in faults(text)] == [("replaced", 1), ("duplicate-sid", 2)]


def test_marks_that_another_rule_sets():
    text = "\n".join((
        f'alert tcp any any -> any any ({META} content:"longenough"; flowbits:set,a; noalert; sid:1;)',
        f'alert tcp any any -> any any ({META} content:"otherwords"; flowbits:isset,a; sid:2;)',
    ))  # fmt: skip
    assert faults(text) == []


def test_rules_that_the_engine_cannot_match_are_named():
    found = find(parse_rules([("f", GOOD)], VARIABLES), Settings(), {"protocol:tcp", "flow", "content", "buffer:payload"})
    assert [(f.check, f.keyword) for f in found] == [("not-honoured", "pcre")]


def test_sarif_is_what_the_standard_says():
    found = find(parse_rules([("a b.rules", "alert tcp any any -> any any (nosuch; sid:1;)")], VARIABLES), Settings(), EVERYTHING)
    log = sarif(found)
    assert log["version"] == "2.1.0"
    (one_run,) = log["runs"]
    driver = one_run["tool"]["driver"]
    assert [r["id"] for r in driver["rules"]] == list(CHECKS)
    (result,) = one_run["results"]
    assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == "unknown-keyword"
    assert result["level"] == "error"
    place = result["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "a%20b.rules"}, "region": {"startLine": 1, "startColumn": 31}}
    assert result["partialFingerprints"]
    assert json.loads(json.dumps(log)) == log


def test_every_check_has_a_page():
    assert all(len(c.page) > 60 and c.title for c in CHECKS.values())


def test_the_verb(tmp_path, capsys):
    path = tmp_path / "x.rules"
    path.write_text(f"{GOOD}\nalert tcp $NONE any -> any any (sid:2;)\nalert tcp any any -> any any (content:\"ab\";{META} sid:3;)\n")
    assert run(["rules", "check", str(path)]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        f"{path}:2:1: error: no address variable $NONE [undefined-variable]",
        f"{path}:3:31: warning: content: what is looked for first, 'ab' in payload, has 2 bytes [weak-fast-pattern]",
    ]
    assert err == "tracehound: 2 rules load, 1 refused, 0 disabled; 1 error, 1 warning\n"
    assert run(["rules", "check", str(path), "--set", "NONE=10.0.0.0/8", "-q"]) == 0
    assert run(["rules", "check", str(path), "--set", "NONE=10.0.0.0/8", "-q", "--fail-on", "warning"]) == 1
    capsys.readouterr()
    assert run(["rules", "check", str(path), "-T", "-q"]) == 1
    assert "weak-fast-pattern" not in capsys.readouterr().out
    assert run(["rules", "check", str(path), "--format", "json", "--only", "weak-fast-pattern", "-q"]) == 0
    tree = json.loads(capsys.readouterr().out)
    assert (tree["rules"], tree["refused"], [f["sid"] for f in tree["findings"]]) == (2, 1, [3])
    assert run(["rules", "check", "--list"]) == 0
    assert "weak-fast-pattern  (warning)" in capsys.readouterr().out
    assert run(["rules"]) == 2
    assert "tracehound rules VERB" in capsys.readouterr().out


def test_the_verb_that_converts(tmp_path, capsysbinary):
    path = tmp_path / "x.rules"
    path.write_bytes(
        b'alert tcp any any -> any any (content:"a|00|"; http_uri; msg:"\xff"; sid:1;)\n'
        b'alert dns any any -> any any (dns.query; content:"a"; sid:2;)\n'
    )
    assert run(["rules", "convert", str(path), "--to", "suricata"]) == 0
    assert capsysbinary.readouterr().out.splitlines() == [
        b'alert tcp any any -> any any (msg:"\xff"; http.uri; content:"a|00|"; sid:1;)',
        b'alert dns any any -> any any (dns.query; content:"a"; sid:2;)',
    ]
    assert run(["rules", "convert", str(path), "--to", "snort3"]) == 1
    out, err = capsysbinary.readouterr()
    assert out.splitlines() == [b'alert tcp any any -> any any (msg:"\xff"; http_uri; content:"a|00|"; sid:1;)']
    assert b"x.rules:2:1: sid 2: Snort 3 has no buffer dns.query" in err
