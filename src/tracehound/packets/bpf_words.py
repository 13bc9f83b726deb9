"""In: nothing. Out: the words of capture filters: protocols with their numbers, named offsets and values, names of ports, and
words that tcpdump knows and this program refuses. Never here: grammar.

pcap-filter(7); IANA's registries of protocol numbers and of service names and port numbers."""

from __future__ import annotations

from typing import Final

ETHER_PROTOCOLS: Final[dict[str, int]] = {"ip": 0x0800, "ip6": 0x86DD, "arp": 0x0806, "rarp": 0x8035}
"""Words that stand for an EtherType."""
ETHER_NAMES: Final[dict[str, int]] = {
    **ETHER_PROTOCOLS, "loopback": 0x9000, "lat": 0x6004, "moprc": 0x6002, "mopdl": 0x6001, "decnet": 0x6003, "sca": 0x6007,
}  # fmt: skip
"""What may follow `ether proto` beside a number."""
IP_PROTOCOLS: Final[dict[str, int]] = {
    "icmp": 1, "igmp": 2, "tcp": 6, "igrp": 9, "udp": 17, "esp": 50, "ah": 51, "pim": 103, "vrrp": 112, "carp": 112, "sctp": 132,
}  # fmt: skip
"""Words that stand for an IP protocol, over IPv4 or IPv6."""
V4_ONLY: Final = frozenset({"icmp", "igmp", "igrp", "vrrp", "carp"})
ICMP6: Final = 58
PROTOCOL_NAMES: Final[dict[str, int]] = {
    **IP_PROTOCOLS, "ip": 0, "ipencap": 4, "egp": 8, "dccp": 33, "ipv6": 41, "ipv6-route": 43, "ipv6-frag": 44, "rsvp": 46,
    "gre": 47, "ipv6-icmp": 58, "icmp6": 58, "ipv6-nonxt": 59, "ipv6-opts": 60, "eigrp": 88, "ospf": 89, "ipip": 94,
    "etherip": 97, "l2tp": 115, "isis": 124, "udplite": 136, "mpls-in-ip": 137, "hopopt": 0,
}  # fmt: skip
"""What may follow `ip proto` and `proto` beside a number."""
PORT_PROTOCOLS: Final = ("tcp", "udp", "sctp")

VALUES: Final[dict[str, int]] = {
    "tcpflags": 13, "tcp-fin": 1, "tcp-syn": 2, "tcp-rst": 4, "tcp-push": 8, "tcp-ack": 16, "tcp-urg": 32, "tcp-ece": 64,
    "tcp-cwr": 128,
    "icmptype": 0, "icmpcode": 1, "icmp-echoreply": 0, "icmp-unreach": 3, "icmp-sourcequench": 4, "icmp-redirect": 5,
    "icmp-echo": 8, "icmp-routeradvert": 9, "icmp-routersolicit": 10, "icmp-timxceed": 11, "icmp-paramprob": 12,
    "icmp-tstamp": 13, "icmp-tstampreply": 14, "icmp-ireq": 15, "icmp-ireqreply": 16, "icmp-maskreq": 17, "icmp-maskreply": 18,
    "icmp6type": 0, "icmp6code": 1, "icmp6-destinationunreach": 1, "icmp6-packettoobig": 2, "icmp6-timeexceeded": 3,
    "icmp6-parameterproblem": 4, "icmp6-echo": 128, "icmp6-echoreply": 129, "icmp6-multicastlistenerquery": 130,
    "icmp6-multicastlistenerreportv1": 131, "icmp6-multicastlistenerdone": 132, "icmp6-routersolicit": 133,
    "icmp6-routeradvert": 134, "icmp6-neighborsolicit": 135, "icmp6-neighboradvert": 136, "icmp6-redirect": 137,
    "icmp6-routerrenum": 138, "icmp6-nodeinformationquery": 139, "icmp6-nodeinformationresponse": 140,
    "icmp6-ineighbordiscoverysolicit": 141, "icmp6-ineighbordiscoveryadvert": 142, "icmp6-multicastlistenerreportv2": 143,
    "icmp6-homeagentdiscoveryrequest": 144, "icmp6-homeagentdiscoveryreply": 145, "icmp6-mobileprefixsolicit": 146,
    "icmp6-mobileprefixadvert": 147, "icmp6-certpathsolicit": 148, "icmp6-certpathadvert": 149,
    "icmp6-multicastrouteradvert": 151, "icmp6-multicastroutersolicit": 152, "icmp6-multicastrouterterm": 153,
}  # fmt: skip
"""Words that stand for a number where numbers are compared."""

