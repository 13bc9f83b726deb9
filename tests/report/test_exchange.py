"""In: an incident with hostile words. Out: every exchange format as its own library reads it. Never here: a case on disk."""

import csv
import io
import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest
import stix2
import xarf
from hypothesis import given
from hypothesis import strategies as st
from pymisp import MISPEvent

from tests.report import sample
from tracehound.findings.model import as_dict
from tracehound.report import abuse, archive, document, incident_text, iodef, misp, records, stix
from tracehound.report.incident import Evidence, Incident, Moment, Person, Sign, Standing, Statement

HOSTILE = "<script>alert(1)</script> '; DROP TABLE x; | `\u202e]] ![x](http://evil.example/x.png)\n# head"


def incident(words=HOSTILE, **more):
    signs = (
        Sign("ip-src", "192.0.2.1", "p1"), Sign("domain", "it's.example", "p1"), Sign("sha256", "a" * 64, "t1"),
        Sign("malware-family", "W32/Frethem.K", "i1"), Sign("http-request", words, "p1"), Sign("user-agent", words, "p1"),
    )  # fmt: skip
    made = Incident(
        case_id="0c13b6ac-71ba-4fcb-85c9-f70595876059", number=7, title=f"Strange host {words}", status="confirmed", severity="high",
        tlp="TLP:AMBER+STRICT", opened_ns=1_700_000_000 * 10**9, made_ns=1_700_000_100 * 10**9, head="f" * 64, version="1",
        host="192.0.2.1", source_port=1025, summary=f"192.0.2.1 probes. {words}",
        findings=(Statement("p1", "probing_host", "192.0.2.1", 10**18, 10**18 + 10**12, words, 0.9, "T1046"),), signs=signs,
        evidence=(Evidence(words, "pcap", 10, "b" * 64, 10**18, "ann"),), timeline=(Moment(10**18, "network", words, words, words),),
        people=(Person("reporter", "Ann", "ann@cert.example.org", "CERT"), Person("owner", words, "bob@example.org", None)),
        techniques=("T1046",), tags=("worm",), notes=((10**18, "ann", f"see {words}".replace("\n", " ")),),
        hypotheses=(Standing(words, 1, (("I", words, words),)),),
        host_changes=(words,), rules=('alert tcp any any -> any 80 (msg:"x"; content:"b.cgi"; sid:1000001;)',),
        verdict=json.loads(json.dumps(as_dict(sample.model_case()), default=str)),
    )  # fmt: skip
    return replace(made, **more)


def test_stix_is_what_its_library_reads():
    bundle = stix2.parse(stix.bundle(incident()), allow_custom=True)
    kinds = {o["type"] for o in bundle.objects}
    assert kinds >= {"report", "indicator", "malware", "identity", "observed-data", "network-traffic", "relationship", "note"}
    for i in (o for o in bundle.objects if o["type"] == "indicator"):
        assert i["pattern_type"] != "stix" or stix2.pattern_visitor.create_pattern_object(i["pattern"])
    known = {o["id"] for o in bundle.objects}
    report = next(o for o in bundle.objects if o["type"] == "report")
    assert set(report["object_refs"]) <= known
    assert stix.bundle(incident()) == stix.bundle(incident())


def test_indicators_come_back_from_stix_and_misp():
    want = {("ip-src", "192.0.2.1"), ("sha256", "a" * 64), ("domain", "it's.example")}
    assert {(s.type, s.value) for s in stix.signs_of(stix.bundle(incident()))} >= want
    assert {(s.type, s.value) for s in misp.signs_of(misp.event(incident()))} >= want
    for read in (stix.signs_of, misp.signs_of):
        for text in ("[]1", "{}", '{"type": "bundle"}', "[1]", '{"Event": []}'):
            with pytest.raises(ValueError, match=r".+"):
                read(text)


