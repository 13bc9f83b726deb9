"""A capture filter lets pass what tcpdump lets pass, and says what it does not understand."""

import argparse
import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.all import ARP, ICMP, IP, TCP, UDP, Dot1Q, IPv6
from scapy.contrib.mpls import MPLS
from scapy.layers.ppp import PPP, PPPoE

from tests.capture.files import pcap_header, pcap_record
from tests.conftest import SHARED, needs_shared
from tests.packets.test_decode import records_of
from tests.packets.wrapping import Ether
from tests.tables_of import tables
from tests.test_chunking import mixed
from tracehound.cli import options
from tracehound.cli.main import run
from tracehound.edges.evidence import list_evidence, read_batches
from tracehound.errors import UsageError
from tracehound.limits import MAX_FILTER_DEPTH
from tracehound.packets.bpf_grammar import begins_filter
from tracehound.packets.bpf_machine import compiled, passing

SYN = Ether() / IP(src="10.0.0.1", dst="192.168.5.6", ttl=9) / TCP(sport=1234, dport=80, flags="S")
FRAMES = {
    "syn": SYN,
    "syn-ack": Ether() / IP(src="192.168.5.6", dst="10.0.0.1") / TCP(sport=80, dport=1234, flags="SA"),
    "query": Ether() / IP(src="10.0.0.1", dst="10.0.0.53") / UDP(sport=5353, dport=53) / (b"q" * 40),
    "six": Ether() / IPv6(src="2001:db8::1", dst="2001:db8::2") / TCP(sport=9, dport=80),
    "later fragment": Ether() / IP(src="10.0.0.1", dst="10.0.0.53", frag=100, proto=17) / (b"\0\x35" * 10),
    "ping": Ether() / IP(src="10.0.0.1", dst="10.0.0.2") / ICMP(type=8),
    "arp": Ether(dst="ff:ff:ff:ff:ff:ff") / ARP(psrc="10.0.0.1", pdst="10.0.0.9", hwsrc="02:00:00:00:00:07"),
    "vlan": Ether() / Dot1Q(vlan=10) / SYN[IP],
    "vlan in vlan": Ether() / Dot1Q(vlan=10) / Dot1Q(vlan=20) / SYN[IP],
    "mpls": Ether() / MPLS(label=16, s=0) / MPLS(label=17, s=1) / SYN[IP],
    "pppoe": Ether() / PPPoE(sessionid=7) / PPP() / SYN[IP],
    "short": b"\2\0\0\0\0\1",
}


def passes(expression):
    records = records_of([bytes(f) for f in FRAMES.values()])
    return [name for name, yes in zip(FRAMES, passing(compiled(expression), *records), strict=True) if yes]


EXPRESSIONS = {
    "tcp port 80": ["syn", "syn-ack", "six"],
    "src port 80": ["syn-ack"],
    "port 53 or 80 and ip": ["syn", "syn-ack", "query"],
    "port (53 or 1234)": ["syn", "syn-ack", "query"],
    "portrange 50-60": ["query"],
    "port domain": ["query"],
    "port http": ["syn", "syn-ack", "six"],
    "host 10.0.0.1 and not tcp": ["query", "later fragment", "ping", "arp"],
    "src net 10 and dst net 192.168": ["syn"],
    "net 192.168.0.0 mask 255.255.0.0": ["syn", "syn-ack"],
    "net 10.0.0.0/30 and icmp": ["ping"],
    "ip6 and net 2001:db8::/64": ["six"],
    "dst host 2001:db8::2": ["six"],
    "arp host 10.0.0.9": ["arp"],
    "ether src 02:00:00:00:00:02 and icmp": ["ping"],
    "ether broadcast": ["arp"],
    "tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn": ["syn"],
    "tcp[13] = 0x12": ["syn-ack"],
    "(tcp[13] & 2) != 0": ["syn", "syn-ack"],
    "ip[8] < 10": ["syn"],
    "icmp[icmptype] == icmp-echo": ["ping"],
    "ip[6:2] & 0x1fff != 0": ["later fragment"],
    "udp and not port 53": ["later fragment"],
    "vlan": ["vlan", "vlan in vlan"],
    "vlan 10 and tcp": ["vlan"],
    "vlan and vlan 20 and port 80": ["vlan in vlan"],
    "mpls 16 and mpls 17 and host 10.0.0.1": ["mpls"],
    "pppoes 7 and tcp dst port 80": ["pppoe"],
    "greater 82": ["query"],
    "less 6": ["short"],
    "len - 54 = ip[2:2] - 40 and tcp": ["syn", "syn-ack"],
    "tcp[((tcp[12] & 0xf0) >> 2) - 1:1] = 0 and ip[8] = 9": ["syn"],
    "not ip and not vlan": ["six", "arp", "mpls", "pppoe"],
    "src and dst net 10.0.0": ["query", "later fragment", "ping", "arp"],
    "src or dst port 5353": ["query"],
    "": list(FRAMES),
}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_what_passes(expression):
    assert passes(expression) == EXPRESSIONS[expression]


