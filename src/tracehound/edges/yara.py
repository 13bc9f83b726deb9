"""In: YARA rules as text files, and the content of files. Out: names of the rules that match. Never here: which content.

YARA-X does the work: pip install 'tracehound[yara]'."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tracehound.errors import RuleError, UsageError

_TIMEOUT_S: Final = 20
_PLACE: Final = re.compile(r"line:(\d+)|:(\d+):\d+\s")


class YaraRules:
    """Compiled rules. Raises UsageError where YARA-X is not installed or a file cannot be read, RuleError where one is wrong."""

    def __init__(self, paths: Sequence[str]) -> None:
        try:
            import yara_x
        except ImportError:
            raise UsageError("--yara needs YARA-X: pip install 'tracehound[yara]'") from None
        compiler = yara_x.Compiler()
        # A rule file names no other files: what is tried is what was given.
        compiler.enable_includes(False)
        for path in paths:
            try:
                text = Path(path).read_text(encoding="utf-8", errors="replace")
            except OSError as problem:
                raise UsageError(f"--yara {path}: {problem.strerror}") from None
            try:
                compiler.add_source(text, origin=path)
            except yara_x.CompileError as problem:
                place = _PLACE.search(str(problem))
                line = int(place[1] or place[2]) if place is not None else 0
                raise RuleError(path, line, str(problem).split("\n", 1)[0]) from None
        self._scanner: Any = yara_x.Scanner(compiler.build())
        self._scanner.set_timeout(_TIMEOUT_S)
        self._timeout = yara_x.TimeoutError
        self.timeouts = 0

    def matches(self, content: bytes) -> list[str]:
        """Names of the rules that match; those of private rules are left out. A file that takes too long counts as a timeout."""
        try:
            return [rule.identifier for rule in self._scanner.scan(content).matching_rules]
        except self._timeout:
            self.timeouts += 1
            return []
