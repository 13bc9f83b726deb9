"""Who is on the network, from what the evidence shows: facts with what told them, systems, makers of hardware."""

from __future__ import annotations

import json

import pytest

from tests.wire import Wire, dns_query, dns_response
from tracehound.cli.main import run
from tracehound.demo.wire import WINDOWS_2000
from tracehound.edges.investigation import host_tables_of
from tracehound.edges.packaged import hardware_table
from tracehound.edges.reading import read
from tracehound.enrich.systems import Said, chosen, in_words, initial_ttl, of_stack, said
from tracehound.pipeline import Wanted

AGENT = b"Mozilla/5.0 (Windows NT 5.0; rv:1.7) Gecko/20040803"


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    wire = Wire()
    client = wire.host("10.1.0.5", WINDOWS_2000, mac=b"\0\x1b\x21\0\0\x05")
    router = wire.host("10.1.0.1", mac=b"\0\0\x0c\0\0\1")
    client.arp(router, 0.5)
    for n in range(5):
        far = wire.host(f"198.51.100.{n + 1}", mac=router.mac)
        if n == 0:
            client.exchange(router, 53, dns_query(7, "www.example"), dns_response(7, "www.example", answers=(far.address,)), 1.0)
        talk = client.connect(far, 80, 2.0 + n).send(b"GET / HTTP/1.1\r\nHost: www.example\r\nUser-Agent: " + AGENT + b"\r\n\r\n")
        talk.reply(b"HTTP/1.1 200 OK\r\nServer: Apache/2.4 (Debian)\r\nContent-Length: 2\r\n\r\nhi").close()
    mail = client.connect(router, 110, 9.0).reply(b"+OK ready\r\n").send(b"USER ann\r\n").reply(b"+OK\r\n")
    mail.send(b"PASS x\r\n").reply(b"+OK\r\n").close()
    path = tmp_path_factory.mktemp("hosts") / "a.pcap"
    path.write_bytes(wire.pcap())
    return path


@pytest.fixture(scope="module")
def tables(capture):
    with read([str(capture)], wanted=Wanted(link_addresses=True)) as reading:
        made = host_tables_of(reading, ("10.0.0.0/8",))
    return {r["address"]: r for r in made["hosts"].to_pylist()}, made["host_facts"].to_pylist()


def test_a_client(tables):
    host = tables[0]["10.1.0.5"]
    assert host["is_home"] and host["roles"] == ["client"] and host["users"] == ["ann"]
    assert (host["mac"], host["maker"]) == ("00:1b:21:00:00:05", "Intel Corporate")
    assert host["system"] == "Windows 2000" and "http.user_agent" in host["system_reason"]
    assert "tcp/80 http, 5 servers" in host["uses"]
    assert host["pkts_sent"] > 0 and host["peers"] == 6


def test_a_router_and_what_lies_behind_it(tables):
    router, far = tables[0]["10.1.0.1"], tables[0]["198.51.100.1"]
    assert {"router", "name server", "mail server"} <= set(router["roles"])
    assert router["maker"] == "Cisco Systems, Inc"
    assert far["mac"] is None and not far["is_home"], "frames of a router tell nothing of what is behind it"
    assert far["host_names"] == ["www.example"] and far["system"] == "Linux (Debian)" and far["roles"] == ["web server"]


def test_every_fact_says_what_told_it(tables):
    facts = tables[1]
    assert all(f["told_by"] for f in facts if f["fact"] != "stack")
    told = {(f["address"], f["fact"], f["told_by"]) for f in facts}
    assert ("10.1.0.5", "mac", "arp") in told and ("198.51.100.1", "name", "dns answer") in told
    assert ("10.1.0.5", "user", "logins.user") in told and ("10.1.0.1", "role", "sends packets of many addresses") in told


def test_the_verb(capture, capfdbinary):
    assert run(["hosts", str(capture), "--home", "10.0.0.0/8", "--where", "is_home", "--format", "jsonl", "-q"]) == 0
    rows = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [r["address"] for r in rows] == ["10.1.0.5", "10.1.0.1"]
    assert run(["hosts", str(capture), "--facts", "--where", "fact = 'mac'", "--format", "csv", "-q"]) == 0
    out = capfdbinary.readouterr().out.decode()
    assert "00:1b:21:00:00:05,arp," in out and "a.pcap" in out


def test_makers():
    table = hardware_table()
    assert table.made_by("00:00:0C:12:34:56") == "Cisco Systems, Inc"
    assert table.made_by("02:42:ac:11:00:02") == "Docker (by software)"
    assert table.made_by("da:a1:19:00:00:01") == "given by software"
    assert table.made_by("70:b3:d5:ff:f1:23") not in (None, "IEEE Registration Authority"), "36 bits are looked at before 24"
    assert table.made_by("no address") is None
    assert table.date >= "2026" and "IEEE" in table.attribution


@pytest.mark.parametrize(
    ("text", "system"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36", "Windows 10, 11 or Server 2016 and later"),
        ("Mozilla/4.0 (compatible; MSIE 5.0; Windows 98)", "Windows 98"),
        ("Mozilla/5.0 (Linux; Android 9; SM-G960F)", "Android 9"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 12_3 like Mac OS X)", "iOS 12"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)", "macOS 10.15"),
        ("SSH-2.0-OpenSSH_8.9p1 Ubuntu-3ubuntu0.1", "Linux (Ubuntu)"),
        ("Microsoft-IIS/7.5", "Windows Server 2008 R2"),
        ("curl/7.68.0", None),
    ],
)
def test_words_that_name_a_system(text, system):
    assert in_words(text) == system


def test_stacks():
    assert of_stack(128, 8192, 12).system == "Windows Vista or later"
    assert of_stack(116, 65535, 8).system.startswith("Windows 2000, XP")
    assert of_stack(52, 29200, 20).system == "Linux or Android"
    assert of_stack(64, 65535, 24).system == "macOS or iOS"
    assert of_stack(64, None, None).system.startswith("a Unix")
    assert [initial_ttl(t) for t in (1, 32, 33, 64, 65, 128, 129, 255)] == [32, 32, 64, 64, 128, 128, 255, 255]


def test_what_is_said_outweighs_the_stack_and_doubt_is_told():
    hints = [said("user agent", "x (Windows NT 6.1)", "http.user_agent"), of_stack(64, 29200, 20)]
    system, reason = chosen([h for h in hints if h]) or ("", "")
    assert system.startswith("Windows 7") and "http.user_agent 'x (Windows NT 6.1)'" in reason
    both = chosen([Said("Windows", 3, "a"), Said("Linux", 2, "b")]) or ("", "")
    assert "but also signs of Linux" in both[1]
    assert chosen([]) is None
