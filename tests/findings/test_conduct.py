"""Conduct beside probing: guessed logins, names that carry data or are made up, data carried out, spread, readable passwords. Of
each the look-alikes first: they are the harder half."""

from __future__ import annotations

import base64
import random
from typing import Any

import pytest

from tests.findings.scenario import DAY, HOUR, MINUTE, T0, Evidence, S, detectors
from tracehound.findings.model import Finding, Verdict
from tracehound.findings.name_letters import unspeakable
from tracehound.findings.verdict import Run, judge

HOST = "10.0.0.5"
SERVER = "10.0.0.80"


def verdict(evidence: Evidence, *without: str, **more: Any) -> Verdict:
    with evidence.duck(*without) as duck:
        return judge(duck.ask, detectors(), Run(), **more)


def of_kind(v: Verdict, kind: str) -> list[Finding]:
    return [f for f in v.findings if f.kind == kind]


def quiet(v: Verdict, kind: str) -> None:
    assert [f.statement for f in of_kind(v, kind)] == []


def office(e: Evidence, end: int = 6 * HOUR) -> None:
    for n in range(5):
        e.browse(f"10.0.2.{n + 1}", T0, T0 + end, sites=12, visits_per_hour=10)


# -- logins -----------------------------------------------------------------------------------------------------------------


def test_an_old_password_is_no_guessing():
    e = Evidence()
    for n in range(60):
        e.login(T0 + n * 5 * MINUTE, HOST, SERVER, "imap", 143, "ann", False)
    v = verdict(e)
    quiet(v, "login_guessing")
    assert any("old password" in i.reason for i in v.innocents)


def test_many_people_who_mistype_are_no_guessing():
    e = Evidence()
    for n in range(200):
        e.login(T0 + n * MINUTE, HOST, SERVER, "pop3", 110, f"user{n % 40}", n % 12 != 0)
    quiet(verdict(e), "login_guessing")


def test_backups_and_monitoring_by_ssh_are_no_guessing():
    e = Evidence()
    for n in range(100):
        e.answered(T0 + n * 5 * MINUTE, "10.0.0.9", SERVER, 22, sent=21, got=21, service="ssh")  # greeting only
        e.answered(T0 + n * 20 * S, "10.0.0.8", SERVER, 22, sent=3000 + n % 9 * 40_000, got=9000, service="ssh")
    quiet(verdict(e), "login_guessing")


def test_guessed_logins_and_the_one_that_worked():
    e = Evidence()
    for n in range(40):
        e.login(T0 + n * 2 * S, HOST, SERVER, "ftp", 21, "admin", False)
    e.login(T0 + 90 * S, HOST, SERVER, "ftp", 21, "admin", True)
    v = verdict(e)
    (found,) = of_kind(v, "login_guessing")
    assert found.host == HOST and found.technique == "T1110"
    assert "40 refused" in found.statement and "A login worked at" in found.statement
    assert found.confidence.value >= 0.8 and found.citations.total == 41
    assert HOST in v.summary


def test_a_spray_over_accounts_and_servers():
    e = Evidence()
    for n in range(60):
        e.login(T0 + n * 3 * MINUTE, HOST, f"10.0.3.{n % 6 + 1}", "smb", 445, f"user{n}", False)
    (found,) = of_kind(verdict(e), "login_guessing")
    assert "6 servers" in found.statement and "60 attempts" in found.statement


def test_guessing_shared_out_among_many():
    e = Evidence()
    for n in range(40):
        e.login(T0 + n * MINUTE, f"203.0.113.{n % 8 + 1}", SERVER, "imap", 143, f"user{n}", False)
    (found,) = of_kind(verdict(e), "login_guessing")
    assert found.statement.startswith("8 hosts") and SERVER in found.statement


def test_flows_alone_show_connections_of_one_size():
    e = Evidence()
    chance = random.Random(3)
    for n in range(80):
        e.answered(T0 + n * 3 * S, "203.0.113.9", SERVER, 22, sent=1900 + chance.randrange(60), got=2400, service=None)
    e.answered(T0 + 400 * S, "203.0.113.9", SERVER, 22, sent=30_000, got=90_000, service=None)
    v = verdict(e, "http", "dns", "heads")
    (found,) = of_kind(v, "login_guessing")
    assert "80 SSH connections" in found.statement and "a login may have worked" in found.statement
    assert 0.5 <= found.confidence.value < 0.8
    assert "From outside: 203.0.113.9 opens 80" in v.summary