def test_misp_is_what_its_library_reads():
    event = MISPEvent()
    event.from_json(misp.event(incident()))
    got = {(a.type, str(a.value)) for a in event.attributes}
    assert ("ip-src", "192.0.2.1") in got
    assert any(a.type == "snort" and a.to_ids for a in event.attributes)
    assert {t.name for t in event.tags} >= {"tlp:amber+strict", "worm"}


@pytest.mark.parametrize("signs", [incident().signs, ()], ids=["infected", "scanning"])
def test_xarf_passes_its_schema(signs):
    report = json.loads(abuse.xarf(incident(signs=signs)))
    assert xarf.SchemaValidator().validate(report) == []
    assert report["type"] == ("infected_host" if signs else "port_scan")
    with pytest.raises(ValueError, match="no host"):
        abuse.xarf(incident(host=None, verdict={}))


def test_mail_to_the_provider_is_defanged_in_prose_and_names_the_evidence():
    text = abuse.mail(incident("plain"))
    assert "192[.]0[.]2[.]1 probes" in text
    assert "b" * 64 in text
    assert text.startswith("To: bob@example.org\n")


def test_iodef_has_what_must_be_there():
    root = ElementTree.fromstring(iodef.document(incident(HOSTILE + "\x00\x1b\ud800")))
    ns = {"i": iodef.NAMESPACE}
    one = root.find("i:Incident", ns)
    assert root.get("version") == "2.00"
    assert one is not None
    assert one.get("restriction") == "amber"
    for path in ("i:IncidentID", "i:GenerationTime", "i:Contact/i:ContactName", "i:EventData/i:Flow/i:System/i:Node/i:Address"):
        assert one.find(path, ns) is not None, path
    assert len(one.findall("i:IndicatorData/i:Indicator", ns)) == 7
    order = [e.tag.split("}")[1] for e in one]
    assert order == sorted(order, key=["IncidentID", "StartTime", "EndTime", "ReportTime", "GenerationTime", "Description", "Assessment",
                                       "Contact", "EventData", "IndicatorData", "History"].index)  # fmt: skip


def test_records_are_read_back():
    veris = json.loads(records.veris(incident()))
    assert veris["action"]["malware"]["name"] == "W32/Frethem.K"
    lines = [json.loads(line) for line in records.timesketch(incident()).splitlines()]
    assert {"message", "datetime", "timestamp_desc"} <= set(lines[0])
    rows = list(csv.reader(io.StringIO(records.indicators_csv(incident("=cmd()")))))
    assert rows[5][1] == "'=cmd()"
    assert len(rows) == 1 + 6 + 1


@pytest.mark.parametrize("write", [incident_text.analyst, incident_text.management, incident_text.advisory])
def test_nothing_of_evidence_is_markup_in_documents(write):
    page = document.page(write(incident()), "t")
    assert "<script>alert" not in page
    assert "<img" not in page
    assert page.count("<h1>") == 1
    assert "TLP:AMBER+STRICT" in page
    assert "\u202e" not in page


def test_the_archive_holds_no_script_but_its_own():
    messages = [{"subject": HOSTILE, "sender": HOSTILE, "recipients": "", "sent_ns": None, "text": HOSTILE + "\n</script>"}]
    made = archive.files(incident(), messages)
    assert set(made) >= {"index.html", "timeline.html", "mail.html", "search.html", "search.js", "index.js", "style.css", "mail/00001.html"}
    for name, text in made.items():
        if name.endswith(".html"):
            assert "<script>" not in text, name
            assert "<img" not in text, name
    assert "</script>" not in made["index.js"]


@given(st.text(max_size=60))
def test_any_words_are_written_in_every_format(words):
    i = incident(words)
    stix2.parse(stix.bundle(i), allow_custom=True)
    json.loads(misp.event(i))
    ElementTree.fromstring(iodef.document(i))
    document.page(incident_text.analyst(i), words)
    assert "<script" not in document.fragment(incident_text.quoted(words))
