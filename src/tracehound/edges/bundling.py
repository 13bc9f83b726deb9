"""In: rules and evidence. Out: a folder and a zip with all that a rules project wants of a submission; or only the test folder of it.
Never here: words (lab/bundle.py), anonymising (lab/anonymise.py), measuring (rule_lab.py)."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from tracehound.demo.wire import Frame, pcap_chunks
from tracehound.edges import alerting, carving, rule_lab
from tracehound.edges.rule_files import load_rules, read_settings
from tracehound.errors import RuleError, UsageError
from tracehound.lab import bundle, trial
from tracehound.lab.anonymise import Addresses, Piece, anonymised, take_apart
from tracehound.lab.trial import Outcome
from tracehound.rules.dialects import DIALECTS, convert
from tracehound.rules.rule import Rule
from tracehound.rules.settings import Settings

MOST_FLOWS: Final = 3
"""Flows of each rule that the minimal capture holds."""
_AFTER: Final = 2
"""Packets after the alert that are kept, so that what was asked for is acknowledged."""
_ZIP_TIME: Final = (1980, 1, 1, 0, 0, 0)


@dataclass(slots=True)
class Minimal:
    """A capture of a few flows that the rules still fire on. `says` tells what was hidden."""

    data: bytes
    counts: dict[int, int]
    variables: dict[str, str]
    flows: int
    packets: int
    says: str
    silent: list[int] = field(default_factory=list)


def key_of(words: str | None) -> bytes:
    """The key of the address mapping: from words that a site keeps, else a new one that nobody keeps."""
    return hashlib.blake2b(words.encode(), digest_size=32).digest() if words else os.urandom(32)


def minimal(
    rules: Sequence[str], evidence: Sequence[str], settings: Settings, home: Sequence[str], key: bytes, folder: Path,
) -> Minimal:  # fmt: skip
    """The smallest anonymised capture out of `evidence` that the rules fire on, tried with the engine level by level.

    folder   where trials are written for a moment
    Raises UsageError where no rule matches in the evidence."""
    cut = carving.chosen(evidence, ready=rule_lab.make_ready(rules, settings, rationed=False))
    sids = sorted({sid for packets in cut.fired.values() for found in packets.values() for sid in found})
    flow_of: dict[int, int] = {}
    picked = _picked(cut, sids)
    keep = carving.Carving(cut.files, {}, {f: cut.flows[f] for f in picked}, {f: cut.fired[f] for f in picked})
    for packet_id, flow_id in cut.owner.items():
        if flow_id in picked:
            keep.packets[packet_id] = None
            flow_of[packet_id] = flow_id
    whole = [(i, piece) for i, link, frame in carving.frames(keep) if (piece := take_apart(frame, link)) is not None]
    addresses = Addresses(key)
    mapped = [_net(n, addresses) for n in home]
    inner = _with_home(settings, mapped)
    loaded = [r for r in load_rules(rules, settings).rules if int(r.sid) in sids]
    ready = rule_lab.make_ready(rules, inner)
    best: Minimal | None = None
    for short in (True, False):
        pieces = _shortened(whole, flow_of, keep.fired) if short else [p for _, p in whole]
        for level, says in enumerate(bundle.HOW_MUCH):
            made = _tried(pieces, loaded, level, addresses, ready, folder)
            made.flows, made.says = len(picked), says
            made.variables = {"HOME_NET": f"[{','.join(mapped)}]"} if mapped else {}
            made.silent = [s for s in sids if s not in made.counts]
            if best is None or len(made.silent) < len(best.silent):
                best = made
            if not made.silent:
                return made
    assert best is not None
    return best


def _net(text: str, addresses: Addresses) -> str:
    try:
        net = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise UsageError(f"--home: {text!r} is no network") from None
    moved = ipaddress.ip_address(addresses.map(net.network_address.packed))
    return str(ipaddress.ip_network(f"{moved}/{net.prefixlen}", strict=False))


def _with_home(settings: Settings, nets: Sequence[str]) -> Settings:
    return read_settings(None, assignments=[], home=list(nets), classification=None, thresholds=None)[0] if nets else settings


def _picked(cut: carving.Carving, sids: Sequence[int]) -> set[int]:
    """For each rule the shortest flows it fired in."""
    size: dict[int, int] = {}
    for flow_id in cut.owner.values():
        size[flow_id] = size.get(flow_id, 0) + 1
    out: set[int] = set()
    for sid in sids:
        mine = [f for f, packets in cut.fired.items() if any(sid in s for s in packets.values())]
        out.update(sorted(mine, key=lambda f: (size.get(f, 0), f))[:MOST_FLOWS])
    return out


def _shortened(whole: Sequence[tuple[int, Piece]], flow_of: Mapping[int, int], fired: Mapping[int, Mapping[int, object]]) -> list[Piece]:
    """Each flow up to a little after its last alert."""
    left = dict.fromkeys(fired, -1)
    out = []
    last = {f: max(packets) for f, packets in fired.items()}
    for packet_id, piece in whole:
        f = flow_of[packet_id]
        if packet_id > last[f]:
            left[f] = _AFTER if left[f] < 0 else left[f]
            if left[f] == 0:
                continue
            left[f] -= 1
        out.append(piece)
    return out


def _tried(
    pieces: Sequence[Piece], rules: Sequence[Rule], level: int, addresses: Addresses, ready: alerting.Ready, folder: Path
) -> Minimal:
    frames: list[Frame] = anonymised(pieces, bundle.looks(rules, level), addresses)
    data = b"".join(pcap_chunks(frames))
    path = folder / "trial.pcap"
    path.write_bytes(data)
    try:
        ran = rule_lab.run(ready, [str(path)])
    finally:
        path.unlink()
    return Minimal(data, dict(ran.alerts), {}, 0, len(frames), "")


# -- folders --------------------------------------------------------------------------------------------------------------

def test_folder(folder: Path, rules: Sequence[str], made: Minimal, says: str) -> dict[str, bytes]:
    """The files of a test folder as suricata-verify has them, by name."""
    text = "".join(Path(r).read_text(encoding="utf-8").rstrip("\n") + "\n" for r in rules)
    yaml = bundle.test_yaml(made.counts, made.variables, says)
    return {f"{folder.name}/test.rules": text.encode(), f"{folder.name}/input.pcap": made.data, f"{folder.name}/test.yaml": yaml.encode()}


def write_test_folder(
    folder: Path, rules: Sequence[str], evidence: Sequence[str], settings: Settings, home: Sequence[str], key: bytes
) -> Minimal:
    """A test folder: rules, minimal capture, expectation. Raises UsageError where a rule is silent on its own capture."""
    folder.mkdir(parents=True, exist_ok=True)
    made = minimal(rules, evidence, settings, home, key, folder)
    _refuse_silent(made)
    for name, data in test_folder(folder, rules, made, _says(made)).items():
        (folder.parent / name).write_bytes(data)
    return made


def _says(made: Minimal) -> str:
    return f"addresses are mapped prefix-preservingly; {made.says}"


def _refuse_silent(made: Minimal) -> None:
    if made.silent:
        names = ", ".join(map(str, made.silent))
        raise UsageError(f"sid {names}: silent on the capture made of its own hits (fragments or tunnels?); no test can be written")


@dataclass(slots=True)
class Bundled:
    """What was written, and what could not be."""

    folder: Path
    archive: Path
    minimal: Minimal
    refused: list[RuleError]


def write_bundle(
    folder: Path, rules: Sequence[str], evidence: Sequence[str], outcomes: Sequence[Outcome], settings: Settings, home: Sequence[str],
    author: bundle.Author, key: bytes,
) -> Bundled:  # fmt: skip
    """The folder of a submission and the zip of it. Raises UsageError."""
    loaded = load_rules(rules, settings)
    found = list(loaded.rules)
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"rules bundle: {folder} is there already and not empty")
    folder.mkdir(parents=True, exist_ok=True)
    made = minimal(rules, evidence, settings, home, key, folder)
    _refuse_silent(made)
    files: dict[str, bytes] = {}
    refused: list[RuleError] = []
    for dialect in DIALECTS:
        lines = []
        for rule in found:
            said, limit = rule, rule.threshold if dialect == "snort3" else None
            if limit is not None and limit.kind == "limit":
                # Snort 3 rations alerts in its configuration: the rule goes without, and the line for the configuration above it.
                lines.append(f"# event_filter: {bundle.event_filter(rule.sid, limit)}\n")
                said = replace(rule, threshold=None)
            try:
                lines.append(convert(said, dialect, loaded.variables) + "\n")
            except RuleError as why:
                refused.append(why)
                lines.append(f"# sid {rule.sid} cannot be said in this dialect: {why}\n")
        files[f"rules/{dialect}.rules"] = "".join(lines).encode("utf-8", "surrogateescape")
    by_sid = {o.sid: o for o in outcomes}
    for rule in found:
        files[f"documentation/{rule.sid}.txt"] = bundle.documentation(rule, by_sid.get(int(rule.sid)), author).encode()
    files["sid-msg.map"] = "".join(bundle.sid_msg(r) + "\n" for r in found).encode()
    files["measured.txt"] = trial.table(outcomes, []).encode()
    files["measured.json"] = (json.dumps(trial.as_dict(outcomes, []), indent=2) + "\n").encode()
    files.update(test_folder(Path("test"), rules, made, _says(made)))
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    archive = folder.with_name(folder.name + ".zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in sorted(files.items()):
            out.writestr(zipfile.ZipInfo(f"{folder.name}/{name}", _ZIP_TIME), data, zipfile.ZIP_DEFLATED)
    return Bundled(folder, archive, made, refused)
