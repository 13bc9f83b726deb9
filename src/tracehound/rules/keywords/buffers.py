"""In: nothing. Out: the table of all buffers: what they are called in each dialect, which protocol, unit and direction they
have, whether there are several per transaction. Never here: filling them (the engine does) or reading rules.

A buffer is listed whether or not the engine fills it: `Need("buffer:NAME")` decides that (support.py).
Sources: Suricata 8 user guide, rules/*-keywords and multi-buffer-matching; Snort 2.9 manual 3.5; Snort 3 rule options."""

from __future__ import annotations

from typing import Final, Literal

from tracehound.rules.rule import Buffer, Side, Unit

_SIDES: Final[dict[str, Side | None]] = {">": "to_server", "<": "to_client", "-": None}
_UNITS: Final[dict[str, Unit]] = {"p": "packet", "s": "stream", "t": "transaction", "f": "file"}


def _b(
    name: str,
    protocols: str,
    shape: str,
    meaning: str,
    *,
    aliases: str = "",
    modifier: str = "",
    snort: str = "",
    snort3: str = "",
) -> Buffer:
    """`shape`: unit letter, direction sign, and `*` where a transaction may have several. `snort`: the versions of Snort that say
    it as the modifier (else the first alias, else the name) does; `snort3`: what Snort 3 says instead."""
    word = modifier or aliases.split(" ", maxsplit=1)[0] or name
    return Buffer(
        name=name,
        protocols=tuple(protocols.split()),
        unit=_UNITS[shape[0]],
        side=_SIDES[shape[1]],
        multi=shape.endswith("*"),
        meaning=meaning,
        aliases=tuple(aliases.split()),
        modifier=modifier,
        snort2=word if "2" in snort else "",
        snort3=snort3 or (word if "3" in snort else ""),
    )


PAYLOAD: Final = _b("payload", "", "s-", "packet payload and reassembled stream", aliases="pkt_data", snort="23")
BASE64_DATA: Final = _b("base64_data", "", "s-", "what base64_decode decoded", snort="23")