@pytest.mark.parametrize("guessing", [True, False])
def test_forms(guessing):
    e = Evidence()
    for n in range(60):
        flow = e.answered(T0 + n * S, HOST, SERVER, 80)
        e.http.append(
            {"of": flow, "method": "POST", "uri": "/wp-login.php", "status": 200, "response_bytes": 4021 if guessing else 900 + 97 * n,
             "request_body_sha256": f"{n:064x}", "trans_depth": 1}
        )  # fmt: skip
    found = of_kind(verdict(e), "login_guessing")
    assert bool(found) == guessing and (not guessing or "/wp-login.php" in found[0].statement)


def test_readable_passwords_are_a_weakness_and_accuse_nobody():
    e = Evidence()
    e.login(T0, HOST, SERVER, "ftp", 21, "bob", True)
    e.login(T0, HOST, SERVER, "ftp", 21, "anonymous", True)
    e.login(T0, SERVER, SERVER, "pop3", 110, "bob", True)
    e.login(T0, "127.0.0.1", "127.0.1.1", "ldap_tcp", 389, "cn=bob", True)
    v = verdict(e)
    (found,) = of_kind(v, "cleartext_credentials")
    assert found.host == SERVER and "'bob'" in found.statement and "1 login," in found.statement
    assert found.confidence.value < 0.8
    assert "No host behaves strangely" in v.summary


# -- DNS --------------------------------------------------------------------------------------------------------------------


def encoded(chance: random.Random, n: int) -> str:
    return base64.b32encode(chance.randbytes(n)).decode().lower().rstrip("=")


def dns_look_alikes(e: Evidence) -> None:
    chance = random.Random(8)
    for n in range(400):
        at = T0 + n * 20 * S
        blocked = f"{n % 250}.{n % 7}.{n % 90}.{n % 200}.zen.blocklist.example"
        e.ask(at, "10.0.2.25", blocked, "NOERROR" if n % 3 else "NXDOMAIN", answers=("127.0.0.2",) if n % 3 else ())
        e.ask(at, "10.0.2.1", f"{chance.randbytes(20).hex()}.avqs.antivirus.example", answers=("127.0.0.8",))
        e.ask(at, "10.0.2.2", f"e{n % 12}x7b9c2d4f6a8{n % 12}.edge-frankfurt.content.example", answers=("192.0.2.7",))
        e.ask(at, "10.0.2.3", ".".join(f"{n:032x}") + ".ip6.arpa", "NXDOMAIN", "PTR")
        e.ask(at, "10.0.2.4", f"_ldap._tcp.site{n % 4}._sites.dc._msdcs.corp.example", qtype="SRV", answers=("0 100 389 dc.corp.example",))


def test_long_names_that_carry_nothing():
    e = Evidence()
    dns_look_alikes(e)
    v = verdict(e)
    quiet(v, "dns_tunnel")
    quiet(v, "generated_names")
    assert any("reputation service" in i.reason for i in v.innocents)


@pytest.mark.parametrize("qtype", ["TXT", "NULL", "CNAME", "A"])
def test_a_tunnel_whatever_it_asks_for(qtype):
    e = Evidence()
    dns_look_alikes(e)
    chance = random.Random(9)
    for n in range(300):
        name = f"{encoded(chance, 35)}.{encoded(chance, 20)}.t.tunnel.example"
        reply = "203.0.113.7" if qtype == "A" else encoded(chance, 100)
        e.ask(T0 + n * S, HOST, name, qtype=qtype, answers=(reply,))
        e.ask(T0 + n * S, "10.0.0.53", name, qtype=qtype, answers=(reply,), resolver="198.51.100.53")  # the resolver repeats it
    v = verdict(e)
    (found,) = of_kind(v, "dns_tunnel")
    assert found.host == HOST and "tunnel.example" in found.statement and "300 queries" in found.statement
    assert found.confidence.value >= 0.65 and found.technique == "T1071.004"


