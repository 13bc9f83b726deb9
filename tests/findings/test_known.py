"""Hosts that are recognised by what they say, in every table that may be there: named with their frames; without the table,
nobody is."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tests.findings.scenario import T0, Evidence, S, detectors, table
from tests.profiles.example_text import example_of
from tracehound.edges.investigation import knowledge
from tracehound.findings.known import _looser, literal, patterns
from tracehound.findings.model import Finding, Verdict
from tracehound.findings.naming import KIND, shown
from tracehound.findings.verdict import Run, judge

HOST, SERVER = "10.0.0.5", "198.51.100.7"


def verdict(evidence: Evidence, **tables: list[dict[str, Any]]) -> Verdict:
    """The verdict over made-up flows and further tables."""
    with evidence.duck() as duck:
        for name, rows in tables.items():
            duck.register(name, table(name, rows))
        return judge(duck.ask, detectors(), Run(), profiles=knowledge().profiles)


def ends(**more: Any) -> dict[str, Any]:
    return {"flow_id": 1, "src": HOST, "dst": SERVER, "packet_id": 42, **more}


def talk(dport: int = 443) -> Evidence:
    e = Evidence()
    for n in range(3):
        e.answered(T0 + n * S, HOST, SERVER, dport)
    return e


def known(v: Verdict) -> list[Finding]:
    return [f for f in v.findings if f.kind == KIND]


CASES = {
    "certificate": (
        {"tls": [ends(server_name=None, subject="CN=AsyncRAT Server", issuer="CN=AsyncRAT Server", serial="01", ja3="a" * 32)]},
        "AsyncRAT",
    ),
    "serial": ({"tls": [ends(subject="CN=www.example.com", issuer="CN=x", serial="08BB00EE")]}, "Cobalt Strike"),
    "server name": ({"tls": [ends(server_name="irc.zief.pl", subject=None)]}, "Virut"),
    "subject": ({"smtp": [ends(mail_subject="PW_admin/USER-PC")]}, "Agent Tesla"),
    "attachment": ({"files": [ends(service="smtp", name="movie0045.pif", sha256="0" * 64)]}, "W32/Sobig.F"),
    "file": ({"files": [ends(service="smb", name="share\\mssecsvc.exe")]}, "WannaCry"),
    "irc": ({"irc": [ends(command="TOPIC", value="#x", addl=".advscan lsass 200 5 0 -r -s")]}, "Rbot"),
}


@pytest.mark.parametrize("name", CASES)
def test_table_that_is_there_is_used(name):
    tables, family = CASES[name]
    found = known(verdict(talk(), **tables))
    assert {f.identity.family for f in found if f.identity} == {family}, found
    assert [f.host for f in found] == ([HOST, SERVER] if name == "file" else [HOST])
    assert found[0].confidence.value >= 0.8
    assert [c.frame for c in found[0].citations.shown] == [42]
    assert HOST in found[0].statement


def test_without_the_tables_nobody_is_named_and_nothing_breaks():
    v = verdict(talk())
    assert known(v) == [] and v.summary.startswith("No host behaves strangely")
    assert known(verdict(talk(), tls=[ends(subject="CN=www.example.com")], smtp=[ends()])) == []


def test_request_with_headers_is_seen_whole():
    e = talk(80)
    cookie = "__gads=1:2:3; _gat=10.0; _ga=1.2; _u=41; __io=21_1; _gid=4142"
    e.http.append(
        {
            "txn_id": 1, "flow_id": 1, "ts": T0, "src": HOST, "dst": SERVER, "sport": 1, "dport": 80, "method": "GET", "uri": "/",
            "version": "1.1", "host": "example.com", "header_names": ["Host", "Cookie"], "header_values": ["example.com", cookie],
            "request_packet_id": 7,
        }
    )
    (found,) = known(verdict(e))
    assert found.identity is not None and found.identity.family == "IcedID" and found.identity.tier == "confirmed"


@pytest.mark.parametrize(
    ("body", "family"),
    [
        (b"\xff\xfe machineId=0123456789abcdef0123456789abcdef|ann&configId=00112233445566778899aabbccddeeff", "Raccoon Stealer"),
        (b"machineId=7&configId=default", None),
        (b"\x00" * 1024, None),
    ],
)
def test_what_a_request_carries_is_seen(body, family):
    e = talk(80)
    e.http.append(
        {"txn_id": 1, "flow_id": 1, "ts": T0, "src": HOST, "dst": SERVER, "sport": 1, "dport": 80, "method": "POST", "uri": "/",
         "version": "1.1", "host": "example.com", "header_names": ["Host"], "header_values": ["example.com"], "request_preview": body,
         "request_packet_id": 7}
    )  # fmt: skip
    assert [f.identity.family for f in known(verdict(e)) if f.identity] == ([family] if family else [])


def test_outside_hosts_are_one_finding_a_family():
    e = Evidence()
    for n in range(30):
        src = f"198.51.100.{n + 1}"
        e.answered(T0 + n * S, src, HOST, 80)
        e.http.append(
            {"txn_id": n, "flow_id": n, "ts": T0 + n * S, "src": src, "dst": HOST, "sport": 1, "dport": 80, "method": "GET",
             "uri": "/default.ida?" + "N" * 224, "version": "1.0", "request_packet_id": n}
        )
    v = verdict(e)
    (found,) = known(v)
    assert found.host is None and found.statement.startswith("at least 16 outside hosts (")
    assert "At least 16 outside hosts" in v.summary and v.extra["hosts_with_signs_not_weighed"] == 14


def test_probing_host_is_not_named_twice():
    e = Evidence()
    for n in range(40):
        dst = e.outside()
        e.unanswered(T0 + n * 5 * S, HOST, dst)
    e.answered(T0, HOST, SERVER)
    e.http.append(
        {"txn_id": 1, "flow_id": 1, "ts": T0, "src": HOST, "dst": SERVER, "sport": 1, "dport": 80, "method": "GET",
         "uri": "/default.ida?" + "N" * 224 + "%u9090%u6858%ucbd3%u7801", "version": "1.0", "request_packet_id": 3}
    )
    v = verdict(e)
    assert known(v) == []
    assert v.probing[0].identities[0].family == "Code Red I"


def test_literals_are_taken_as_they_are():
    import re

    for text in ("a.b*c[1]", "x\x00\xffy", "{2}|(z)^$"):
        assert re.search(re.sub(r"\\x\{([0-9a-f]+)\}", lambda m: re.escape(chr(int(m[1], 16))), literal(text)), f"-{text}-")
    assert set(patterns(knowledge().profiles)) >= {"request_regex", "payload_hex", "certificate", "irc", "domain"}


def test_the_sieve_lets_through_all_that_the_patterns_find():
    for profile in knowledge().profiles:
        for indicator in profile.indicators:
            if indicator.kind == "request_regex":
                text = example_of(indicator.value)
                assert pc.match_substring_regex(pa.array([text]), pattern=_looser(indicator.value))[0].as_py(), indicator


def test_shown_is_short_and_printable():
    assert shown("shell" + "\x00" * 30) == "shell\\x00\\x00"
    assert shown("a" * 200).startswith("aaaa") and len(shown("ab" * 100)) == 60
