"""Which flows show what was named; that rules of attacks look inwards and those of malware outwards."""

import pytest

from tests.conftest import SHARED, needs_shared
from tracehound.edges import rule_lab
from tracehound.findings.model import IndicatorHit
from tracehound.findings.template import Sample
from tracehound.lab.draft import Draft, Naming, drafts
from tracehound.lab.named import Named
from tracehound.lab.signs import showing


def hit(kind: str, value: str, state: str = "matched", weight: float = 3.0) -> IndicatorHit:
    return IndicatorHit(kind, value, state, weight)


REQUESTS = [
    Sample("GET", "/a.cgi?x=1", "1.1", ("Host", "User-Agent"), ("a.example", "evil/1"), flow_id=1),
    Sample("GET", "/b", "1.1", ("User-Agent",), ("Mozilla/5.0",), flow_id=2),
    Sample(payload=b"\x00\xffMAGIC", flow_id=3),
]
NAMES = [
    Named("tls", {"tls.sni": "c2.example", "tls.cert_subject": "CN=Bad", "ja3.hash": "ab" * 16}, 4, 0),
    Named("dns", {"dns.query": "c2.example"}, 5, 0),
]


@pytest.mark.parametrize(
    ("sign", "flows"),
    [
        (hit("request_regex", r"^GET /a\.cgi\?x=\d HTTP/1\.1\nHost: a"), {1}),
        (hit("request_literal", "A.CGI"), {1}),
        (hit("user_agent", "^evil/"), {1}),
        (hit("payload_regex", "MAGIC$"), {3}),
        (hit("payload_hex", "00FF4D"), {3}),
        (hit("certificate", "Bad"), {4}),
        (hit("domain", r"^c2\.example$"), {4, 5}),
        (hit("ja3", "ab" * 16), {4}),
        (hit("domain", r"^c2\.example$", weight=0.5), set()),  # honest flows show it, too
        (hit("user_agent", "^evil/", state="not seen"), set()),
        (hit("mail_subject", "x"), set()),
    ],
)
def test_flows_that_show_a_sign(sign, flows):
    requests, names = showing([sign], REQUESTS, NAMES)
    assert {s.flow_id for s in requests} | {n.flow_id for n in names} == flows


@pytest.mark.parametrize(
    ("category", "at_home", "begins", "classtype"),
    [
        ("malware", True, "alert http $HOME_NET any -> $EXTERNAL_NET any (msg:\"LOCAL MALWARE Toy", "trojan-activity"),
        ("malware", False, "alert http $EXTERNAL_NET any -> $HOME_NET any (msg:\"LOCAL MALWARE Toy", "trojan-activity"),
        ("exploit", False, "alert http any any -> $HOME_NET any (msg:\"LOCAL EXPLOIT Toy", "attempted-admin"),
        ("tool", True, "alert http any any -> $HOME_NET any (msg:\"LOCAL SCAN Toy", "attempted-recon"),
    ],
)
def test_what_a_rule_says_of_itself(category, at_home, begins, classtype):
    made = [Sample("GET", f"/gate.cgi?token&{n:09d}", "1.1", ("Host",), ("x",), ts_ns=n, flow_id=n) for n in range(4)]
    (draft,) = drafts(made, [], Naming(1, "2026_01_01", "Toy", category=category, originator_at_home=at_home))
    assert isinstance(draft, Draft) and draft.text.startswith(begins) and f"classtype:{classtype};" in draft.text


@needs_shared
@pytest.mark.parametrize(
    ("capture", "said"),
    [
        ("malcolm/plugins/zeek-EternalSafety/eternalblue-success-unpatched-win7.pcap",
         'alert tcp any any -> $HOME_NET 445 (msg:"LOCAL EXPLOIT EternalBlue TCP Traffic"; flow:established,to_server; '
         'content:"|00 00 FF F7 FE|SMB'),
        # The first message of a flow is a sample, its later ones are not.
        ("malcolm/plugins/zeek-strrat-detector/strrat-4423258f-59bc-4a88-bfec-d8ac08c88538.pcap",
         'content:"144|0D 0A 0D 0A|ping|7C|STRRAT'),
        ("chrissanders/http_dvwa_sqlinjection.pcapng", 'content:"/dvwa/vulnerabilities/sqli/?id='),
    ],
)  # fmt: skip
def test_rules_for_what_a_profile_named(capture, said):
    (draft,) = rule_lab.draft([str(SHARED / "captures" / capture)], finding="known_behaviour-1").results
    assert isinstance(draft, Draft) and said in draft.text