def test_a_tunnel_that_asks_its_server_directly_has_no_zone_but_a_first_label():
    e = Evidence()
    dns_look_alikes(e)
    chance = random.Random(11)
    for n in range(120):
        e.ask(T0 + n * S, HOST, f"dnscat.{chance.randbytes(30).hex()}.{chance.randbytes(20).hex()}", qtype="TXT", resolver="203.0.113.9")
    (found,) = of_kind(verdict(e), "dns_tunnel")
    assert found.host == HOST and "under dnscat.*" in found.statement and "120 names" in found.statement


def test_flows_alone_cannot_tell_a_tunnel():
    e = Evidence()
    e.answered(T0, HOST, SERVER)
    v = verdict(e, "dns", "http", "heads")
    assert ("Does a host carry data out, or fetch orders, in DNS names?", "the table dns") in v.unanswerable
    assert ("Do logins cross the network so that the password can be read?", "the table logins") in v.unanswerable


def made_up(chance: random.Random) -> str:
    return "".join(chance.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(chance.randrange(11, 14)))


def test_names_that_a_program_makes_up():
    e = Evidence()
    chance = random.Random(10)
    for n in range(120):
        e.ask(T0 + n * S, HOST, f"{made_up(chance)}.{chance.choice(['com', 'net', 'info', 'biz'])}", "NXDOMAIN")
    e.ask(T0 + 200 * S, HOST, f"{made_up(chance)}.com", answers=("203.0.113.50",))
    (found,) = of_kind(verdict(e), "generated_names")
    assert found.host == HOST and "120 registered names that do not exist" in found.statement
    assert found.confidence.value >= 0.8 and "registered: " in found.statement


def test_dead_names_that_people_made_up():
    e = Evidence()
    words = ["garden", "house", "river", "market", "school", "travel", "photo", "music", "sports", "family", "winter", "summer"]
    for n, (a, b) in enumerate((a, b) for a in words for b in words if a != b):
        e.ask(T0 + n * S, HOST, f"www.{a}{b}.com", "NXDOMAIN")  # a crawler, or a mail server that looks up senders
    for n in range(50):
        e.ask(T0 + n * S, "10.0.2.1", f"{made_up(random.Random(n))}.office.example", "NXDOMAIN")  # a browser under a search suffix
    v = verdict(e)
    quiet(v, "generated_names")
    assert any("words that people make up" in i.reason for i in v.innocents)


def test_letters():
    for name in ("xkqzvbhtwp", "q3f8z1k9b2", "bvjwqhdkfzm", "wpzdcxjqgt"):
        assert unspeakable(name), name
    for name in ("microsoft", "facebook", "wikipedia", "deutschebank", "stackoverflow", "worldwidewatches", "strength", "hotmail24", "cnn"):
        assert not unspeakable(name), name


# -- data that leaves -------------------------------------------------------------------------------------------------------


def upload(e: Evidence, at: int, src: str, dst: str, dport: int, sent: int, **more: Any) -> dict[str, Any]:
    return e.answered(at, src, dst, dport, sent=sent, got=2000, bytes_src=sent + 4000, bytes_dst=4000, end=at + MINUTE, **more)


def test_backups_mail_and_shared_services_are_no_theft():
    e = Evidence()
    office(e)
    for day in range(5):
        upload(e, T0 + day * DAY, "10.0.2.1", "198.51.100.20", 22, 80_000_000, service="ssh")
    for n in range(4):
        upload(e, T0 + n * HOUR, f"10.0.2.{n + 1}", "198.51.100.30", 443, 20_000_000, service="ssl")
    upload(e, T0 + HOUR, "10.0.2.2", "198.51.100.40", 25, 30_000_000, service="smtp")
    upload(e, T0 + HOUR, "10.0.2.3", "10.0.0.253", 9100, 30_000_000, service=None)  # a printer, at home
    e.lookup(T0 + HOUR, "10.0.2.4", "upload.video.example", "198.51.100.50")
    upload(e, T0 + HOUR + S, "10.0.2.4", "198.51.100.50", 443, 60_000_000, service="ssl")
    v = verdict(e)
    quiet(v, "outward_transfer")
    assert any("carries 400 MB out" in i.looked_like for i in v.innocents)


