# ruff: noqa: E501
"""In: nothing. Out: verdicts to render: the model case (synthetic, and labelled so), a quiet network, three hosts, hostile
text, IPv6 with huge counts. Never here: claims about real evidence; hashes and addresses are made up."""

from __future__ import annotations

import dataclasses
import hashlib
import math

from tracehound.findings.model import (
    AnswerKind,
    Candidate,
    Citation,
    Citations,
    Confidence,
    EvidenceItem,
    Finding,
    Identity,
    IndicatorHit,
    Innocent,
    OutcomeCount,
    Probing,
    QualityItem,
    Stack,
    TargetGroup,
    TargetSummary,
    Template,
    TemplatePart,
    TimelineBin,
    TurningPoint,
    Verdict,
)

S = 1_000_000_000
HOUR = 3_600 * S
START = 1_028_156_160 * S  # 2002-07-31 22:56:00 UTC
STOP = START + 29 * HOUR + 34 * 60 * S + 9 * S + 402_113_000
END = START + 30 * HOUR + 4 * 60 * S
FILE = "model-case.pcap"
HOST = "130.216.54.131"


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def cite(*frames, total=None, file=FILE, note=""):
    return Citations(
        tuple(Citation(file, frame=f, flow_id=f * 7 + 1, ts_ns=START + f * S, note=note) for f in frames),
        total or len(frames),
    )


def timeline(start, stop, bin_ns, per_bin, shares):
    """Bins with a slow swell; whole numbers from a sine so that no random source is needed."""
    bins = []
    at = start
    i = 0
    while at < stop:
        level = per_bin * (1 + 0.18 * math.sin(i / 5.0) + 0.07 * math.sin(i * 1.7))
        if at + bin_ns > stop:
            level *= (stop - at) / bin_ns
        counts = tuple(
            (name, round(level * part + (0.4 if i % 7 == j else 0))) for j, (name, part) in enumerate(shares)
        )
        bins.append(TimelineBin(at, tuple(c for c in counts if c[1])))
        at += bin_ns
        i += 1
    return tuple(bins)


STUB = "<html><head><title>404 Not Found</title></head><body><h1>Not Found</h1>\r\n<p>The requested URL /b.cgi was not found.</p></body></html>\r\n"
PAYLOAD = bytes((i * 73 + (i >> 3) * 41 + 17) & 0xFF for i in range(192)).decode("latin-1")


def frethem(tier="likely"):
    return Identity(
        family="W32/Frethem.K",
        tier=tier,
        score=0.74,
        probability=0.93,
        coverage=0.58,
        indicators=(
            IndicatorHit(
                "request_regex",
                r"^GET /b\.cgi\?[a-z]+&\d{6,12}&\d{12} ",
                "matched",
                4.6,
                "http.uri of 128 requests",
                cite(212, 380, total=128),
            ),
            IndicatorHit(
                "target_pattern",
                "a fixed list of about 63 addresses",
                "matched",
                2.9,
                "63 targets, each visited 93 to 101 times",
            ),
            IndicatorHit("rate", "3 to 4 targets a minute", "matched", 1.1, "3.5 a minute"),
            IndicatorHit("port", "tcp/80", "matched", 0.1, "all attempts"),
            IndicatorHit("mail_subject", "Re: Your password!", "not observable", 3.8),
            IndicatorHit("file", r"%Windir%\taskbar.exe", "not observable", 4.1),
            IndicatorHit("time", "July to September 2002", "matched", 0.4, "the evidence's own clock"),
            IndicatorHit("user_agent", "none sent", "contradicted", 0.6, "12 of 128 requests carry one"),
        ),
        sources=("CERT IN-2002-05", "incidents list, 2 Aug 2002", "Symantec W32.Frethem.K@mm"),
        runner_up="none (next family 3.1 behind)",
        explanation="The request fits literally and the list of targets has the known length; /b.cgi alone would have accused nobody.",
    )


