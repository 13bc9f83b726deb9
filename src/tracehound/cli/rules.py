"""In: the words after `tracehound rules`. Out: one thing done with rules. Never here: the work (rules_check.py and its neighbours)."""

from __future__ import annotations

from typing import Final

from tracehound.cli.group import Group

GROUP: Final = Group("rules", "Work with Snort and Suricata rules.", {
    "check": ("rules_check", "say what is wrong with rules; text, JSON, SARIF"),
    "draft": ("rules_draft", "draft a rule from malicious flows"),
    "test": ("rules_test", "test rules: hits, misses, false alarms, exposure, near misses"),
    "carve": ("rules_carve", "write the packets of the flows that rules match in, with comments"),
    "bundle": ("rules_bundle", "write a folder and a zip to hand rules over"),
    "explain": ("rules_explain", "say how far a rule comes on a capture, and what stops it"),
    "convert": ("rules_convert", "print rules in Suricata's, Snort 2's, Snort 3's words"),
})  # fmt: skip


def main(argv: list[str]) -> int:
    """`tracehound rules`."""
    return GROUP.run(argv)