def test_sequence_numbers_that_jump_are_no_transfer():
    e = Evidence()
    office(e)
    e.answered(T0 + HOUR, HOST, "203.0.113.5", 4444, sent=900_000_000, got=10, bytes_src=400, bytes_dst=300)
    quiet(verdict(e), "outward_transfer")


def test_much_to_a_nameless_place_that_nobody_else_knows():
    e = Evidence()
    office(e)
    e.browse(HOST, T0, T0 + 6 * HOUR, sites=10, visits_per_hour=8)
    upload(e, T0 + 4 * HOUR, HOST, "203.0.113.5", 8081, 120_000_000, service=None)
    v = verdict(e)
    (found,) = of_kind(v, "outward_transfer")
    assert found.host == HOST and "203.0.113.5" in found.statement and "120 MB" in found.statement
    assert found.confidence.value >= 0.5


def test_data_in_pings():
    e = Evidence()
    office(e)
    for n in range(900):
        e.ping(T0 + n * S, HOST, "203.0.113.5", False)
        e.flows[-1] |= {"payload_src": 1000, "bytes_src": 1028}
    (found,) = of_kind(verdict(e), "outward_transfer")
    assert "for names and errors" in found.statement


# -- spread -----------------------------------------------------------------------------------------------------------------


def fan(e: Evidence, host: str, at: int, targets: int = 30, dport: int = 445, fail: float = 0.7, sent: int = 1300) -> None:
    e.probe(host, at, at + targets * 2 * S, 30, dport=dport, fail=fail, sent=sent)


def test_a_worm_takes_host_after_host():
    e = Evidence()
    office(e)
    fan(e, "10.0.1.1", T0 + HOUR)
    e.answered(T0 + HOUR + 5 * S, "10.0.1.1", "10.0.1.2", 445, sent=1300, got=400)
    fan(e, "10.0.1.2", T0 + HOUR + 20 * S)
    e.answered(T0 + HOUR + 30 * S, "10.0.1.2", "10.0.1.3", 445, sent=1300, got=400)
    e.answered(T0 + HOUR + 6 * S, "10.0.1.1", "10.0.1.4", 445, sent=1300, got=400)
    fan(e, "10.0.1.3", T0 + HOUR + 50 * S)
    v = verdict(e)
    (found,) = of_kind(v, "internal_spread")
    assert found.host == "10.0.1.1" and found.confidence.value >= 0.7
    assert "10.0.1.1 reached 10.0.1.2" in found.statement and "10.0.1.2 reached 10.0.1.3" in found.statement
    assert "10.0.1.4" not in found.statement


def test_servers_that_pass_on_are_no_worm():
    e = Evidence()
    e.mail_server("10.0.0.25", T0, T0 + HOUR)
    e.resolver("10.0.0.53", T0, T0 + HOUR)
    for n in range(40):
        e.answered(T0 + n * S, "10.0.0.90", f"10.0.3.{n + 1}", 22, sent=4000, got=4000)  # an administrator on many hosts
    e.answered(T0 + 50 * S, "10.0.0.90", "10.0.0.91", 22, sent=4000, got=4000)
    for n in range(20):
        e.answered(T0 + 90 * S + n * S, "10.0.0.91", f"10.0.4.{n + 1}", 22, sent=9000, got=4000)  # a jump host
    v = verdict(e)
    quiet(v, "internal_spread")
    assert any("passes on" in i.reason for i in v.innocents)


# -- administrative shares --------------------------------------------------------------------------------------------------


def smb(e: Evidence, at: int, src: str, dst: str, action: str, share: str = "ADMIN$", **more: Any) -> None:
    flow = e.answered(at, src, dst, 445, sent=4000, got=2000, service="smb")
    row = {"of": flow, "version": "SMB2", "action": action, "share": f"\\\\{dst}\\{share}", "result": "SUCCESS", "user": "admin"}
    e.more.setdefault("smb", []).append(row | more)


