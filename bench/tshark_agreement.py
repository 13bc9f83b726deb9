"""How far rows of the protocols' tables agree with what Wireshark says of the same packets.

    python -m bench.tshark_agreement CAPTURES [--only NAME]

In: a folder of captures; tshark must be installed. Out: for each comparison, how many values both have, and what only one has.
Never here: a judgement which of the two is right (docs/fidelity.md)."""

from __future__ import annotations

import argparse
import subprocess
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tracehound.edges.reading import read
from tracehound.errors import TracehoundError
from tracehound.pipeline import Wanted


class Comparison(NamedTuple):
    """services: flows that must be in a capture; filter and fields: tshark's; sql: rows of text in the same form."""

    services: tuple[str, ...]
    filter: str
    fields: tuple[str, ...]
    sql: str


COMPARISONS = {
    "dhcp": Comparison(
        ("dhcp",), "dhcp",
        ("dhcp.id", "dhcp.ip.your", "dhcp.option.hostname", "dhcp.option.ip_address_lease_time", "dhcp.option.vendor_class_id"),
        "SELECT printf('0x%08x', xid), coalesce(assigned_addr, '0.0.0.0'), coalesce(host_name, ''), "
        "coalesce(lease_time_s::VARCHAR, ''), coalesce(vendor_class, '') FROM dhcp",
    ),
    "dhcpv6": Comparison(
        ("dhcpv6",), "dhcpv6", ("dhcpv6.xid", "dhcpv6.client_domain"),
        "SELECT printf('0x%06x', xid), coalesce(client_fqdn, '') FROM dhcpv6",
    ),
    "hassh": Comparison(
        ("ssh",), "ssh.kex.hassh || ssh.kex.hasshserver", ("ssh.kex.hassh", "ssh.kex.hasshserver"),
        "SELECT hassh, '' FROM ssh WHERE hassh IS NOT NULL UNION ALL SELECT '', hassh_server FROM ssh WHERE hassh_server IS NOT NULL",
    ),
    "quic": Comparison(
        ("quic",), "quic && tls.handshake.type == 1", ("tls.handshake.extensions_server_name", "tls.handshake.ja3"),
        "SELECT coalesce(t.server_name, ''), t.ja3 FROM tls t JOIN quic USING (flow_id) WHERE t.ja3 IS NOT NULL",
    ),
    "smb": Comparison(
        ("smb",), "smb2.cmd == 5 && smb2.flags.response == 0 && smb2.filename", ("smb2.filename",),
        "SELECT name FROM smb WHERE action = 'open' AND version <> 'SMB1' AND name <> ''",
    ),
    "ldap": Comparison(
        ("ldap_tcp",), "ldap.protocolOp == 3", ("ldap.messageID", "ldap.baseObject"),
        "SELECT message_number::VARCHAR, coalesce(\"object\", '') FROM ldap WHERE operation = 'search'",
    ),
    "rdp": Comparison(
        ("rdp",), "rdp.client.name", ("rdp.client.name", "rdp.client.build", "rdp.desktop.width"),
        "SELECT client_name, client_build_number::VARCHAR, desktop_width::VARCHAR FROM rdp WHERE client_name IS NOT NULL",
    ),
}  # fmt: skip


def theirs(path: Path, wanted: Comparison) -> Counter[tuple[str, ...]]:
    fields = [word for name in wanted.fields for word in ("-e", name)]
    command = ["tshark", "-r", str(path), "-Y", wanted.filter, "-T", "fields", "-E", "occurrence=f", *fields]
    said = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False).stdout
    rows = (tuple(line.split("\t")) for line in said.splitlines())
    return Counter(row for row in rows if any(row))


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("captures", type=Path)
    p.add_argument("--only", choices=COMPARISONS)
    args = p.parse_args()
    same: Counter[str] = Counter()
    differ: Counter[str] = Counter()
    for path in sorted(f for f in args.captures.rglob("*") if f.is_file()):
        try:
            with read(str(path), wanted=Wanted(file_details=False, community_id=False)) as reading:
                services = set(reading.table("flows")["service"].to_pylist())
                for name, wanted in COMPARISONS.items():
                    if (args.only and name != args.only) or not services & set(wanted.services):
                        continue
                    rows = reading.ask(wanted.sql)
                    ours = Counter(zip(*(column.to_pylist() for column in rows.columns), strict=True))
                    shark = theirs(path, wanted)
                    same[name] += sum((ours & shark).values())
                    for who, left in (("tshark only", shark - ours), ("tracehound only", ours - shark)):
                        differ[name] += sum(left.values())
                        for row, count in left.items():
                            print(f"{name}  {path.relative_to(args.captures)}  {who}: {count} x {row}")
        except TracehoundError as problem:
            print(f"{path}: {problem}")
    for name in COMPARISONS:
        if same[name] + differ[name]:
            print(f"{name}: {same[name]} the same, {differ[name]} not")


if __name__ == "__main__":
    main()
