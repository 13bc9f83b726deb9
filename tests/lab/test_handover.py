"""In: conversations and rules. Out: carved captures, anonymised test folders that pass, bundles, rules on names, held-out parts.
Never here: rule syntax."""

import ipaddress
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lab.test_lab import BAD, GOOD, written
from tracehound.cli.main import run
from tracehound.edges.reading import read
from tracehound.errors import UsageError
from tracehound.lab.anonymise import Addresses
from tracehound.lab.draft import Draft, Naming, Refused
from tracehound.lab.heldout import parts
from tracehound.lab.named import Named, named_drafts

RULE = (
    'alert http $HOME_NET any -> $EXTERNAL_NET any (msg:"LOCAL MALWARE F"; flow:established,to_server; http.method; content:"GET"; '
    'http.uri; content:"/b.cgi?alt&"; startswith; reference:url,example.org/f; classtype:trojan-activity; sid:1000001; rev:1; '
    "metadata:malware_family F;)\n"
)
FLOWS = "flow_id IN (SELECT flow_id FROM http WHERE uri LIKE '/b.cgi?alt&%')"
NAMING = Naming(1_000_001, "2026_11_27", "Fam")


@pytest.fixture
def evidence(tmp_path):
    rules = tmp_path / "r.rules"
    rules.write_text(RULE)
    return written(tmp_path / "bad.pcap", [*BAD, *GOOD[:20]]), str(rules)


def common(a, b):
    return 32 - (int(ipaddress.ip_address(a)) ^ int(ipaddress.ip_address(b))).bit_length()


PUBLIC = st.integers(0x0B000000, 0x63FFFFFF)


@given(PUBLIC, PUBLIC, st.binary(min_size=1, max_size=32))
def test_addresses_that_share_a_prefix_share_it_afterwards(a, b, key):
    mapping = Addresses(key)
    first, second = mapping.map(a.to_bytes(4)), mapping.map(b.to_bytes(4))
    assert (first == second) == (a == b)
    # Those few that would come to lie in a private range keep their first byte instead, and share what they can.
    if (first[0] == a >> 24) == (second[0] == b >> 24):
        assert common(int.from_bytes(first), int.from_bytes(second)) == common(a, b)


def test_private_addresses_stay_private_and_v6_is_mapped():
    mapping = Addresses(b"k")
    for text in ("10.1.2.3", "192.168.7.9", "172.20.1.1", "fe80::1", "fd00::5"):
        made = ipaddress.ip_address(mapping.map(ipaddress.ip_address(text).packed))
        assert made.is_private, text
    assert mapping.map(ipaddress.ip_address("224.0.0.1").packed) == ipaddress.ip_address("224.0.0.1").packed
    assert mapping.map(ipaddress.ip_address("2001:db8::1").packed) != ipaddress.ip_address("2001:db8::1").packed


def test_carved_flows_are_whole_and_say_why(evidence, tmp_path, capsys):
    bad, rules = evidence
    cut = tmp_path / "cut.pcapng"
    assert run(["rules", "carve", bad, "--hits", rules, "-o", str(cut), "-q"]) == 0
    with read([str(cut)]) as reading, read([bad]) as before:
        assert reading.flows.num_rows == len(BAD)
        assert set(reading.flows["conn_state"].to_pylist()) == {"SF"}
        notes = [n for n in reading.table("capture_notes")["text"].to_pylist() if "sid 1000001" in n]
        assert any("flow" in n and "chosen" in n for n in notes)
        assert any("alert of sid 1000001: LOCAL MALWARE F" in n for n in notes)
        assert before.flows.num_rows == len(BAD) + 20
    assert run(["rules", "carve", bad, "--where", FLOWS, "-o", str(cut), "-q"]) == 0
    with read([str(cut)]) as reading:
        assert reading.flows.num_rows == len(BAD)
    with pytest.raises(UsageError, match="no flow fits"):
        run(["rules", "carve", bad, "--where", "dport = 1", "-o", str(cut)])
    with pytest.raises(UsageError, match="which flows"):
        run(["rules", "carve", bad, "-o", str(cut)])