def call(e: Evidence, at: int, src: str, dst: str, operation: str, opnum: int) -> None:
    flow = e.answered(at, src, dst, 445, sent=4000, got=2000, service="smb")
    e.more.setdefault("dce_rpc", []).append(
        {"of": flow, "service": "smb", "endpoint": "svcctl", "operation": operation, "opnum": opnum, "named_pipe": "svcctl"}
    )


def test_administrators_and_backups_are_let_go():
    e = Evidence()
    for n in range(6):
        smb(e, T0 + n * MINUTE, "10.0.0.90", f"10.0.3.{n + 1}", "tree_connect", "C$")
        smb(e, T0 + n * MINUTE, "10.0.0.90", f"10.0.3.{n + 1}", "read", "C$", name="Users\\ann\\report.doc", data_bytes=900_000)
    smb(e, T0, "10.0.0.91", "10.0.0.10", "tree_connect", "SYSVOL")
    v = verdict(e)
    quiet(v, "lateral_movement")
    assert any("no program was written" in i.reason for i in v.innocents)


def test_a_program_that_is_written_and_started():
    e = Evidence()
    for n in range(3):
        at, dst = T0 + n * MINUTE, f"10.0.3.{n + 1}"
        smb(e, at, HOST, dst, "tree_connect")
        smb(e, at + S, HOST, dst, "write", name="PSEXESVC.exe", data_bytes=150_000)
        call(e, at + 2 * S, HOST, dst, "CreateServiceW", 12)
        call(e, at + 3 * S, HOST, dst, "StartServiceW", 19)
    v = verdict(e)
    (found,) = of_kind(v, "lateral_movement")
    assert found.host == HOST and "ADMIN$" in found.statement and "psexesvc.exe" in found.statement
    assert "creates a service there" in found.statement and found.confidence.value >= 0.8


def test_shares_need_the_table_of_smb():
    e = Evidence()
    e.answered(T0, HOST, SERVER)
    asked = "Does a host go from machine to machine by administrative shares and remote services?"
    assert (asked, "the table smb") in verdict(e, "dns").unanswerable


# -- ARP --------------------------------------------------------------------------------------------------------------------


def claim(e: Evidence, at: int, operation: str, sender: tuple[str, str], target: str, messages: int = 1) -> None:
    mac, address = sender
    rows = e.more.setdefault("arp", [])
    rows.append(
        {"evidence_id": 0, "ts": at, "last_ts": at, "operation": operation, "sender_mac": mac, "sender_addr": address, "frame_mac": mac,
         "target_mac": "00:00:00:00:00:00", "target_addr": target, "messages": messages, "packet_id": len(rows) + 1}
    )  # fmt: skip


ROUTER, MINE = "00:00:0c:00:00:01", "00:1b:21:00:00:05"


def test_routers_leases_and_spares_are_no_spoofing():
    e = Evidence()
    for n in range(20):
        claim(e, T0 + n * S, "request", (MINE, "10.0.0.5"), f"10.9.0.{n}")
        claim(e, T0 + n * S, "reply", (ROUTER, f"10.9.0.{n}"), "10.0.0.5")  # proxy ARP
    claim(e, T0, "announcement", ("00:1b:21:00:00:08", "10.0.0.8"), "10.0.0.8")
    claim(e, T0 + HOUR, "announcement", ("00:1b:21:00:00:09", "10.0.0.8"), "10.0.0.8")  # a spare takes over
    e.answered(T0, HOST, SERVER)
    v = verdict(e)
    quiet(v, "arp_spoofing")
    assert any("proxy ARP" in i.reason for i in v.innocents)


