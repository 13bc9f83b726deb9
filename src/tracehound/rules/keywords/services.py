"""In: the values of the options that look at what an application protocol says in numbers or words. Out: their tests in the
assembly. Never here: its texts, which are buffers (buffers.py).

A keyword is read whether or not the engine decodes the protocol: `test:KEYWORD` among the rule's needs decides.
Sources: Suricata 8 user guide, rules/*-keywords; Snort 2.9 manual 2.2; Snort 3 reference."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from tracehound.rules.keywords.assembly import Assembly, ContentDraft
from tracehound.rules.keywords.keyword import Keyword, KeywordError
from tracehound.rules.keywords.numbers import numbers
from tracehound.rules.keywords.packet import HIGHEST, U8, U16, U32
from tracehound.rules.keywords.payload import no_value, pattern_bytes, quoted, required, unquoted
from tracehound.rules.rule import LARGEST, Bsize, Numbers, NumberTest, Pcre, WordTest

DNS_TYPES: Final[dict[str, int]] = {
    "a": 1, "ns": 2, "md": 3, "mf": 4, "cname": 5, "soa": 6, "mb": 7, "mg": 8, "mr": 9, "null": 10, "wks": 11, "ptr": 12,
    "hinfo": 13, "minfo": 14, "mx": 15, "txt": 16, "rp": 17, "afsdb": 18, "x25": 19, "isdn": 20, "rt": 21, "nsap": 22,
    "nsapptr": 23, "sig": 24, "key": 25, "px": 26, "gpos": 27, "aaaa": 28, "loc": 29, "nxt": 30, "srv": 33, "atma": 34,
    "naptr": 35, "kx": 36, "cert": 37, "a6": 38, "dname": 39, "opt": 41, "apl": 42, "ds": 43, "sshfp": 44, "ipseckey": 45,
    "rrsig": 46, "nsec": 47, "dnskey": 48, "dhcid": 49, "nsec3": 50, "nsec3param": 51, "tlsa": 52, "smimea": 53, "hip": 55,
    "cds": 59, "cdnskey": 60, "openpgpkey": 61, "csync": 62, "zonemd": 63, "svcb": 64, "https": 65, "spf": 99, "unspec": 103,
    "nid": 104, "l32": 105, "l64": 106, "lp": 107, "eui48": 108, "eui64": 109, "tkey": 249, "tsig": 250, "ixfr": 251,
    "axfr": 252, "mailb": 253, "maila": 254, "any": 255, "uri": 256, "caa": 257,
}  # fmt: skip
DNS_RCODES: Final[dict[str, int]] = {
    "noerror": 0, "formerr": 1, "servfail": 2, "nxdomain": 3, "notimp": 4, "refused": 5, "yxdomain": 6, "yxrrset": 7,
    "nxrrset": 8, "notauth": 9, "notzone": 10, "badvers": 16, "badsig": 16, "badkey": 17, "badtime": 18, "badmode": 19,
    "badname": 20, "badalg": 21, "badtrunc": 22,
}  # fmt: skip
MQTT_TYPES: Final[dict[str, int]] = {
    "unassigned": 0, "connect": 1, "connack": 2, "publish": 3, "puback": 4, "pubrec": 5, "pubrel": 6, "pubcomp": 7, "subscribe": 8,
    "suback": 9, "unsubscribe": 10, "unsuback": 11, "pingreq": 12, "pingresp": 13, "disconnect": 14, "auth": 15,
}  # fmt: skip
NTP_MODES: Final[dict[str, int]] = {
    "reserved": 0, "symmetric_active": 1, "symmetric_passive": 2, "client": 3, "server": 4, "broadcast": 5, "control": 6, "private": 7,
}  # fmt: skip
SNMP_TYPES: Final[dict[str, int]] = {
    "get_request": 0, "get_next_request": 1, "response": 2, "set_request": 3, "trap_v1": 4, "get_bulk_request": 5,
    "inform_request": 6, "trap_v2": 7, "report": 8,
}  # fmt: skip
WEBSOCKET_OPCODES: Final[dict[str, int]] = {"continuation": 0, "text": 1, "binary": 2, "ping": 9, "pong": 10}
RFB_TYPES: Final[dict[str, int]] = {"ok": 0, "fail": 1, "toomany": 2, "unknown": 3}
LDAP_OPERATIONS: Final[dict[str, int]] = {
    "bind_request": 0, "bind_response": 1, "unbind_request": 2, "search_request": 3, "search_result_entry": 4,
    "search_result_done": 5, "modify_request": 6, "modify_response": 7, "add_request": 8, "add_response": 9, "del_request": 10,
    "del_response": 11, "mod_dn_request": 12, "mod_dn_response": 13, "compare_request": 14, "compare_response": 15,
    "abandon_request": 16, "search_result_reference": 19, "extended_request": 23, "extended_response": 24,
    "intermediate_response": 25,
}  # fmt: skip


def _number(keyword: str, protocols: str, high: int, names: Mapping[str, int] | None = None) -> Callable[[Assembly, str | None], None]:
    """A number, with what multi-integers say after a comma (`all`, an index, `nb>3`) as detail, or `count` of them."""
    HIGHEST[keyword] = high

    def read(a: Assembly, value: str | None) -> None:
        if protocols:
            a.speaks(tuple(protocols.split()))
        text, _, detail = unquoted(value).partition(",")
        text = text.strip()
        if text.startswith("count") and not text[5:6].isalnum():
            test = NumberTest(keyword, numbers(text[5:], 0, U32), "count")
        else:
            test = NumberTest(keyword, numbers(text, 0, high, names), " ".join(detail.split()))
        a.tests.append(test)
        a.need("test:" + keyword + (":" + (test.detail.split()[0] if test.detail else "") if test.detail else ""))

    return read


def _word(keyword: str, protocols: str, known: str = "", *, separator: str = ",") -> Callable[[Assembly, str | None], None]:
    """Words with a separator between them, each negated by `!` as the whole is when the first is."""
    names = frozenset(known.split())

    def read(a: Assembly, value: str | None) -> None:
        if protocols:
            a.speaks(tuple(protocols.split()))
        text = unquoted(value).strip()
        negated = text.startswith("!")
        # Snort separates the states of ssl_state by commas, Suricata by bars.
        words = tuple(w.strip() for w in text.lstrip("! ").replace(",", separator).split(separator))
        for word in words:
            if not word or (names and word.lower().lstrip("!") not in names):
                raise KeywordError(f"{word[:40]!r} is not one of {', '.join(sorted(names))}")
        a.tests.append(WordTest(keyword, words, negated))
        a.need("test:" + keyword)

    return read


def _present(keyword: str, protocols: str) -> Callable[[Assembly, str | None], None]:
    def read(a: Assembly, value: str | None) -> None:
        no_value(value)
        a.speaks(tuple(protocols.split()))
        a.tests.append(WordTest(keyword))
        a.need("test:" + keyword)

    return read


def _text(buffer: str) -> Callable[[Assembly, str | None], None]:
    """A text in quotes, the older form of a buffer with a content: found anywhere in it. No modifier belongs to it."""

    def read(a: Assembly, value: str | None) -> None:
        text = required(value)
        negated = text.startswith("!")
        if '"' in text:
            negated, text = quoted(text)
        else:
            text = text.lstrip("! ")
        pattern = pattern_bytes(text)
        if not pattern:
            raise KeywordError("needs a text")
        group = a.elsewhere(buffer)
        group.steps.append(ContentDraft(pattern, negated, a.option, group))
        a.need("buffer:" + buffer)
        a.need("content")

    return read


# -- HTTP ---------------------------------------------------------------------------------------------------------------------


def _urilen(a: Assembly, value: str | None) -> None:
    text, comma, form = required(value).rpartition(",")
    if not comma:
        text, form = form, "norm"
    form = form.strip()
    if form not in ("norm", "raw"):
        raise KeywordError(f"{form[:20]!r} is neither norm nor raw")
    a.speaks(("http",))
    a.tests.append(NumberTest("urilen", numbers(text, 0, U16), form))
    a.need("test:urilen")


# -- TLS -----------------------------------------------------------------------------------------------------------------------

_SSL_VERSIONS: Final = "sslv2 sslv3 tls1.0 tls1.1 tls1.2 tls1.3"
_SSL_STATES: Final = "client_hello server_hello client_keyx server_keyx unknown"
_TLS_VERSIONS: Final = "1.0 1.1 1.2 1.3"


def _ssl_version(a: Assembly, value: str | None) -> None:
    text = unquoted(value).replace(" ", "")
    words = tuple(w for w in re.split(r"[,|]", text))
    negated = {w.startswith("!") for w in words}
    names = tuple(w.lstrip("!").lower() for w in words)
    for name in names:
        if name not in _SSL_VERSIONS.split():
            raise KeywordError(f"{name[:20]!r} is not one of {_SSL_VERSIONS}")
    # Suricata (detect-ssl-version.c): each version has its own `!`; the last one that fits the record decides.
    a.speaks(("tls",))
    if len(negated) == 1:
        a.tests.append(WordTest("ssl_version", names, negated.pop()))
    else:
        a.tests.append(WordTest("ssl_version", tuple(w.lower() for w in words), False, "each"))
    a.need("test:ssl_version")


def _tls_version(a: Assembly, value: str | None) -> None:
    text = unquoted(value).strip()
    if text not in _TLS_VERSIONS.split() and not re.fullmatch(r"0x[0-9a-fA-F]{1,4}", text):
        raise KeywordError(f"{text[:20]!r} is neither one of {_TLS_VERSIONS} nor a number 0x0303")
    a.speaks(("tls",))
    a.tests.append(WordTest("tls.version", (text.lower(),)))
    a.need("test:tls.version")


_DATE: Final = re.compile(r"\d{4}(?:-\d{2}(?:-\d{2}(?:[T ]\d{2}(?::\d{2}(?::\d{2})?)?)?)?)?")
_DATES: Final = re.compile(r"\s*([<>])?\s*([\dT: -]+?)\s*(?:<>\s*([\dT: -]+?)\s*)?")


def _tls_date(keyword: str) -> Callable[[Assembly, str | None], None]:
    """`<2015`, `>2015-05-01`, `a<>b`: kept as ("<", date) and the like; the engine compares."""

    def read(a: Assembly, value: str | None) -> None:
        m = _DATES.fullmatch(unquoted(value))
        dates = [d for d in (m[2], m[3]) if d is not None] if m else []
        if m is None or any(not _DATE.fullmatch(d) for d in dates) or (m[1] and m[3]):
            raise KeywordError("needs a date like 2015-05-01, with < or > before it or <> between two")
        a.speaks(("tls",))
        a.tests.append(WordTest(keyword, (m[1] or ("<>" if m[3] else "="), *dates)))
        a.need("test:" + keyword)

    return read


# -- SSH (older forms) ----------------------------------------------------------------------------------------------------------


def _ssh_protoversion(a: Assembly, value: str | None) -> None:
    text = unquoted(value).strip()
    if not re.fullmatch(r"2_compat|[1-9](?:\.\d+)?", text):
        raise KeywordError(f"{text[:20]!r} is neither 2_compat nor a version")
    group = a.elsewhere("ssh.proto")
    a.need("buffer:ssh.proto")
    if text == "2_compat":
        # RFC 4253 5.1: 1.99 is a server that speaks 2.0 and older ones.
        group.steps.append(Pcre(rb"^(?:2|1\.99)"))
        a.need("pcre")
        return
    draft = ContentDraft(text.encode(), False, a.option, group)
    draft.startswith = True
    group.steps += [draft, Bsize(Numbers(((len(text), len(text)),)))]
    a.need("content")
    a.need("bsize")


# -- DCE/RPC, SMB ----------------------------------------------------------------------------------------------------------------

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_VERSION: Final = re.compile(r"(!=|<=|>=|[<>=!])\s*(\d+(?:\.\d+)?)|version\s*([<>=!])?\s*(\d+)")


def _dce_iface(a: Assembly, value: str | None) -> None:
    words = [w.strip() for w in unquoted(value).split(",")]
    if not _UUID.fullmatch(words[0]):
        raise KeywordError(f"{words[0][:40]!r} is no UUID")
    if any(w != "any_frag" and not _VERSION.fullmatch(w) for w in words[1:]):
        raise KeywordError("takes a comparison of the version, and any_frag")
    a.speaks(("dcerpc", "smb"))
    a.tests.append(WordTest("dcerpc.iface", (words[0].lower(), *words[1:])))
    a.need("test:dcerpc.iface")


def _dce_opnum(a: Assembly, value: str | None) -> None:
    spans = []
    for word in unquoted(value).split(","):
        m = re.fullmatch(r"\s*(\d{1,5})\s*(?:-\s*(\d{1,5}))?\s*", word)
        if m is not None and int(m[2] or m[1]) <= U16 and int(m[1]) <= int(m[2] or m[1]):
            # Here a range includes its ends (detect-dce-opnum): 15-18 is 15, 16, 17, 18.
            spans.append((int(m[1]), int(m[2] or m[1])))
        else:
            spans += numbers(word, 0, U16).spans
    a.speaks(("dcerpc", "smb"))
    a.tests.append(NumberTest("dcerpc.opnum", Numbers(tuple(sorted(spans)))))
    a.need("test:dcerpc.opnum")


# -- control networks -------------------------------------------------------------------------------------------------------------


def _raw(keyword: str, protocols: str) -> Callable[[Assembly, str | None], None]:
    """Words with a grammar of their own, kept as written: read by whoever decodes the protocol."""

    def read(a: Assembly, value: str | None) -> None:
        if protocols:
            a.speaks(tuple(protocols.split()))
        a.tests.append(WordTest(keyword, tuple(w.strip() for w in value.split(",")) if value else ()))
        a.need("test:" + keyword)

    return read


_IPREP_SIDES: Final = ("any", "src", "dst", "both")


def _iprep(a: Assembly, value: str | None) -> None:
    words = [w.strip() for w in required(value).split(",")]
    if len(words) < 2 or words[0] not in _IPREP_SIDES:
        raise KeywordError("needs any, src, dst or both, a category, a comparison, a number")
    if words[2:] in (["isset"], ["isnotset"]):
        a.tests.append(WordTest("iprep", (words[0], words[1], words[2])))
        a.need("test:iprep")
        return
    if len(words) < 4 or words[2] not in ("<", ">", "=", "<=", ">=", "!="):
        raise KeywordError("needs any, src, dst or both, a category, a comparison, a number")
    a.tests.append(NumberTest("iprep", numbers(words[2] + words[3], 0, 127), f"{words[0]},{words[1]}"))
    a.need("test:iprep")


def _never(a: Assembly, value: str | None) -> None:
    """The catalogue's `never` refuses the rule before this is called."""


