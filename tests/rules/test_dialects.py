"""In: rules. Out: how each dialect says them, or why it cannot."""

from __future__ import annotations

import pytest

from tests.rules.spoken import VARIABLES, rule
from tracehound.errors import RuleError
from tracehound.rules.dialects import convert, same_meaning
from tracehound.rules.ruleset import parse_rule

HTTP = "alert http $HOME_NET any -> $EXTERNAL_NET any"


def said(read, dialect):
    return convert(read, dialect, VARIABLES)


def test_one_rule_in_three_dialects():
    read = rule('flow:established,to_server; http.method; content:"GET"; http.uri; content:"/b.cgi?alt&"; startswith; fast_pattern; '
                r'pcre:"/^\/b\.cgi\?alt&\d{9}$/"; urilen:<50;', HTTP)  # fmt: skip
    head = "$HOME_NET any -> $EXTERNAL_NET any"
    assert said(read, "suricata") == (
        f'alert http {head} (flow:established,to_server; urilen:<50; http.method; content:"GET"; http.uri; '
        r'content:"/b.cgi?alt&"; startswith; fast_pattern; pcre:"/^\/b\.cgi\?alt&\d{9}$/"; sid:1;)'
    )
    assert said(read, "snort2") == (
        f'alert tcp {head} (flow:established,to_server; urilen:<50; content:"GET"; http_method; '
        r'content:"/b.cgi?alt&"; depth:11; fast_pattern; http_uri; pcre:"/^\/b\.cgi\?alt&\d{9}$/U"; sid:1;)'
    )
    assert said(read, "snort3") == (
        f'alert http {head} (flow:established,to_server; http_method; content:"GET"; http_uri; bufferlen:<50; '
        r'content:"/b.cgi?alt&",depth 11,fast_pattern; pcre:"/^\/b\.cgi\?alt&\d{9}$/"; sid:1;)'
    )


def test_old_spelling_becomes_new():
    old = rule(
        'flow:established,from_server; file_data; content:"a"; distance:0; content:"b"; nocase; within:5; pkt_data; content:"|0d 0a|x";'
    )
    assert said(old, "suricata") == (
        'alert tcp any any -> any any (flow:established,to_client; content:"|0D 0A|x"; file.data; content:"a"; distance:0; '
        'content:"b"; nocase; within:5; sid:1;)'
    )


@pytest.mark.parametrize(
    ("options", "dialect", "why"),
    [
        ('http.user_agent; content:"a";', "snort2", "Snort 2 has no buffer http.user_agent"),
        ('dns.query; content:"a";', "snort3", "Snort 3 has no buffer dns.query"),
        ('http.uri; to_md5; content:"a";', "snort3", "Snort 3 has no keyword to_md5"),
        ("threshold:type limit,track by_src,count 1,seconds 1;", "snort3", "Snort 3 has thresholds in its configuration"),
        ("threshold:type limit,track by_flow,count 1,seconds 1;", "snort2", "Snort 2 has no threshold with limit, by_flow"),
        ('content:!"a"; endswith;', "snort2", "Snort 2 has no way to say that a content does not end a buffer"),
        ("app-layer-protocol:tls;", "snort2", "Snort 2 has no keyword app-layer-protocol"),
        ("target:src_ip;", "snort3", "Snort 3 has no keyword target"),
        ('http.uri; content:"a"; isdataat:5;', "snort2", "Snort 2 looks at http.uri with contents and expressions only"),
        ('pcre:"/(a)/,flow:x";', "snort3", "Snort 3 has no variables that an expression sets"),
        ('file_type:"PDF"; content:"a";', "suricata", "Suricata has no keyword file_type"),
    ],
)
def test_what_a_dialect_cannot_say(options, dialect, why):
    with pytest.raises(RuleError) as wrong:
        said(rule(options), dialect)
    assert wrong.value.cause.startswith(f"sid 1: {why}"), wrong.value