@pytest.mark.parametrize("flows", [True, False])
def test_a_host_that_poses_as_the_router(flows):
    e = Evidence()
    claim(e, T0, "request", ("00:1b:21:00:00:08", "10.0.0.8"), "10.0.0.1")
    claim(e, T0, "reply", (ROUTER, "10.0.0.1"), "10.0.0.8")
    claim(e, T0 + S, "reply", (MINE, "10.0.0.1"), "10.0.0.8", messages=30)
    claim(e, T0 + 2 * S, "request", (MINE, "10.0.0.5"), "10.0.0.7")
    if flows:
        e.answered(T0, HOST, SERVER)
    v = verdict(e)
    found = {f.host: f for f in of_kind(v, "arp_spoofing")}
    assert "10.0.0.5 (00:1b:21:00:00:05) poses as 10.0.0.1" in found["10.0.0.5"].statement
    assert found["10.0.0.5"].confidence.value >= 0.7 and "poses as 10.0.0.1" in v.summary
    assert set(found) == {"10.0.0.5"}, "the true router is not accused"


# -- remote calls, handshakes -----------------------------------------------------------------------------------------------

RPRN, DRSR = "12345678-1234-abcd-ef00-0123456789ab", "e3514235-4b06-11d1-ab04-00c04fc2dcd2"
SRVS = "4b324fc8-1670-01d3-1278-5a47bf6ee188"
NRPC, EFSR = "12345678-1234-abcd-ef00-01234567cffb", "c681d488-d850-11d0-8c52-00c04fd90f7e"


def rpc(e: Evidence, at: int, src: str, dst: str, interface: str, opnum: int, operation: str | None = None) -> None:
    flow = e.answered(at, src, dst, 445, sent=4000, got=2000, service="smb")
    e.more.setdefault("dce_rpc", []).append(
        {"of": flow, "service": "smb", "interface_uuid": interface, "opnum": opnum, "operation": operation, "result": "response"}
    )


def test_controllers_replicate_and_machines_change_their_passwords():
    e = Evidence()
    flow = e.answered(T0, "10.0.2.1", "10.0.0.10", 88, service="krb_tcp")
    e.more["kerberos"] = [{"of": flow, "service": "krb_tcp", "request_type": "AS"}]
    rpc(e, T0, "10.0.0.10", "10.0.0.11", DRSR, 3, "DRSGetNCChanges")
    rpc(e, T0, "10.0.2.1", "10.0.0.10", NRPC, 26, "NetrServerAuthenticate3")
    rpc(e, T0, "10.0.2.1", "10.0.0.10", NRPC, 30, "NetrServerPasswordSet2")
    rpc(e, T0, "10.0.2.1", "10.0.0.10", RPRN, 1, "RpcOpenPrinter")
    v = verdict(e)
    quiet(v, "rpc_attack")
    assert any("they replicate" in i.reason for i in v.innocents)


@pytest.mark.parametrize(
    ("interface", "opnum", "name"),
    [(RPRN, 89, "PrintNightmare"), (EFSR, 4, "PetitPotam"), (DRSR, 3, "DCSync"), (SRVS, 74, "CVE-2022-30216")],
)
def test_calls_that_attacks_are_made_of(interface, opnum, name):
    e = Evidence()
    rpc(e, T0, HOST, "10.0.0.10", interface, opnum)
    (found,) = of_kind(verdict(e), "rpc_attack")
    assert found.host == HOST and name in found.statement and found.confidence.value >= 0.8


