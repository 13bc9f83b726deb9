"""In: the profiles of the pack and synthetic observations made from their facts. Out: whether each is told, and the
innocent are not."""

from __future__ import annotations

import dataclasses
import datetime
import math
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.profiles.example_text import example_of
from tests.profiles.look_alikes import LOOK_ALIKES
from tests.profiles.look_alikes import observations as look_alike
from tracehound.edges.packaged import profile_texts
from tracehound.errors import RuleError
from tracehound.profiles.match import MAX_TEXT, NOT_OBSERVABLE, Observations, Seen, coverage, match, weights
from tracehound.profiles.profile import HEX, KINDS, MEASURED, REGEX, Indicator, Profile, parse_profile

PACK = tuple(parse_profile(text, name) for name, text in sorted(profile_texts().items()))
FRETHEM = "GET /b.cgi?alt&174642967&000000000000 HTTP/1.1"
DEMO = Observations(
    services=frozenset({"tcp/80"}),
    contacts=frozenset({"tcp/80", "udp/53"}),
    requests=(Seen(FRETHEM, "request", "1"),),
    user_agents=(),
    payloads=(),
    domains=(),
    measures={
        "attempts_per_min": 3.5,
        "targets": 63,
        "syn_per_silent_target": 4.0,
        "access_share": 0.8,
        "own_16_share": 0.0,
        "own_8_share": 0.0,
        "seq_equals_dst_share": 0.0,
        "no_options_share": 0.0,
        "one_source_port_share": 0.0,
    },
    start=datetime.date(2002, 7, 28),
)


def named(matches, name):
    return next(m for m in matches if m.profile.name == name)


def toy(name, *values):
    return Profile(name, name, "toy", tuple(Indicator("request_literal", v) for v in values))


def test_the_published_vector():
    """Four toy profiles: idf 0.357 and 1.204; coverage .565, .229, 0, .229."""
    toys = (
        toy("A", "p80", "getbcgi", "taskbar"),
        toy("B", "p80", "getida"),
        toy("C", "p445", "avserve"),
        toy("D", "p80", "cmd"),
    )
    w = weights(toys)
    assert w["request_literal", "p80"] == pytest.approx(math.log(5 / 3.5), abs=1e-3)
    assert w["request_literal", "avserve"] == pytest.approx(1.204, abs=1e-3)
    found = match(toys, Observations(requests=(Seen("p80", packet="1"), Seen("getbcgi", packet="2"))))
    got = {m.profile.name: round(coverage(m.hits), 3) for m in found}
    assert got == {"A": 0.565, "B": 0.229, "C": 0.0, "D": 0.229}


