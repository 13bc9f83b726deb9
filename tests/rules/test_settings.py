"""In: configuration files. Out: what they set, and what is wrong with them, at its line."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tests.rules.spoken import rule
from tracehound.edges.rule_files import configured_rule_files, load_rules, read_settings
from tracehound.errors import RuleError, UsageError
from tracehound.rules.keywords.keyword import KeywordError
from tracehound.rules.rule import Threshold
from tracehound.rules.settings import (
    EventFilter,
    RateFilter,
    Settings,
    read_classification,
    read_references,
    read_snort_conf,
    read_thresholds,
    read_yaml,
    with_variable,
)

YAML = """%YAML 1.1
---
vars:
  address-groups:
    HOME_NET: "[172.16.5.0/24]"
    EXTERNAL_NET: "!$HOME_NET"
  port-groups:
    HTTP_PORTS: 8080
default-rule-path: rules
rule-files:
  - local.rules
classification-file: classification.config
reference-config-file: /nowhere/reference.config
threshold-file: threshold.config
stream:
  midstream: yes
outputs:
  - eve-log: {enabled: yes}
"""


def test_suricata_yaml():
    s = read_yaml(YAML, "suricata.yaml", Settings())
    assert s.variables.addresses["HOME_NET"] == "[172.16.5.0/24]"
    assert s.variables.addresses["HTTP_SERVERS"] == "$HOME_NET"
    assert s.variables.port_set("$HTTP_PORTS").ranges == ((8080, 8080),)
    assert (s.rule_folder, s.rule_files, s.midstream) == ("rules", ("local.rules",), True)
    assert s.threshold_file == "threshold.config"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1\nb: 2", "f:2:2: is no YAML"),
        ("- a\n- b", "f:1: is no table of settings"),
        ("vars: [1]", "f:1: vars is no table"),
        ("vars: {address-groups: 3}", "f:1: vars.address-groups is no table"),
        ("a: !!python/object/apply:os.system [x]", "f:1:4: is no YAML"),
    ],
)
def test_no_suricata_yaml(text, said):
    with pytest.raises(RuleError) as wrong:
        read_yaml(text, "f", Settings())
    assert str(wrong.value).startswith(said)


def test_snort_conf():
    text = (
        "# Snort\nipvar HOME_NET 10.1.0.0/16\nportvar HTTP_PORTS [80,81]\nvar RULE_PATH ../rules\nconfig checksum_mode: all\n"
        "preprocessor http_inspect: global\ninclude classification.config\ninclude $RULE_PATH/local.rules\n"
    )
    s = read_snort_conf(text, "snort.conf", Settings())
    assert s.variables.addresses["HOME_NET"] == "10.1.0.0/16"
    assert s.variables.port_set("$HTTP_PORTS").ranges == ((80, 81),)
    assert (s.rule_folder, s.rule_files, s.classification_file) == ("../rules", ("local.rules",), "classification.config")


def test_classes():
    s = Settings()
    assert s.priority_of(rule("classtype:trojan-activity;")) == 1
    assert s.category_of(rule("classtype:trojan-activity;")) == "A Network Trojan was detected"
    assert s.priority_of(rule("classtype:trojan-activity; priority:4;")) == 4
    assert (s.priority_of(rule("")), s.category_of(rule("classtype:odd;"))) == (3, "")
    s = read_classification("# x\nconfig classification: my-class,What it is, and more,2\n", "f", s)
    assert s.classes == {"my-class": ("What it is, and more", 2)}
    with pytest.raises(RuleError, match="f:2: is not `config classification"):
        read_classification("\nconfig clasification: a,b,1", "f", s)


def test_references():
    s = Settings()
    assert s.reference_url("cve", "2014-1") == "https://cve.mitre.org/cgi-bin/cvename.cgi?name=2014-1"
    assert s.reference_url("url", "x.org/a") == "http://x.org/a"
    assert s.reference_url("url", "https://x.org/a") == "https://x.org/a"
    assert s.reference_url("odd", "a") == "a"
    assert read_references("config reference: ours https://ours/?id=\n", "f", s).references == {"ours": "https://ours/?id="}


def test_thresholds():
    text = (
        "suppress gen_id 1, sig_id 2002087\n"
        "# remark\n"
        "suppress gen_id 1, sig_id 2, track by_src, ip [10.0.0.0/8,!10.1.0.0/16]\n"
        "event_filter gen_id 1, sig_id 0, type limit, \\\n    track by_dst, count 1, seconds 60\n"
        "rate_filter gen_id 1, sig_id 7, track by_rule, count 10, seconds 1, new_action drop, timeout 5\n"
    )
    s = read_thresholds(text, "f", Settings())
    assert [(x.gid, x.sid, x.track) for x in s.suppressions] == [(1, 2002087, ""), (1, 2, "by_src")]
    assert s.suppressions[1].addresses == s.variables.address_set("[10.0.0.0/8,!10.1.0.0/16]")
    assert s.event_filters == (EventFilter(1, 0, Threshold("limit", "by_dst", 1, 60)),)
    assert s.rate_filters == (RateFilter(1, 7, Threshold("detection_filter", "by_rule", 10, 1), "drop", 5),)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("supress gen_id 1, sig_id 2", "f:2: begins with none of"),
        ("suppress gen_id 1", "f:2: suppress: sig_id is missing"),
        ("suppress gen_id 1, sig_id 2, track by_src", "f:2: suppress: track by_src"),
        ("suppress gen_id 1, sig_id 2, track by_src, ip 1.2.3", "f:2: suppress: '1.2.3' is no address"),
        ("event_filter gen_id 1, sig_id 2, type limit, track by_src, count x, seconds 1", "f:2: event_filter: count 'x'"),
        ("rate_filter gen_id 1, sig_id 2, track by_src, count 1, seconds 1", "f:2: rate_filter: needs new_action"),
    ],
)
def test_no_thresholds(line, said):
    with pytest.raises(RuleError) as wrong:
        read_thresholds("\n" + line + "\n", "f", Settings())
    assert str(wrong.value).startswith(said)


def test_variables_from_the_command_line():
    s = with_variable(Settings(), "HOME_NET=any")
    assert s.variables.address_set("$HOME_NET").is_any
    s = with_variable(s, "vars.port-groups.MINE=[1,2]")
    assert s.variables.port_set("$MINE").ranges == ((1, 2),)
    assert with_variable(s, "HTTP_PORTS=81").variables.port_set("$HTTP_PORTS").ranges == ((81, 81),)
    for wrong in ("HOME_NET", "HOME_NET=", "HOME_NET=10.0.0", "outputs.x=1", "HTTP_PORTS=99999"):
        with pytest.raises(KeywordError):
            with_variable(s, wrong)


def test_files_that_a_configuration_names(tmp_path):
    (tmp_path / "suricata.yaml").write_text(YAML)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "local.rules").write_text("alert tcp $HOME_NET any -> any any (sid:1;)\ninclude more/other.rules\n")
    (tmp_path / "rules" / "more").mkdir()
    (tmp_path / "rules" / "more" / "other.rules").write_text("alert tcp any any -> any any (sid:2;)\ninclude ../local.rules\n")
    (tmp_path / "classification.config").write_text("config classification: a,b,1\n")
    (tmp_path / "threshold.config").write_text("suppress gen_id 1, sig_id 1\n")
    path = str(tmp_path / "suricata.yaml")
    settings, notes = read_settings(path, assignments=["HTTP_PORTS=81"], home=["10.0.0.0/8"])
    assert settings.classes == {"a": ("b", 1)}
    assert len(settings.suppressions) == 1
    assert settings.variables.addresses["HOME_NET"] == "[10.0.0.0/8]"
    assert ["/nowhere/reference.config" in note for note in notes] == [True]
    found = load_rules(configured_rule_files(path, settings), settings)
    assert [r.sid for r in found.rules] == [1, 2]
    assert [r.sid for r in load_rules([str(tmp_path / "rules")], settings).rules] == [1, 2]
    with pytest.raises(UsageError, match="no such file"):
        load_rules([str(tmp_path / "none.rules")], settings)
    with pytest.raises(UsageError, match="--set HOME_NET=x"):
        read_settings(assignments=["HOME_NET=x"])


@given(st.binary(max_size=120))
def test_any_bytes_are_settings_or_refused(text):
    for read in (read_yaml, read_snort_conf, read_classification, read_references, read_thresholds):
        try:
            read(text, "f", Settings())
        except RuleError as wrong:
            assert wrong.line >= 1