def test_a_logon_that_is_tried_until_it_works():
    e = Evidence()
    for n in range(250):
        rpc(e, T0 + n * S // 10, HOST, "10.0.0.10", NRPC, 26, "NetrServerAuthenticate3")
    rpc(e, T0 + 30 * S, HOST, "10.0.0.10", NRPC, 30, "NetrServerPasswordSet2")
    found = of_kind(verdict(e), "rpc_attack")
    assert len(found) == 2 and "Zerologon" in found[0].statement and "succeeded" in found[0].statement + found[1].statement


def test_handshakes_that_deceive_and_those_that_can_be_read():
    e = Evidence()
    flow = e.answered(T0, HOST, "203.0.113.5", 443, service="ssl")
    ticket = e.answered(T0, "10.0.2.1", "10.0.0.80", 443, service="ssl")
    e.more["tls"] = [
        {"of": flow, "subject": "CN=www.example.com", "note": "certificate: curve given by explicit parameters"},
        {"of": ticket, "note": "session ticket under a key whose name is all zeros"},
    ]
    v = verdict(e)
    (found,) = of_kind(v, "tls_attack")
    assert found.host == "203.0.113.5" and "CVE-2020-0601" in found.statement
    (weak,) = of_kind(v, "tls_weakness")
    assert weak.host == "10.0.0.80" and "10.0.0.80" not in v.summary


@pytest.mark.parametrize(
    ("note", "host", "said"),
    [
        ("client's heartbeat asks for more than it brought; client's heartbeat is answered with more than it brought", HOST, "came back"),
        ("server's heartbeat asks for more than it brought", "203.0.113.5", "no memory came back"),
    ],
)
def test_heartbeats_that_read_memory(note, host, said):
    e = Evidence()
    e.more["tls"] = [{"of": e.answered(T0, HOST, "203.0.113.5", 443, service="ssl"), "note": note}]
    (found,) = of_kind(verdict(e), "tls_attack")
    assert found.host == host and "CVE-2014-0160" in found.statement and said in found.statement


@pytest.mark.parametrize(("answered", "name"), [(65, "whether a back door"), (81, "it is installed")])
def test_the_ping_of_a_back_door(answered, name):
    e = Evidence()
    smb(e, T0, HOST, "10.0.0.10", "trans2_session_setup", note=f"multiplex id 65 answered with {answered}", result="NOT_IMPLEMENTED")
    rpc(e, T0, "10.0.2.1", "10.0.0.10", RPRN, 1)
    (found,) = of_kind(verdict(e), "rpc_attack")
    assert found.host == HOST and "DoublePulsar" in found.statement and name in found.statement


def test_compressed_messages_that_overflow():
    e = Evidence()
    smb(e, T0, HOST, "10.0.0.10", "compressed", note="size and offset of a compressed message overflow 32 bits", result=None)
    rpc(e, T0, "10.0.2.1", "10.0.0.10", RPRN, 1)
    (found,) = of_kind(verdict(e), "rpc_attack")
    assert found.host == HOST and "CVE-2020-0796" in found.statement and found.technique == "T1210"


def test_a_port_mapper_that_answers_too_long():
    e = Evidence()
    rows = []
    for answer in ("127.0.0.1.8.1", "A" * 900):
        flow = e.answered(T0, SERVER, HOST, 111, service="sunrpc")
        rows.append({"of": flow, "program": "portmapper", "operation": "GETADDR", "answer": answer})
    e.more["sunrpc"] = rows
    rpc(e, T0, "10.0.2.1", "10.0.0.10", RPRN, 1)
    (found,) = of_kind(verdict(e), "rpc_attack")
    assert found.host == HOST and "CVE-2022-26937" in found.statement and "1 call " in found.statement


# -- files ------------------------------------------------------------------------------------------------------------------


def passed_on(e: Evidence, name: str | None, declared: str | None, kind: str, *, service: str = "http", sent: bool = False) -> None:
    flow = e.answered(T0, HOST, "203.0.113.80", 80 if service == "http" else 25, service=service)
    e.more.setdefault("files", []).append(
        {"of": flow, "service": service, "sent_by_src": sent, "name": name, "declared_type": declared, "kind": kind, "bytes": 4096,
         "complete": True, "sha256": "ab" * 32}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "declared", "kind"),
    [
        ("setup.exe", "application/octet-stream", "pe"),
        ("setup.exe", "text/plain", "pe"),  # a web server that does not know .exe
        ("download.php", "text/html", "pe"),
        ("tool", "text/plain", "elf"),
        ("logo.png", "image/png", "png"),
        ("jquery.min.js", "text/javascript", "javascript"),
        ("archive.tar.gz", "application/gzip", "gzip"),
        ("report.v1.txt", "text/plain", "text"),
        ("page.html.gz", None, "gzip"),
        (None, None, "data"),
    ],
)
def test_files_that_are_what_they_say(name, declared, kind):
    e = Evidence()
    passed_on(e, name, declared, kind)
    quiet(verdict(e), "disguised_program")


