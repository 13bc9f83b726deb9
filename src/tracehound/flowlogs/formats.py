"""In: the first bytes of a (decompressed) file. Out: which flow log it is, and its reader. Never here: a format itself.

The order counts: what is told by a magic number comes first, what is told by the look of its lines last."""

from __future__ import annotations

from typing import Final

from tracehound.flowlogs import (
    argus,
    argus_text,
    delimited,
    eve,
    firewall_log,
    netflow,
    nfdump_file,
    nfdump_text,
    zeek_log,
)
from tracehound.flowlogs.reader import Format, Options, Reader

FORMATS: Final[dict[str, Format]] = {
    "argus": argus.FORMAT,
    "nfdump": nfdump_file.FORMAT,
    "netflow": netflow.FORMAT,
    "argus text": argus_text.TEXT_FORMAT,
    "argus json": argus_text.JSON_FORMAT,
    "argus xml": argus_text.XML_FORMAT,
    "zeek": zeek_log.FORMAT,
    "eve": eve.FORMAT,
    "nfdump json": nfdump_text.JSON_FORMAT,
    "nfdump text": nfdump_text.LINES_FORMAT,
    "firewall log": firewall_log.FORMAT,
    "csv": delimited.FORMAT,
}


def log_kind(head: bytes, options: Options | None = None) -> str | None:
    """The flow log that begins with `head` (limits.LOG_HEAD_BYTES of it, or all there is), or None. Where the user names the columns of
    delimited text, what no program's log is may still be that."""
    kind = next((name for name, form in FORMATS.items() if form.recognise(head)), None)
    if kind is None and options is not None and options.columns and delimited.dialect(head, options.columns) is not None:
        return "csv"
    return kind


def open_log(kind: str, head: bytes, options: Options) -> Reader:
    """A reader for a log of this kind; `head` is fed to it again."""
    return FORMATS[kind].open(head, options)
