"""In: HTTP transactions and payload heads of the probes' flows. Out: the kinds of answers that probes got.
Never here: reading payload formats (protocols/)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tracehound import limits
from tracehound.findings.citations import Citer
from tracehound.findings.model import AnswerKind
from tracehound.findings.wording import count, listing, size


def http_answers(rows: Sequence[Mapping[str, Any]], citer: Citer) -> list[AnswerKind]:
    """Answers over HTTP by status and kind of body; requests without a response count as silent."""
    groups: dict[tuple[int, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["status"] is None:
            groups[(0, "")].append(row)
        else:
            groups[(row["status"], row["body_kind"] or "no body")].append(row)
    found = []
    for (status, kind), mine in groups.items():
        sizes = [r["response_bytes"] or 0 for r in mine]
        sums = {r["body_sha256"] for r in mine if r["body_sha256"]}
        reason = next((r["reason"] for r in mine if r.get("reason")), "")
        label = (
            "request without HTTP response" if status == 0 else f"HTTP {status} {reason or ''}".strip() + f", {kind}"
        )
        sample = max(mine, key=lambda r: r["response_bytes"] or 0)
        found.append(
            AnswerKind(
                label=label,
                count=len(mine),
                targets=len({r["dst"] for r in mine}),
                status=status or None,
                body_kind=kind or None,
                bytes_min=min(sizes) if status else None,
                bytes_max=max(sizes) if status else None,
                sha256=next(iter(sums)) if len(sums) == 1 else None,
                preview=preview(sample["body_preview"]),
                citations=citer.some(
                    [
                        citer.packet(
                            r["response_packet_id"] if status else r["request_packet_id"],
                            flow_id=r["flow_id"],
                            http_txn_id=r["txn_id"],
                            ts_ns=r["ts_ns"],
                        )
                        for r in mine
                    ]
                ),
            )
        )
    return sorted(found, key=lambda a: (-a.count, a.label))


def head_answers(rows: Iterable[Mapping[str, Any]], citer: Citer) -> list[AnswerKind]:
    """Answers of other protocols by how they begin: the first word of text, or the first four bytes."""
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[beginning(row["head"] or b"")].append(row)
    found = []
    for label, mine in groups.items():
        sizes = [r["payload_len"] for r in mine]
        found.append(
            AnswerKind(
                label=label,
                count=len(mine),
                targets=len({r["dst"] for r in mine}),
                bytes_min=min(sizes),
                bytes_max=max(sizes),
                preview=preview(mine[0]["head"]),
                citations=citer.some(
                    [citer.packet(r["packet_id"], flow_id=r["flow_id"], ts_ns=r["start_ns"]) for r in mine]
                ),
            )
        )
    return sorted(found, key=lambda a: (-a.count, a.label))


def beginning(head: bytes) -> str:
    """What an answer begins with, coarse enough that answers of one kind fall together."""
    line = head.split(b"\n", 1)[0].rstrip(b"\r")[:40]
    if len(line) >= 3 and all(32 <= b < 127 for b in line):
        word = line.split(b" ", 1)[0].decode("ascii")
        return f"text beginning '{word}'"
    return "bytes beginning " + head[:4].hex(" ") if head else "no bytes kept"


def preview(data: bytes | None) -> str:
    """First bytes, one character a byte (latin-1), as the report expects them."""
    return "" if not data else bytes(data[: limits.HTTP_PREVIEW_BYTES]).decode("latin-1")


def statement(answers: Sequence[AnswerKind]) -> str:
    """One sentence for the answers."""
    parts = []
    for a in answers:
        sizes = ""
        if a.bytes_max:
            sizes = (
                f", {size(a.bytes_max)}" if a.bytes_min == a.bytes_max else f", {a.bytes_min:,} to {size(a.bytes_max)}"
            )
        parts.append(f"{a.count:,} x {a.label}{sizes} from {count(a.targets, 'target')}")
    return "; ".join(parts[:6]) + (f"; {len(parts) - 6} more kinds" if len(parts) > 6 else "") if parts else listing([])
