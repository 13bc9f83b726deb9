"""In: nothing. Out: what Suricata's default configuration says of classes, references and variables, so that rules can be read
without any file of the user's. Never here: reading files (settings.py reads their text).

Sources: classification.config, reference.config and suricata.yaml as Suricata 8 and Snort 2.9 install them."""

from __future__ import annotations

from typing import Final

CLASSES: Final[dict[str, tuple[str, int]]] = {
    "not-suspicious": ("Not Suspicious Traffic", 3),
    "unknown": ("Unknown Traffic", 3),
    "bad-unknown": ("Potentially Bad Traffic", 2),
    "attempted-recon": ("Attempted Information Leak", 2),
    "successful-recon-limited": ("Information Leak", 2),
    "successful-recon-largescale": ("Large Scale Information Leak", 2),
    "attempted-dos": ("Attempted Denial of Service", 2),
    "successful-dos": ("Denial of Service", 2),
    "attempted-user": ("Attempted User Privilege Gain", 1),
    "unsuccessful-user": ("Unsuccessful User Privilege Gain", 1),
    "successful-user": ("Successful User Privilege Gain", 1),
    "attempted-admin": ("Attempted Administrator Privilege Gain", 1),
    "successful-admin": ("Successful Administrator Privilege Gain", 1),
    "rpc-portmap-decode": ("Decode of an RPC Query", 2),
    "shellcode-detect": ("Executable code was detected", 1),
    "string-detect": ("A suspicious string was detected", 3),
    "suspicious-filename-detect": ("A suspicious filename was detected", 2),
    "suspicious-login": ("An attempted login using a suspicious username was detected", 2),
    "system-call-detect": ("A system call was detected", 2),
    "tcp-connection": ("A TCP connection was detected", 4),
    "trojan-activity": ("A Network Trojan was detected", 1),
    "unusual-client-port-connection": ("A client was using an unusual port", 2),
    "network-scan": ("Detection of a Network Scan", 3),
    "denial-of-service": ("Detection of a Denial of Service Attack", 2),
    "non-standard-protocol": ("Detection of a non-standard protocol or event", 2),
    "protocol-command-decode": ("Generic Protocol Command Decode", 3),
    "web-application-activity": ("access to a potentially vulnerable web application", 2),
    "web-application-attack": ("Web Application Attack", 1),
    "misc-activity": ("Misc activity", 3),
    "misc-attack": ("Misc Attack", 2),
    "icmp-event": ("Generic ICMP event", 3),
    "inappropriate-content": ("Inappropriate Content was Detected", 1),
    "policy-violation": ("Potential Corporate Privacy Violation", 1),
    "default-login-attempt": ("Attempt to login by a default username and password", 2),
    "targeted-activity": ("Targeted Malicious Activity was Detected", 1),
    "exploit-kit": ("Exploit Kit Activity Detected", 1),
    "external-ip-check": ("Device Retrieving External IP Address Detected", 2),
    "domain-c2": ("Domain Observed Used for C2 Detected", 1),
    "pup-activity": ("Possibly Unwanted Program Detected", 2),
    "credential-theft": ("Successful Credential Theft Detected", 1),
    "social-engineering": ("Possible Social Engineering Attempted", 2),
    "coin-mining": ("Crypto Currency Mining Activity Detected", 2),
    "command-and-control": ("Malware Command and Control Activity Detected", 1),
    "sdf": ("Sensitive Data was Transmitted Across the Network", 2),
    "file-format": ("Known malicious file or file based exploit", 1),
    "malware-cnc": ("Known malware command and control traffic", 1),
    "client-side-exploit": ("Known client side exploit attempt", 1),
}
"""Class -> (what an alert calls it, priority)."""
DEFAULT_PRIORITY: Final = 3
"""Of a rule whose class is not known and that names no priority."""

REFERENCES: Final[dict[str, str]] = {
    "bugtraq": "http://www.securityfocus.com/bid/",
    "bid": "http://www.securityfocus.com/bid/",
    "cve": "https://cve.mitre.org/cgi-bin/cvename.cgi?name=",
    "secunia": "http://www.secunia.com/advisories/",
    "arachnids": "http://www.whitehats.com/info/IDS",
    "mcafee": "http://vil.nai.com/vil/content/v_",
    "nessus": "http://cgi.nessus.org/plugins/dump.php3?id=",
    "url": "http://",
    "et": "http://doc.emergingthreats.net/",
    "etpro": "http://doc.emergingthreatspro.com/",
    "telus": "http://",
    "osvdb": "http://osvdb.org/show/osvdb/",
    "threatexpert": "http://www.threatexpert.com/report.aspx?md5=",
    "md5": "http://www.threatexpert.com/report.aspx?md5=",
    "exploitdb": "http://www.exploit-db.com/exploits/",
    "openpacket": "https://www.openpacket.org/capture/grab/",
    "securitytracker": "http://securitytracker.com/id?",
    "xforce": "http://xforce.iss.net/xforce/xfdb/",
    "msft": "http://technet.microsoft.com/security/bulletin/",
    "msb": "http://technet.microsoft.com/en-us/security/bulletin/",
}
"""Kind of a reference -> what goes before it to make an address."""

ADDRESS_VARIABLES: Final[dict[str, str]] = {
    "HOME_NET": "[192.168.0.0/16,10.0.0.0/8,172.16.0.0/12]",
    "EXTERNAL_NET": "!$HOME_NET",
    "AIM_SERVERS": "$EXTERNAL_NET",
    **dict.fromkeys(
        (
            "HTTP_SERVERS", "SMTP_SERVERS", "SQL_SERVERS", "DNS_SERVERS", "TELNET_SERVERS", "SSH_SERVERS", "FTP_SERVERS", "SIP_SERVERS",
            "DC_SERVERS", "DNP3_SERVER", "DNP3_CLIENT", "MODBUS_CLIENT", "MODBUS_SERVER", "ENIP_CLIENT", "ENIP_SERVER",
        ),
        "$HOME_NET",
    ),
}  # fmt: skip
PORT_VARIABLES: Final[dict[str, str]] = {
    "HTTP_PORTS": "80",
    "SHELLCODE_PORTS": "!80",
    "ORACLE_PORTS": "1521",
    "SSH_PORTS": "22",
    "DNP3_PORTS": "20000",
    "MODBUS_PORTS": "502",
    "FILE_DATA_PORTS": "[$HTTP_PORTS,110,143]",
    "FTP_PORTS": "21",
    "GENEVE_PORTS": "6081",
    "VXLAN_PORTS": "4789",
    "TEREDO_PORTS": "3544",
    "SIP_PORTS": "[5060,5061]",
}
"""Variables as suricata.yaml sets them; SSH_SERVERS, FTP_SERVERS and SIP_SERVERS are Snort's."""