def _n(
    name: str, protocols: str, high: int, meaning: str, names: Mapping[str, int] | None = None, aliases: str = "", dialects: str = "s"
) -> Keyword:
    return Keyword(name, "protocol", meaning, _number(name, protocols, high, names), (), tuple(aliases.split()), dialects)


def _w(name: str, protocols: str, meaning: str, known: str = "", aliases: str = "", dialects: str = "s") -> Keyword:
    return Keyword(name, "protocol", meaning, _word(name, protocols, known), (), tuple(aliases.split()), dialects)


def _p(name: str, protocols: str, meaning: str, aliases: str = "") -> Keyword:
    return Keyword(name, "protocol", meaning, _present(name, protocols), (), tuple(aliases.split()))


def _r(name: str, protocols: str, meaning: str, aliases: str = "", dialects: str = "s") -> Keyword:
    return Keyword(name, "protocol", meaning, _raw(name, protocols), (), tuple(aliases.split()), dialects)


KEYWORDS: Final = (
    Keyword("urilen", "protocol", "length of the request URI", _urilen, dialects="s23"),
    # -- HTTP/2
    _w("http2.frametype", "http2", "type of a frame",
       "data headers priority rststream settings pushpromise ping goaway windowupdate continuation 0 1 2 3 4 5 6 7 8 9"),
    _w("http2.errorcode", "http2", "error code of a frame"),
    _n("http2.priority", "http2", U8, "weight of a priority"),
    _n("http2.window", "http2", U32, "size of a window update"),
    _n("http2.size_update", "http2", LARGEST, "dynamic table size update"),
    _r("http2.settings", "http2", "a setting compared"),
    # -- DNS
    _n("dns.opcode", "dns", 15, "operation code"),
    _n("dns.rcode", "dns", U16, "response code", DNS_RCODES),
    _n("dns.rrtype", "dns", U16, "type of a record of question or answer", DNS_TYPES),
    # -- TLS
    Keyword("ssl_version", "protocol", "version of the record", _ssl_version, dialects="s23"),
    Keyword("ssl_state", "protocol", "how far the handshake came", _word("ssl_state", "tls", _SSL_STATES, separator="|"), dialects="s23"),
    Keyword("tls.version", "protocol", "version that was agreed on", _tls_version),
    Keyword("tls_cert_notbefore", "protocol", "certificate valid from", _tls_date("tls_cert_notbefore")),
    Keyword("tls_cert_notafter", "protocol", "certificate valid until", _tls_date("tls_cert_notafter")),
    _p("tls_cert_expired", "tls", "the certificate had expired"),
    _p("tls_cert_valid", "tls", "the certificate was in its time"),
    _n("tls.cert_chain_len", "tls", U32, "certificates in the chain"),
    Keyword("tls.subject", "protocol", "a part of the certificate's subject", _text("tls.cert_subject")),
    Keyword("tls.issuerdn", "protocol", "a part of the certificate's issuer", _text("tls.cert_issuer")),
    Keyword("tls.fingerprint", "protocol", "SHA-1 of the certificate", _text("tls.cert_fingerprint")),
    # -- SSH, FTP, mail
    Keyword("ssh.protoversion", "protocol", "version of the protocol", _ssh_protoversion),
    Keyword("ssh.softwareversion", "protocol", "a part of the software", _text("ssh.software")),
    Keyword("ftpbounce", "protocol", "a PORT that names another host", _present("ftpbounce", "ftp"), dialects="s2"),
    _w("ftpdata_command", "ftp-data", "direction of the data", "retr stor"),
    _w("ftp.mode", "ftp", "mode of the data connection", "active passive"),
    _n("ftp.dynamic_port", "ftp", U16, "port announced for data"),
    _w("ftp.reply_received", "ftp", "whether a reply came", "yes on true 1 no off false 0"),
    # -- SMB, DCE/RPC
    _w("smb.version", "smb", "version of the dialect", "1 2"),
    Keyword("dcerpc.iface", "protocol", "interface that was bound", _dce_iface, (), ("dce_iface",), "s23"),
    Keyword("dcerpc.opnum", "protocol", "number of the operation", _dce_opnum, (), ("dce_opnum",), "s23"),
    # -- Kerberos, SNMP, RFB, IKE, MQTT, SIP, ...
    _n("krb5_msg_type", "krb5", U8, "type of the message"),
    _n("krb5_err_code", "krb5", U32, "error code"),
    _p("krb5.weak_encryption", "krb5", "weak encryption was agreed on"),
    _r("krb5.ticket_encryption", "krb5", "encryption of the ticket"),
    _n("snmp.version", "snmp", 3, "version", {"v1": 1, "v2c": 2, "v2": 2, "v3": 3}),
    _n("snmp.pdu_type", "snmp", 8, "type of the PDU", SNMP_TYPES),
    _n("snmp.trap_type", "snmp", 6, "type of the trap"),
    _n("rfb.secresult", "rfb", U32, "result of the authentication", RFB_TYPES),
    _n("rfb.sectype", "rfb", U32, "type of the authentication"),
    _n("ike.exchtype", "ike", U8, "type of the exchange"),
    _n("ike.key_exchange_payload_length", "ike", U32, "length of the key exchange"),
    _n("ike.nonce_payload_length", "ike", U32, "length of the nonce"),
    _r("ike.chosen_sa_attribute", "ike", "an attribute of the association"),
    _n("mqtt.protocol_version", "mqtt", U8, "version of the protocol"),
    _n("mqtt.type", "mqtt", 15, "type of the message", MQTT_TYPES),
    _r("mqtt.flags", "mqtt", "flags of the message"),
    _n("mqtt.qos", "mqtt", 2, "quality of service"),
    _n("mqtt.reason_code", "mqtt", U8, "reason", None, "mqtt.connack.return_code"),
    _w("mqtt.connack.session_present", "mqtt", "a session was there", "yes true no false"),
    _r("mqtt.connect.flags", "mqtt", "flags of the connection"),
    _n("websocket.mask", "websocket", U32, "mask of the frame"),
    _n("websocket.opcode", "websocket", 15, "operation of the frame", WEBSOCKET_OPCODES),
    _r("websocket.flags", "websocket", "flags of the frame"),
    _n("ldap.request.operation", "ldap", U8, "operation asked for", LDAP_OPERATIONS),
    _n("ldap.responses.operation", "ldap", U8, "operation answered", LDAP_OPERATIONS),
    _n("ldap.responses.count", "ldap", U32, "number of responses"),
    _r("ldap.responses.result_code", "ldap", "result"),
    _n("dhcp.leasetime", "dhcp", LARGEST, "lease time"),
    _n("dhcp.rebinding_time", "dhcp", LARGEST, "rebinding time"),
    _n("dhcp.renewal_time", "dhcp", LARGEST, "renewal time"),
    _n("ntp.mode", "ntp", 7, "mode", NTP_MODES),
    _n("ntp.stratum", "ntp", U8, "stratum"),
    _n("ntp.version", "ntp", 7, "version"),
    _n("ntp.leap_indicator", "ntp", 3, "leap indicator"),
    _n("sdp.time_count", "sip", U32, "number of times"),
    _r("sip_method", "sip", "request method", dialects="23"),
    _r("sip_stat_code", "sip", "status code", dialects="23"),
    _r("nfs_procedure", "nfs", "procedure"),
    _r("nfs.version", "nfs", "version", aliases="nfs_version"),
    _r("rdp.version", "rdp", "version"),
    # -- control networks
    _r("modbus", "modbus", "function, access, unit"),
    _r("modbus_func", "modbus", "function", dialects="23"),
    _r("modbus_unit", "modbus", "unit", dialects="23"),
    _r("dnp3_func", "dnp3", "function", dialects="s23"),
    _r("dnp3_ind", "dnp3", "indications", dialects="s23"),
    _r("dnp3_obj", "dnp3", "object", dialects="s23"),
    _r("cip_service", "enip", "CIP service"),
    *(
        _r(f"enip.{name}", "enip", "a field of EtherNet/IP")
        for name in (
            "capabilities", "cip_attribute", "cip_class", "cip_extendedstatus", "cip_instance", "cip_status", "command", "device_type",
            "identity_status", "product_code", "protocol_version", "revision", "serial", "state", "status", "vendor_id",
        )
    ),
    _r("enip_command", "enip", "command"),
    _r("gtp_type", "gtp", "type", dialects="23"),
    _r("gtp_version", "gtp", "version", dialects="23"),
    _r("appids", "", "application by Snort's names", dialects="3"),
    # -- address reputation
    Keyword("iprep", "header", "reputation of an address", _iprep),
)  # fmt: skip
"""Keywords of this file."""
