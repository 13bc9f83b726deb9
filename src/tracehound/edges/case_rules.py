"""In: a case, and rules as somebody wrote them. Out: rules drafted from the case's captures, or tested on them, kept in the case.
Never here: how a rule is drafted or judged (lab/), or matched (rules/).

Each is a process of its own that runs the verbs `rules draft`, `rules test` and `rules explain`: what a person writes may take long
or much memory, and a process can be ended. It sees the case's captures and nothing else of the case."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tracehound import limits
from tracehound.edges.case_answers import verdict_json
from tracehound.edges.case_runs import CAPTURES
from tracehound.edges.casefile import Case
from tracehound.errors import UsageError

MOST_EXPLAINED: Final = 4
"""Rules of one test that are explained flow by flow."""
DRAFTED: Final = "drafted"
TESTED: Final = "tested"


@dataclass(frozen=True, slots=True)
class Kept:
    """A draft or a test as the case keeps it."""

    rule_id: int
    says: str
    text: str
    result: dict[str, Any]


def rows(case: Case) -> list[dict[str, Any]]:
    """Drafts and tests of the case, newest first."""
    return case.rows("SELECT * FROM rules ORDER BY rule_id DESC")


def result(case: Case, row: dict[str, Any]) -> dict[str, Any]:
    """What one of `rows` found."""
    found: dict[str, Any] = json.loads((case.folder / row["name"]).read_text(encoding="utf-8"))
    return found


def held(case: Case) -> tuple[str, ...]:
    """The rules of the newest test in which every expectation held, one text a rule: what the case can recommend."""
    for row in rows(case):
        if row["origin"] == TESTED and result(case, row).get("held"):
            text = re.sub(r"\\\s*\n\s*", " ", row["text"].replace("\r\n", "\n"))
            return tuple(line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    return ()


def draft(case: Case, who: str) -> Kept:
    """Rules for the strongest finding. Raises UsageError where the case has no capture, or no rule would do."""
    answer = _json(["draft", *_captures(case), "--json", "-q"], _deadline())
    texts = [d["rule"] for d in answer.get("drafts", ()) if "rule" in d]
    refused = [f"{d['refused']}; it would take {d['needs']}" for d in answer.get("drafts", ()) if "refused" in d]
    if not texts:
        raise UsageError("no rule could be drafted" + "".join(f": {r}" for r in refused[:3]))
    says = f"{len(texts)} drafted from {answer['samples']:,} malicious requests, weighed against {answer['others']:,} others"
    return _keep(case, who, DRAFTED, "\n".join(texts) + "\n", says, {**answer, "refusals": refused})


def test(case: Case, who: str, text: str, flows: str = "") -> Kept:
    """Test rules on the case's captures: hits, misses, false alarms, exposure, and how far each comes.

    flows   which flows are malicious, as a condition on table `flows`; empty: those of the strongest finding
    Raises UsageError where no rule can be read, the condition is none, or it takes too long."""
    if not text.strip():
        raise UsageError("rule: is missing")
    if len(text.encode("utf-8", "replace")) > limits.MAX_TRIED_RULES_BYTES:
        raise UsageError(f"rule: more than {limits.MAX_TRIED_RULES_BYTES:,} bytes")
    captures, until = _captures(case), _deadline()
    home = (verdict_json(case) or {}).get("home_networks") or []
    named = [f"HOME_NET=[{','.join(home)}]"] if home else []
    settings = [word for n in named for word in ("--set", n)]
    with tempfile.TemporaryDirectory(prefix="tracehound-rules-") as folder:
        path = Path(folder) / "tested.rules"
        path.write_text(text.replace("\r\n", "\n"), encoding="utf-8", errors="replace")
        evidence = [word for c in captures for word in ("--malicious", c)]
        chosen = ["--flows", flows] if flows.strip() else ["--finding", "strongest"]
        answer = _json(["test", str(path), *evidence, *chosen, *settings, "--json", "-q"], until)
        answer["explained"] = {
            str(r["sid"]): _explained(["explain", str(r["sid"]), "-S", str(path), *settings, *captures], until)
            for r in answer["rules"][:MOST_EXPLAINED]
        }
    answer["home"], answer["flows"] = home, flows.strip()
    return _keep(case, who, TESTED, text, "; ".join(_said(r) for r in answer["rules"]), answer)


def bundle(case: Case, who: str) -> Kept:
    """The rules that held, as a bundle to hand over (`rules bundle`), kept in the case as one zip. Raises UsageError where none held."""
    texts = held(case)
    if not texts:
        raise UsageError("no rule of the case held in its newest test: draft or write one, and test it")
    last = next(r for r in rows(case) if r["origin"] == TESTED and result(case, r).get("held"))
    flows = result(case, last).get("flows") or ""
    home = result(case, last).get("home") or []
    with tempfile.TemporaryDirectory(prefix="tracehound-rules-") as folder:
        path = Path(folder) / "held.rules"
        path.write_text("\n".join(texts) + "\n", encoding="utf-8", errors="replace")
        evidence = [word for c in _captures(case) for word in ("--malicious", c)]
        settings = ["--set", f"HOME_NET=[{','.join(home)}]", *(word for net in home for word in ("--home", net))] if home else []
        chosen = ["--flows", flows] if flows else ["--finding", "strongest"]
        _ran(["bundle", str(path), *evidence, *chosen, *settings, "-o", str(Path(folder) / "bundle"), "-q"], _deadline())
        (case.folder / "made").mkdir(exist_ok=True)
        kept = case.folder / "made" / f"rules-bundle-{time.time_ns()}.zip"
        shutil.copyfile(Path(folder) / "bundle.zip", kept)
    says = f"bundle of {len(texts)} rules that held in test {last['rule_id']}"
    entry = case.act(who, "file", {**case.describe(kept), "says": says})
    return Kept(entry.seq, f"{says}: {kept}", "\n".join(texts) + "\n", {"held": True, "expectations": []})


def bundles(case: Case) -> list[dict[str, Any]]:
    """Bundles of the case, newest first: seq, name, size_bytes, sha256, says."""
    return case.rows("SELECT * FROM files WHERE name LIKE 'made/rules-bundle-%' ORDER BY seq DESC")


def _said(r: dict[str, Any]) -> str:
    alarms = f"{r['false_alarms']} false alarms in {r['benign']:,} flows ({r['exposure']['word']})"
    return f"sid {r['sid']}: {r['hit']} of {r['malicious']} hit, {alarms}"


def _keep(case: Case, who: str, origin: str, text: str, says: str, answer: dict[str, Any]) -> Kept:
    folder = case.folder / "made"
    folder.mkdir(exist_ok=True)
    path = folder / f"rules-{origin}-{time.time_ns()}.json"
    path.write_text(json.dumps(answer, indent=1), encoding="utf-8")
    entry = case.act(who, "rule", {"origin": origin, "text": text, "says": says, **case.describe(path)})
    return Kept(entry.seq, says, text, answer)


def _captures(case: Case) -> list[str]:
    rows = case.rows("SELECT * FROM evidence ORDER BY evidence_id")
    found = [str(case.evidence_path(r).resolve()) for r in rows if r["kind"] in CAPTURES]
    if not found:
        raise UsageError("the case has no capture: rules are tried on packets")
    return found


def _deadline() -> float:
    return time.monotonic() + limits.RULE_TRIAL_S


def _ran(words: Sequence[str], until: float) -> subprocess.CompletedProcess[str]:
    """One of the verbs below `rules`, for so long as there is time. Raises UsageError with its last words where it failed."""
    command = [sys.executable, "-m", "tracehound", "rules", *words]
    try:
        got = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=max(1.0, until - time.monotonic()), check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise UsageError(f"rules {words[0]}: took longer than {limits.RULE_TRIAL_S} s") from None
    if got.returncode not in (0, 1):
        raise UsageError(_words(got) or f"rules {words[0]}: ended with status {got.returncode}")
    return got


def _words(got: subprocess.CompletedProcess[str]) -> str:
    """What a process said of its failure, without its own name, and without the folder of its rules."""
    said = re.sub(r"/\S*tracehound-rules-\w+/", "", got.stderr.strip())
    return said.removeprefix("tracehound: ")[: limits.MAX_SAID_BYTES]


def _json(words: Sequence[str], until: float) -> dict[str, Any]:
    got = _ran(words, until)
    try:
        answer: dict[str, Any] = json.loads(got.stdout)
    except ValueError:
        raise UsageError(_words(got) or f"rules {words[0]}: gave no answer") from None
    return answer


def _explained(words: Sequence[str], until: float) -> str:
    try:
        return _ran(words, until).stdout[: limits.MAX_EXPLAINED_BYTES]
    except UsageError as cause:
        return str(cause)