@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="needs tcpdump")
def test_tcpdump_agrees(tmp_path):
    """tcpdump itself, on the same frames and expressions; -w and -r keep frames apart by their number of bytes."""
    path = tmp_path / "x.pcap"
    frames = [bytes(f) for f in FRAMES.values()]
    path.write_bytes(pcap_header() + b"".join(pcap_record(f, ts_ns=10**9 * n) for n, f in enumerate(frames)))
    for expression, names in EXPRESSIONS.items():
        out = subprocess.run(["tcpdump", "-r", path, "-w", "-", expression], capture_output=True, check=True).stdout
        found, at = [], 24
        while at < len(out):
            found.append(list(FRAMES)[int.from_bytes(out[at : at + 4], "little")])
            at += 16 + int.from_bytes(out[at + 8 : at + 12], "little")
        assert found == names, expression


@needs_shared
@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="needs tcpdump")
@pytest.mark.parametrize(
    "name", ["zeek/wikipedia.pcap", "zeek/mixed-vlan-mpls.pcap", "zeek/ipv6-fragmented-dns.pcap", "zeek/pppoe-over-qinq.pcap",
             "zeek/linux_dlt_sll2.pcap", "zeek/trunc/trunc-hdr.pcap"],
)  # fmt: skip
def test_tcpdump_agrees_on_real_captures(name):
    path = SHARED / "captures" / name
    batches = [(b.buffer.copy(), b.records) for b in read_batches(list_evidence([str(path)]))]
    compared = 0
    for expression in EXPRESSIONS:
        done = subprocess.run(["tcpdump", "-nr", path, "--count", expression], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            ours = sum(int(passing(compiled(expression), *batch).sum()) for batch in batches)
            assert ours == int(done.stdout.split()[0]), expression
            compared += 1
    assert compared > 20


@pytest.mark.parametrize(
    ("expression", "place", "word"),
    [
        ("frobnicate 3", 1, "frobnicate"), ("tcp and frob", 9, "frob"), ("gateway router", 1, "gateway"),
        ("host example.org", 6, "example.org"),
        ("port nosuch", 6, "nosuch"), ("tcp port domains", 10, "domains"), ("net 10.0.0.1/8", 5, "10.0.0.1"), ("port 70000", 6, "70000"),
        ("udp port syslog and tcp port syslog", 30, "syslog"), ("tcp host 10.0.0.1", 10, "tcp"), ("tcp[13] &", 10, "missing"),
        ("(tcp", 1, "parenthesis"), ("tcp)", 4, ")"), ("ip[0:3] = 1", 6, "bytes"), ("tcp[0] = 1 / 0", 12, "zero"), ("len", 4, "comparison"),
        ("wlan type mgt", 1, "wlan"), ("host 300.1.1.1", 6, "300.1.1.1"), ("vlan 5000", 6, "5000"), ("tcp ~ udp", 5, "~"),
        ("icmp port 3", 11, "icmp"), ("ether host 10.0.0.1", 12, "10.0.0.1"), ("host 02:00:00:00:00:01", 6, "ether"), ("and", 1, "and"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_by_name_and_place(expression, place, word):
    with pytest.raises(UsageError) as problem:
        compiled(expression)
    assert f"character {place}:" in str(problem.value) and word in str(problem.value)


@pytest.mark.parametrize(
    "expression", ["(" * 5000 + "tcp" + ")" * 5000, "not " * 5000 + "tcp", "tcp[" * 5000, "port (" * 5000, "1" * 70_000]
)
def test_hostile_expressions_are_refused(expression):
    with pytest.raises(UsageError):
        compiled(expression)
    deep = MAX_FILTER_DEPTH // 2 - 5
    assert passes("(" * deep + "icmp" + ")" * deep) == ["ping"]


VOCABULARY = (
    "tcp udp ip ip6 icmp arp host net port portrange src dst and or not ( ) [ ] : & = != 10.0.0.1 2001:db8::1 80 0x10 vlan mpls len "
    "less greater tcp-syn ether proto \\tcp 02:00:00:00:00:01 1-5 http / mask - << multicast pppoes frob"
)
WORDS = st.sampled_from(VOCABULARY.split())


@given(st.lists(WORDS, max_size=12))
def test_any_words_are_a_filter_or_an_error(words):
    try:
        chosen = compiled(" ".join(words))
    except UsageError:
        return
    records = records_of([bytes(f) for f in FRAMES.values()])
    assert passing(chosen, *records).size == len(FRAMES)


@given(st.text(max_size=40))
def test_any_text_is_a_filter_or_an_error(text):
    try:
        compiled(text)
    except UsageError as problem:
        assert "filter: " in str(problem)


@given(
    st.lists(st.binary(max_size=80), min_size=1, max_size=4), st.sampled_from(sorted(EXPRESSIONS)),
    st.sampled_from([0, 1, 9, 101, 105, 113, 276]),
)  # fmt: skip
def test_any_bytes_pass_or_not(frames, expression, link):
    """The kernel says the same compiled and plain."""
    from tracehound.packets import bpf_machine

    chosen, (buffer, records) = compiled(expression), records_of(frames, link)
    out = passing(chosen, buffer, records)
    plain = out.copy()
    bpf_machine.run.py_func(  # type: ignore[attr-defined]
        chosen.program, buffer, records.offset, records.caplen, records.wirelen, records.link_type,
        np.zeros(bpf_machine._STACK, np.int64), plain,
    )  # fmt: skip
    assert out.tolist() == plain.tolist()


@pytest.mark.parametrize("chunk_bytes", [900, 8 << 20])
def test_tables_are_those_of_a_capture_made_with_the_filter(tmp_path, chunk_bytes):
    path = tmp_path / "mixed.pcap"
    path.write_bytes(mixed())
    chosen = compiled("tcp port 80 or udp port 53 and host 10.0.0.1")
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(subset(mixed(), chosen))
    found = tables([path], packets=True, only=chosen, chunk_bytes=chunk_bytes)
    wanted = tables([cut], packets=True)
    assert 0 < wanted["packets"].num_rows < tables([path], packets=True)["packets"].num_rows
    own = ["frame", "file_offset", "payload_offset"]
    for name in ("packets", "flows", "http", "dns"):
        columns = [c for c in wanted[name].column_names if c not in own and not c.endswith("packet_id")]
        assert found[name].select(columns).to_pylist() == wanted[name].select(columns).to_pylist(), name
    frames = found["packets"]["frame"].to_pylist()
    assert frames == sorted(frames) and frames[-1] > wanted["packets"].num_rows


def subset(pcap, chosen):
    out, at = [pcap[:24]], 24
    while at < len(pcap):
        end = at + 16 + int.from_bytes(pcap[at + 8 : at + 12], "little")
        if passing(chosen, *records_of([pcap[at + 16 : end]]))[0]:
            out.append(pcap[at:end])
        at = end
    return b"".join(out)


def test_a_filter_follows_the_evidence(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pcap").write_bytes(pcap_header() + b"".join(pcap_record(bytes(f)) for f in FRAMES.values()))
    (tmp_path / "tcp").mkdir()

    def split(*words, bpf=None):
        return options.evidence_and_filter(argparse.Namespace(evidence=list(words), bpf=bpf, quiet=False))

    assert split("a.pcap") == (["a.pcap"], None)
    assert split("a.pcap", "udp", "port", "53") == (["a.pcap"], "udp port 53")
    assert split("a.pcap", "udp port 53", bpf="ip") == (["a.pcap"], "(ip) and (udp port 53)")
    assert split("a.pcap", "10.0.0.1") == (["a.pcap"], "10.0.0.1")
    assert split("a.pcap", "missing.pcap") == (["a.pcap", "missing.pcap"], None)
    assert split("a.pcap", "frobnicate") == (["a.pcap"], "frobnicate")
    assert split("a.pcap", "tcp", "port", "80") == (["a.pcap", "tcp"], "port 80")
    assert "'tcp' is taken as evidence" in capsys.readouterr().err
    assert run(["packets", "a.pcap", "icmp[icmptype]", "=", "8", "--columns", "frame", "--format", "csv"]) == 0
    assert capsys.readouterr().out.split() == ["frame", "6"]
    assert run(["sql", "a.pcap", "SELECT count(*) AS n FROM packets", "--bpf", "arp", "--format", "csv"]) == 0
    assert capsys.readouterr().out.split() == ["n", "1"]
    with pytest.raises(UsageError, match="unknown primitive 'frobnicate'"):
        run(["flows", "a.pcap", "frobnicate"])


def test_words_that_begin_a_filter():
    words = ["tcp", "tcp port 80", "(tcp)", "!arp", "10.0.0.1", "::1", "ip[8] < 3", "len > 3", "gateway x", "NOT tcp"]
    assert all(map(begins_filter, words))
    assert not any(map(begins_filter, ["capture", "tcp.pcap", "10.0.0.1.pcap", "-", "./x", "80.pcap", ""]))