_TABLE: Final = (
    PAYLOAD,
    BASE64_DATA,
    _b("raw_data", "", "p-", "packet payload before any normalisation", snort3="raw_data"),
    # -- HTTP
    _b("http.uri", "http", "t>", "normalised request URI", aliases="http.uri.normalized", modifier="http_uri", snort="23"),
    _b("http.uri.raw", "http", "t>", "request URI as sent", modifier="http_raw_uri", snort="23"),
    _b("http.method", "http", "t>", "request method", modifier="http_method", snort="23"),
    _b("http.protocol", "http", "t-", "protocol of request or status line (HTTP/1.1)", aliases="http_protocol", snort3="http_version"),
    _b("http.request_line", "http", "t>", "request line", aliases="http_request_line", snort3="http_raw_request"),
    _b("http.request_body", "http", "t>", "request body", modifier="http_client_body", snort="23"),
    _b("http.header", "http", "t-", "headers, normalised, without cookies", modifier="http_header", snort="23"),
    _b("http.header.raw", "http", "t-", "headers as sent", modifier="http_raw_header", snort="23"),
    _b("http.cookie", "http", "t-", "Cookie or Set-Cookie", modifier="http_cookie", snort="23"),
    _b("http.user_agent", "http", "t>", "User-Agent", modifier="http_user_agent"),
    _b("http.host", "http", "t>", "host, lower case", modifier="http_host"),
    _b("http.host.raw", "http", "t>", "host as sent", modifier="http_raw_host"),
    _b("http.accept", "http", "t>", "Accept", aliases="http_accept"),
    _b("http.accept_lang", "http", "t>", "Accept-Language", aliases="http_accept_lang"),
    _b("http.accept_enc", "http", "t>", "Accept-Encoding", aliases="http_accept_enc"),
    _b("http.referer", "http", "t>", "Referer", aliases="http_referer"),
    _b("http.connection", "http", "t-", "Connection", aliases="http_connection"),
    _b("http.content_type", "http", "t-", "Content-Type", aliases="http_content_type"),
    _b("http.content_len", "http", "t-", "Content-Length", aliases="http_content_len"),
    _b("http.start", "http", "t-", "start line and headers up to the empty line", aliases="http_start"),
    _b("http.header_names", "http", "t-", "names of the headers, each line-ended", aliases="http_header_names"),
    _b("http.request_header", "http", "t>*", "each request header as `name: value`"),
    _b("http.response_header", "http", "t<*", "each response header as `name: value`"),
    _b("http.stat_code", "http", "t<", "status code", modifier="http_stat_code", snort="23"),
    _b("http.stat_msg", "http", "t<", "reason phrase", modifier="http_stat_msg", snort="23"),
    _b("http.response_line", "http", "t<", "status line", aliases="http_response_line", snort3="http_raw_status"),
    _b("http.response_body", "http", "t<", "response body", modifier="http_server_body"),
    _b("http.server", "http", "t<", "Server"),
    _b("http.location", "http", "t<", "Location"),
    _b("http.param", "http", "t>", "value of one parameter of URI or body", snort3="http_param"),
    _b("http.trailer", "http", "t-", "trailers, normalised", snort3="http_trailer"),
    _b("http.trailer.raw", "http", "t-", "trailers as sent", snort3="http_raw_trailer"),
    _b("http.raw_body", "http", "t-", "body before decoding", snort3="http_raw_body"),
    _b("http.true_ip", "http", "t>", "client address of forwarding headers", snort3="http_true_ip"),
    _b("http2.header_name", "http2", "t-*", "each header's name"),
    _b("http2.header", "http2", "t-*", "each header as `name: value`"),
    # -- files
    _b("file.data", "", "f-*", "content of a file in HTTP, mail, SMB, FTP, NFS", aliases="file_data", snort="23"),
    _b("file.name", "", "f-*", "name of a file"),
    _b("file.magic", "", "f-*", "type of a file as libmagic words it"),
    _b("js_data", "http", "t<", "JavaScript, normalised", snort3="js_data"),
    _b("vba_data", "", "f-", "Visual Basic macros, decompressed", snort3="vba_data"),
    # -- DNS
    _b("dns.query", "dns doh2", "t>*", "names asked for", aliases="dns_query"),
    _b("dns.query.name", "dns doh2", "t-*", "names of the question section, of request and response"),
    _b("dns.queries.rrname", "dns doh2", "t-*", "names of the question section"),
    _b("dns.answer.name", "dns doh2", "t-*", "names of the answer section"),
    _b("dns.answers.rrname", "dns doh2", "t-*", "names of the answer section"),
    _b("dns.authorities.rrname", "dns doh2", "t-*", "names of the authority section"),
    _b("dns.additionals.rrname", "dns doh2", "t-*", "names of the additional section"),
    _b("dns.response.rrname", "dns doh2", "t<*", "names of all sections of a response, and of their data"),
    _b("mdns.queries.rrname", "mdns", "t-*", "names of the question section"),
    _b("mdns.answers.rrname", "mdns", "t-*", "names of the answer section"),
    _b("mdns.authorities.rrname", "mdns", "t-*", "names of the authority section"),
    _b("mdns.additionals.rrname", "mdns", "t-*", "names of the additional section"),
    _b("mdns.response.rrname", "mdns", "t<*", "names of all sections of a response"),
    _b("llmnr.queries.rrname", "llmnr", "t-*", "names of the question section"),
    _b("llmnr.answers.rrname", "llmnr", "t-*", "names of the answer section"),
    # -- TLS, QUIC
    _b("tls.sni", "tls", "t>", "server name asked for", aliases="tls_sni"),
    _b("tls.cert_subject", "tls", "t-*", "subject of the certificate", aliases="tls_cert_subject"),
    _b("tls.cert_issuer", "tls", "t-", "issuer of the certificate", aliases="tls_cert_issuer"),
    _b("tls.cert_serial", "tls", "t-", "serial number, hex with colons", aliases="tls_cert_serial"),
    _b("tls.cert_fingerprint", "tls", "t-", "SHA-1, lower hex with colons", aliases="tls_cert_fingerprint"),
    _b("tls.certs", "tls", "t-*", "each certificate, DER", aliases="tls_certs"),
    _b("tls.subjectaltname", "tls", "t<*", "each subject alternative name"),
    _b("tls.alpn", "tls", "t-*", "each ALPN protocol"),
    _b("tls.random", "tls", "t-", "32 random bytes of the hello"),
    _b("tls.random_time", "tls", "t-", "first 4 random bytes"),
    _b("tls.random_bytes", "tls", "t-", "last 28 random bytes"),
    _b("ja3.hash", "tls quic", "t>", "JA3 digest", aliases="ja3_hash"),
    _b("ja3.string", "tls quic", "t>", "JA3 string", aliases="ja3_string"),
    _b("ja3s.hash", "tls quic", "t<", "JA3S digest"),
    _b("ja3s.string", "tls quic", "t<", "JA3S string"),
    _b("ja4.hash", "tls quic", "t>", "JA4"),
    _b("quic.version", "quic", "t-", "QUIC version"),
    _b("quic.sni", "quic", "t>", "server name asked for"),
    _b("quic.ua", "quic", "t>", "user agent of gQUIC"),
    _b("quic.cyu.hash", "quic", "t>*", "CYU digest of gQUIC"),
    _b("quic.cyu.string", "quic", "t>*", "CYU string of gQUIC"),
    # -- SSH
    _b("ssh.proto", "ssh", "t-", "protocol version of the banner", aliases="ssh_proto"),
    _b("ssh.software", "ssh", "t-", "software of the banner", aliases="ssh_software"),
    _b("ssh.hassh", "ssh", "t>", "HASSH of the client"),
    _b("ssh.hassh.string", "ssh", "t>", "HASSH string of the client"),
    _b("ssh.hassh.server", "ssh", "t<", "HASSH of the server"),
    _b("ssh.hassh.server.string", "ssh", "t<", "HASSH string of the server"),
    # -- mail
    _b("smtp.helo", "smtp", "t>", "name given to HELO or EHLO"),
    _b("smtp.mail_from", "smtp", "t>", "sender of the envelope"),
    _b("smtp.rcpt_to", "smtp", "t>*", "each recipient of the envelope"),
    _b("email.from", "smtp", "t>", "From"),
    _b("email.subject", "smtp", "t>", "Subject"),
    _b("email.to", "smtp", "t>", "To"),
    _b("email.cc", "smtp", "t>", "Cc"),
    _b("email.date", "smtp", "t>", "Date"),
    _b("email.message_id", "smtp", "t>", "Message-Id"),
    _b("email.x_mailer", "smtp", "t>", "X-Mailer"),
    _b("email.url", "smtp", "t>*", "each URL of the text"),
    _b("email.received", "smtp", "t>*", "each Received"),
    _b("email.body_md5", "smtp", "t>", "MD5 of the body"),
    _b("email.command", "smtp", "t>", "SMTP command"),
    _b("imap.request", "imap", "t>", "request line"),
    _b("imap.response", "imap", "t<*", "response line"),
    _b("pop3.request", "pop3", "t>", "request line"),
    # -- FTP
    _b("ftp.command", "ftp", "t>", "command"),
    _b("ftp.command_data", "ftp", "t>", "what follows the command"),
    _b("ftp.reply", "ftp", "t<*", "each reply"),
    _b("ftp.completion_code", "ftp", "t<*", "code of each reply"),
    # -- SMB, DCE/RPC, Kerberos, SNMP
    _b("smb.named_pipe", "smb", "t>", "name of the pipe", aliases="smb_named_pipe"),
    _b("smb.share", "smb", "t>", "name of the share", aliases="smb_share"),
    _b("smb.ntlmssp_user", "smb", "t>", "user of NTLMSSP"),
    _b("smb.ntlmssp_domain", "smb", "t>", "domain of NTLMSSP"),
    _b("smb.ntlmssp_host", "smb", "t>", "host of NTLMSSP"),
    _b("dcerpc.stub_data", "dcerpc smb", "t-", "stub data", aliases="dce_stub_data", snort="23"),
    _b("krb5.cname", "krb5", "t-*", "client name", aliases="krb5_cname"),
    _b("krb5.sname", "krb5", "t-*", "server name", aliases="krb5_sname"),
    _b("snmp.community", "snmp", "t-", "community"),
    _b("snmp.usm", "snmp", "t-", "user of SNMPv3"),
    # -- SIP, SDP
    _b("sip.method", "sip", "t>", "request method", snort3="sip_method"),
    _b("sip.uri", "sip", "t>", "request URI"),
    _b("sip.request_line", "sip", "t>", "request line"),
    _b("sip.stat_code", "sip", "t<", "status code"),
    _b("sip.stat_msg", "sip", "t<", "reason phrase"),
    _b("sip.response_line", "sip", "t<", "status line"),
    _b("sip.protocol", "sip", "t-", "protocol version"),
    _b("sip.from", "sip", "t-*", "From"),
    _b("sip.to", "sip", "t-*", "To"),
    _b("sip.via", "sip", "t-*", "Via"),
    _b("sip.user_agent", "sip", "t-*", "User-Agent", aliases="sip.ua"),
    _b("sip.content_type", "sip", "t-*", "Content-Type"),
    _b("sip.content_length", "sip", "t-*", "Content-Length"),
    _b("sip_header", "sip", "t-", "headers", snort="23"),
    _b("sip_body", "sip", "t-", "body", snort="23"),
    *(
        _b(f"sdp.{name}", "sip", "t-" + ("*" if several else ""), meaning)
        for name, several, meaning in (
            ("session_name", False, "s="), ("session_info", False, "i="), ("origin", False, "o="), ("uri", False, "u="),
            ("email", False, "e="), ("phone_number", False, "p="), ("connection_data", False, "c="), ("bandwidth", True, "b="),
            ("time", True, "t="), ("repeat_time", True, "r="), ("timezone", False, "z="), ("encryption_key", False, "k="),
            ("attribute", True, "a="), ("media.media", True, "m="), ("media.media_info", True, "i= of a medium"),
            ("media.connection_data", True, "c= of a medium"), ("media.encryption_key", True, "k= of a medium"),
        )
    ),
    # -- the rest of the application protocols
    _b("rfb.name", "rfb", "t<", "name of the desktop"),
    _b("ike.init_spi", "ike", "t-", "SPI of the initiator"),
    _b("ike.resp_spi", "ike", "t-", "SPI of the responder"),
    _b("ike.vendor", "ike", "t-*", "each vendor id"),
    _b("ike.key_exchange_payload", "ike", "t-", "key exchange payload"),
    _b("ike.nonce_payload", "ike", "t-", "nonce"),
    *(
        _b(f"mqtt.{name}", "mqtt", "t" + shape, meaning)
        for name, shape, meaning in (
            ("connect.clientid", ">", "client id"), ("connect.username", ">", "user"), ("connect.password", ">", "password"),
            ("connect.willtopic", ">", "topic of the will"), ("connect.willmessage", ">", "message of the will"),
            ("connect.protocol_string", ">", "protocol name"), ("publish.topic", "-", "topic"), ("publish.message", "-", "message"),
            ("subscribe.topic", ">*", "each topic"), ("unsubscribe.topic", ">*", "each topic"),
        )
    ),
    *(
        _b(f"ldap.{name}", "ldap", "t" + shape, meaning)
        for name, shape, meaning in (
            ("request.dn", ">", "distinguished name"), ("responses.dn", "<*", "each distinguished name"),
            ("request.attribute_type", ">*", "each attribute type"), ("responses.attribute_type", "<*", "each attribute type"),
            ("responses.message", "<*", "each error message"), ("request.attributes", ">*", "each attribute type"),
            ("responses.attributes", "<*", "each attribute type"),
        )
    ),
    _b("websocket.payload", "websocket", "t-", "payload of a message"),
    _b("pgsql.query", "pgsql", "t>", "query"),
    _b("mysql.command", "mysql", "t>", "command"),
    _b("mysql.rows", "mysql", "t<*", "each row"),
    _b("rdp.cookie", "rdp", "t>", "cookie"),
    _b("nfs.file_name", "nfs", "t-", "name of a file"),
    _b("tftp.file", "tftp", "t>", "name of a file"),
    _b("ntp.reference_id", "ntp", "t-", "reference id"),
    _b("dnp3.data", "dnp3", "t-", "application data", aliases="dnp3_data", snort="23"),
    _b("modbus_data", "modbus", "t-", "data", snort="23"),
    _b("enip.product_name", "enip", "t-", "product name"),
    _b("enip.service_name", "enip", "t-", "service name"),
    _b("gtp_info", "gtp", "t-", "information element", snort="23"),
    _b("s7commplus_content", "s7commplus", "t-", "content", snort3="s7commplus_content"),
    _b("mms_data", "mms", "t-", "data", snort3="mms_data"),
    # -- headers
    _b("ipv4.hdr", "", "p-", "IPv4 header with options"),
    _b("ipv6.hdr", "", "p-", "IPv6 header with extension headers"),
    _b("tcp.hdr", "", "p-", "TCP header with options"),
    _b("udp.hdr", "", "p-", "UDP header"),
    _b("icmpv4.hdr", "", "p-", "ICMP header"),
    _b("icmpv6.hdr", "", "p-", "ICMPv6 header"),
    _b("igmp.hdr", "", "p-", "IGMP header"),
    _b("sctp.hdr", "", "p-", "SCTP header and chunks"),
    _b("sctp.chunk_data", "", "p-*", "data of each SCTP DATA chunk"),
    _b("ip.src", "", "p-", "source address, binary"),
    _b("ip.dst", "", "p-", "destination address, binary"),
    _b("ether.hdr", "", "p-", "Ethernet header"),
    _b("arp.hdr", "", "p-", "ARP message"),
    _b("frame", "", "t-*", "a frame of an application protocol, chosen by name"),
)  # fmt: skip

