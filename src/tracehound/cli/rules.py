"""In: the words after `tracehound rules`. Out: one thing done with rules, and the exit status. Never here: what a verb does; each
has a file of its own."""

from __future__ import annotations

from typing import Final

from tracehound.cli.group import Group

GROUP: Final = Group("rules", "Check Snort and Suricata rules, and convert them.", {
    "check": ("rules_check", "say what is wrong with rules, as text, JSON or SARIF"),
    "convert": ("rules_convert", "print rules in Suricata's, Snort 2's or Snort 3's words"),
})  # fmt: skip


def main(argv: list[str]) -> int:
    """`tracehound rules`."""
    return GROUP.run(argv)
