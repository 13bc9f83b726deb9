"""In: a case, and rules as somebody wrote them. Out: the page of the rule lab: rules drafted, tested on the case's captures in the
background, and what they did. Never here: judging a rule (edges/case_rules.py asks the lab)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tracehound import limits
from tracehound.edges import case_rules
from tracehound.edges.case_runs import CAPTURES
from tracehound.edges.casefile import Case
from tracehound.errors import UsageError
from tracehound.web.page import Action, Ask, NotFound, Page, Param
from tracehound.web.pages.overview import facts


def lab(ask: Ask) -> dict[str, Any]:
    """Drafts and tests, one of them whole (`rule`, else the newest test)."""
    with ask.case() as case:
        kept = case_rules.rows(case)
        number = ask.number("rule", 0)
        chosen = next((r for r in kept if r["rule_id"] == number), None)
        if number and chosen is None:
            raise NotFound(f"there is no test or draft {number}")
        chosen = chosen or (kept[0] if kept else None)
        running = [j.as_dict() for j in ask.jobs.of(str(case.fact("number"))) if j.says.startswith("rules") and j.ended_ns is None]
        failed = next((j for j in ask.jobs.of(str(case.fact("number"))) if j.says.startswith("rules")), None)
        return {
            "case": facts(case), "kept": kept, "chosen": chosen,
            "result": case_rules.result(case, chosen) if chosen is not None else None,
            "text": chosen["text"] if chosen is not None else "",
            "bundles": case_rules.bundles(case), "held": bool(case_rules.held(case)), "jobs": running,
            "failed": failed.answer if failed is not None and failed.state == "failed" else "",
            "captures": sum(r["kind"] in CAPTURES for r in case.rows("SELECT kind FROM evidence")),
        }  # fmt: skip


def _begin(ask: Ask, says: str, work: Any) -> tuple[dict[str, Any], str]:
    """Start work on the case in the background."""
    with ask.case() as case:
        folder, number = case.folder, str(case.fact("number"))

    def done(_progress: Any) -> str:
        with Case(folder) as case:
            return str(work(case).says)

    job = ask.jobs.start(number, says, ask.user.name, done)
    return {"job": job.job_id}, f"/cases/{number}/lab"


def tested(ask: Ask, form: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    text, flows, who = str(form.get("rule") or ""), str(form.get("flows") or ""), ask.user.name
    if len(text.encode("utf-8", "replace")) > limits.MAX_TRIED_RULES_BYTES:
        raise UsageError(f"rule: more than {limits.MAX_TRIED_RULES_BYTES:,} bytes")
    return _begin(ask, "rules tested", lambda case: case_rules.test(case, who, text, flows))


def drafted(ask: Ask, _form: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    who = ask.user.name
    return _begin(ask, "rules drafted", lambda case: case_rules.draft(case, who))


def bundled(ask: Ask, _form: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    who = ask.user.name
    return _begin(ask, "rules bundled", lambda case: case_rules.bundle(case, who))


PAGES: Final = (
    Page("/cases/{number}/lab", "Rule lab", lab, "lab.html", (Param("rule", "integer", "number of a draft or test; else the newest"),)),
)
ACTIONS: Final = (
    Action("/cases/{number}/lab/test", "test rules on the case's captures, in the background", tested, (
        Param("rule", "string", "one or more Snort or Suricata rules", required=True, long=True),
        Param("flows", "string", "which flows are malicious, as a condition on table flows; empty: those of the strongest finding"))),
    Action("/cases/{number}/lab/draft", "draft rules for the strongest finding, in the background", drafted),
    Action("/cases/{number}/lab/bundle", "bundle the rules that held in the newest test, in the background", bundled),
)  # fmt: skip