def model_probing():
    attempts = 6_211
    return Probing(
        host=HOST,
        service="http",
        proto=6,
        dport=80,
        shape="fixed list, revisited",
        start_ns=START,
        end_ns=STOP,
        attempts=attempts,
        targets=63,
        attempts_per_min=3.5,
        new_targets_per_min=3.3,
        active_share=0.998,
        order="scattered: the next target is as likely above as below the last (runs test p = 0.61)",
        revisits="each target again about every 18 min (median 17 min 52 s, 81 times a day)",
        stack=Stack(
            verdict="ordinary stack (Windows 9x)",
            source_ports="counting up by one with every attempt, 1025 to 4999, then round again",
            syn_retries="4 or 5 SYNs to a silent target, 3, 6, 12 and 24 s apart",
            retry_counts=((1, 1_190), (4, 2_804), (5, 2_217)),
            reasons=("MSS 1460 option on every SYN", "TTL 128 less 2 hops", "window 8760", "IP id counts up by 256"),
        ),
        outcomes=(
            OutcomeCount(
                "unanswered",
                4_902,
                4_902 / attempts,
                51,
                (("4 SYNs", 2_804), ("5 SYNs", 2_098)),
                cite(1, 9, 15, total=4_902),
            ),
            OutcomeCount("refused", 712, 712 / attempts, 8, (), cite(44, 61, total=712)),
            OutcomeCount(
                "unreachable",
                318,
                318 / attempts,
                5,
                (("host unreachable", 301), ("administratively prohibited", 17)),
                cite(77, total=318),
            ),
            OutcomeCount(
                "accepted", 151, 151 / attempts, 3, (("request sent, silence", 151),), cite(101, 102, total=151)
            ),
            OutcomeCount(
                "answered",
                128,
                128 / attempts,
                4,
                (("HTTP 404", 109), ("HTTP 200", 18), ("not HTTP", 1)),
                cite(212, 380, 412, total=128),
            ),
        ),
        answers=(
            AnswerKind(
                "HTTP 404, HTML page", 109, 3, 404, "html", 312, 4_871, sha("a"), STUB, cite(214, 382, total=109)
            ),
            AnswerKind(
                "HTTP 200, one and the same small page",
                18,
                1,
                200,
                "html",
                97,
                97,
                sha("b"),
                "<html><body>ok</body></html>",
                cite(933, total=18),
            ),
            AnswerKind("not HTTP: unknown binary", 1, 1, None, "data", 4_096, 4_096, sha("c"), PAYLOAD, cite(51_022)),
        ),
        template=Template(
            protocol="http",
            samples=128,
            parts=(
                TemplatePart("request line", "GET /b.cgi?alt&", True),
                TemplatePart("request line", "digit{9}", False, ("174642967", "174642971", "174643002"), 128),
                TemplatePart("request line", "&", True),
                TemplatePart("request line", "digit{12}", False, ("000000000000", "000000000001"), 2),
                TemplatePart("request line", " HTTP/1.1", True),
                TemplatePart("Host", "target address", False, ("202.178.254.2", "24.201.28.90"), 4),
                TemplatePart("Accept", "*/*", True),
                TemplatePart("Connection", "close", True),
            ),
            length_min=117,
            length_max=117,
            headers_present=("Host", "Accept", "Connection"),
            headers_sometimes=("User-Agent",),
            headers_absent=("Referer", "Accept-Language", "Cookie"),
            text="GET /b.cgi?alt&<digit{9}>&<digit{12}> HTTP/1.1",
            note="digit{12} rests on 2 distinct values",
            citations=cite(212, 380, 412, total=128),
        ),
        target_summary=TargetSummary(
            targets=63,
            networks=tuple(
                TargetGroup(n, t, a, t / 63)
                for n, t, a in (
                    ("202.178.254.0/24", 3, 297),
                    ("24.201.0.0/16", 3, 295),
                    ("217.228.0.0/14", 2, 198),
                    ("61 other networks", 55, 5_421),
                )
            ),
            providers=tuple(
                TargetGroup(n, t, a, t / 63, r)
                for n, t, a, r in (
                    ("AS7922 Comcast Cable", 9, 889, "cable"),
                    ("AS3320 Deutsche Telekom", 7, 690, "DSL and dial-up"),
                    ("AS4780 Digital United (SEEDNet)", 5, 493, "cable, DSL"),
                    ("AS5769 Videotron", 4, 391, "cable"),
                    ("32 other providers", 38, 3_748, ""),
                )
            ),
            countries=tuple(
                TargetGroup(n, t, a, t / 63)
                for n, t, a in (
                    ("US United States", 21, 2_071),
                    ("DE Germany", 9, 889),
                    ("TW Taiwan", 8, 790),
                    ("CA Canada", 6, 588),
                    ("14 others", 19, 1_873),
                )
            ),
            classes=(
                TargetGroup(
                    "access line (cable, DSL, dial-up)",
                    54,
                    5_324,
                    54 / 63,
                    "provider sells access lines; 12 names carry the address or words such as cable, adsl, dip",
                ),
                TargetGroup("hosting or server", 4, 394, 4 / 63, "hosting provider"),
                TargetGroup("unknown", 5, 493, 5 / 63, "no name seen, provider of mixed kind"),
            ),
            access_share=54 / 63,
            access_reason="54 of 63 targets lie in networks of access providers",
            spread="spread over 37 providers in 18 countries; no /24 holds more than 3",
            order="no order in the addresses",
            revisits="all 63 were visited again; the last new one came after 19 min",
            table_date="2026-10-01",
            named=(
                ("202.178.254.2", "n002.n202-178-254-0-24.ethome.net"),
                ("24.201.28.90", "modemcable090.28-201-24.mc.example"),
            ),
        ),
        turning_points=(
            TurningPoint(
                "began",
                START,
                None,
                START + 9 * S,
                True,
                "The probing was already under way when the evidence begins.",
                (),
                cite(1),
            ),
            TurningPoint(
                "stopped",
                STOP,
                STOP - 6 * S,
                END,
                False,
                "The probing stopped at 04:30:09 and was not taken up again in the 29 min of evidence that follow.",
                (
                    Candidate(
                        1,
                        7.9,
                        STOP - 6 * S,
                        6.2,
                        "download from a probed target that had only ever answered 404",
                        "24.201.28.90",
                        None,
                        "data",
                        4_096,
                        sha("c"),
                        PAYLOAD,
                        "a payload: no text, high entropy, no known file type",
                        (
                            "the only answer of its kind",
                            "6.2 s before the last attempt",
                            "4,096 bytes, where the other answers are HTML",
                        ),
                        0.005,
                        cite(51_022, 51_030),
                    ),
                    Candidate(
                        2,
                        1.4,
                        STOP - 212 * S,
                        212.0,
                        "HTTP 404 from a probed target",
                        "202.178.254.2",
                        404,
                        "html",
                        4_871,
                        sha("a"),
                        STUB,
                        "an elaborate error page",
                        ("the longest error page", "108 like it before, without effect"),
                        0.31,
                        cite(50_871),
                    ),
                    Candidate(
                        3,
                        0.6,
                        STOP - 1_900 * S,
                        1_900.0,
                        "mail fetched by POP3",
                        "130.216.1.1",
                        None,
                        "mail",
                        2_210,
                        None,
                        "",
                        "ordinary traffic",
                        ("the same server 58 times before",),
                        0.64,
                        cite(50_114),
                    ),
                ),
                cite(51_031, 51_040),
            ),
        ),
        identities=(frethem(),),
        timeline=timeline(
            START,
            STOP,
            900 * S,
            52.5,
            (
                ("unanswered", 0.789),
                ("refused", 0.115),
                ("unreachable", 0.051),
                ("accepted", 0.024),
                ("answered", 0.021),
            ),
        ),
        bin_ns=900 * S,
        measures=(
            ("failed first contacts", "59 of 63"),
            ("TRW", "alarm after 5 contacts (log ratio 5.55, threshold 4.60)"),
            ("distinct targets a day", "63"),
            ("visits per target", "93 to 101"),
        ),
    )


