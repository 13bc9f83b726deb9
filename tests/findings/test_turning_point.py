"""Which transfer came before: the payload before a stop, the mail before a beginning, and none where there is none."""

import pytest

from tests.findings.scenario import HOUR, MINUTE, T0, Evidence, detectors
from tracehound.findings.model import TurningPoint
from tracehound.findings.turning_point import contradicts, judgement
from tracehound.findings.verdict import Run, judge

HOST = "10.0.0.5"


def points(e: Evidence) -> tuple[TurningPoint, ...]:
    with e.duck() as duck:
        v = judge(duck.ask, detectors(), Run())
    (probing,) = v.probing
    return probing.turning_points


def model_case(payload: bool) -> Evidence:
    e = Evidence()
    stop = T0 + 20 * HOUR
    e.browse(HOST, T0, T0 + 24 * HOUR, sites=30, visits_per_hour=20)
    e.probe(HOST, T0, stop, 3.5, targets=[e.outside() for _ in range(63)])
    for flow in list(e.flows):
        if flow["src"] != HOST or flow["outcome"] != "answered" or flow["dport"] != 80:
            continue
        probe = flow["payload_src"] == 117
        e.http.append(
            {
                "of": flow,
                "trans_depth": 1,
                "method": "GET",
                "uri": "/b.cgi?alt&174642967&000000000000" if probe else "/",
                "version": "1.1",
                "host": None if probe else "www.site.example",
                "header_names": ["Host"],
                "header_values": [flow["dst"]],
                "request_head_bytes": 117,
                "status": 404 if probe else 200,
                "reason": "Not Found" if probe else "OK",
                "content_type": "text/html",
                "response_bytes": 320 if probe else flow["payload_dst"],
                "body_kind": "html",
                "body_sha256": "aa",
                "body_preview": b"<html>",
                "complete": True,
            }
        )
    if payload:
        flow = e.answered(stop, HOST, next(r["dst"] for r in e.flows if r["payload_src"] == 117), sent=117, got=4300)
        e.http.append(
            {
                "of": flow,
                "trans_depth": 1,
                "method": "GET",
                "uri": "/b.cgi?alt&174642968&000000000000",
                "version": "1.1",
                "header_names": ["Host"],
                "header_values": [flow["dst"]],
                "request_head_bytes": 117,
                "status": 200,
                "reason": "OK",
                "content_type": "application/octet-stream",
                "response_bytes": 4107,
                "body_kind": "data",
                "body_sha256": "bb",
                "body_preview": b"\x00\xff\x17",
                "complete": True,
            }
        )
    return e


def test_the_answer_before_the_stop_is_first():
    began, stopped = points(model_case(payload=True))
    assert began.at_edge and not stopped.at_edge
    assert stopped.ts_ns == T0 + 20 * HOUR
    first = stopped.candidates[0]
    assert (first.rank, first.status, first.size_bytes, first.body_kind, first.sha256) == (1, 200, 4107, "data", "bb")
    assert first.judgement == "payload: neither error page nor text"
    assert first.preview == "\x00\xff\x17"
    assert first.placebo_p is not None and first.placebo_p <= 0.05
    assert any("only answer of its kind" in r for r in first.reasons)
    assert "preceded by an answer of 4,107 bytes" in stopped.statement
    assert "caused" not in stopped.statement
    assert stopped.bracket_from_ns == T0 + 20 * HOUR
    assert stopped.bracket_to_ns is not None and stopped.bracket_to_ns > T0 + 20 * HOUR


def test_without_it_there_is_none():
    _began, stopped = points(model_case(payload=False))
    assert stopped.statement.endswith("none in capture.")


def test_what_came_in_before_the_beginning():
    e = Evidence()
    start = T0 + 10 * HOUR
    e.browse(HOST, T0, T0 + 20 * HOUR, sites=40, visits_per_hour=25)
    e.answered(start - 3 * MINUTE, "45.9.9.9", HOST, 445, sent=60_000, got=900, service="smb")
    e.probe(HOST, start, T0 + 20 * HOUR, 4, dport=445)
    began, stopped = points(e)
    assert not began.at_edge and stopped.at_edge
    assert abs(began.ts_ns - start) < MINUTE
    assert began.candidates[0].peer == "45.9.9.9"
    assert "came in from a source never seen before" in began.candidates[0].reasons
    assert "preceded by 60 kB from 45.9.9.9" in began.statement


def test_a_program_that_claims_to_be_a_sound():
    assert contradicts("pe", "audio/x-midi")
    assert not contradicts("html", "text/html")
    assert not contradicts("jpeg", "image/jpeg")
    assert not contradicts("shell", "text/plain")
    assert not contradicts("", "audio/x-midi")


@pytest.mark.parametrize(
    ("status", "kind", "size", "word"),
    [
        (404, "html", 900, "error page"),
        (500, "pe", 90_000, "error status, but its body is pe"),
        (200, "pe", 5000, "payload: a program or script"),
        (200, "zip", 5000, "payload: an archive"),
        (200, "jpeg", 5000, "picture, sound, film or document"),
        (200, "html", 5000, "text or page, no error status"),
        (200, "gif", 5000, "picture, sound, film or document"),
        (200, "data", 4096, "payload: neither error page nor text"),
        (200, "data", 0, "no body"),
    ],
)
def test_judgement(status, kind, size, word):
    assert judgement({"kind": "http", "status": status, "body_kind": kind, "size_bytes": size, "service": None}) == word
