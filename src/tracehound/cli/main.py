"""In: the words of the command line. Out: the verb's work done, and the exit status. START HERE for the command line.
Never here: a verb's work; its module is loaded only when it is asked for, so that --help costs nothing.

Exit status: 0 done, 1 done but something asked for did not hold, 2 wrong usage, 3 evidence could not be read, 4 done but the
input was only partly readable."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Final

from tracehound.edges.lean_imports import collect_seldom, leave_pandas_out
from tracehound.errors import TracehoundError
from tracehound.version import __version__

PROTOCOLS: Final[dict[str, str]] = {
    "http": "print HTTP transactions",
    "dns": "print DNS transactions",
    "tls": "print TLS handshakes, with names, fingerprints, certificates",
    "smtp": "print mail transactions",
    "pop3": "print POP3 commands and their answers",
    "imap": "print IMAP commands and their answers",
    "ftp": "print FTP commands and their replies",
    "irc": "print IRC commands and messages",
    "telnet": "print Telnet conversations",
    "sip": "print SIP requests and their responses",
    "ssh": "print SSH connections, with banners and fingerprints",
    "dhcp": "print DHCP messages: who was given which address",
    "dhcpv6": "print DHCPv6 messages",
    "dce_rpc": "print DCE/RPC calls, over TCP, UDP or pipes of SMB",
    "ntlm": "print NTLM exchanges: who, from which machine, to which machine",
    "smb": "print what is done over SMB: sessions, shares, files",
    "rdp": "print RDP connections: user, machine, keyboard, security",
    "quic": "print QUIC connections, with names and fingerprints",
    "tftp": "print TFTP requests",
    "snmp": "print flows of SNMP",
    "ntp": "print kinds of NTP messages",
    "netbios": "print kinds of NetBIOS messages: names of hosts and domains",
    "kerberos": "print Kerberos requests and their answers",
    "ldap": "print LDAP operations and their results",
    "sunrpc": "print procedures called over ONC RPC (portmapper, NFS)",
    "radius": "print RADIUS requests and their answers",
    "syslog": "print syslog messages",
    "ssdp": "print kinds of SSDP (UPnP) messages",
    "database": "print connections to database servers",
    "logins": "print attempts to log in, whatever the protocol",
    "websocket": "print WebSocket connections",
}
"""Tables of protocols that are verbs (cli/protocol.py)."""

VERBS: Final[dict[str, str]] = {
    "investigate": "find the strange hosts, say what they do and why; report",
    "demo": "write the worked example's evidence and investigate it",
    "flows": "print flows",
    "packets": "print packets",
    **PROTOCOLS,
    "alerts": "match Snort and Suricata rules; print alerts",
    "files": "print transferred files; extract them, try YARA rules",
    "hosts": "say who is on the network: names, hardware, system, services",
    "sql": "ask the tables with SQL",
    "who": "say whose an address is, offline",
    "rules": "check Snort and Suricata rules, convert them",
    "case": "keep an incident: evidence in custody, notes, timeline, exports",
    "serve": "serve cases as web pages",
    "user": "manage who may use the web pages",
    "recheck": "ask whether a site answers now: the one verb that sends",
    "detectors": "list the detectors, or print one detector's page",
}
ELSEWHERE: Final[dict[str, str]] = {"serve": "tracehound.web.serve", "user": "tracehound.web.user"}
"""Verbs whose module lies to the right of the command line; named here, loaded when asked for."""

GROUPS: Final = ("case", "rules", "user")
"""Verbs that have verbs of their own: their module has a `GROUP` (cli/group.py)."""

USAGE: Final = """usage: tracehound VERB ... | tracehound -r FILE

Evidence in, verdict and report out. EVIDENCE is a capture file, a folder, or
- (standard input); compressed or not.

"""


def _help() -> str:
    width = max(map(len, VERBS))
    lines = [f"  {verb.ljust(width)}  {summary}" for verb, summary in VERBS.items()]
    return (
        USAGE
        + "\n".join(lines)
        + "\n\n  tracehound VERB --help   the options of one verb\n  tracehound --version     the version\n"
    )


def _meant(verb: str, rest: list[str]) -> str:
    """What the writer of an unknown verb may have meant: a verb spelt nearly so, or a file to be investigated."""
    import difflib
    from pathlib import Path

    if Path(verb).exists():
        return f"it is a file: tracehound investigate {' '.join([verb, *rest])}"
    near = difflib.get_close_matches(verb, VERBS, 3)
    return f"did you mean {' or '.join(near)}?" if near else "tracehound --help lists them"


def run(argv: list[str]) -> int:
    """Carry out one command line; returns the exit status."""
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_help(), end="")
        return 0 if argv else 2
    if argv[0] in ("-V", "--version"):
        print(f"tracehound {__version__}")
        return 0
    verb, rest = argv[0], argv[1:]
    if verb == "-r" or verb.startswith("-r"):
        # The habit of tcpdump, Zeek and Suricata: -r FILE alone means "look at this".
        verb, rest = "investigate", [verb[2:], *rest] if len(verb) > 2 else rest
    if verb not in VERBS:
        print(f"tracehound: no verb {verb!r}; {_meant(verb, rest)}", file=sys.stderr)
        return 2
    if verb in PROTOCOLS:
        from tracehound.cli import protocol

        return protocol.main(verb, rest)
    module = importlib.import_module(ELSEWHERE.get(verb, f"tracehound.cli.{verb}"))
    return int(module.main(rest))


def main() -> None:
    """Entry point of the `tracehound` command."""
    leave_pandas_out()
    collect_seldom()
    try:
        status = run(sys.argv[1:])
        sys.stdout.flush()
    except TracehoundError as problem:
        print(f"tracehound: {problem}", file=sys.stderr)
        status = problem.exit_status
    except BrokenPipeError:
        # The reader (head, less) has seen enough. Python would complain again while closing stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    except KeyboardInterrupt:
        print("tracehound: interrupted", file=sys.stderr)
        status = 130
    sys.exit(status)