@pytest.mark.parametrize(
    "options",
    [
        'content:"a"; offset:1; depth:9; content:"b"; distance:-3; within:7;',
        'content:!"a|00|"; nocase; fast_pattern:0,1;',
        "dsize:10<>20; ttl:!64; flags:S+,12; fragbits:!D; icmp_id:5; ip_proto:!6; itype:>3;",
        'byte_extract:2,0,n,relative,string,dec,align 4; content:"x"; offset:n;',
        "byte_extract:1,0,n; byte_test:4,!&,0x80,n,relative,little,bitmask 0xff00;",
        'byte_jump:2,1,relative,multiplier 2,align,from_end,post_offset -3; content:"a"; distance:0;',
        'byte_math:bytes 2,offset 0,oper *,rvalue 3,result r,endian little,string hex; isdataat:r,relative;',
        "stream_size:server,<,6; stream_size:both,>=,100;",
        "flowbits:set,a&b; flowbits:isset,c|d; flowint:x,+,1; xbits:isset,y,track ip_pair; hostbits:set,h,both,9;",
        "detection_filter:track by_src,count 5,seconds 60; tag:host,10,packets,src;",
        'http.uri; content:"a"; url_decode; xor:"0d0a"; content:"b"; http.cookie; absent:or_else; bsize:!5; content:"z";',
        'http.request_body; base64_decode:bytes 9,offset 1,relative; base64_data; content:"x"; pkt_data; content:"y";',
        'dns.query; content:"a"; dns.query; content:"b"; dataset:isset,n,type string,load x.lst;',
        'tls.sni; entropy:value !3-4; content:"a"; tls_cert_notafter:<2020-01-01;',
        "ssl_state:client_hello|server_hello; ssl_version:!tls1.0;",
        "decode-event:ipv4.x; filemd5:!l; filename:\"a b\"; filesize:>9; noalert; bypass;",
        "app-layer-protocol:!http,to_server;",
        "asn1:double_overflow,oversize_length 9,relative_offset 1; rpc:100000,*,3;",
        "geoip:src,!RU,!CN; iprep:any,C,>,5; vlan.id:5,1; flow.pkts:toserver,>9;",
        "dce_iface:12345678-1234-1234-1234-123456789012,any_frag;",
        "dce_opnum:1,5-9;",
        "krb5_err_code:!3;",
        "dns.rrtype:!5-9; dns.opcode:4;",
        "websocket.flags:fin,!comp;",
        "modbus:function 3,access read;",
        "mqtt.type:connect; mqtt.qos:1;",
        "smb.version:1;",
        r'requires:version >= 7; metadata:a b, c d; reference:cve,1-2; classtype:misc-attack; priority:2; gid:5; rev:7; msg:"x\; y";',
    ],
)
def test_suricata_says_everything_of_its_own(options):
    read = rule(options)
    assert same_meaning(parse_rule(said(read, "suricata"), VARIABLES), read)


def test_same_meaning():
    def alike(a, b, header="alert tcp any any -> any any"):
        return same_meaning(rule(a, header), rule(b, header))

    assert alike('content:"ab"; startswith;', 'content:"ab"; offset:0; depth:2;')
    assert alike('content:"ab"; endswith;', 'content:"ab"; isdataat:!1,relative;')
    assert alike('http.uri; bsize:<5;', "urilen:<5;")
    assert alike('http.uri; content:"a"; http.method; content:"b";', 'content:"b"; http_method; content:"a"; http_uri;')
    assert not alike('content:"ab";', 'content:"AB";')
    assert not alike('content:"ab"; depth:3;', 'content:"ab"; depth:4;')
    assert not alike('content:"a"; content:"b";', 'content:"b"; content:"a";')
    # Where a number of one buffer is used in another, the order counts.
    assert not alike(
        "ipv4.hdr; byte_extract:1,0,n; tcp.hdr; byte_test:1,=,n,0; udp.hdr; byte_test:1,=,n,0;",
        "ipv4.hdr; byte_extract:1,0,n; udp.hdr; byte_test:1,=,n,0; tcp.hdr; byte_test:1,=,n,0;",
    )
    assert same_meaning(rule('http.uri; content:"a";', HTTP), rule('http.uri; content:"a";', HTTP.replace("http", "tcp")))
    assert not same_meaning(rule('content:"a";', HTTP), rule('content:"a";', HTTP.replace("http", "tcp")))