def model_case():
    probing = model_probing()
    findings = (
        Finding(
            "F1",
            "probing_host",
            HOST,
            START,
            STOP,
            f"{HOST} tried 63 outside addresses on tcp/80 6,211 times in 29 h 34 min, 3.5 a minute, around and around the same list.",
            Confidence(
                0.97,
                (
                    "59 of 63 first contacts failed",
                    "each of 63 targets visited 93 to 101 times",
                    "one request template in all 128 requests",
                ),
            ),
            cite(1, 9, 15, 44, 61, 77, 101, 212, total=6_211),
            "slow_probing 0.1.0",
            "T1071.001",
            probing,
        ),
        Finding(
            "F2",
            "turning_point",
            HOST,
            STOP,
            STOP,
            "It stopped by itself 6 s after a download of 4,096 bytes that is no error page.",
            Confidence(0.81, ("placebo p 0.005",)),
            cite(51_022, 51_031),
            "turning_point 0.1.0",
        ),
        Finding(
            "F3",
            "identity",
            HOST,
            START,
            STOP,
            "W32/Frethem.K is likely: the request fits literally.",
            Confidence(0.74, ("request literal", "63 targets")),
            cite(212),
            "profiles 0.1.0",
            "T1105",
        ),
    )
    return Verdict(
        summary=(
            f"One host behaves strangely: {HOST} tried the same 63 outside addresses on tcp/80 around and around, 3.5 a minute, from before "
            "2002-07-31 22:56 until 2002-08-02 04:30 UTC; 1 in 49 attempts was answered, and it stopped 6 seconds after a download of 4,096 bytes. "
            "W32/Frethem.K is likely."
        ),
        findings=findings,
        innocents=(
            Innocent(
                "130.216.54.20",
                "many destinations, many failures (P2P client)",
                "answers come from half of its peers on many ports, and they call it too",
                (("targets", "1,204"), ("answered", "51 %")),
            ),
            Innocent(
                "130.216.1.2",
                "thousands of targets on udp/53 (resolver)",
                "94 % answered; the names asked for are what its clients asked for",
                (("targets", "3,310"),),
            ),
            Innocent(
                "130.216.1.3",
                "many targets on tcp/25 (mail server)",
                "first contacts succeed and mail is delivered",
                (("answered", "88 %"),),
            ),
            Innocent(
                "130.216.54.77",
                "asks for /b.cgi",
                "one server, with a Referer and a browser's headers",
                (("requests", "41"), ("servers", "1")),
            ),
            Innocent(
                "130.216.7.9",
                "a fixed list again and again (monitoring)",
                "every target answers, day and night",
                (("answered", "99.9 %"),),
            ),
            Innocent(
                "130.216.8.1",
                "several stacks behind one address (NAT)",
                "ordinary users' traffic, 4 operating systems",
                (),
            ),
        ),
        unanswerable=(
            ("What on the host changed around that moment?", "needs a file listing or the anti-virus log of the host"),
            ("What happened before 2002-07-31 22:56 UTC?", "needs the captures of the four days before"),
        ),
        quality=(
            QualityItem("checksum_bad", 0, "", FILE),
            QualityItem(
                "midstream",
                14,
                "flows that were open when the capture began; their originator is a guess from ports",
                FILE,
            ),
            QualityItem("packets_lost", 37, "TCP sequence numbers were skipped: answers may be cut", FILE),
        ),
        evidence=(EvidenceItem(FILE, "pcap", 48_211_904, sha("model"), 412_331, START, END, None, None),),
        home_networks=("130.216.0.0/16",),
        home_reason="most flows begin there and all ARP traffic is from there",
        counts=(
            ("packets", 412_331),
            ("flows", 31_804),
            ("http transactions", 9_402),
            ("dns transactions", 12_118),
            ("hosts", 48),
        ),
        method=(
            "slow_probing 0.1.0: first contacts per host and service over all evidence; alarm when the sequential test (TRW, theta 0.8/0.2) passes 4.60 or 8 targets fail",
            "revisited_list 0.1.0: targets visited 5 times or more at a steady beat; at least 10 of them",
            "turning_point 0.1.0: CUSUM over 15 min bins, then the last and first event",
        ),
        version="0.1.0",
        synthetic="A reconstruction from published facts, written by tracehound's demo. No packet of it was ever on a wire; what is not public is left empty.",
        start_ns=START,
        end_ns=END,
        extra={"seed": 1},
    )