@pytest.mark.parametrize(
    ("name", "declared", "kind"),
    [
        ("tablone.png", "image/png", "pe"),
        ("tablone", "image/png", "pe"),
        ("picture.jpg", "application/octet-stream", "elf"),
        ("invoice.pdf.exe", "application/octet-stream", "pe"),
        ("photo.jpg   .scr", None, "data"),
        ("update.bin", "application/octet-stream", "pe_xor"),
    ],
)
def test_a_program_that_is_fetched_under_another_name(name, declared, kind):
    e = Evidence()
    passed_on(e, name, declared, kind)
    v = verdict(e)
    (found,) = of_kind(v, "disguised_program")
    assert found.host == HOST and f"{HOST} fetches from 203.0.113.80" in found.statement and name.split()[0] in found.statement
    assert found.technique == "T1036" and found.citations.total == 1 and HOST in v.summary


def loaded(e: Evidence, server: str, uri: str, agent: str | None, kind: str = "pe", facts: str = "", **more: str | None) -> None:
    """HOST fetches a program by HTTP."""
    flow = e.answered(T0, HOST, server, 80, service="http")
    e.http.append({"of": flow, "host": server, "uri": uri, "user_agent": agent, "method": "GET", "status_code": 200} | more)
    e.more.setdefault("files", []).append(
        {"of": flow, "service": "http", "sent_by_src": False, "name": None, "declared_type": "application/octet-stream", "kind": kind,
         "bytes": 4096, "complete": True, "sha256": f"{len(e.http):064x}", "facts": facts}
    )  # fmt: skip


BROWSER = "Mozilla/5.0 (Windows NT 10.0)"


@pytest.mark.parametrize(
    ("server", "host", "uri", "agent", "facts", "referer"),
    [
        ("203.0.113.80", "downloads.example", "/x.php", None, "not signed", None),  # a name
        ("10.0.0.80", None, "/x.php", None, "not signed", None),  # a server of the house
        ("203.0.113.80", None, "/setup.exe", "Updater/3.1", "signature present", None),
        ("203.0.113.80", None, "/setup.exe", BROWSER, "not signed", "http://203.0.113.80/"),
    ],
)
def test_programs_that_are_fetched_as_many_are(server, host, uri, agent, facts, referer):
    e = Evidence()
    e.answered(T0, "10.0.0.80", "10.0.0.9", 53)
    loaded(e, server, uri, agent, facts=facts, host=host or server, referer=referer)
    quiet(verdict(e), "bare_program")


@pytest.mark.parametrize(
    ("uri", "agent", "kind", "facts", "sign"),
    [
        ("/solar.php", "pwtyyEKzNtGatwnJjmCcBLbOveCVpc", "pe", "x86 program; not signed", "unlike browsers"),
        ("/a.exe", None, "pe", "x86 program; not signed", "no agent"),
        ("/bins/arm7", "Wget/1.20", "elf", "ARM 32-bit little-endian; executable", "a script"),
    ],
)
def test_a_program_from_a_bare_address(uri, agent, kind, facts, sign):
    e = Evidence()
    loaded(e, "203.0.113.80", uri, agent, kind, facts)
    (found,) = of_kind(verdict(e), "bare_program")
    assert found.host == HOST and uri in found.statement and found.technique == "T1105"
    assert any(sign in reason for reason in found.confidence.reasons)


def test_one_worm_for_several_processors():
    e = Evidence()
    for name, machine in (("mips", "MIPS 32-bit big-endian"), ("mpsl", "MIPS 32-bit little-endian"), ("arm7", "ARM 32-bit little-endian")):
        loaded(e, "203.0.113.80", f"/bins/{name}", "Mozilla/5.0", "elf", f"{machine}; executable")
    (found,) = of_kind(verdict(e), "bare_program")
    assert "3 programs" in found.statement and any("3 kinds of processor" in reason for reason in found.confidence.reasons)


def test_a_worm_that_mails_itself_is_told_of_the_sender():
    e = Evidence()
    for _ in range(3):
        passed_on(e, "your_details.txt.pif", None, "pe", service="smtp", sent=True)
    (found,) = of_kind(verdict(e), "disguised_program")
    assert found.host == HOST and f"{HOST} mails 203.0.113.80 3 programs" in found.statement
