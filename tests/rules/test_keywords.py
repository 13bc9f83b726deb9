"""In: options. Out: their meaning, or the reason why they have none."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tests.rules.spoken import groups, refusal, rule
from tracehound.rules.keywords.catalog import COMMON, SNORT3
from tracehound.rules.keywords.keyword import KeywordError
from tracehound.rules.keywords.numbers import numbers
from tracehound.rules.render import numbers_text
from tracehound.rules.rule import (
    LARGEST,
    Asn1,
    Base64Decode,
    Bits,
    Bsize,
    ByteExtract,
    ByteJump,
    ByteMath,
    ByteTest,
    Content,
    Datarep,
    Dataset,
    Entropy,
    Event,
    FastPattern,
    FlagTest,
    Flow,
    FlowInt,
    Hash,
    HashList,
    IsDataAt,
    Numbers,
    NumberTest,
    Pcre,
    Tag,
    Threshold,
    Transform,
    WordTest,
)


def steps(options: str, buffer: str = "payload", header: str = "alert tcp any any -> any any"):
    return groups(options, header)[buffer].steps


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("abc", b"abc"),
        ("a|41 42|b|0d0a|", b"aABb\r\n"),
        ("|41|B|43|", b"ABC"),
        (r"a\"b\;c\:d\\e", rb"a\"b;c:d\e".replace(rb"\"", b'"')),
        ("|4 1|", b"A"),
        ("sp ace", b"sp ace"),
    ],
)
def test_bytes_of_a_content(text, pattern):
    assert steps(f'content:"{text}";') == (Content(pattern),)


@pytest.mark.parametrize("text", ["|4|", "|41", "|zz|", r"a\x41", "", r"a\|b"])
def test_no_bytes_of_a_content(text):
    assert refusal(f'content:"{text}";').keyword == "content"


def test_modifiers():
    read = steps('content:!"a"; nocase; offset:3; depth:4; content:"bcd"; distance:-1; within:9; fast_pattern:1,2;')
    assert read == (
        Content(b"a", negated=True, nocase=True, offset=3, depth=4),
        Content(b"bcd", distance=-1, within=9, fast_pattern=FastPattern(chop=(1, 2))),
    )
    assert steps('content:"a"; startswith; content:"b"; endswith; fast_pattern:only;') == (
        Content(b"a", startswith=True),
        Content(b"b", endswith=True, fast_pattern=FastPattern(only=True)),
    )


def test_inline_modifiers_of_snort3():
    r = rule('http_uri; content:"/a",nocase,fast_pattern,fast_pattern_offset 0,fast_pattern_length 2; content:!"b", distance 0, within 5;')
    assert r.written.dialect == "snort3"
    assert r.groups[0].buffer.name == "http.uri"
    assert r.groups[0].steps == (
        Content(b"/a", nocase=True, fast_pattern=FastPattern(chop=(0, 2))),
        Content(b"b", negated=True, distance=0, within=5),
    )


def test_where_contents_are():
    found = groups('content:"a"; http_uri; content:"b"; uricontent:"c"; pcre:"/d/Ui"; file_data; content:"e"; pkt_data; content:"f";')

    def patterns(buffer):
        return [s.pattern for s in found[buffer].steps if isinstance(s, Content | Pcre)]

    assert patterns("http.uri") == [b"a", b"c", b"d"]
    assert patterns("payload") == [b"b", b"f"]
    assert patterns("file.data") == [b"e"]


def test_relative_options_follow_the_last_match():
    # The user guide on isdataat: it "will apply to the buffer of the previous content match".
    found = groups('content:"GET"; http_method; content:".exe"; http_uri; isdataat:!1,relative; byte_test:1,>,5,0,relative; isdataat:9;')
    assert found["http.uri"].steps == (Content(b".exe"), IsDataAt(1, True, True), ByteTest(1, ">", False, 5, 0, True))
    assert found["payload"].steps == (IsDataAt(9),)
    found = groups('content:"a"; pcre:"/b/U"; byte_jump:1,0,relative; base64_decode; base64_data; content:"x";')
    assert [type(s).__name__ for s in found["http.uri"].steps] == ["Pcre", "ByteJump", "Base64Decode"]


def test_a_buffer_named_again():
    once = rule('http.uri; content:"a"; http.method; content:"b"; http.uri; content:"c";', "alert http any any -> any any")
    assert [(g.buffer.name, len(g.steps)) for g in once.groups] == [("http.uri", 2), ("http.method", 1)]
    # A transaction has several queries: the second naming is another one (multi-buffer-matching).
    twice = rule('dns.query; content:"a"; dns.query; content:"b";', "alert dns any any -> any any")
    assert [(g.buffer.name, len(g.steps)) for g in twice.groups] == [("dns.query", 1), ("dns.query", 1)]


def test_transforms():
    r = rule('http.uri; content:"a"; url_decode; to_lowercase; content:"b"; http.host; dotprefix; content:".c";')
    assert [(g.buffer.name, [t.name for t in g.transforms]) for g in r.groups] == [
        ("http.uri", []),
        ("http.uri", ["url_decode", "to_lowercase"]),
        ("http.host", ["dotprefix"]),
    ]
    (one,) = rule('http.uri; from_base64: bytes 4, offset 6, mode strict; gunzip: max-size 1kb; xor:"0A0b"; content:"x";').groups
    assert one.transforms == (
        Transform("from_base64", "bytes 4, offset 6, mode strict"),
        Transform("gunzip", "max-size 1024"),
        Transform("xor", "0a0b"),
    )


@pytest.mark.parametrize(
    ("options", "step"),
    [
        ('pcre:"/a\\/b/smiR";', Pcre(rb"a\/b", "ims", relative=True)),
        ('pcre:!"/x/";', Pcre(b"x", negated=True)),
        ('pcre:"/(a)(b)/, flow:x, pkt:y/z";', Pcre(b"(a)(b)", captures=("flow:x", "pkt:y/z"))),
        ("byte_test:4,>,1000,8,relative,little;", ByteTest(4, ">", False, 1000, 8, True, "little")),
        ("byte_test:1,!&,0x80,0;", ByteTest(1, "&", True, 128, 0)),
        ("byte_test:2,!=,5,-4,string,dec,relative;", ByteTest(2, "=", True, 5, -4, True, "big", "dec")),
        ("byte_test:1,=,1,0,bitmask 0xf8;", ByteTest(1, "=", False, 1, 0, bitmask=0xF8)),
        ("byte_jump:2,0,relative,string,from_end,post_offset -26;",
         ByteJump(2, 0, True, digits="auto", origin="end", post_offset=-26)),
        ("byte_jump:4,1,multiplier 2,align,from_beginning,little;",
         ByteJump(4, 1, multiplier=2, align=4, origin="beginning", endian="little")),
        ("byte_extract:1,2,n,relative,string,hex,align 2;", ByteExtract(1, 2, "n", True, digits="hex", align=2)),
        ("byte_math:bytes 1, offset 1, oper <<, rvalue 2, result r, endian little;",
         ByteMath(1, 1, "<<", 2, "r", endian="little")),
        ("isdataat:!1,relative;", IsDataAt(1, True, True)),
        ("base64_decode:bytes 12, offset 2, relative;", Base64Decode(12, 2, True)),
        ("base64_decode;", Base64Decode()),
        ("asn1:bitstring_overflow, oversize_length 500, relative_offset 2;", Asn1(True, False, 500, 2, True)),
    ],
)  # fmt: skip
def test_steps(options, step):
    read = steps('content:"first"; ' + options)
    assert read[1:] == (step,)


def test_variables_of_a_rule():
    read = steps('byte_extract:1,0,len; content:"a"; offset:len; depth:len; byte_test:len,=,len,len; isdataat:len;')
    assert read[1:] == (
        Content(b"a", offset="len", depth="len"),
        ByteTest("len", "=", False, "len", "len"),
        IsDataAt("len"),
    )
    wrong = refusal('content:"a"; offset:len;')
    assert (wrong.kind, wrong.keyword) == ("undefined-variable", "offset")


def test_steps_on_buffers():
    found = groups(
        'http.user_agent; bsize:3<>9; dataset:isset,ua,type string,load ua.lst,memcap 1kb; content:"x"; entropy: value >= 7.5, bytes 10;'
    )
    assert found["http.user_agent"].steps == (
        Bsize(Numbers(((4, 8),))),
        Dataset("isset", "ua", "string", load="ua.lst", memcap=1024),
        Content(b"x"),
        Entropy(">=", 7.5, count=10),
    )
    (query,) = groups("dns.query; datarep:names, >, 200, load names.rep, type string;", "alert dns any any -> any any").values()
    assert query.steps == (Datarep("names", ">", 200, "string", load="names.rep"),)
    (referer,) = groups('http.referer; absent: or_else; content:!"a";').values()
    assert referer.absent == "or_else"
    (digest,) = steps('sha256:"' + "ab" * 32 + '",length 4,offset 2; rem:"x";')
    assert digest == Hash("sha256", b"\xab" * 32, 4, offset=2)


@pytest.mark.parametrize(
    ("options", "test"),
    [
        ("dsize:>100;", NumberTest("dsize", Numbers(((101, 65535),)))),
        ("dsize:10<>20;", NumberTest("dsize", Numbers(((11, 19),)))),
        ("ttl:!64;", NumberTest("ttl", Numbers(((0, 63), (65, 255))))),
        ("ip_proto:!GRE;", NumberTest("ip_proto", Numbers(((0, 46), (48, 255))))),
        ("tcp.flags:S,12;", FlagTest("tcp.flags", "=", 2, 64 | 128)),
        ("flags:+FPU;", FlagTest("tcp.flags", "+", 1 | 8 | 32)),
        ("flags:SA+;", FlagTest("tcp.flags", "+", 18)),
        ("flags:0;", FlagTest("tcp.flags", "=", 0)),
        ("fragbits:!MD;", FlagTest("fragbits", "!", 3)),
        ("fragbits:M+;", FlagTest("fragbits", "+", 1)),
        ("ipopts:lsrr;", WordTest("ipopts", ("lsrr",))),
        ("sameip;", WordTest("sameip")),
        ("stream_size:both, >, 5000;", NumberTest("stream_size", Numbers(((5001, 2**32 - 1),)), "both")),
        ("stream_size:server,<,6;", NumberTest("stream_size", Numbers(((0, 5),)), "server")),
        ("flow.pkts:toclient,>=2;", NumberTest("flow.pkts", Numbers(((2, 2**32 - 1),)), "toclient")),
        ("urilen:<70,raw;", NumberTest("urilen", Numbers(((0, 69),)), "raw")),
        ("filesize:>1mb;", NumberTest("filesize", Numbers(((2**20 + 1, LARGEST),)))),
        ('fileext:!"exe";', WordTest("fileext", ("exe",), True)),
        ("filemd5:!list.md5;", HashList("md5", "list.md5", True)),
        ("decode-event:ipv4.unknown_protocol;", Event("decode", "ipv4.unknown_protocol")),
        ("app-layer-event:http.multi_part_generic_error;", Event("app-layer", "http.multi_part_generic_error")),
        ("app-layer-protocol:!http2,final;", WordTest("app-layer-protocol", ("http2",), True, "final")),
        ("ssl_version:!tls1.0,tls1.1;", WordTest("ssl_version", ("!tls1.0", "tls1.1"), False, "each")),
        ("ssl_version:tls1.0,tls1.1;", WordTest("ssl_version", ("tls1.0", "tls1.1"))),
        ("ssl_state:client_hello|server_hello;", WordTest("ssl_state", ("client_hello", "server_hello"))),
        ("dns.rrtype:!AAAA;", NumberTest("dns.rrtype", Numbers(((0, 27), (29, 65535))))),
        ("dns.opcode:7-15;", NumberTest("dns.opcode", Numbers(((8, 14),)))),
        ("tls_cert_notbefore:1998-05-01<>2008-05-01;", WordTest("tls_cert_notbefore", ("<>", "1998-05-01", "2008-05-01"))),
        ("dce_opnum:1,15-18;", NumberTest("dcerpc.opnum", Numbers(((1, 1), (15, 18))))),
        ("krb5_msg_type:10;", NumberTest("krb5_msg_type", Numbers(((10, 10),)))),
        ("iprep:src,BadHosts,>,10;", NumberTest("iprep", Numbers(((11, 127),)), "src,BadHosts")),
        ("sctp.chunk_type:!data;", NumberTest("sctp.chunk_type", Numbers(((1, 255),)))),
        ("mqtt.type:CONNECT;", NumberTest("mqtt.type", Numbers(((1, 1),)))),
        ("ntp.mode:client;", NumberTest("ntp.mode", Numbers(((3, 3),)))),
        ("geoip:src,RU,CN;", WordTest("geoip", ("RU", "CN"), False, "src")),
    ],
)  # fmt: skip
def test_tests(options, test):
    assert rule(options).tests == (test,)


def test_older_forms_of_buffers():
    found = groups('tls.subject:!"CN=*.x"; tls.fingerprint:"ab:cd"; content:"y"; nocase;')
    assert found["tls.cert_subject"].steps == (Content(b"CN=*.x", negated=True),)
    assert found["tls.cert_fingerprint"].steps == (Content(b"ab:cd"),)
    assert found["payload"].steps == (Content(b"y", nocase=True),)
    assert refusal('tls.subject:"x"; nocase;').keyword == "nocase"
    assert steps("ssh.protoversion:2_compat; ssh.softwareversion:PUTTY;", "ssh.proto") == (Pcre(rb"^(?:2|1\.99)"),)
    assert steps("ssh.protoversion:1.5;", "ssh.proto") == (Content(b"1.5", startswith=True), Bsize(Numbers(((3, 3),))))


def test_flow():
    assert rule("flow:established,from_server,no_frag;").flow == Flow("to_client", "established", None, "no_frag")
    assert rule("flow: To_Server , stateless;").flow == Flow("to_server", "stateless")


def test_state():
    r = rule(
        "flowbits:set,a.b; flowbits:isset,x|y; flowbits:isnotset,p&q; flowbits:noalert; xbits:set,m,track ip_src,expire 60;"
        "hostbits:isset,h,dst; flowint:n,+,1; flowint:n,isset;"
    )
    assert r.noalert
    assert r.states == (
        Bits("flowbits", "set", ("a.b",)),
        Bits("flowbits", "isset", ("x", "y")),
        Bits("flowbits", "isnotset", ("p", "q"), "&"),
        Bits("xbits", "set", ("m",), "|", "ip_src", 60),
        Bits("hostbits", "isset", ("h",), "|", "dst"),
        FlowInt("n", "+", 1),
        FlowInt("n", "isset"),
    )
    assert rule("threshold: type limit, track by_src, seconds 60, count 1;").threshold == Threshold("limit", "by_src", 1, 60)
    assert rule("threshold:type backoff, track by_flow, count 1, multiplier 10;").threshold == Threshold(
        "backoff", "by_flow", 1, 0, 10
    )
    assert rule("detection_filter: track by_dst, count 3, seconds 60, unique_on dst_port;").detection_filter == Threshold(
        "detection_filter", "by_dst", 3, 60, 0, "dst_port"
    )
    assert rule("tag:host,100,packets,src; tag:session,10,seconds;").tags == (
        Tag("host", 100, "packets", "src"),
        Tag("session", 10, "seconds"),
    )
    assert rule("tag:host;").tags == (Tag("host", 256, "packets", "dst"),)
    assert rule("tag:host_dst,bytes 100;").tags == (Tag("host", 100, "bytes", "dst"),)


def test_words_about_the_rule():
    r = rule(
        r'msg:"a \"b\" \; c"; reference:CVE,2014-1; reference:url, x.org/a; metadata:a b, c  d; classtype:misc-attack; rev:3; '
        "target:src_ip; gid:2;"
    )
    assert r.msg == 'a "b" ; c'
    assert r.references == (("cve", "2014-1"), ("url", "x.org/a"))
    assert r.metadata == ("a b", "c d")
    assert (r.classtype, r.rev, r.target, r.gid, r.sid) == ("misc-attack", 3, "src_ip", 2, 1)


@pytest.mark.parametrize(
    ("options", "kind", "keyword"),
    [
        ("nosuch:1;", "unknown-keyword", "nosuch"),
        ("nocase;", "invalid-option", "nocase"),
        ('content:"abcd"; depth:3;', "contradiction", "content"),
        ('content:"abcd"; within:3;', "contradiction", "content"),
        ('content:"a"; offset:1; distance:1;', "contradiction", "content"),
        ('content:"a"; depth:1; depth:2;', "invalid-option", "depth"),
        ('content:"a"; startswith; offset:1;', "contradiction", "content"),
        ('content:!"a"; offset:1; fast_pattern;', "contradiction", "content"),
        ('content:"a"; fast_pattern; content:"b"; fast_pattern;', "contradiction", "content"),
        ('content:"abc"; fast_pattern:2,2;', "contradiction", "content"),
        ('http.uri; content:"abcdef"; bsize:5;', "contradiction", "http.uri"),
        ('http.uri; content:"a"; dsize:5;', "contradiction", "dsize"),
        ('http.uri; content:"a"; tls.sni; content:"b";', "contradiction", "tls.sni"),
        ('flow:to_client; http.uri; content:"a";', "contradiction", "http.uri"),
        ('http.uri; content:"a"; http.stat_code; content:"b";', "contradiction", "http.stat_code"),
        ('file_data; content:"a"; http_uri;', "invalid-option", "http_uri"),
        ('content:"a"; http_uri; http_header;', "invalid-option", "http_header"),
        ('http.uri; http.method; content:"a";', "invalid-option", "http.method"),
        ('content:"a"; http_uri; pcre:"/b/R";', "invalid-option", "pcre"),
        ('pcre:"/(/";', "invalid-option", "pcre"),
        ('pcre:"/a/Q9";', "invalid-option", "pcre"),
        ('pcre:"/a/UH";', "invalid-option", "pcre"),
        ("content:abc;", "invalid-option", "content"),
        ("url_decode;", "invalid-option", "url_decode"),
        ("base64_data;", "invalid-option", "base64_data"),
        ("absent;", "invalid-option", "absent"),
        ("flow:to_server,to_client;", "contradiction", "flow"),
        ("flow:sideways;", "invalid-option", "flow"),
        ("flow:to_server; flow:established;", "invalid-option", "flow"),
        ("dsize:>65535;", "invalid-option", "dsize"),
        ("dsize:5<>3;", "invalid-option", "dsize"),
        ("ttl:256;", "invalid-option", "ttl"),
        ("flags:X;", "invalid-option", "flags"),
        ("threshold:type limit, track by_src, count 1, seconds 1; detection_filter:track by_src, count 1, seconds 1;",
         "invalid-option", "detection_filter"),
        ("threshold:type limit, track by_src, count 0, seconds 1;", "invalid-option", "threshold"),
        ("flowbits:set,a|b;", "invalid-option", "flowbits"),
        ("flowbits:isset;", "invalid-option", "flowbits"),
        ("byte_test:9,=,1,0;", "invalid-option", "byte_test"),
        ("byte_test:1,~,1,0;", "invalid-option", "byte_test"),
        ("byte_math:bytes 1, offset 0, oper /, rvalue 0, result x;", "invalid-option", "byte_math"),
        ("lua:x.lua;", "unsupported", "lua"),
        ("requires: version >= 99;", "invalid-option", "requires"),
        ("msg:x; msg:y;", "invalid-option", "msg"),
        ("config:logging disable, type tx, scope tx;", "invalid-option", "config"),
    ],
)  # fmt: skip
def test_refusals(options, kind, keyword):
    wrong = refusal(options)
    assert (wrong.kind, wrong.keyword) == (kind, keyword), wrong
    assert wrong.column is not None


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("alert tcp $NONE any -> any any", "undefined-variable"),
        ("alert tcp any $NONE -> any any", "undefined-variable"),
        ("alert tcp !any any -> any any", "contradiction"),
        ("alert nosuch any any -> any any", "invalid-option"),
        ("alert http1:request_started any any -> any any", "unsupported"),
        ("activate tcp any any -> any any", "unsupported"),
    ],
)
def test_refused_headers(header, kind):
    assert refusal('content:"a";', header).kind == kind


def test_a_rule_for_another_version_is_refused_for_that():
    for needed in ("version >= 99, feature ja3", "feature telepathy", "keyword of.tomorrow", "luck"):
        assert refusal(f"keyword.of.tomorrow; requires: {needed};").keyword == "requires"
    assert rule("requires: keyword http.uri, feature ja4;").requires == ("keyword http.uri", "feature ja4")
    assert rule("requires: version >= 7.0.3 < 8 | >= 8.0.0;").requires == ("version >= 7.0.3 < 8 | >= 8.0.0",)


def test_transactional_rules():
    r = rule('ja3.hash; content:"a"; ja3s.hash; content:"b";', "alert tls any any => any any")
    assert r.header.direction == "=>"
    assert [g.buffer.side for g in r.groups] == ["to_server", "to_client"]
    assert rule('file.data:to_client; content:"a";', "alert http any any => any any").groups[0].side == "to_client"


def test_what_the_engine_must_be_able_to_do_is_named():
    r = rule('flow:established; http.uri; to_lowercase; content:"a"; flowbits:set,x; decode-event:ipv4.x;', "alert http any any -> any any")
    assert {n.name for n in r.needs} == {
        "protocol:http", "flow", "buffer:http.uri", "transform:to_lowercase", "content", "flowbits", "event:decode:ipv4.x",
    }  # fmt: skip
    assert {r.written.options[n.option].name for n in r.needs if n.option >= 0} == {
        "flow", "http.uri", "to_lowercase", "content", "flowbits", "decode-event",
    }  # fmt: skip


@pytest.mark.parametrize("table", [COMMON, SNORT3], ids=["common", "snort3"])
def test_no_value_makes_a_keyword_stumble(table):
    # Whatever stands behind a keyword, it is read or refused with a reason.
    for name in table:
        for value in (None, "", "1", "!", '"', '"a"', "a,b,c", '!"x",depth 3', "set,a", ">", "<>", "-", "0x", "é\udce9", "1,=,2,3", "any"):
            rem = ' rem:"snort3";' if table is SNORT3 else ""
            text = f'content:"first"; {name}{"" if value is None else ":" + value};{rem}'
            try:
                rule(text)
            except Exception as wrong:
                assert type(wrong).__name__ == "RuleError", (name, value)
                assert str(getattr(wrong, "cause", ""))


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("10", ((10, 10),)), ("=10", ((10, 10),)), ("0x0a", ((10, 10),)), ("!10", ((0, 9), (11, 255))), ("!=10", ((0, 9), (11, 255))),
        (">10", ((11, 255),)), (">=10", ((10, 255),)), ("<10", ((0, 9),)), ("<=10", ((0, 10),)), ("5<>10", ((6, 9),)),
        ("5-10", ((6, 9),)), ("5<=>10", ((5, 10),)), ("!5-10", ((0, 5), (10, 255))), ("33<>34", ()), ("two", ((2, 2),)),
        ("!two", ((0, 1), (3, 255))),
    ],
)  # fmt: skip
def test_comparisons(text, spans):
    assert numbers(text, 0, 255, {"two": 2}).spans == spans


@pytest.mark.parametrize("text", ["", "x", "256", ">255", "<0", "9<>3", "5<>5", "-1", "1.5", "!0-256", "&3=4", "<>", "3-"])
def test_no_comparisons(text):
    with pytest.raises(KeywordError):
        numbers(text, 0, 255)


def test_masks():
    assert numbers("&0xc0=0x80", 0, 255) == Numbers(((0x80, 0x80),), 0xC0)
    assert not numbers("&0xc0!=0", 0, 255).holds(0x3F)
    assert numbers("&0xc0!=0", 0, 255).holds(0x40)


SPANS = st.sampled_from(
    ["{a}", "!{a}", ">{a}", "<{a}", ">={a}", "<={a}", "{a}<>{b}", "!{a}-{b}", "{a}<=>{b}", "&{b}={c}", "&{b}!={c}", "&{b}"]
)


@given(SPANS, st.integers(0, 260), st.integers(0, 260))
def test_comparisons_print_and_read_again(form, a, b):
    text = form.format(a=a, b=b, c=a & b)
    try:
        read = numbers(text, 0, 255)
    except KeywordError:
        return
    said = numbers_text(read, 0, 255)
    assert said is not None
    assert numbers(said, 0, 255) == read
