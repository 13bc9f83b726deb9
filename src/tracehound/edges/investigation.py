"""In: evidence that was read (or its paths) and a question. Out: the verdict. Never here: a judgement (findings/); this file
loads what the package knows, and hands the tables over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import pyarrow as pa

from tracehound import limits
from tracehound.detectors.catalog import DIVIDED
from tracehound.edges.evidence import STDIN
from tracehound.edges.packaged import address_table, detector_pages, hardware_table, profile_texts, provider_text
from tracehound.edges.reading import Progress, Reading, read
from tracehound.findings.model import EvidenceItem, QualityItem, Verdict
from tracehound.pipeline import Knowledge, Question, Wanted
from tracehound.pipeline import investigate as judge_tables
from tracehound.version import __version__

if TYPE_CHECKING:
    from tracehound.edges.alerting import Found
    from tracehound.edges.alerting import Progress as AlertProgress
    from tracehound.errors import RuleError
    from tracehound.findings.rule_alerts import Alert

SYNTHETIC_MARK = "SYNTHETIC"
"""Evidence that this program writes says so in a comment of its capture file; the verdict repeats it."""


_NOT_ASKED = ("community_id", "history", "tunnel")
"""Columns of flows that no detector looks at."""


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
    flows = reading.ask("SELECT COUNT(*) AS n FROM flows")["n"][0].as_py()
    known = knowledge()
    if flows > limits.FLOWS_AT_ONCE:
        parts = -(-flows // limits.FLOWS_AT_ONCE)
        reading.duck().divide(DIVIDED, parts, _NOT_ASKED)
        known = replace(known, catalog=replace(known.catalog, parts=parts))
    return judge_tables(
        lambda sql, parameters: reading.ask(sql, dict(parameters)),
        reading.register,
        known,
        question or Question(),
        evidence=_evidence(reading),
        quality_items=_quality(reading),
        version=__version__,
        synthetic=_synthetic(reading),
    )


def with_rules(
    verdict: Verdict, evidence: Sequence[str], rules: Sequence[str], *, config: str | None = None, assignments: Sequence[str] = (),
    home: Sequence[str] = (), host: str | None = None, midstream: bool = False, verify_checksums: bool = False,
    refused: Callable[[RuleError], None] | None = None, progress: AlertProgress | None = None,
) -> Verdict:  # fmt: skip
    """The verdict with what rules say of the same evidence, which is read once more for them.

    evidence     paths, as the verdict was made of; flow logs have nothing that rules could match
    rules        rule files; config: suricata.yaml; assignments: NAME=VALUE of rule variables
    home         HOME_NET of the rules; the home networks of the verdict where not given
    refused      hears of rules that cannot be honoured
    Raises UsageError where there is no rule, or the evidence is standard input."""
    from tracehound.edges import alerting
    from tracehound.edges.rule_cache import ready_rules
    from tracehound.edges.rule_files import configured_rule_files, read_settings
    from tracehound.errors import UsageError
    from tracehound.findings.rule_alerts import with_alerts
    from tracehound.rules.engine import Options

    if STDIN in evidence:
        raise UsageError("rules need the evidence a second time: give a file, not -")
    settings, _ = read_settings(config, assignments=assignments, home=[*home] or [*verdict.home_networks])
    paths = [*rules, *(configured_rule_files(config, settings) if config else [])]
    ready = ready_rules(paths, settings)
    if refused is not None:
        for wrong in ready.refused:
            refused(wrong)
    if not ready.plans and not ready.refused:
        raise UsageError(f"no rules in {', '.join(paths)}")
    files = [file for file in alerting.list_evidence(evidence) if not file.is_log]
    path = {file.evidence_id: file.path for file in files}
    options = Options(midstream=midstream or settings.midstream, verify_checksums=verify_checksums)
    found = alerting.alerts(files, ready, options, jobs=alerting.processes(files, ready, None), progress=progress)
    told = (_alert(one, path[one.evidence_id]) for one in found)
    return with_alerts(verdict, told, loaded=len(ready.plans), refused=len(ready.refused), host=host)


def _alert(found: Found, path: str) -> Alert:
    from tracehound.findings.rule_alerts import Alert

    eve = found.eve(path)
    said = eve["alert"]
    return Alert(
        said["gid"], said["signature_id"], said["signature"], said["category"], said["severity"], found.told.ts, eve.get("src_ip", ""),
        eve.get("dest_ip", ""), eve.get("dest_port"), eve.get("proto", ""), eve.get("app_proto"), path, eve["pcap_cnt"], eve.get("flow_id"),
    )  # fmt: skip


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