def quiet():
    return Verdict(
        summary="No strange host: none of the 12 hosts in this evidence probes others.",
        findings=(),
        innocents=(
            Innocent("192.168.1.53", "many targets on udp/53 (resolver)", "94 % answered", (("targets", "310"),)),
        ),
        unanswerable=(),
        quality=(QualityItem("checksum_bad", 0),),
        evidence=(
            EvidenceItem("office.pcapng", "pcapng", 120_300, sha("office"), 812, START, START + 400 * S, None, "zstd"),
        ),
        home_networks=("192.168.0.0/16",),
        home_reason="private range that most flows begin in",
        counts=(("packets", 812), ("flows", 96), ("hosts", 12)),
        looked_for=("slow_probing 0.1.0: Which hosts probe slowly?",),
        method=(
            "fast_probing 0.1.0: 20 failed targets in 5 min",
            "slow_probing 0.1.0: first contacts over all evidence",
            "vertical_scan 0.1.0: 15 ports of one target",
        ),
        version="0.1.0",
        start_ns=START,
        end_ns=START + 400 * S,
    )


def empty():
    return Verdict("Nothing to judge: the evidence holds no packets.", (), (), (), (), (), (), "", (), (), "0.1.0")


def three_hosts():
    base = model_case()
    first = base.findings[0]
    fast = dataclasses.replace(
        model_probing(),
        host="10.0.0.9",
        service="",
        dport=445,
        shape="horizontal, in order",
        start_ns=START + HOUR,
        end_ns=START + HOUR + 95 * S,
        attempts=15_200,
        targets=15_200,
        attempts_per_min=9_600.0,
        new_targets_per_min=9_600.0,
        outcomes=(
            OutcomeCount("unanswered", 15_190, 15_190 / 15_200, 15_190),
            OutcomeCount("refused", 10, 10 / 15_200, 10),
        ),
        answers=(),
        template=None,
        identities=(
            dataclasses.replace(
                frethem("none"),
                family="",
                indicators=(),
                score=0.0,
                probability=0.02,
                coverage=0.0,
                runner_up="",
                sources=(),
                explanation="No profile fits.",
            ),
        ),
        turning_points=(
            TurningPoint("began", START + HOUR, START + HOUR - 40 * S, START + HOUR, False, "", (), cite(5)),
        ),
        timeline=timeline(START + HOUR, START + HOUR + 95 * S, S, 160, (("unanswered", 0.999), ("refused", 0.001))),
        bin_ns=S,
        measures=(),
    )
    vertical = dataclasses.replace(
        fast,
        host="10.0.0.17",
        proto=17,
        dport=None,
        service="udp, 1,000 ports",
        shape="vertical",
        start_ns=START + 3 * HOUR,
        end_ns=START + 3 * HOUR,
        attempts=1,
        targets=1,
        attempts_per_min=0.0,
        new_targets_per_min=0.0,
        outcomes=(
            OutcomeCount("one_sided", 1, 0.25, 1),
            OutcomeCount("midstream", 1, 0.25, 1),
            OutcomeCount("accepted", 1, 0.25, 1),
            OutcomeCount("odd", 1, 0.25, 1),
        ),
        turning_points=(),
        identities=(),
        timeline=(TimelineBin(START + 3 * HOUR, (("one_sided", 1), ("midstream", 1), ("accepted", 1), ("odd", 1))),),
        target_summary=TargetSummary(1),
    )
    findings = (
        first,
        dataclasses.replace(
            first,
            finding_id="F2",
            host="10.0.0.9",
            statement="10.0.0.9 swept tcp/445.",
            probing=fast,
            confidence=Confidence(0.99),
        ),
        dataclasses.replace(
            first,
            finding_id="F3",
            host="10.0.0.17",
            statement="10.0.0.17 tried ports of one target.",
            probing=vertical,
            confidence=Confidence(0.55),
        ),
        Finding(
            "F4",
            "dns_tunnel",
            "10.0.0.88",
            START,
            END,
            "10.0.0.88 asks for very long names.",
            Confidence(0.4, ("few samples",)),
            Citations(),
            "dns_names 0.1.0",
        ),
    )
    evidence = (
        *base.evidence,
        EvidenceItem(
            "second.pcap.gz",
            "pcap",
            9_000,
            sha("s"),
            4_000,
            START,
            END,
            "cut short at byte 8,990: a record promises more bytes than the file has",
            "gzip",
        ),
    )
    return dataclasses.replace(
        base, summary="Three hosts behave strangely.", synthetic="", findings=findings, evidence=evidence
    )


