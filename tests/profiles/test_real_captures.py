"""In: real captures of infections and attacks, and ordinary ones. Out: the former are named, the latter accuse nobody."""

from __future__ import annotations

import pytest

from tests.conftest import SHARED, needs_shared
from tracehound.edges.investigation import investigate
from tracehound.findings.naming import KIND

CAPTURES = SHARED / "captures"
NAMED = {
    "esnet/attacks/scanners/nmap/nmap_80_vanilla.pcap": {("10.87.1.10", "connect scan", "possible")},
    "chrissanders/ratinfected.pcapng": {("172.16.0.114", "ANABILGI RAT", "confirmed")},
    "chrissanders/http_dvwa_sqlinjection.pcapng": {("10.2.2.101", "SQL injection", "confirmed")},
    "chrissanders/http_dvwa_sqlinjection_passwords.pcapng": {("10.2.2.101", "SQL injection", "confirmed")},
    "malcolm/plugins/Pingback/Pingback_ICMP.pcap": {("192.168.38.172", "Pingback", "confirmed")},
    "malcolm/plugins/SIGred/cve-2020-1350.pcap": {("192.168.1.183", "SIGRed", "confirmed")},
    "malcolm/plugins/cve-2021-44228/log4j-user_agent.pcap": {
        ("10.10.10.31", "Log4Shell", "confirmed"),
        ("172.16.238.10", "Log4Shell class loading", "confirmed"),
    },
    "malcolm/plugins/cve-2021-44228/log4j-webapp.pcap": {
        ("172.16.238.1", "Log4Shell", "confirmed"),
        ("172.16.238.10", "Log4Shell class loading", "confirmed"),
    },
    "malcolm/plugins/zeek-EternalSafety/eternalblue-success-unpatched-win7.pcap": {
        ("192.168.198.204", "EternalBlue", "confirmed")
    },
    "malcolm/plugins/zeek-asyncrat-detector/cd010953-5faf-4054-86be-58c020c3a532.pcap": {
        ("192.168.100.124", "AsyncRAT", "confirmed")
    },
    "malcolm/plugins/zeek-quasarrat-detector/09ffabf7-774a-43a3-8c97-68f2046fd385.pcap": {
        ("192.168.100.7", "Quasar", "confirmed")
    },
    "malcolm/plugins/zeek-strrat-detector/strrat-4423258f-59bc-4a88-bfec-d8ac08c88538.pcap": {
        ("192.168.100.11", "STRRAT", "confirmed")
    },
    "malcolm/plugins/zerologon/CVE-2020-1472_test_win2019.pcap": {("172.16.0.10", "Zerologon", "likely")},
    "malcolm/plugins/zerologon/CVE-2020-1472_exploit_win2016.pcap": {("172.16.0.10", "Zerologon", "likely")},
    "malcolm/plugins/zerologon/CVE-2020-1472_exploit_win2019.pcap": {("172.16.0.10", "Zerologon", "likely")},
    "zeek/modbus/modbus-and-non-modbus-p502.pcap": {("198.74.56.135", "ZGrab", "confirmed")},
}
ORDINARY = (
    "zeek/workshop_2011_browse.pcap",
    "zeek/wikipedia.pcap",
    "zeek/smtp.pcap",
    "zeek/http/m57-long-49583-80.pcap",
    "zeek/smb/smb2_100_small_files.pcap",
    "zeek/dce-rpc/dce_rpc_netlogon.pcapng",
    "zeek/dnssec/rrsig.pcap",
    "zeek/irc-basic.pcap",
    "chrissanders/http_espn.pcapng",
    "malcolm/protocols/MySQL.pcap",
    "malcolm/plugins/ripple20/dns_caa_records.pcap",
)


def recognised(name):
    verdict = investigate(str(CAPTURES / name))
    return {(f.host, f.identity.family, f.identity.tier) for f in verdict.findings if f.kind == KIND and f.identity is not None}, verdict


@needs_shared
@pytest.mark.parametrize("name", NAMED)
def test_what_it_is_is_said(name):
    found, verdict = recognised(name)
    assert found == NAMED[name]
    for host, family, _tier in found:
        assert host in verdict.summary and family in verdict.summary
    for finding in verdict.findings:
        if finding.kind == KIND:
            assert any(c.frame is not None for c in finding.citations.shown), "a finding cites its frames"


@needs_shared
@pytest.mark.parametrize("name", ORDINARY)
def test_the_ordinary_accuses_nobody(name):
    assert recognised(name)[0] == set()