# -- one trace per family, synthetic, made from the indicators that are verified ------------------------------------------
EXAMPLES = {
    r"^GET /b\.cgi\?[a-z]{1,8}&\d{6,12}&\d{12}( |$)": FRETHEM,
    r"^GET /default\.ida\?N{100,}": "GET /default.ida?" + "N" * 224 + "%u9090%u6858%ucbd3%u7801 HTTP/1.0",
    r"^GET /default\.ida\?X{100,}": "GET /default.ida?" + "X" * 224 + "%u9090%u6858%ucbd3%u7801 HTTP/1.0",
    r"^GET /(scripts|MSADC)/root\.exe\?/c\+": "GET /scripts/root.exe?/c+dir HTTP/1.0",
    r"(?i)\?/c\+tftp": "GET /scripts/root.exe?/c+tftp%20-i%20192.0.2.1 HTTP/1.0",
    r"(?s)Qh\.dll.{0,200}sock.{0,100}send": "Qh.dll\x00sock\x00send",
    r"^\x04": "\x04",
    r"(?i)msblast\.exe": "msblast.exe",
    r"(?i)^windowsupdate\.com$": "windowsupdate.com",
    r"\d{1,5}_up\.exe": "12345_up.exe",
    r"cmd\.ftp": "cmd.ftp",
    r"\(\^\.\^\).{0,6}insert witty message here": "(^.^)      insert witty message here      (^.^)",
    r"^\xaa{32,}": "\xaa" * 64,
    r"(?i)^www\.sco\.com$": "www.sco.com",
    r"/1\.php\?p=\d+&id=": "GET /1.php?p=6777&id=7 HTTP/1.1",
    r"^beagle_beagle$": "beagle_beagle",
    r"(?i)(^|\.)(elrasshop\.de|it-msc\.de)$": "www.elrasshop.de",
    r"^GET /search\?q=\d+(&aq=7)?( |$)": "GET /search?q=123 HTTP/1.0",
    r"^Mozilla/4\.0 \(compatible; MSIE 7\.0; Windows NT 5\.1; Trident/4\.0\)$": (
        "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 5.1; Trident/4.0)"
    ),
    r"(?i)^(checkip\.dyndns\.(org|com)|www\.whatismyip\.org|www\.getmyip\.org)$": "checkip.dyndns.org",
    r"GeoIP\.dat\.gz": "GET /download/geoip/database/GeoIP.dat.gz HTTP/1.0",
    r"/bin/busybox MIRAI": "/bin/busybox MIRAI",
    r"MIRAI: applet not found": "MIRAI: applet not found",
    r"^(Ankit|Kratos|XTC|Gemini|Hakai|DEMONS|APEP|B4ckdoor|DVRBOT)\b": "Hakai/2.0",
    r"d1:ad2:id20:": "d1:ad2:id20:abcdefghij0123456789e1:q4:ping",
    r"(?i)^(www\.)?iuqerfsodp9ifjaposdfjhgosurijfaewrwergwea\.com$": (
        "www.iuqerfsodp9ifjaposdfjhgosurijfaewrwergwea.com"
    ),
    r"(?im)^Cookie: \d{1,5}=[A-Za-z0-9+/]{40,}={0,2}\s*$": "GET / HTTP/1.1\nCookie: 123=" + "Ab3+" * 20 + "==",
    r"STOR si_\S*\.cb": "STOR si_abc.cb",
    r"/[a-z]{3,6}\d{1,4}/[^/ ]+_W\d+\.[0-9A-F]{32}/": "GET /ser1/PC_W617601." + "AB" * 16 + "/5/spk/ HTTP/1.1",
    r"^(BotLoader|TrickLoader)$": "TrickLoader",
    "CodeRedII": "CodeRedII",
}
_KIND_OF_TEXT = {
    "request_literal": "requests",
    "request_regex": "requests",
    "user_agent": "user_agents",
    "payload_hex": "payloads",
    "payload_regex": "payloads",
    "payload_size": "payloads",
    "reply_hex": "replies",
    "reply_regex": "replies",
    "query": "queries",
    "certificate": "certificates",
    "ja3": "ja3",
    "ja3s": "ja3s",
    "ja4": "ja4",
    "irc": "irc",
    "hash": "hashes",
    "mail_regex": "mail_subjects",
    "domain": "domains",
    "mail_subject": "mail_subjects",
    "mail_body": "mail_bodies",
    "attachment": "attachments",
    "file": "files",
    "mutex": "mutexes",
    "regkey": "regkeys",
    "regval": "regvals",
}


def trace(profile, without=None):
    """Synthetic observations that show every scored indicator of a profile, or all but one."""
    texts: dict[str, list[Seen]] = {name: [] for name in set(_KIND_OF_TEXT.values())}
    services, contacts, measures = set(), set(), {}
    for n, i in enumerate(profile.indicators):
        if i.mark == "R" or i is without:
            continue
        if i.kind in ("port", "proto"):
            services.add(i.value.split("|")[0])
        elif i.kind == "contact":
            contacts.add(i.value.split("|")[0].split("-")[0])
        elif i.kind in MEASURED:
            measures[i.measure] = (i.low + i.high) / 2
        else:
            text = EXAMPLES.get(i.value) or (example_of(i.value) if i.kind in REGEX else i.value)
            length = 0
            if i.kind == "payload_size":
                text, length = "x", int(i.value.split("-")[0])
            elif i.kind in HEX:
                text = bytes.fromhex(i.value).decode("latin-1")
            texts[_KIND_OF_TEXT[i.kind]].append(Seen(text, "synthetic", str(n), length))
    seen: dict[str, Any] = {name: tuple(values) for name, values in texts.items()}
    return Observations(
        services=frozenset(services),
        contacts=frozenset(contacts | services),
        measures=measures,
        start=profile.first_seen,
        **seen,
    )