REFUSED: Final = frozenset({
    "gateway", "protochain", "decnet", "lat", "moprc", "mopdl", "sca", "atalk", "aarp", "ipx", "netbeui", "iso", "clnp", "esis", "isis",
    "wlan", "fddi", "tr", "type", "subtype", "dir", "inbound", "outbound", "ifname", "on", "rnr", "rulenum", "rset", "ruleset",
    "srnr", "subrulenum", "reason", "action", "ifindex", "geneve", "vxlan", "radio", "ra", "ta", "addr1", "addr2", "addr3", "addr4", "lane",
    "oam", "vpi", "vci", "ppp", "slip", "byte", "csnp", "psnp", "iih", "lsp", "snp", "l1", "l2", "llc",
})  # fmt: skip
"""Words that mean something to tcpdump and cannot be asked here."""

_BOTH: Final = ("tcp", "udp")
_TCP: Final = ("tcp",)
_UDP: Final = ("udp",)
PORTS: Final[dict[str, tuple[int, tuple[str, ...]]]] = {
    "tcpmux": (1, _TCP), "echo": (7, _BOTH), "discard": (9, _BOTH), "systat": (11, _TCP), "daytime": (13, _BOTH),
    "netstat": (15, _TCP), "qotd": (17, _TCP), "chargen": (19, _BOTH), "ftp-data": (20, _TCP), "ftp": (21, _TCP),
    "ssh": (22, _TCP), "telnet": (23, _TCP), "smtp": (25, _TCP), "time": (37, _BOTH), "whois": (43, _TCP), "tacacs": (49, _BOTH),
    "domain": (53, _BOTH), "bootps": (67, _UDP), "bootpc": (68, _UDP), "tftp": (69, _UDP), "gopher": (70, _TCP),
    "finger": (79, _TCP), "http": (80, _TCP), "www": (80, _TCP), "kerberos": (88, _BOTH), "iso-tsap": (102, _TCP),
    "pop3": (110, _TCP), "sunrpc": (111, _BOTH), "auth": (113, _TCP), "ident": (113, _TCP), "nntp": (119, _TCP), "ntp": (123, _UDP),
    "epmap": (135, _TCP), "netbios-ns": (137, _UDP), "netbios-dgm": (138, _UDP), "netbios-ssn": (139, _TCP), "imap2": (143, _TCP),
    "imap": (143, _TCP), "snmp": (161, _BOTH), "snmp-trap": (162, _BOTH), "snmptrap": (162, _BOTH), "xdmcp": (177, _UDP),
    "bgp": (179, _TCP),
    "irc": (194, _BOTH), "ldap": (389, _BOTH), "svrloc": (427, _BOTH), "https": (443, _BOTH), "microsoft-ds": (445, _BOTH),
    "kpasswd": (464, _BOTH), "submissions": (465, _TCP), "isakmp": (500, _UDP), "exec": (512, _TCP), "biff": (512, _UDP),
    "login": (513, _TCP), "who": (513, _UDP), "shell": (514, _TCP), "syslog": (514, _UDP), "printer": (515, _TCP), "talk": (517, _UDP),
    "ntalk": (518, _UDP), "route": (520, _UDP), "uucp": (540, _TCP), "klogin": (543, _TCP), "kshell": (544, _TCP),
    "dhcpv6-client": (546, _UDP), "dhcpv6-server": (547, _UDP), "afpovertcp": (548, _TCP), "rtsp": (554, _BOTH), "nntps": (563, _TCP),
    "submission": (587, _TCP), "ipp": (631, _TCP), "ldaps": (636, _BOTH), "ldp": (646, _BOTH), "domain-s": (853, _BOTH),
    "rsync": (873, _TCP),
    "ftps-data": (989, _TCP), "ftps": (990, _TCP), "telnets": (992, _TCP), "imaps": (993, _TCP), "pop3s": (995, _TCP),
    "socks": (1080, _TCP), "openvpn": (1194, _BOTH), "rmiregistry": (1099, _TCP), "ms-sql-s": (1433, _TCP), "ms-sql-m": (1434, _UDP),
    "l2f": (1701, _UDP), "radius": (1812, _BOTH), "radius-acct": (1813, _BOTH), "nfs": (2049, _BOTH), "gtp-control": (2123, _UDP),
    "gtp-user": (2152, _UDP), "icpv2": (3130, _UDP), "mysql": (3306, _TCP), "rdp": (3389, _TCP), "ms-wbt-server": (3389, _TCP),
    "svn": (3690, _TCP), "ipsec-nat-t": (4500, _UDP), "sip": (5060, _BOTH), "sip-tls": (5061, _BOTH), "xmpp-client": (5222, _TCP),
    "xmpp-server": (5269, _TCP), "mdns": (5353, _UDP), "llmnr": (5355, _BOTH), "postgresql": (5432, _TCP), "amqp": (5672, _BOTH),
    "x11": (6000, _TCP), "redis": (6379, _TCP), "syslog-tls": (6514, _TCP), "ircd": (6667, _TCP), "http-alt": (8080, _BOTH),
    "webcache": (8080, _TCP), "git": (9418, _TCP), "ircs-u": (6697, _TCP),
}  # fmt: skip
"""Names of ports with the protocols that they name; a name stands for those only, as in tcpdump."""
