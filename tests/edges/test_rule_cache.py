"""Compiled rule sets on disk: they say what the rule files say, and nothing that is not sound is taken."""

from __future__ import annotations

import os
import random

import pytest

from tests.rules.alerting import brief
from tests.wire import capture
from tracehound import limits
from tracehound.edges import alerting, rule_cache
from tracehound.edges.evidence import list_evidence
from tracehound.rules.engine import Options
from tracehound.rules.outline import LatePlans, looked_at
from tracehound.rules.settings import Settings, read_thresholds, with_variable

RULES = r"""
# alert udp any any -> any 999 (msg:"disabled"; content:"knock"; sid:99;)
alert udp any any -> any 999 (msg:"the first"; content:"knock"; sid:1; rev:3;)
alert udp any any -> any 999 ( \
    msg:"on two lines"; content:"|6b|nock"; \
    flowbits:set,knocked; noalert; sid:2;)
alert udp $HOME_NET any -> any 999 (msg:"asks for a bit"; content:"again"; flowbits:isset,knocked; sid:3;)
alert udp any any -> any 999 (msg:"an expression"; pcre:"/a[g]ain/"; priority:1; sid:4;)
alert ip any any -> any any (msg:"addresses alone"; sid:5;)
alert udp any any -> any 999 (msg:"is refused"; nosuchword; sid:6;)
pass udp any any -> any 998 (msg:"passes"; content:"knock"; sid:7;)
"""


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(limits, "RULE_CACHE_FROM_RULES", 1)
    rules = tmp_path / "a.rules"
    rules.write_text(RULES)

    def write(wire, a, b):
        a.datagram(b, 999, b"knock", at=1, sport=4000)
        a.datagram(b, 999, b"again", at=2, sport=4000)
        a.datagram(b, 998, b"knock", at=3, sport=4000)

    (tmp_path / "a.pcap").write_bytes(capture(write))
    return rules


def told(files, settings=None, **how):
    ready = rule_cache.ready_rules([str(files)], settings or Settings(), **how)
    found = alerting.alerts(list_evidence([str(files.parent / "a.pcap")]), ready, Options())
    return [brief(f.eve("")) for f in found], [str(r) for r in ready.refused], len(ready.plans), isinstance(ready.plans, LatePlans)


def kept(files):
    return sorted(rule_cache.folder().iterdir()) if rule_cache.folder().is_dir() else []


def test_kept_rules_say_what_the_files_say(files):
    anew = told(files, keep=False)
    assert kept(files) == []
    first, second = told(files), told(files)
    assert first == anew
    assert anew[:3] == second[:3]
    assert not anew[3] and second[3]
    assert {sid for sid, *_ in anew[0]} == {1, 3, 4, 5}
    assert len(anew[1]) == 1
    assert len(kept(files)) == 1


def test_only_rules_that_may_match_are_read(files):
    told(files)
    files_plain = files.parent / "b.pcap"
    files_plain.write_bytes(capture(lambda _wire, a, b: a.datagram(b, 53, b"nothing", at=1, sport=4000)))
    ready = rule_cache.ready_rules([str(files)], Settings())
    list(alerting.alerts(list_evidence([str(files_plain)]), ready, Options()))
    assert {p.rule.sid for p in looked_at(ready.plans)} == {4, 5}
    assert next(p.rule.sid for p in ready.plans) == 7


def test_what_the_rules_depend_on_is_in_the_name(files):
    told(files)
    told(files, with_variable(Settings(), "HOME_NET=192.0.2.0/24"))
    files.write_text(RULES.replace("the first", "still the first"))
    told(files)
    assert len(kept(files)) == 3
    told(files, read_thresholds("suppress gen_id 1, sig_id 1", "t", Settings()))
    assert len(kept(files)) == 4


def test_damage_is_noticed_and_mended(files):
    anew = told(files)
    (path,) = kept(files)
    whole = path.read_bytes()
    rng = random.Random(1)
    for damaged in (b"", whole[:100], whole[:-1], whole + b"x", *(_flipped(whole, rng.randrange(len(whole))) for _ in range(20))):
        path.write_bytes(damaged)
        assert told(files) == anew
        assert path.read_bytes() == whole


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x20]) + data[at + 1 :]


def test_a_folder_that_cannot_be_written_is_no_error(files, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(files))
    assert told(files)[0]


def test_what_was_not_used_for_longest_goes_first(files, monkeypatch):
    told(files)
    (old,) = kept(files)
    os.utime(old, (1, 1))
    monkeypatch.setattr(limits, "MAX_RULE_CACHE_BYTES", old.stat().st_size * 3 // 2)
    told(files, with_variable(Settings(), "HOME_NET=192.0.2.0/24"))
    (left,) = kept(files)
    assert left != old


@pytest.mark.parametrize("line", [
    "ipvar HERE 192.0.2.0/24",
    "include b.rules",
    'alert dns any any -> any any (dns.query; dataset:isset,seen,type string,load a.lst; sid:50;)',
])  # fmt: skip
def test_rules_that_depend_on_more_are_not_kept(files, line):
    (files.parent / "b.rules").write_text('alert udp any any -> any 999 (content:"more"; sid:60;)\n')
    (files.parent / "a.lst").write_text("a25vY2s=\n")
    files.write_text(RULES + line + "\n")
    told(files)
    assert kept(files) == []