def test_a_bundle_holds_all_and_its_test_passes(evidence, tmp_path, capsys):
    bad, rules = evidence
    folder = tmp_path / "b"
    words = ["rules", "bundle", rules, "--malicious", bad, "--flows", FLOWS, "--contributor", "A. N.", "--key", "k", "-q", "-o"]
    words.append(str(folder))
    assert run(words) == 0
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        names = set(archive.namelist())
    assert names == {"b/" + str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert {f"b/rules/{d}.rules" for d in ("suricata", "snort2", "snort3")} <= names
    text = (folder / "documentation/1000001.txt").read_text()
    for heading in ("Summary", "Impact", "Detailed Information", "Affected Systems", "Attack Scenarios", "Ease of Attack",
                    "False Positives", "False Negatives", "Corrective Action", "Contributors", "Additional References"):  # fmt: skip
        assert f"{heading}:\n" in text
    assert "A. N." in text
    assert "8 of 8" in text
    assert (folder / "sid-msg.map").read_text() == "1000001 || LOCAL MALWARE F || url,example.org/f\n"
    data = (folder / "test/input.pcap").read_bytes()
    assert b"GET /b.cgi?alt&" in data
    assert b"10.0.0." not in data  # the Host field, at which the rule does not look
    assert ipaddress.ip_address("198.51.100.1").packed not in data
    test = [str(folder / "test" / n) for n in ("test.rules", "input.pcap", "test.yaml")]
    assert run(["rules", "test", test[0], "--malicious", test[1], "--expect", test[2], "-q"]) == 0
    with read([test[1]]) as reading:
        assert "bad checksum" not in " ".join(reading.table("quality")["item"].to_pylist())
    with pytest.raises(UsageError, match="not empty"):
        run(words)


def test_held_out_parts_are_hit_by_rules_made_without_them(evidence, tmp_path, capsys):
    bad, rules = evidence
    words = ["rules", "test", rules, "--malicious", bad, "--flows", FLOWS, "--held-out", "targets"]
    assert run([*words, "--folder", str(tmp_path / "t")]) == 0
    out = capsys.readouterr().out
    assert "targets 1/2   4 of 4 hit, 0 false alarms" in out
    assert sorted(p.name for p in (tmp_path / "t").iterdir()) == ["input.pcap", "test.rules", "test.yaml"]


def test_an_engine_that_is_not_there_is_said(evidence, monkeypatch, tmp_path):
    bad, rules = evidence
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="suricata is not installed"):
        run(["rules", "test", rules, "--malicious", bad, "--flows", FLOWS, "--engine", "suricata"])


def test_parts_keep_targets_together_and_lose_nothing():
    for over in ("targets", "time", "flows"):
        split = parts(BAD, 3, over)
        assert {s.flow_id for _, p in split for s in p} == {s.flow_id for s in BAD}
        assert len(split) in (1, 3)


def tls(n, **fields):
    return Named("tls", {k.replace("_", ".", 1): v for k, v in fields.items()}, n, n, 443)


def test_names_that_only_the_malicious_have_make_rules():
    bad = [tls(n, tls_cert_subject="CN=Evil Server CA", ja3_hash="a" * 32) for n in range(5)]
    good = [tls(n, tls_cert_subject=f"CN=site{n}.example", ja3_hash="a" * 32) for n in range(10, 30)]
    (made,) = named_drafts(bad, good, NAMING)
    assert isinstance(made, Draft)
    assert made.text.startswith("alert tls $EXTERNAL_NET any -> $HOME_NET any (")
    assert 'flow:established,to_client; tls.cert_subject; content:"CN=Evil Server CA"; bsize:17;' in made.text
    queries = [Named("dns", {"dns.query": f"{n:x}.t.evil.example"}, n, n, 53) for n in range(100, 105)]
    (made,) = named_drafts(queries, [], NAMING)
    assert isinstance(made, Draft)
    assert 'dns.query; content:".t.evil.example"; endswith; nocase;' in made.text
    (made,) = named_drafts([tls(n, ja3_hash="a" * 32) for n in range(5)], good, NAMING)
    assert isinstance(made, Refused)
    assert "20 of 20 other flows" in made.why
