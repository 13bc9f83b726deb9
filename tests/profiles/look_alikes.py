"""Ordinary things that look like each family at a glance; nobody may be accused for them. Never here: a test."""

from __future__ import annotations

from typing import Any

from tracehound.profiles.match import Observations, Seen

UA = "\nUser-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64)\nHost: www.example.com\nAccept: */*"
NETLOGON = "\x05\x00\x0b\x03\x10\x00\x00\x00H\x00\x00\x00" + bytes.fromhex("785634123412cdabef0001234567cffb").decode("latin-1")

LOOK_ALIKES: dict[str, dict[str, list[str]]] = {
    "Agent Tesla": {"mail_subjects": ["PW reset for you", "Re: SC_ meeting"], "domains": ["api.ipify.org"], "contacts": ["tcp/587"]},
    "Agobot": {"payloads": ["GET /wonka.html HTTP/1.1"], "irc": ["PRIVMSG #waste :hello"]},
    "Allaple": {"payloads": ["abcdefghijklmnopqrstuvwabcdefghi"], "services": ["icmp"]},
    "Asprox": {"requests": ["GET /forum/viewtopic.php?t=12345 HTTP/1.1" + UA, "GET /viewtopic.php?f=2&p=77 HTTP/1.1"]},
    "AsyncRAT": {"certificates": ["subject=CN=async.example.com issuer=CN=R3"], "contacts": ["tcp/8808"]},
    "Bagle": {"requests": ["GET /1.php HTTP/1.1" + UA], "mail_bodies": ["This is a test, yes."]},
    "BlackEnergy": {"requests": ["GET /YXJyYXk=/ HTTP/1.1" + UA]},
    "Blaster": {"services": ["tcp/135"], "domains": ["windowsupdate.com"], "contacts": ["tcp/135", "udp/69"]},
    "Citadel": {"requests": ["GET /api.php/v1/video/list HTTP/1.1" + UA]},
    "Cobalt Strike": {"requests": ["GET /ga.js HTTP/1.1" + UA, "POST /submit.php?id=17 HTTP/1.1" + UA], "certificates": ["serial=8BB00F"]},
    "Code Red": {"requests": ["GET /default.ida HTTP/1.0", "GET /default.asp?NNN HTTP/1.0"]},
    "Code Red II": {"requests": ["GET /default.ida?XX HTTP/1.0", "GET /root.exe.txt HTTP/1.1" + UA], "services": ["tcp/80"]},
    "Coin miner": {"payloads": ['{"id": 1, "method": "login", "params": ["ann"]}', '{"jsonrpc":"2.0","method":"eth_getBalance"}']},
    "Command injection": {"requests": ["GET /search?q=cat+id+ping HTTP/1.1" + UA, "GET /wget.html?from=http://example.com/ HTTP/1.1"]},
    "Conficker": {"services": ["tcp/445"], "requests": ["GET /search?q=weather HTTP/1.1" + UA], "domains": ["checkip.dyndns.org"]},
    "Connect scan": {"contacts": ["tcp/22", "tcp/25", "tcp/110"]},
    "ANABILGI RAT": {"payloads": ["SH-2.0-OpenSSH_5.1"], "replies": ["ANABILGISAYAR"], "contacts": ["tcp/4433"]},
    "Cross-site scripting": {"requests": ["GET /search?q=script+writing HTTP/1.1" + UA, "GET /scripts/app.js?v=3 HTTP/1.1" + UA]},
    "DarkComet": {"replies": ["BF7CAB464EFB and more text"]},
    "DcRat": {"certificates": ["subject=CN=DC1 Server"]},
    "DirBuster": {"user_agents": ["Mozilla/5.0 (compatible; DirBot)"]},
    "Dridex": {"requests": ["GET /js/bin.exe HTTP/1.1" + UA, "GET /stat/all.php HTTP/1.1" + UA]},
    "Emotet": {"requests": ["GET / HTTP/1.1\nCookie: session=" + "QUJD" * 20], "contacts": ["tcp/8090"]},
    "EternalBlue": {"payloads": ["\x00\x00\x00\xf7\xfeSMB@\x00" + "\x00" * 30], "contacts": ["tcp/445"]},
    "Frethem": {"requests": ["GET /b.cgi?alt=1 HTTP/1.1"], "services": ["tcp/80"]},
    "Gafgyt": {"services": ["tcp/23"], "replies": ["!* welcome", "PING"]},
    "Gh0st RAT": {"payloads": ["Gh0st is my nick", "hello\x10\x00\x00\x00abcd"]},
    "Hajime": {"services": ["udp/6881"], "payloads": ["d1:ad2:id20:abcdefghij0123456789e1:q4:ping"]},
    "Hancitor": {"requests": ["POST /forum.php HTTP/1.1" + UA], "domains": ["api.ipify.org"]},
    "Hydra": {"user_agents": ["Mozilla/4.0 (compatible; MSIE 6.0)"]},
    "IcedID": {"requests": ["GET / HTTP/1.1\nCookie: __gads=ID=f0:T=1; _ga=GA1.2; _gid=GA1.2; _gat=1"], "domains": ["aws.amazon.com"]},
    "Kaiten": {"payloads": ["NICK anna\r\nUSER anna 0 * :Anna"], "contacts": ["tcp/6667"]},
    "Kelihos": {"requests": ["GET /index.htm HTTP/1.1\nHost: 192.0.2.1\nUser-Agent: Mozilla/5.0", "GET /home.htm HTTP/1.1" + UA]},
    "Log4Shell": {"requests": ["GET /docs/jndi-ldap.html HTTP/1.1" + UA, "GET /?q=${name} HTTP/1.1" + UA]},
    "Log4Shell (victim)": {"requests": ["GET /applet/Clock.class HTTP/1.1\nUser-Agent: Java/1.6.0_20\nHost: www.example.com"]},
    "LokiBot": {"user_agents": ["Mozilla/4.08 [en] (Win98; I)"], "requests": ["GET /free.php HTTP/1.1" + UA]},
    "Path traversal": {"requests": ["GET /docs/../images/a.png HTTP/1.1" + UA, "GET /man/etc/passwd.5.html HTTP/1.1" + UA]},
    "Acunetix": {"requests": ["GET /acunetix-review.html HTTP/1.1" + UA]},
    "Meterpreter": {"replies": ["\x00\x00\x00\x0bMZ"], "contacts": ["tcp/4444"]},
    "Mirai": {"services": ["tcp/23"], "payloads": ["/bin/busybox ls"]},
    "Morfeus scanner": {"user_agents": ["Mozilla/5.0 (Morpheus)"]},
    "Muieblackcat": {"requests": ["GET /blackcat HTTP/1.1" + UA]},
    "MyDoom": {"domains": ["www.sco.com"], "contacts": ["tcp/25", "tcp/3128"], "mail_subjects": ["Mail Delivery System"]},
    "Necurs": {"requests": ["GET /forum/db.php HTTP/1.1" + UA, "GET /locator.php HTTP/1.1" + UA]},
    "NetBus": {"payloads": ["NetBus Pro is not this"], "contacts": ["tcp/12345"]},
    "Nikto": {"user_agents": ["Mozilla/5.0 Nikto-free"]},
    "Nimda": {"requests": ["GET /scripts/app.js HTTP/1.1", "GET /scripts/root.html HTTP/1.0"], "services": ["tcp/80"]},
    "Nmap": {"user_agents": ["Mozilla/5.0 (compatible; nmap-doc)"], "requests": ["GET /nmap/ HTTP/1.1" + UA]},
    "Nymaim": {"requests": ["POST /nymphs/index.php HTTP/1.1" + UA]},
    "Pingback": {"replies": ["shells and more", "abcdefghijklmnopqrstuvwabcdefghi"], "contacts": ["icmp"]},
    "Pitbull": {"irc": ["PRIVMSG #help :@anna please join"], "contacts": ["tcp/6667"]},
    "Psyb0t": {"payloads": ["NICK [NIPPON]"]},
    "QakBot": {"requests": ["GET /random750x750.jpg HTTP/1.1" + UA], "contacts": ["tcp/2222"]},
    "Quasar": {"certificates": ["subject=CN=quasar.example.org issuer=CN=R3"], "ja3": ["c12f54a3f91dc7bafd92cb59fe009a35"]},
    "Ramnit": {"payloads": ["\x00\xff\xfb\x00\x00\x00 and more"], "contacts": ["tcp/443"]},
    "Rbot": {"payloads": ["NICK anna"], "irc": ["PRIVMSG #scan :advscan is bad"], "contacts": ["tcp/6667"]},
    "SDBot": {"user_agents": ["Mozilla/3.0 (compatible; Indy Library)"]},
    "SIGRed": {"queries": ["RRSIG tcp example.com", "A udp sig.example.com"]},
    "SIPVicious": {"payloads": ["OPTIONS sip:100@192.0.2.1 SIP/2.0\r\nUser-Agent: Asterisk PBX"], "contacts": ["udp/5060"]},
    "SQL injection": {
        "requests": ["GET /search?q=student+union+selection HTTP/1.1" + UA, "GET /blog?title=rock+%27n%27+roll+or+jazz HTTP/1.1" + UA]
    },
    "SQLSnake": {"services": ["tcp/1433"], "files": ["sqlinstall.exe"]},
    "STRRAT": {"payloads": ["ping|pong|1"]},
    "Sality": {"requests": ["GET /logo.gif?v=20 HTTP/1.1" + UA], "user_agents": ["SPM"]},
    "Sasser": {"services": ["tcp/445"], "payloads": ["cmd.exe"], "contacts": ["tcp/5554"]},
    "Shellshock": {"requests": ["GET / HTTP/1.1\nX-Note: () {braces}"]},
    "Slammer": {"services": ["udp/1434"], "payloads": ["\x02"]},
    "Slapper": {"services": ["tcp/443"], "contacts": ["tcp/443", "udp/2002"]},
    "Sobig": {"attachments": ["document.pif", "details.pdf"], "contacts": ["tcp/25"]},
    "SpyEye": {"requests": ["GET /x.php?guid=1&ver=2 HTTP/1.1" + UA]},
    "Struts OGNL injection": {"requests": ["GET /java.lang.Runtime HTTP/1.1" + UA]},
    "Tinba": {"domains": ["dakotavolandos.org"]},
    "TrickBot": {"contacts": ["tcp/449"], "requests": ["GET /ser1/PC_W617601/5/spk/ HTTP/1.1" + UA]},
    "Ursnif": {"requests": ["GET /?version=1&user=anna&server=2&id=3&type=4 HTTP/1.1" + UA]},
    "Vawtrak": {"requests": ["GET /viewforum.php?f=2&sid=0123456789abcdef0123456789abcdef HTTP/1.1" + UA]},
    "Virut": {"domains": ["irc.zief.org"]},
    "WSHRAT": {"user_agents": ["WSH|1"]},
    "WannaCry": {"services": ["tcp/445"], "domains": ["iuqerfsodp9.com"]},
    "Welchia": {"services": ["icmp"], "payloads": ["\xaa\xaa\xaa"], "contacts": ["tcp/135"]},
    "Witty": {"services": ["udp/4000"], "payloads": ["witty message"]},
    "ZGrab": {"user_agents": ["Mozilla/5.0 zgrabber"]},
    "ZeroAccess": {"requests": ["GET /counter.img?id=5 HTTP/1.1" + UA], "user_agents": ["Opera/9.80 (Windows NT 6.1; U; en) Presto/2.10"]},
    "Zerologon": {"payloads": [NETLOGON], "contacts": ["tcp/135", "tcp/445"]},
    "Zeus": {"requests": ["GET /in.php?m=home HTTP/1.1" + UA, "GET /check HTTP/1.1" + UA]},
    "ZmEu": {"user_agents": ["Mozilla/5.0 ZmEu"]},
    "masscan": {"user_agents": ["my masscan"]},
    "njRAT": {"payloads": ["ll|'|x", "150\x00hello"]},
    "sqlmap": {"user_agents": ["Mozilla/5.0 (sqlmap documentation)"]},
}


def observations(family: str) -> Observations:
    """What looks like `family` at a glance, as a host shows it; everything can be observed."""
    texts = LOOK_ALIKES[family]
    kinds: tuple[Any, ...] = (
        "requests", "user_agents", "payloads", "replies", "domains", "queries", "certificates", "ja3", "ja3s", "ja4", "irc",
        "hashes", "mail_subjects", "mail_bodies", "attachments", "files", "mutexes", "regkeys", "regvals",
    )  # fmt: skip
    seen: dict[str, Any] = {k: tuple(Seen(t, "synthetic", f"{k}{n}") for n, t in enumerate(texts.get(k, ()))) for k in kinds}
    services = texts.get("services", [])
    return Observations(
        services=frozenset(services),
        contacts=frozenset((*texts.get("contacts", ()), *services, "tcp/80", "tcp/443", "udp/53")),
        **seen,
    )
