"""What rules say becomes findings: about the host at home, counted, cited, the gravest first."""

import dataclasses

from tests.report.sample import quiet
from tracehound.findings.rule_alerts import KIND, Alert, with_alerts


def alert(sid: int = 1, severity: int = 2, src: str = "10.0.0.5", dst: str = "192.0.2.9", frame: int = 1, ts_ns: int = 1) -> Alert:
    return Alert(1, sid, f"rule {sid}", "Bad", severity, ts_ns, src, dst, 80, "TCP", "http", "a.pcap", frame, 7)


def test_a_finding_for_each_rule_and_host_at_home():
    verdict = dataclasses.replace(quiet(), home_networks=("10.0.0.0/8",))
    alerts = [
        alert(1, 3, frame=4, ts_ns=50), alert(1, 3, src="192.0.2.8", dst="10.0.0.5", frame=2, ts_ns=20),
        alert(2, 1, src="10.0.0.6", frame=9),
    ]  # fmt: skip
    told = with_alerts(verdict, alerts, loaded=10, refused=1)
    made = [f for f in told.findings if f.kind == KIND]
    assert [(f.host, f.citations.total, f.from_ns, f.to_ns) for f in made] == [("10.0.0.6", 1, 1, 1), ("10.0.0.5", 2, 20, 50)]
    assert [c.frame for c in made[1].citations.shown] == [4, 2]
    assert '1:1 "rule 1" matches 2 times' in made[1].statement
    assert "with 2 peers: 192.0.2.9 and 192.0.2.8" in made[1].statement
    assert made[0].confidence.value > made[1].confidence.value
    assert told.findings[: len(verdict.findings)] == verdict.findings
    assert "Of 10 rules (1 refused), 2 match, 3 alerts" in told.summary
    assert told.extra["rules"] == "10 carried out, 1 refused; 2 match, 3 alerts"


def test_no_alert_is_said_too_and_a_host_narrows():
    verdict = dataclasses.replace(quiet(), home_networks=("10.0.0.0/8",))
    assert with_alerts(verdict, [], loaded=3, refused=0).summary.endswith("Of 3 rules, none matches.")
    told = with_alerts(verdict, [alert(1), alert(2, src="10.0.0.7", dst="10.0.0.5"), alert(3, src="10.0.0.8")], loaded=3, refused=0,
                       host="10.0.0.5")  # fmt: skip
    made = [(f.host, f.statement.split('"')[1]) for f in told.findings if f.kind == KIND]
    assert made == [("10.0.0.5", "rule 1"), ("10.0.0.5", "rule 2")]
