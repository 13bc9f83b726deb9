"""In: evidence that was read (or its paths) and a question. Out: the verdict. Never here: a judgement (findings/); this file
loads what the package knows, and hands the tables over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import pyarrow as pa

from tracehound.edges.packaged import address_table, detector_pages, hardware_table, profile_texts, provider_text
from tracehound.edges.reading import Progress, Reading, read
from tracehound.findings.model import EvidenceItem, QualityItem, Verdict
from tracehound.pipeline import Knowledge, Question, Wanted
from tracehound.pipeline import investigate as judge_tables
from tracehound.version import __version__

SYNTHETIC_MARK = "SYNTHETIC"
"""Evidence that this program writes says so in a comment of its capture file; the verdict repeats it."""


@cache
def knowledge() -> Knowledge:
    """Detectors, profiles, address table and provider kinds of the package."""
    from tracehound.detectors.catalog import load
    from tracehound.enrich.access import parse_kinds
    from tracehound.profiles.profile import parse_profile

    profiles = tuple(parse_profile(text, name) for name, text in sorted(profile_texts().items()))
    return Knowledge(load(detector_pages()), profiles, address_table(), parse_kinds(provider_text()))


def _evidence(reading: Reading) -> list[EvidenceItem]:
    return [
        EvidenceItem(
            path=f.path, kind=f.kind, size_bytes=f.size, sha256=f.sha256, packets=f.packets, start_ns=f.start_ns,
            end_ns=f.end_ns, damage=f.damage, compression=f.compression,
        )
        for f in reading.files
    ]  # fmt: skip


def _quality(reading: Reading) -> list[QualityItem]:
    path = {f.evidence_id: f.path for f in reading.files}
    rows = reading.table("quality").to_pylist()
    return [QualityItem(r["item"], r["count"], r["note"] or "", path.get(r["evidence_id"], "")) for r in rows]


def _synthetic(reading: Reading) -> str:
    return next((n.text for f in reading.files for n in f.notes if n.text.startswith(SYNTHETIC_MARK)), "")


def verdict_tables() -> frozenset[str]:
    """What evidence is read for where only the verdict is wanted (`Wanted.tables`)."""
    from tracehound.findings.verdict import tables_asked

    return tables_asked(knowledge().catalog)


def verdict_of(reading: Reading, question: Question | None = None) -> Verdict:
    """The verdict over evidence that was read with transactions."""
    return judge_tables(
        lambda sql, parameters: reading.ask(sql, dict(parameters)),
        reading.register,
        knowledge(),
        question or Question(),
        evidence=_evidence(reading),
        quality_items=_quality(reading),
        version=__version__,
        synthetic=_synthetic(reading),
    )


def host_tables_of(reading: Reading, home: Sequence[str] = ()) -> dict[str, pa.Table]:
    """Tables `hosts` and `host_facts` over evidence that was read with transactions (and link addresses, where hardware is wanted)."""
    from tracehound.enrich.home import given, infer_home
    from tracehound.enrich.hosts import host_tables

    def ask(sql: str, parameters: Mapping[str, object]) -> pa.Table:
        return reading.ask(sql, dict(parameters))

    networks = given(home) if home else infer_home(ask)[0]
    hosts, facts = host_tables(ask, reading.names(), networks, hardware_table())
    return {"hosts": hosts, "host_facts": facts}


def investigate(
    paths: str | Sequence[str],
    *,
    host: str | None = None,
    home: Sequence[str] = (),
    verify_checksums: bool = False,
    progress: Progress | None = None,
) -> Verdict:
    """Find the strange hosts in captures, say what they do and why.

    paths             capture files, folders or '-'
    host              only this host
    home              home networks (CIDR); inferred from the evidence where not given
    verify_checksums  leave packets with a wrong checksum out
    Raises EvidenceError where a path gives nothing at all."""
    wanted = Wanted(verify_checksums=verify_checksums, file_details=False, tables=verdict_tables())
    with read(paths, wanted=wanted, hashes=True, progress=progress) as reading:
        return verdict_of(reading, Question(host, tuple(home)))