@pytest.mark.parametrize("profile", PACK, ids=lambda p: p.name)
def test_each_profile_is_told_from_its_own_synthetic_trace(profile):
    best = match(PACK, trace(profile))[0]
    assert best.profile is profile, best.explanation
    assert best.tier != "none", best.explanation


def test_leaving_one_indicator_out():
    right = total = 0
    for profile in PACK:
        for indicator in profile.indicators:
            if indicator.mark == "R":
                continue
            total += 1
            right += match(PACK, trace(profile, indicator))[0].profile is profile
    assert right / total >= 0.8, f"{right} of {total}"


# -- the innocent -----------------------------------------------------------------------------------------------------
def benign(services, requests=(), agents=(), domains=(), payloads=(), **measures):
    return Observations(
        services=frozenset(services),
        contacts=frozenset(services) | {"udp/53", "tcp/80", "tcp/443"},
        requests=tuple(Seen(r, packet=str(n)) for n, r in enumerate(requests)),
        user_agents=tuple(Seen(a) for a in agents),
        domains=tuple(Seen(d) for d in domains),
        payloads=tuple(Seen(p) for p in payloads),
        measures=measures,
        start=datetime.date(2002, 8, 1),
    )


SLOW = {"attempts_per_min": 3.5, "targets": 63, "syn_per_silent_target": 4.0, "access_share": 0.9}
BENIGN = [
    benign({"tcp/80"}),
    benign({"tcp/80"}, **SLOW),
    benign({"tcp/80"}, ["GET /b.cgi?bk=1 HTTP/1.1", "GET /cgi-bin/b.cgi?page=2 HTTP/1.1"], **SLOW),
    benign({"tcp/80"}, ["GET /b.cgi?alt=1 HTTP/1.1"], **SLOW),
    benign({"tcp/80"}, ["GET /bb.cgi?alt&1&2 HTTP/1.1"], **SLOW),
    benign(
        {"tcp/80"}, ["GET / HTTP/1.1", "GET /robots.txt HTTP/1.1"], ["Googlebot/2.1"], attempts_per_min=60, targets=5000
    ),
    benign({"tcp/80"}, ["GET /search?q=weather HTTP/1.1"], ["Mozilla/5.0"], ["www.google.com"]),
    benign({"tcp/25"}, domains=["mx.example.com"], attempts_per_min=10, targets=400),
    benign({"udp/53"}, domains=["www.sco.com", "windowsupdate.com", "checkip.dyndns.org"], attempts_per_min=300),
    benign({"icmp"}, payloads=["abcdefghijklmnopqrstuvwabcdefghi"], icmp_aa_share=0.0, targets=250),
    benign({"tcp/445"}, domains=["dc1.example.local"], targets=120, attempts_per_min=20),
    benign({"tcp/445"}, attempts_per_min=500, targets=20000, own_8_share=0.5),
    benign({"tcp/135"}, targets=40),
    benign({"tcp/23"}, no_options_share=0.0, seq_equals_dst_share=0.0, targets=30),
    benign({"udp/6881"}, payloads=["d1:ad2:id20:abcdefghij0123456789e1:q4:ping"], targets=3000, attempts_per_min=40),
    benign({"udp/1434"}, payloads=["\x02"], targets=300, attempts_per_min=30),
    benign({"tcp/443"}, domains=["ipinfo.io"], targets=50),
    benign({"tcp/443", "tcp/995", "tcp/2222"}, targets=12),
    benign({"tcp/587"}, domains=["smtp.example.com"]),
    benign({"tcp/80"}, ["GET /random750x750.jpg HTTP/1.1"], ["Mozilla/5.0"]),
    benign({"udp/4000"}, udp_sport_4000_share=0.1, targets=80),
    benign({"tcp/80"}, ["GET /scripts/app.js HTTP/1.1", "GET /default.asp HTTP/1.1"]),
    benign({"tcp/80"}, ["GET / HTTP/1.1\nCookie: session=abc"]),
]


