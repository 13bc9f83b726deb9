"""In: nothing. Out: what the columns of flow logs in delimited text are called, as data: nfdump -o csv, SiLK's rwcut, cloud flow
logs, NetFlow collectors, and whatever people name such columns. Never here: reading (delimited.py).

A title is compared without case, spaces and signs: "Source IP", "source_ip" and "sourceIp" are one."""

from __future__ import annotations

from typing import Final

TITLES: Final[dict[str, tuple[str, ...]]] = {
    "start": (
        "start", "ts", "time", "timestamp", "starttime", "stime", "startdate", "first", "firstseen", "datefirstseen", "tsfirst",
        "flowstart", "begin", "begintime", "datetime", "date", "firstswitched", "flowstarttime", "flowstartmilliseconds",
        "flowstartseconds", "eventtime", "timestart", "tfirst", "starttimestamp", "timeutc", "utctime",
    ),
    "end": (
        "end", "te", "endtime", "etime", "ltime", "last", "lastseen", "datelastseen", "flowend", "lastswitched", "lasttime",
        "flowendtime", "flowendmilliseconds", "flowendseconds", "timeend", "tlast", "endtimestamp", "stoptime",
    ),
    "duration": ("duration", "dur", "td", "durations", "durationsec", "seconds", "elapsed"),
    "duration_ms": ("durationms", "flowdurationmilliseconds", "durationmsec", "durationmillis"),
    "duration_us": ("flowduration", "durationus", "durationusec"),
    "proto": ("proto", "protocol", "pr", "prot", "ipproto", "ipprotocol", "protocolidentifier", "transport", "l4proto", "pro"),
    "src": (
        "src", "sa", "sip", "saddr", "srcaddr", "srcip", "sourceip", "ipsrc", "source", "sourceaddress", "srcaddress", "srcipaddr",
        "sourceipaddress", "srcipaddress", "idorigh", "origh", "originator", "ipv4srcaddr", "sourceipv4address", "clientip",
        "src4addr", "srchost", "origip", "internalip", "localip", "sipaddress", "sourceipv6address", "srcipv4",
    ),
    "dst": (
        "dst", "da", "dip", "daddr", "dstaddr", "dstip", "destip", "destinationip", "ipdst", "destination", "dest", "destinationaddress",
        "dstaddress", "dstipaddr", "destaddr", "destinationipaddress", "dstipaddress", "idresph", "resph", "responder", "ipv4dstaddr",
        "destinationipv4address", "serverip", "dst4addr", "dsthost", "respip", "externalip", "remoteip", "destinationipv6address",
        "dstipv4", "destipaddress",
    ),
    "sport": (
        "sport", "sp", "srcport", "sourceport", "spt", "srcpt", "idorigp", "origp", "l4srcport", "sourcetransportport", "srcportnumber",
        "clientport", "tcpsrcport", "localport",
    ),
    "dport": (
        "dport", "dp", "dstport", "destport", "destinationport", "dpt", "dstpt", "idrespp", "respp", "l4dstport",
        "destinationtransportport", "serverport", "tcpdstport", "remoteport",
    ),
    "pkts_src": (
        "pktssrc", "spkts", "ipkt", "srcpkts", "pkts", "packets", "inpkts", "inpackets", "totpkts", "pktssent", "origpkts",
        "totalfwdpackets",
        "totfwdpkts", "packetdeltacount", "packetstoserver", "pktstoserver", "npkts", "numpackets", "dpkts", "packetssent", "srcpackets",
        "totalfwdpacket", "packetssrctodst", "pktsout",
    ),
    "pkts_dst": (
        "pktsdst", "dstpkts", "opkt", "outpkts", "outpackets", "resppkts", "pktsreceived", "totalbackwardpackets", "totbwdpkts",
        "packetstoclient", "pktstoclient", "dpackets", "packetsreceived", "dstpackets", "totalbwdpackets", "packetsdsttosrc", "pktsin",
    ),
    "bytes_src": (
        "bytessrc", "sbytes", "ibyt", "srcbytes", "bytes", "octets", "inbytes", "totbytes", "bytessent", "origipbytes",
        "totallengthoffwdpackets",
        "totlenfwdpkts", "octetdeltacount", "bytestoserver", "numbytes", "doctets", "totallengthoffwdpacket", "bytessrctodst", "bytesout",
        "sentbytes",
    ),
    "bytes_dst": (
        "bytesdst", "dbytes", "obyt", "dstbytes", "outbytes", "respipbytes", "bytesreceived", "totallengthofbwdpackets", "totlenbwdpkts",
        "bytestoclient", "totallengthofbwdpacket", "bytesdsttosrc", "bytesin", "receivedbytes",
    ),
    "payload_src": ("payloadsrc", "origbytes", "sappbytes", "srcpayload"),
    "payload_dst": ("payloaddst", "respbytes", "dappbytes", "dstpayload"),
    "flags": ("flags", "flg", "tcpflags", "tcpcontrolbits", "flagsrc", "tcpflag", "unionflags"),
    "flags_dst": ("flagsdst", "tcpflagsdst", "tcpflagstc", "rflags"),
    "initial_flags": ("initialflags", "initialf"),
    "session_flags": ("sessionflags", "sessionfl"),
    "icmp_type": ("icmptype", "itype", "ityp"),
    "icmp_code": ("icmpcode", "icode", "icod"),
    "state": ("state", "connstate", "status", "action", "flowstate"),
    "service": ("service", "appproto", "l7proto", "l7protocol"),
    "label": ("label", "class", "attackcat", "attacktype"),
    "sensor": ("sensor", "sen", "exporter", "router", "collector", "exporterip", "device", "interfaceid"),
    "uid": ("uid", "flowid", "connectionid"),
    "vlan": ("vlan", "svln", "srcvlan", "vlanid"),
    "ttl": ("ttl", "sttl", "ttlsrc", "srcttl"),
}  # fmt: skip
"""Our word for a column -> titles, signs and case taken out."""

COLUMN_OF: Final[dict[str, str]] = {title: column for column, titles in TITLES.items() for title in titles}


def plain(title: str) -> str:
    """A title as TITLES spells it. A remark in brackets (a unit) does not count."""
    return "".join(c for c in title.split("(", maxsplit=1)[0].split("[", maxsplit=1)[0].lower() if c.isalnum())


def guess(titles: list[str]) -> dict[str, int]:
    """Our columns -> place of their title; of several titles for one column the first."""
    found: dict[str, int] = {}
    for place, title in enumerate(titles):
        column = COLUMN_OF.get(plain(title))
        if column is not None:
            found.setdefault(column, place)
    return found


def looks_like_flows(found: dict[str, int]) -> bool:
    """Whether these columns are enough to say who talked to whom, and when."""
    return {"src", "dst", "start"} <= set(found) and bool({"dport", "proto", "bytes_src", "pkts_src"} & set(found))