BUFFERS: Final[dict[str, Buffer]] = {b.name: b for b in _TABLE}
"""Name -> buffer."""

PCRE_LETTERS: Final[dict[str, str]] = {
    "U": "http.uri", "I": "http.uri.raw", "P": "http.request_body", "Q": "http.response_body", "H": "http.header",
    "D": "http.header.raw", "M": "http.method", "C": "http.cookie", "K": "http.cookie", "S": "http.stat_code",
    "Y": "http.stat_msg", "V": "http.user_agent", "W": "http.host", "Z": "http.host.raw",
}  # fmt: skip
"""Letters after a pcre -> the buffer it looks at."""

ALSO: Final[dict[str, str]] = {"http_raw_cookie": "http.cookie"}
"""Snort's words for buffers that are another one of ours: the cookie is kept as it was sent, as in Suricata."""
HEADER_FIELDS: Final[dict[str, str]] = {
    "user-agent": "http.user_agent", "host": "http.host.raw", "referer": "http.referer", "accept": "http.accept",
    "accept-language": "http.accept_lang", "accept-encoding": "http.accept_enc", "connection": "http.connection",
    "content-type": "http.content_type", "content-length": "http.content_len", "server": "http.server", "location": "http.location",
}  # fmt: skip
"""Snort 3's `http_header: field NAME` -> the buffer that is the same."""
_FIELD_OF: Final = {buffer: name for name, buffer in HEADER_FIELDS.items()}

Spelling = Literal["suricata", "snort2", "snort3"]


def spelled(buffer: Buffer, dialect: Spelling) -> str:
    """How a dialect says this buffer; "" where it cannot."""
    if dialect == "suricata":
        if buffer is PAYLOAD:
            return "pkt_data"
        snort_only = buffer.name in _SNORT_ONLY
        return "" if snort_only else buffer.name
    if dialect == "snort3" and buffer.name in _FIELD_OF:
        return f"http_header:field {_FIELD_OF[buffer.name]}"
    return buffer.snort2 if dialect == "snort2" else buffer.snort3


_SNORT_ONLY: Final = frozenset(
    b.name
    for b in _TABLE
    if (b.snort2 or b.snort3)
    and b.name in (
        "raw_data", "http.param", "http.trailer", "http.trailer.raw", "http.raw_body", "http.true_ip",
        "js_data", "vba_data", "sip_header", "sip_body", "modbus_data", "gtp_info", "s7commplus_content", "mms_data",
    )
)  # fmt: skip
"""Buffers that Suricata does not have."""