@pytest.mark.parametrize("seen", BENIGN, ids=range(len(BENIGN)))
def test_the_innocent_are_none(seen):
    accused = [(m.profile.name, m.tier, m.explanation) for m in match(PACK, seen) if m.tier != "none"]
    assert accused == []


# -- the model case ---------------------------------------------------------------------------------------------------
def test_the_auckland_packet_alone():
    m = named(
        match(PACK, Observations(services=frozenset({"tcp/80"}), requests=(Seen(FRETHEM, "packet", "1"),))),
        "W32/Frethem.K",
    )
    assert m.tier in ("possible", "likely")
    unseen = {h.indicator.value for h in m.hits if h.state == NOT_OBSERVABLE}
    assert {"taskbar.exe", "Re: Your password!"} <= unseen
    assert "Not observable" in m.explanation


def test_the_demo():
    best = match(PACK, DEMO)[0]
    assert best.profile.family == "Frethem"
    assert best.tier == "likely"
    assert best.runner_up == "", "nothing else comes near"
    assert all(h.state == NOT_OBSERVABLE for h in best.hits if h.indicator.evidence in ("mail", "host"))


def test_the_process_raises_the_score():
    packet = Observations(services=frozenset({"tcp/80"}), requests=(Seen(FRETHEM, "packet", "1"),))
    alone = match(PACK, packet)[0]
    more = match(PACK, dataclasses.replace(packet, files=(Seen(r"C:\WINDOWS\TASKBAR.EXE", "process list"),)))[0]
    assert more.score > alone.score
    assert (alone.tier, more.tier) == ("possible", "likely")


def test_behaviour_alone_accuses_nobody():
    assert named(match(PACK, dataclasses.replace(DEMO, requests=None)), "W32/Frethem.K").tier == "none"


def test_before_its_time():
    early = match(PACK, dataclasses.replace(DEMO, start=datetime.date(1999, 1, 1)))[0]
    assert early.probability < match(PACK, DEMO)[0].probability


def test_two_indicators_of_one_packet_at_most():
    toys = tuple(toy(f"T{n}", *(f"sign{n}{k}" for k in range(5))) for n in range(20))
    text = " ".join(f"sign0{k}" for k in range(5))
    best = match(toys, Observations(requests=(Seen(text, "request", "7"),)))[0]
    assert sum(h.counted > 0 for h in best.hits) == 2
    assert any("not counted" in h.where for h in best.hits)


def test_recalled_indicators_do_not_score():
    for m in match(PACK, DEMO):
        assert all(h.weight == 0 == h.counted for h in m.hits if h.indicator.mark == "R")


@pytest.mark.parametrize("others", [0, 1, 18, 120])
def test_confirmed_needs_a_decisive_sign_and_behaviour_in_a_pack_of_any_size(others):
    toys = tuple(toy(f"T{n}", f"sign{n}") for n in range(1, others + 1))
    sign = Indicator("request_literal", "sign0", decisive=True)
    one = Profile("T0", "T0", "toy", (sign, Indicator("port", "tcp/99", benign=0.1)))
    seen = Observations(services=frozenset({"tcp/99"}), requests=(Seen("sign0"),))
    assert match((one, *toys), seen)[0].tier == "confirmed"
    elsewhere = dataclasses.replace(seen, services=frozenset({"tcp/98"}))
    assert match((one, *toys), elsewhere)[0].tier in ("none", "possible")
    common = dataclasses.replace(sign, benign=0.05)
    plain = dataclasses.replace(sign, decisive=False)
    for weaker in (common, plain):
        other = dataclasses.replace(one, indicators=(weaker, one.indicators[1]))
        assert match((other, *toys), seen)[0].tier in ("none", "possible", "likely")
    spoken = dataclasses.replace(one, indicators=(sign,))
    assert match((spoken, *toys), Observations(requests=(Seen("sign0"),)))[0].tier == "confirmed"


