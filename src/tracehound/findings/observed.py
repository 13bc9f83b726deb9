"""In: a way to ask the tables, and some hosts. Out: what is seen of each in the tables that not every run has (tls, smtp,
irc, files), as texts in the words of the profiles. A table or column that is not there is None: not observable.
Never here: weighing (profiles/match.py), or the tables that have detectors of their own (http, dns, heads)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tracehound.detectors.catalog import Ask
from tracehound.profiles.match import Seen

MAX_SEEN: Final = 5_000
"""Distinct texts of one kind and host that profiles are tried on."""
Columns = Mapping[str, frozenset[str]]
"""Table -> its columns."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one kind of text stands: attribute of Observations, table, columns (the first that is there, or all joined with
    their names when `joined`), and how a reader calls the place."""

    attribute: str
    table: str
    columns: tuple[str, ...]
    where: str
    joined: bool = False
    listed: bool = False
    only: str = ""


PLACES: Final = (
    Place("domains", "tls", ("server_name",), "TLS server name"),
    Place("certificates", "tls", ("subject", "issuer", "serial"), "certificate of the server", joined=True),
    Place("ja3", "tls", ("ja3",), "JA3"),
    Place("ja3s", "tls", ("ja3s",), "JA3S"),
    Place("ja4", "tls", ("ja4",), "JA4"),
    Place("mail_subjects", "smtp", ("mail_subject",), "mail subject"),
    Place("attachments", "files", ("name",), "mail attachment", only="service = 'smtp'"),
    Place("files", "files", ("name",), "file transferred", only="service <> 'smtp'"),
    Place("hashes", "files", ("sha256",), "file transferred"),
    Place("hashes", "files", ("md5",), "file transferred"),
    Place("irc", "irc", ("nick", "command", "value", "addl"), "IRC", joined=True),
)
BOTH_ENDS: Final = frozenset({"hashes", "files"})
"""Kinds that concern sender and receiver alike: a file that goes from one to the other."""
PACKETS: Final = ("packet_id", "request_packet_id", "client_packet_id", "query_packet_id", "hello_packet_id", "first_packet_id")
"""Columns that may lead to the packet, first come."""
_AMONG: Final = "IN (SELECT UNNEST(string_split($hosts, ',')))"


def columns_of(ask: Ask, available: frozenset[str]) -> Columns:
    """Columns of the tables that `PLACES` reads. A table without a row shows nothing: it is as if it were not there."""
    wanted = [
        name
        for name in sorted({p.table for p in PLACES} & available)
        if ask(f"SELECT 1 AS there FROM {name} LIMIT 1", {}).num_rows
    ]
    found: dict[str, set[str]] = {name: set() for name in wanted}
    if wanted:
        rows = ask("SELECT table_name, column_name FROM information_schema.columns", {}).to_pylist()
        for row in rows:
            if row["table_name"] in found:
                found[row["table_name"]].add(row["column_name"])
    return {name: frozenset(columns) for name, columns in found.items()}


def expression(place: Place, columns: Columns) -> str | None:
    """SQL text of a place; None where the table or the column is not there."""
    there = [c for c in place.columns if c in columns.get(place.table, frozenset())]
    if not there:
        return None
    if place.listed:
        return f'UNNEST("{there[0]}")'
    if place.joined:
        return "concat_ws(' ', " + ", ".join(f"'{c}=' || CAST(\"{c}\" AS VARCHAR)" for c in there) + ")"
    return f'CAST("{there[0]}" AS VARCHAR)'


def of_hosts(ask: Ask, columns: Columns, hosts: Sequence[str]) -> dict[str, dict[str, tuple[Seen, ...]]]:
    """Host -> attribute -> what is seen of that host; an attribute that no table can show, or of which the host shows nothing,
    is absent: silence is not a mismatch. One question a place, for all hosts: asked a host at a time, the evidence would be gone
    through once for each of them."""
    found: dict[str, dict[str, tuple[Seen, ...]]] = {host: {} for host in hosts}
    for place in PLACES:
        text = expression(place, columns)
        if text is None:
            continue
        packet = next((c for c in PACKETS if c in columns[place.table]), "NULL")
        only = f" AND {place.only}" if place.only else ""
        ends = f"SELECT src AS owner, dst AS peer, {text} AS text, {packet} AS packet FROM {place.table} WHERE src {_AMONG}{only}"
        if place.attribute in BOTH_ENDS:
            # Elsewhere a server is not accused of what its clients bring.
            ends += (
                f" UNION ALL SELECT dst AS owner, src AS peer, {text} AS text, {packet} AS packet FROM {place.table} "
                f"WHERE dst {_AMONG} AND dst <> src{only}"
            )
        rows = ask(
            "SELECT owner, text, peer, packet FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY owner ORDER BY packet, text) AS place "
            f"FROM (SELECT owner, text, MIN(peer) AS peer, MIN(packet) AS packet FROM ({ends}) AS t "
            f"WHERE text IS NOT NULL AND text <> '' GROUP BY owner, text) AS g) AS ranked WHERE place <= {MAX_SEEN} ORDER BY owner, place",
            {"hosts": ",".join(hosts)},
        ).to_pylist()
        seen: dict[str, list[Seen]] = {host: [] for host in hosts}
        for r in rows:
            packet_id = "" if r["packet"] is None else str(r["packet"])
            seen[r["owner"]].append(Seen(str(r["text"]), f"{place.where}, {r['owner']} and {r['peer']}", packet_id))
        for host, some in seen.items():
            if not some:
                continue
            found[host][place.attribute] = (*found[host].get(place.attribute, ()), *some)
    return found
