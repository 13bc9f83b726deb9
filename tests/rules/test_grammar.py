"""In: texts. Out: rules as written, with their places; whatever the text, a rule or a refusal."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from tests.rules.spoken import VARIABLES
from tracehound.errors import RuleError
from tracehound.rules.grammar import Disabled, Include, Setting, items, written_rule
from tracehound.rules.render import content_text, written_text
from tracehound.rules.rule import Content, Written
from tracehound.rules.ruleset import parse_rule, parse_rules


def one(text: bytes | str) -> Written:
    (found,) = items(text, "f")
    assert isinstance(found, Written), found
    return found


def test_a_rule_keeps_its_words_and_places():
    text = '  alert tcp $HOME_NET any -> [10.0.0.0/8, !10.1.0.0/16] 80:90 (msg:"a b"; nocase; sid:1;)'
    w = one(text)
    assert (w.action, w.protocol, w.src, w.src_ports, w.direction) == ("alert", "tcp", "$HOME_NET", "any", "->")
    assert (w.dst, w.dst_ports) == ("[10.0.0.0/8, !10.1.0.0/16]", "80:90")
    assert [(o.name, o.value, o.line, o.column) for o in w.options] == [
        ("msg", '"a b"', 1, text.index("msg") + 1),
        ("nocase", None, 1, text.index("nocase") + 1),
        ("sid", "1", 1, text.index("sid") + 1),
    ]


def test_a_negation_may_stand_apart():
    assert one("alert tcp ! 10.0.0.0/8 ! 80 -> any any (sid:1;)").src == "!10.0.0.0/8"


def test_places_in_continued_lines():
    w = one('alert tcp any any -> any any (msg:"x"; \\\n    content:"y"; \\\n\tsid:7;)')
    assert [(o.name, o.line, o.column) for o in w.options] == [("msg", 1, 31), ("content", 2, 5), ("sid", 3, 2)]


def test_snort3_rules_span_lines_without_backslashes():
    text = 'alert http\n(\n    msg:"x";\n    # a remark\n    http_uri; content:"/a",nocase;\n    sid:3;\n)\n'
    text += "alert tcp any any -> any any (sid:4;)"
    # The first line has no parenthesis yet: it is completed by the lines up to the closing one.
    found = list(items(text.replace("http\n(", "http ("), "f"))
    assert [type(x) for x in found] == [Written, Written]
    first = found[0]
    assert isinstance(first, Written)
    assert first.dialect == "snort3"
    assert [(o.name, o.line) for o in first.options] == [("msg", 2), ("http_uri", 4), ("content", 4), ("sid", 5)]


def test_an_open_rule_does_not_swallow_the_next():
    found = list(items('alert tcp any any -> any any (msg:"x"; sid:1;\nalert tcp any any -> any any (sid:2;)', "f"))
    assert isinstance(found[0], RuleError)
    assert isinstance(found[1], Written)
    assert str(found[0]) == "f:1:46: the closing parenthesis is missing"


def test_semicolons():
    assert one(r'alert tcp any any -> any any (msg:"a\; b"; pcre:"/x\;y/i"; sid:1;)').options[1].value == r'"/x\;y/i"'
    snort3 = one('alert tcp any any -> any any (msg:"a; b"; sid:1;)')
    assert snort3.options[0].value == '"a; b"'
    assert snort3.dialect == "snort3"


def test_what_is_no_rule():
    text = (
        "# remark\n#alert tcp any any -> any any (msg:\"off\"; sid:9;)\nipvar HOME_NET [10.0.0.0/8]\nportvar P [80,81]\n"
        "include other.rules\nvar RULE_PATH ../rules\n\nnonsense\nconfig checksum_mode: all\npreprocessor x: \\\n  y\n# alert me (soon)\n"
    )
    found = list(items(text, "f"))
    assert [type(x) for x in found] == [Disabled, Setting, Setting, Include, Setting, RuleError]
    assert found[1] == Setting("ipvar", "HOME_NET", "[10.0.0.0/8]", 3)
    assert str(found[-1]) == "f:8:1: 'nonsense' begins no rule"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("alert tcp any any -> any (sid:1;)", "f:1:1: the header has 6 words"),
        ("alert tcp any any >> any any (sid:1;)", "f:1:19: '>>' is no direction"),
        ("alarm tcp any any -> any any (sid:1;)", "f:1:1: 'alarm' is no action"),
        ("alert tcp any any -> any any (sid:1)", "f:1:31: sid: has no semicolon"),
        ("alert tcp any any -> any any (sid:1;) x", "f:1:38: 'x' after the closing parenthesis"),
        ("alert tcp any any -> any any (=;)", "f:1:31: an option begins with '='"),
        ("alert tcp any any -> any any ()", "f:1:30: a rule without options"),
        ("alert tcp any any -> any any", "f:1:1: the rule has no options in parentheses"),
        ("accept:hook tcp any any -> any any (sid:1;)", "f:1:1: 'accept:hook' is an action of firewall mode"),
    ],
)
def test_refusals_name_the_place(text, said):
    wrong = written_rule(text, "f")
    assert isinstance(wrong, RuleError)
    assert str(wrong).startswith(said)


def test_bytes_that_are_no_text_are_kept():
    found = parse_rule(b'alert tcp any any -> any any (msg:"\xff"; content:"caf\xe9 \xc3\xa9"; sid:1;)', VARIABLES)
    assert [s.pattern for g in found.groups for s in g.steps if isinstance(s, Content)] == [b"caf\xe9 \xc3\xa9"]


def test_line_separators_inside_a_rule():
    # U+0085 and U+2028 end lines for str.splitlines, not for rules.
    found = parse_rules([("f", 'alert tcp any any -> any any (msg:"a\u2028b"; sid:1;)\r\n'.encode())], VARIABLES)
    assert [r.msg for r in found.rules] == ["a\u2028b"]


PIECES = st.sampled_from((
    "alert ", "tcp", "any", " -> ", "any any", " <> ", "(", ")", 'msg:"x"; ', "sid:1; ", 'content:"a|41|b"; ', 'content:!"x', '";', ";",
    '"', "\\", "\\;", "http_uri; ", "nocase; ", "depth:5; ", "offset:-1; ", 'pcre:"/a/Ri"; ', "flow:to_server; ", "#", "\n", "$HOME_NET",
    "[", "]", "!", ",", "10.0.0.0/8", "80:", "byte_test:4,>,5,0; ", "isdataat:!1,relative; ", "file_data; ", "http.uri; ", "bsize:<5; ",
    "threshold:type limit, track by_src, count 1, seconds 1; ", 'xor:"0a"; ', "é", "\x00", "rev:1; ", ":",
))  # fmt: skip
TEXTS = st.one_of(
    st.binary(max_size=200),
    st.lists(PIECES, max_size=25).map("".join),
    st.lists(PIECES, max_size=12).map(lambda p: 'alert http any any -> any any (sid:1; ' + "".join(p) + ")"),
)


@given(TEXTS)
@example("alert tcp any any -> any any (msg:;sid:1;)")
@example(b"alert")
@example("alert\x85tcp")
def test_any_text_is_rules_or_refusals(text):
    found = parse_rules([("f", text)], VARIABLES)
    for rule in found.rules:
        # What was read prints, and reads as the same again.
        again = parse_rule(written_text(rule.written), VARIABLES)
        assert again == rule
        assert again.written.options == tuple(
            type(o)(o.name, o.value, b.line, b.column) for o, b in zip(rule.written.options, again.written.options, strict=True)
        )
    for wrong in found.refused:
        assert wrong.line >= 1
        assert wrong.column is not None
        assert wrong.column >= 1
        assert wrong.cause


@given(st.binary(min_size=1, max_size=60))
def test_any_bytes_can_be_a_content(pattern):
    read = parse_rule(f'alert tcp any any -> any any (content:"{content_text(pattern)}"; sid:1;)', VARIABLES)
    (step,) = read.groups[0].steps
    assert isinstance(step, Content)
    assert step.pattern == pattern