def test_a_sign_of_two_families_is_not_decisive():
    sign = Indicator("request_literal", "sign", decisive=True)
    pack = (Profile("A", "A", "toy", (sign,)), Profile("B", "B", "toy", (sign,)))
    assert {m.tier for m in match(pack, Observations(requests=(Seen("sign"),)))} <= {"none", "possible"}


def test_confirmed_is_reached_by_the_pack():
    reached = {p.family for p in PACK if named(match(PACK, trace(p)), p.name).tier == "confirmed"}
    assert len(reached) >= 50, sorted({p.family for p in PACK} - reached)


@pytest.mark.parametrize("family", sorted({p.family for p in PACK}))
def test_what_looks_like_a_family_is_not_named(family):
    accused = [(m.profile.name, m.tier, m.explanation) for m in match(PACK, look_alike(family)) if m.tier != "none"]
    assert accused == []


def test_every_look_alike_is_of_a_family():
    assert set(LOOK_ALIKES) == {p.family for p in PACK}


# -- hostile text ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("profile", PACK, ids=lambda p: p.name)
def test_no_pattern_hangs_on_hostile_text(profile):
    """Evidence is hostile: text made of a pattern's own pieces, over and over, must not cost more than a moment."""
    for i in profile.indicators:
        if i.kind not in REGEX:
            continue
        text = EXAMPLES.get(i.value) or example_of(i.value)
        pieces = {text, text[:-1], text[: len(text) // 2], text[-(len(text) // 2) :]}
        pieces |= {word for word in re.split(r"[ \n&?/=;]+", text) if word}
        for piece in pieces - {""}:
            hostile = text[: len(text) // 2] + (piece * MAX_TEXT)[:MAX_TEXT]
            began = time.perf_counter()
            re.search(i.value, hostile[:MAX_TEXT])
            assert time.perf_counter() - began < 0.5, (i.value, piece)


# -- the files --------------------------------------------------------------------------------------------------------
def test_the_pack():
    assert len({p.family for p in PACK if p.category == "malware"}) >= 40
    assert len({p.name for p in PACK}) == len(PACK)
    for p in PACK:
        assert p.sources, p.name
        assert any(i.mark != "R" for i in p.indicators), p.name
        assert not p.attack_id, "ATT&CK numbers are not verified yet"


def test_errors_name_the_line():
    good = 'family = "A"\nname = "A"\nsummary = "s"\n\n[[indicator]]\nkind = "port"\nvalue = "tcp/80"\n'
    assert parse_profile(good, "a.toml").indicators[0].kind == "port"
    for text, line in [
        (good + '\n[[indicator]]\nkind = "smell"\nvalue = "x"\n', 9),
        (good.replace("tcp/80", "80"), 5),
        (good + "x = = 1\n", 8),
        (good.replace('"s"', "1"), 3),
        (good + '\n[[indicator]]\nkind = "request_regex"\nvalue = "("\n', 9),
        (good + '\n[[indicator]]\nkind = "rate"\nvalue = "fast"\n', 9),
        (good.replace("family", "colour"), 1),
    ]:
        with pytest.raises(RuleError) as caught:
            parse_profile(text, "a.toml")
        assert (caught.value.source, caught.value.line) == ("a.toml", line), text


@given(st.text(max_size=200))
def test_any_text_is_a_profile_or_an_error(text):
    with pytest.raises(RuleError):
        parse_profile(text, "x.toml")


@given(st.sampled_from(sorted(KINDS)), st.text(max_size=30))
def test_any_value_is_taken_or_told(kind, value):
    quoted = '"' + "".join(f"\\U{ord(c):08x}" for c in value if not 0xD800 <= ord(c) < 0xE000) + '"'
    text = f'family = "A"\nname = "A"\nsummary = "s"\n[[indicator]]\nkind = "{kind}"\nvalue = {quoted}\n'
    try:
        profile = parse_profile(text, "x.toml")
    except RuleError as error:
        assert error.line in (1, 4, 5, 6)
        return
    match((profile,), DEMO)