EVIL = "<script>alert(1)</script>\"'&amp;\x1b[31mred\x1b]0;title\x07\u202egnp.exe\u200b\x00\r\nINJECTED \u0301\u0301 \ud800 \U000e0041 ${7*7} {{ 7*7 }} "


def poisoned(value):
    """The same verdict with every text replaced by hostile text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(
            value, **{f.name: poisoned(getattr(value, f.name)) for f in dataclasses.fields(value)}
        )
    if isinstance(value, tuple):
        return tuple(poisoned(item) for item in value)
    if isinstance(value, dict):
        return {poisoned(k): poisoned(v) for k, v in value.items()}
    if isinstance(value, str):
        return EVIL + value
    return value


def hostile():
    long = "A" * 5_000 + "wide 漢字" * 300
    base = poisoned(model_case())
    return dataclasses.replace(base, innocents=(*base.innocents, Innocent(long, long, long, ((long, long),))))


def ipv6_huge():
    base = model_case()
    host = "2001:0db8:aaaa:bbbb:cccc:dddd:eeee:ffff"
    huge = 123_456_789_012
    probing = dataclasses.replace(
        model_probing(),
        host=host,
        dport=65_535,
        service="",
        attempts=huge,
        targets=98_765_432_109,
        attempts_per_min=8.1e9,
        new_targets_per_min=float("nan"),
        outcomes=(
            OutcomeCount("unanswered", huge - 3, 1 - 3 / huge, 98_765_432_106),
            OutcomeCount("answered", 3, 3 / huge, 3, (("HTTP 200", 3),)),
        ),
        target_summary=TargetSummary(
            98_765_432_109,
            networks=tuple(
                TargetGroup(f"2001:db8:{i:x}:{i:x}::/64", 10**9 + i, 10**10 + i, 1 / (i + 2)) for i in range(260)
            ),
        ),
        timeline=timeline(START, STOP, 900 * S, 3e9, (("unanswered", 1.0),)),
    )
    findings = (dataclasses.replace(base.findings[0], host=host, statement=f"{host} sweeps.", probing=probing),)
    return dataclasses.replace(
        base,
        summary=f"One host behaves strangely: {host}.",
        findings=findings,
        synthetic="",
        end_ns=START + 400 * 24 * HOUR,
    )


ALL = {"model": model_case, "quiet": quiet, "empty": empty, "three": three_hosts, "hostile": hostile, "ipv6": ipv6_huge}
