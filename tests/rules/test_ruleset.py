"""In: rule files, real ones too. Out: what loads, what is refused and why, which of two with one sid is kept."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.conftest import SHARED, needs_shared
from tests.rules.spoken import VARIABLES
from tracehound.errors import RuleError
from tracehound.rules.checks.catalog import find
from tracehound.rules.dialects import DIALECTS, convert, same_meaning
from tracehound.rules.keywords.catalog import COMMON
from tracehound.rules.render import written_text
from tracehound.rules.ruleset import RuleSet, parse_rule, parse_rules
from tracehound.rules.settings import Settings
from tracehound.rules.support import verified_by


@pytest.fixture(scope="session")
def emerging() -> RuleSet:
    """The open rules of Emerging Threats, read once."""
    return parse_rules([("et", (SHARED / "rules" / "emerging-open.rules").read_bytes())], VARIABLES)


@needs_shared
def test_the_open_rules_load(emerging):
    # Suricata 4.1.10 loads 18,183 of these 18,206. Two of the 23 that it refuses load here: it does not know http_raw_cookie,
    # and not five versions in one ssl_version.
    assert len(emerging.rules) == 18_185
    assert len(emerging.refused) == 21
    assert {e.kind for e in emerging.refused} == {"invalid-option", "contradiction"}
    assert all(e.column and e.keyword for e in emerging.refused)


@needs_shared
def test_a_network_that_negates_any_is_refused():
    text = (SHARED / "rules" / "emerging-open.rules").read_bytes()
    anywhere = VARIABLES.with_values({"HOME_NET": "any", "EXTERNAL_NET": "any"}, {"HTTP_PORTS": "[80,3128,8000,8080,8180]"})
    lines = text.decode("latin-1").split("\n")
    picked = b"\n".join(
        line.encode("latin-1") for line in lines if re.search(r"![$]|!\[", line.split("(")[0]) or "sid:2000328;" in line
    )
    chosen = picked.decode("latin-1").split("\n")
    wrong = [re.search(r"sid:(\d+)", chosen[e.line - 1]) for e in parse_rules([("et", picked)], anywhere).refused]
    refused = {int(m[1]) for m in wrong if m is not None}
    known = set(map(int, (SHARED / "oracles" / "not-loaded-any.txt").read_text().split()))
    assert len(refused) >= 16
    assert refused <= known


@needs_shared
def test_every_rule_prints_and_reads_as_the_same(emerging):
    different = [r.sid for r in emerging.rules if parse_rule(written_text(r.written), VARIABLES) != r]
    assert different == []


@needs_shared
@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_rule_keeps_its_meaning_in_every_dialect_that_can_say_it(emerging, dialect):
    # All of them take half a minute in the three dialects (docs/rules.md has the count); here every third does.
    for rule in emerging.rules[::3]:
        try:
            text = convert(rule, dialect, VARIABLES)
        except RuleError as why:
            assert dialect == "snort3"
            # Left over: a relative isdataat between a content and the modifier that moves it: it stays in the payload, alone.
            assert rule.threshold is not None or "ftpbounce" in why.cause or "read it otherwise" in why.cause, why
            continue
        if rule.sid % 10 == 0:
            # convert has read its text back; so that this is not taken on trust:
            assert same_meaning(parse_rule(text, VARIABLES), rule)


@needs_shared
def test_the_conformance_cases_read(emerging):
    files = sorted((SHARED / "rule-cases").glob("*/*.rules"))
    assert len(files) > 100
    for path in files:
        found = parse_rules([(path.name, path.read_bytes())], VARIABLES)
        assert [str(e) for e in found.refused] == []
        for rule in found.rules:
            assert same_meaning(parse_rule(convert(rule, "suricata", VARIABLES), VARIABLES), rule)


@needs_shared
def test_the_table_of_keywords_names_what_rules_need(emerging):
    rules = list(emerging.rules)
    for path in sorted((SHARED / "rule-cases").glob("*/*.rules")):
        rules += parse_rules([(path.name, path.read_bytes())], VARIABLES).rules
    wrong = set()
    for rule in rules:
        for need in rule.needs:
            if need.option < 0:
                continue
            keyword = COMMON[rule.written.options[need.option].name]
            name = verified_by(keyword)
            fits = need.name == name or (name.endswith("*") and need.name.startswith(name[:-1])) or need.name.startswith(name + ":")
            # A content opens the buffer it stands in, a pcre the buffer of its letter.
            if not fits and not need.name.startswith("buffer:"):
                wrong.add((keyword.name, need.name, name))
    assert wrong <= {("pcre", "pcre", "pcre")}
    assert wrong == set()


def test_the_higher_revision_of_a_sid_is_kept():
    text = (
        'alert tcp any any -> any any (content:"a"; sid:1; rev:1;)\n'
        'alert tcp any any -> any any (content:"b"; sid:1; rev:3;)\n'
        'alert tcp any any -> any any (content:"c"; sid:1; rev:2;)\n'
        'alert tcp any any -> any any (content:"d"; gid:3; sid:1; rev:1;)\n'
    )
    found = parse_rules([("f", text)], VARIABLES)
    assert [(r.gid, r.sid, r.rev) for r in found.rules] == [(1, 1, 3), (3, 1, 1)]
    assert [r.rev for r in found.replaced] == [1]
    assert [str(e) for e in found.refused] == ["f:3:44: sid: 1:1 stands in f:2 already"]
    assert found.refused[0].kind == "duplicate-sid"


def test_variables_of_a_file_hold_from_there_on():
    text = (
        "alert tcp $A any -> any any (sid:1;)\nipvar A 10.0.0.0/8\nportvar P [80,81]\nvar B $A\n"
        "alert tcp $A $P -> $B any (sid:2;)\n#alert tcp any any -> any any (sid:3;)\ninclude more.rules\n"
    )
    found = parse_rules([("f", text)], VARIABLES)
    assert [e.kind for e in found.refused] == ["undefined-variable"]
    assert [r.sid for r in found.rules] == [2]
    assert found.rules[0].header.src == found.rules[0].header.dst
    assert (len(found.disabled), [i.path for i in found.includes]) == (1, ["more.rules"])


def test_a_refused_rule_leaves_the_others():
    text = 'alert tcp any any -> any any (content:"a"; nosuch; sid:1;)\nalert tcp any any -> any any (content:"a"; sid:2;)'
    found = parse_rules([("f", text)], VARIABLES)
    assert [r.sid for r in found.rules] == [2]
    assert [str(e) for e in found.refused] == ["f:1:44: nosuch: is no keyword that is known"]


def test_rules_for_services():
    rule = parse_rule('alert http ( msg:"x"; http_uri; content:"/a",nocase; service:http; sid:1; )', VARIABLES)
    assert (rule.header.protocol.service, rule.services) == ("http", ("http",))
    assert rule.header.direction == "<>"
    assert rule.header.src.is_any


@needs_shared
def test_checks_of_real_rules(emerging):
    counts = Counter(f.check for f in find(emerging, Settings(), {"*"}))
    # Written for Snort 2.9, with rules for two products that have one script in common.
    assert counts["duplicate"] == 209
    assert counts["never-matches"] == 2
    assert counts["unknown-classtype"] == 0
    assert 100 < counts["shadowed"] < 150
