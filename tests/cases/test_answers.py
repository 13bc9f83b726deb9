"""In: small pieces of a case. Out: what changed on the host, which hypothesis stands, what a search finds first. Never here: disks."""

from collections.abc import Hashable

from tracehound.cases import timeline
from tracehound.cases.host_changes import around, estimate_skew
from tracehound.cases.hypotheses import compete
from tracehound.cases.indicators import of_finding
from tracehound.cases.linking import links, shared
from tracehound.cases.search import ranked, terms
from tracehound.correspondence.mentions import Mention, mentions
from tracehound.findings.model import Citations, Confidence, Finding

S = 10**9
T = 1_028_219_400 * S


def event(seconds, path="/x", *, kind="file", time_kind="born", **more):
    row = {
        "ts": T + int(seconds * S), "ts_host": T + int(seconds * S), "path": path, "kind": kind, "time_kind": time_kind, "source": "body",
        "line": 1, "message": None, "process": None, "detection": None, "sha256": None, "md5": None, "size": None,
    }  # fmt: skip
    return {**row, **more}


def ordinary(days=10):
    """A file read every half hour."""
    return [event(i * 1800 - days * 43_200, f"/log{i}", time_kind="accessed") for i in range(days * 48)]


def test_the_program_that_was_born_at_the_moment_comes_first():
    got = around([*ordinary(), event(3, "/WINDOWS/upd.exe")], T)
    assert got.changes[0].what == "/WINDOWS/upd.exe"
    assert "a program" in got.changes[0].reasons
    assert got.p is not None
    assert got.p < 0.02


def test_a_file_that_the_family_is_known_for_outranks_a_nearer_one():
    left = event(-60, "C:\\WINDOWS\\TASKBAR.EXE", time_kind="accessed")
    got = around([*ordinary(), event(3, "/WINDOWS/upd.exe"), left], T, known={"taskbar.exe"})
    assert got.changes[0].what == "C:\\WINDOWS\\TASKBAR.EXE"


def test_nothing_did_is_an_answer():
    got = around([event(-100_000, "/a"), event(100_000, "/b")], T)
    assert got.covered
    assert got.changes == ()
    assert got.statement.startswith("Nothing on the host changed")


def test_records_that_do_not_reach_the_moment_say_so():
    assert "do not reach" in around([event(-1_000_000)], T).statement
    assert "no time at all" in around([event(0, ts=None)], T).statement


def test_an_ordinary_moment_is_called_ordinary():
    got = around(ordinary(), T)
    assert got.p is not None
    assert got.p > 0.3


def test_a_file_with_four_times_is_one_change():
    got = around([event(1, time_kind=k) for k in ("born", "modified", "changed", "accessed")], T)
    assert len(got.changes) == 1


def test_the_clock_is_set_by_one_equal_hash_or_three_equal_names():
    carried = [{"ts": T + i * 600 * S, "name": f"f{i}.exe", "bytes": 100 + i, "sha256": str(i) * 64, "md5": None} for i in range(3)]
    by_hash = estimate_skew([event(3600, sha256="0" * 64)], carried)
    assert by_hash is not None
    assert by_hash.seconds == 3600
    named = [event(i * 600 + 90 + i, f"C:\\F{i}.EXE", size=100 + i) for i in range(3)]
    by_name = estimate_skew(named, carried)
    assert by_name is not None
    assert (by_name.seconds, by_name.pairs) == (91, 3)
    assert estimate_skew(named[:2], carried) is None
    assert estimate_skew([], carried) is None


def test_the_least_contradicted_hypothesis_comes_first():
    table = compete(
        [{"hypothesis_id": 1, "statement": "a"}, {"hypothesis_id": 2, "statement": "b"}],
        [
            {"hypothesis_id": 1, "item": "x", "mark": "CC", "reason": ""}, {"hypothesis_id": 2, "item": "x", "mark": "CC", "reason": ""},
            {"hypothesis_id": 1, "item": "y", "mark": "II", "reason": ""}, {"hypothesis_id": 2, "item": "y", "mark": "N", "reason": ""},
            {"hypothesis_id": 9, "item": "z", "mark": "II", "reason": ""},
        ],
    )  # fmt: skip
    assert (table.against, table.order, table.unweighed) == ((2, 0), (1, 0), (0, 0))
    assert [(r.item, r.decides) for r in table.rows] == [("x", False), ("y", True)]


def test_several_weak_words_outrank_one_common_word():
    holders: dict[str, set[Hashable]] = {
        "b.cgi": {f"d{i}" for i in range(30)}, "taskbar.exe": {"d1", "e"}, "130.216.54.131": {"d1"},
    }  # fmt: skip
    got = ranked(holders, 100)
    assert [h.document for h in got[:2]] == ["d1", "e"]
    assert got[0].held == ("130.216.54.131", "taskbar.exe", "b.cgi")
    assert terms('b.cgi "your password" ?? B.CGI') == ["b.cgi", "your password"]


def test_mail_links_to_what_it_names_and_to_nothing_else():
    findings = [{"finding_id": "p1", "kind": "probing_host", "host": "192.0.2.1"}]
    family = {"type": "malware-family", "value": "W32/Frethem.K", "source": "i1"}
    indicators = [family, {"type": "sha256", "value": "a" * 64, "source": "p1"}]
    named = [*mentions(f"192.0.2.1 and 192.0.2.2 and {'a' * 64}"), Mention("malware-family", "w32/frethem.k", 0)]
    got = {(k.finding_id, k.type) for k in links("m", named, findings, indicators)}
    assert got == {("p1", "ip"), ("p1", "sha256"), ("i1", "malware-family")}


def test_an_indicator_that_every_case_has_ties_none():
    own = [{"type": "ip-src", "value": "1"}, {"type": "sha256", "value": "2"}]
    others = {f"c{i}": [{"type": "ip-src", "value": "1"}] for i in range(9)}
    others["c1"].append({"type": "sha256", "value": "2"})
    assert [(s.value, s.other) for s in shared(own, others)] == [("2", "c1")]


def test_the_timeline_is_in_order_of_what_happened():
    rows = [{"kind": "probing_host", "from_ns": T, "to_ns": T + S, "statement": "tries", "finding_id": "p1", "host": "h"},
            {"kind": "stack", "from_ns": T, "to_ns": T + S, "statement": "ordinary", "finding_id": "s", "host": "h"}]  # fmt: skip
    got = timeline.merged(timeline.of_host([event(0.5)]), timeline.of_findings(rows))
    assert [(m.side, m.kind) for m in got] == [("network", "probing_host begins"), ("host", "file born"), ("network", "probing_host ends")]




def test_a_weakness_is_no_indicator():
    """Whose password crosses the network readably is not to be looked for elsewhere."""
    def found(kind):
        sure, nothing = Confidence(0.9), Citations()
        return Finding("f-1", kind, "10.0.0.1", 0, 1, "says", sure, nothing, "detector")

    assert [i.value for i in of_finding(found("probing_host"))] == ["10.0.0.1"]
    assert of_finding(found("cleartext_credentials")) == []
