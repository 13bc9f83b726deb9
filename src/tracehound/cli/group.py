"""In: the words after a verb that has verbs of its own (`tracehound case note ...`). Out: the inner verb's work done.
Never here: a verb's work; a module is loaded only when one of its verbs is asked for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Verb = Callable[[str, str, list[str]], int]
"""Takes its full name ("case note"), its summary, and the words after it; returns the exit status."""


@dataclass(frozen=True, slots=True)
class Group:
    """A verb with inner verbs.

    verbs   inner verb -> (module of cli/ that has it in its table VERBS, what it does)"""

    name: str
    summary: str
    verbs: Mapping[str, tuple[str, str]]

    def usage(self) -> str:
        width = max(map(len, self.verbs))
        lines = [f"  {name.ljust(width)}  {says}" for name, (_, says) in self.verbs.items()]
        head = f"usage: tracehound {self.name} VERB ...\n\n{self.summary}\n\n"
        return head + "\n".join(lines) + f"\n\n  tracehound {self.name} VERB --help   the options of one verb\n"

    def run(self, argv: list[str]) -> int:
        """Carry out one inner verb."""
        if not argv or argv[0] in ("-h", "--help", "help"):
            print(self.usage(), end="")
            return 0 if argv else 2
        name, rest = argv[0], argv[1:]
        if name not in self.verbs:
            print(f"tracehound {self.name}: no verb {name!r}; there are {', '.join(self.verbs)}", file=sys.stderr)
            return 2
        module, says = self.verbs[name]
        table: Mapping[str, Verb] = importlib.import_module(module if "." in module else f"tracehound.cli.{module}").VERBS
        return table[name](f"{self.name} {name}", says, rest)
