"""`investigate -S`: the verdict with what rules say."""

import json

import pytest

from tests.wire import exchange
from tracehound.cli.investigate import main
from tracehound.errors import UsageError

RULES = (
    'alert http any any -> $HOME_NET any (msg:"into home"; http.uri; content:"/odd"; priority:1; sid:1;)\n'
    'alert http $HOME_NET any -> any any (msg:"out of home"; http.uri; content:"/odd"; priority:2; sid:2;)\n'
    "alert http any any -> any any (js_data; content:\"x\"; sid:3;)\n"
)


@pytest.fixture
def evidence(tmp_path):
    (tmp_path / "a.pcap").write_bytes(exchange(b"GET /odd HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
    (tmp_path / "a.rules").write_text(RULES)
    return str(tmp_path / "a.pcap"), str(tmp_path / "a.rules")


def test_alerts_are_findings(evidence, tmp_path, capsys):
    out = tmp_path / "verdict.json"
    assert main([evidence[0], "-S", evidence[1], "--json", "-q", "-o", str(out), "--home", "10.0.0.0/8"]) == 0
    verdict = json.loads(out.read_text())
    (finding,) = [f for f in verdict["findings"] if f["kind"] == "rule_alert"]
    assert (finding["host"], finding["detector"]) == ("10.1.0.5", "rules")
    assert 'rule 1:2 "out of home" matches 1 time' in finding["statement"]
    assert finding["citations"]["shown"][0]["file"] == evidence[0]
    assert verdict["extra"]["rules"] == "2 carried out, 1 refused; 1 matches, 1 alert"
    assert "Of 2 rules (1 refused), 1 matches, 1 alert" in verdict["summary"]


def test_a_variable_of_the_rules_can_be_set(evidence, tmp_path):
    out = tmp_path / "verdict.json"
    main([evidence[0], "-S", evidence[1], "--set", "HOME_NET=192.0.2.0/24", "--json", "-q", "-o", str(out)])
    assert 'rule 1:1 "into home"' in str([f["statement"] for f in json.loads(out.read_text())["findings"]])


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["-", "-S", "RULES"], "a second time"),
        (["CAPTURE", "tcp port 80", "-S", "RULES"], "capture filter"),
        (["CAPTURE", "--set", "A=1"], "of which rules"),
        (["CAPTURE", "-S", "missing.rules"], "missing.rules"),
    ],
)
def test_what_cannot_be_asked(evidence, argv, said):
    names = {"CAPTURE": evidence[0], "RULES": evidence[1]}
    with pytest.raises(UsageError, match=said):
        main([names.get(word, word) for word in argv] + ["-q"])
