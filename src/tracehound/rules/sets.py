"""In: the data sets and reputation lists that rules name, the texts of their files. Out: whether a value is in one; what rules put
in. Never here: reading files (edges/), rules.

Files as the Suricata 8 user guide describes them ("Datasets"): strings stand in base64, digests in hexadecimal, addresses as they
are; a reputation follows behind a comma."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from tracehound.limits import MAX_RULE_COUNTERS
from tracehound.rules.rule import Datarep, Dataset, HashList
from tracehound.rules.verify import _COMPARE

Load = Callable[[str], bytes]
"""The text of a file that a rule names. Raises OSError."""


class SetError(ValueError):
    """A file that a rule names cannot be used: why."""


def _value(kind: str, text: bytes) -> bytes:
    """One line's value as the bytes that a buffer is compared with."""
    if kind == "string":
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error:
            raise SetError(f"{text[:40]!r} is not base64") from None
    if kind in ("md5", "sha256"):
        try:
            return bytes.fromhex(text.decode("ascii"))
        except ValueError:
            raise SetError(f"{text[:40]!r} is not hexadecimal") from None
    try:
        return ipaddress.ip_address(text.decode("ascii").strip()).packed
    except ValueError:
        raise SetError(f"{text[:40]!r} is no address") from None


def _at(entry: Any, path: str) -> Any:
    """What stands at a path of keys, `a.b.c`; None where it leads nowhere."""
    for key in path.split(".") if path else ():
        entry = entry.get(key) if isinstance(entry, dict) else None
    return entry


def _entries(step: Dataset, text: bytes, path: str) -> Iterator[tuple[bytes, Any]]:
    """(value, entry) of a set in JSON: `json` is one document with an array (at array_key), `ndjson` an entry a line; the value
    stands at value_key. Strings stand as they are there. Raises SetError."""
    try:
        if step.form == "json":
            listed = _at(json.loads(text), step.array_key)
        else:
            listed = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError) as problem:
        raise SetError(f"{path}: {problem}") from None
    if not isinstance(listed, list):
        raise SetError(f"{path}: no array" + (f" at {step.array_key}" if step.array_key else ""))
    for entry in listed:
        found = _at(entry, step.value_key)
        if not isinstance(found, str):
            raise SetError(f"{path}: {str(entry)[:60]} has no text at {step.value_key or 'its place'}")
        value = found.encode() if step.kind == "string" else _value(step.kind, found.encode())
        shorter = step.remove_key and isinstance(entry, dict)
        yield value, {k: v for k, v in entry.items() if k != step.value_key} if shorter else entry


@dataclass(slots=True)
class Sets:
    """All sets of a run by name; they last as long as the run."""

    values: dict[str, set[bytes]] = field(default_factory=dict)
    reputations: dict[str, dict[bytes, int]] = field(default_factory=dict)
    entries: dict[tuple[str, bytes], Any] = field(default_factory=dict)

    def open_set(self, step: Dataset, load: Load) -> None:
        """Make a set known, with what its file holds. Raises SetError."""
        known = self.values.setdefault(step.name, set())
        path = step.load or step.state
        if path is None or known:
            return
        try:
            text = load(path)
        except OSError as problem:
            if step.load is None:
                return
            raise SetError(f"{path}: {problem.strerror}") from None
        if step.form != "csv":
            for value, entry in _entries(step, text, path):
                known.add(value)
                if step.enrichment_key:
                    self.entries[step.name, value] = entry
            return
        for line in text.splitlines():
            if line.strip():
                known.add(_value(step.kind, line.split(b",")[0].strip()))

    def about(self, step: Dataset, data: bytes) -> Any:
        """What the set's file says of a value beside it."""
        return self.entries.get((step.name, data))

    def open_reputations(self, step: Datarep, load: Load) -> None:
        """Make a reputation list known. Raises SetError."""
        known = self.reputations.setdefault(step.name, {})
        path = step.load or step.state
        if path is None or known:
            return
        try:
            text = load(path)
        except OSError as problem:
            raise SetError(f"{path}: {problem.strerror}") from None
        for line in text.splitlines():
            value, _, reputation = line.strip().rpartition(b",")
            if value:
                known[_value(step.kind, value.strip())] = int(reputation)

    def holds(self, step: Dataset, data: bytes) -> bool:
        """Carry out a dataset option on a buffer's value. `set` holds where the value was not in it yet."""
        known = self.values.setdefault(step.name, set())
        there = data in known
        if step.command == "isset":
            return there
        if step.command == "isnotset":
            return not there
        if step.command == "set":
            if not there and len(known) < MAX_RULE_COUNTERS:
                known.add(data)
            return not there
        known.discard(data)
        return there

    def reputation_holds(self, step: Datarep, data: bytes) -> bool:
        found = self.reputations.get(step.name, {}).get(data)
        return found is not None and _COMPARE[step.operator](found, step.value)


_DIGEST_BYTES: Final = {"md5": 32, "sha1": 40, "sha256": 64}


def digests_of(asked: HashList, text: bytes) -> frozenset[str]:
    """The digests of a list: one a line, what follows it is not read."""
    size = _DIGEST_BYTES[asked.algorithm]
    out = set()
    for line in text.splitlines():
        word = line.strip()[:size].lower()
        if len(word) == size and all(c in b"0123456789abcdef" for c in word):
            out.add(word.decode("ascii"))
    return frozenset(out)
