"""In: what went wrong, and where. Out: the four exceptions that say whose fault it is, each with its exit status.
Never here: handling. A malformed packet is not an exception but a row with a note."""

from __future__ import annotations


class TracehoundError(Exception):
    """Base of every error that tracehound raises on purpose; `exit_status` is what the command line ends with."""

    exit_status = 2


class EvidenceError(TracehoundError):
    """The evidence cannot be read: names the file, the place (byte offset or frame) and the cause."""

    exit_status = 3

    def __init__(self, path: str, cause: str, *, offset: int | None = None, frame: int | None = None) -> None:
        self.path = path
        self.cause = cause
        self.offset = offset
        self.frame = frame
        place = "" if offset is None else f": byte {offset}"
        place += "" if frame is None else f": frame {frame}"
        super().__init__(f"{path}{place}: {cause}")


class RuleError(TracehoundError):
    """A detector, profile or rule is wrong: names the file, line (and column and keyword, where known) and the cause. `kind`
    says of a rule what is wrong in one word: syntax, unknown-keyword, invalid-option, contradiction, undefined-variable,
    duplicate-sid, unsupported."""

    exit_status = 3

    def __init__(
        self, source: str, line: int, cause: str, *, column: int | None = None, keyword: str = "", kind: str = "syntax"
    ) -> None:
        self.kind = kind
        self.source = source
        self.line = line
        self.cause = cause
        self.column = column
        self.keyword = keyword
        place = f"{source}:{line}" + ("" if column is None else f":{column}")
        super().__init__(f"{place}: {keyword}: {cause}" if keyword else f"{place}: {cause}")


class UsageError(TracehoundError):
    """The caller asked for something that does not exist or does not fit together."""

    exit_status = 2


class Unanswerable(TracehoundError):
    """The question is sound, but this evidence cannot answer it; `needs` says what would (for instance "packets")."""

    exit_status = 1

    def __init__(self, question: str, needs: str) -> None:
        self.question = question
        self.needs = needs
        super().__init__(f"{question}: needs {needs}")
