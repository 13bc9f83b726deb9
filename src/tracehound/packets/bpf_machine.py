"""In: what a filter asks, and the records of a batch. Out: which records it lets pass. Never here: the language (bpf_grammar.py).

The tree becomes a program of jumps that only go forward, as libpcap's does, and a kernel runs it on the bytes of every record: a
machine with a small stack of 32-bit numbers. A load beyond the captured bytes rejects the record, whatever stands around it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracehound.capture.records import RawBatch, Records
from tracehound.kernels import Int, kernel
from tracehound.limits import MAX_FILTER_DEPTH
from tracehound.packets.bpf_grammar import (
    All,
    Any,
    Compare,
    Condition,
    Const,
    IsEthernet,
    Length,
    LinkType,
    Load,
    Math,
    Not,
    Value,
    parse,
)
from tracehound.packets.link import ETHERNET, network_layer
from tracehound.packets.octets import be16, be32

_CONST: Final = 0
_LOAD: Final = 1
_LOAD_AT: Final = 2
_LENGTH: Final = 3
_LINK_TYPE: Final = 4
_IS_ETHERNET: Final = 5
_MATH: Final = 6
_IF_EQUAL: Final = 7
_IF_GREATER: Final = 8
_IF_AT_LEAST: Final = 9
_IF_EQUAL_TO: Final = 10
_RETURN: Final = 11
_MASK: Final = 12
_JUMPS: Final = {"=": _IF_EQUAL, ">": _IF_GREATER, ">=": _IF_AT_LEAST}
_SIGNS: Final = ("+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>")
_STACK: Final = 2 * MAX_FILTER_DEPTH + 16

LINUX_SLL: Final = 113
LINUX_SLL2: Final = 276
PPP_ETHER: Final = 51


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter ready to run. text: as written; program: int64 (instructions, 5): operation, operands, and where to go on."""

    text: str
    program: NDArray[np.int64]


@dataclass(slots=True)
class _Writer:
    """Instructions so far; jumps name labels until all are placed."""

    rows: list[list[int]] = field(default_factory=list)
    places: dict[int, int] = field(default_factory=dict)
    labels: int = 0

    def label(self) -> int:
        self.labels += 1
        return self.labels

    def emit(self, *row: int) -> None:
        self.rows.append([*row, *[0] * (5 - len(row))])

    def value(self, v: Value) -> None:
        if isinstance(v, Const):
            self.emit(_CONST, v.value)
        elif isinstance(v, Load):
            if isinstance(v.at, Const):
                self.emit(_LOAD, v.at.value, v.base, v.shift, v.size)
            else:
                self.value(v.at)
                self.emit(_LOAD_AT, 0, v.base, v.shift, v.size)
        elif isinstance(v, Math):
            self.value(v.left)
            if v.sign == "&" and isinstance(v.right, Const):
                self.emit(_MASK, v.right.value)
            else:
                self.value(v.right)
                self.emit(_MATH, _SIGNS.index(v.sign))
        else:
            self.emit({Length: _LENGTH, LinkType: _LINK_TYPE, IsEthernet: _IS_ETHERNET}[type(v)])

    def condition(self, c: Condition, yes: int, no: int) -> None:
        """Write `c`; it goes on at label `yes` or `no`."""
        if isinstance(c, Not):
            self.condition(c.part, no, yes)
        elif isinstance(c, Compare):
            self.value(c.left)
            if c.sign == "=" and isinstance(c.right, Const):
                self.emit(_IF_EQUAL_TO, c.right.value, 0, yes, no)
            else:
                self.value(c.right)
                self.emit(_JUMPS[c.sign], 0, 0, yes, no)
        else:
            self.parts(c, yes, no)

    def parts(self, c: All | Any, yes: int, no: int) -> None:
        all_of = isinstance(c, All)
        for part in c.parts[:-1]:
            following = self.label()
            if all_of:
                self.condition(part, following, no)
            else:
                self.condition(part, yes, following)
            self.places[following] = len(self.rows)
        if c.parts:
            self.condition(c.parts[-1], yes, no)
        else:
            # Nothing asked of all holds; nothing asked of any does not.
            self.emit(_CONST, 0)
            self.emit(_IF_EQUAL_TO, 0, 0, yes if all_of else no, no if all_of else yes)


def compiled(text: str) -> Filter:
    """A filter in the language of tcpdump, ready to run. Raises UsageError."""
    w = _Writer()
    yes, no = w.label(), w.label()
    w.condition(parse(text), yes, no)
    w.places |= {yes: len(w.rows), no: len(w.rows) + 1}
    w.emit(_RETURN, 1)
    w.emit(_RETURN, 0)
    for row in w.rows:
        if row[0] in (_IF_EQUAL, _IF_GREATER, _IF_AT_LEAST, _IF_EQUAL_TO):
            row[3], row[4] = w.places[row[3]], w.places[row[4]]
    return Filter(text, np.array(w.rows, np.int64))


@kernel
def link_of(buffer: NDArray[np.uint8], at: Int, end: Int, link_type: Int) -> tuple[Int, Int]:
    """(EtherType of the frame or -1, where what it names begins)."""
    if link_type == ETHERNET:
        return (be16(buffer, at + 12) if at + 14 <= end else np.int64(-2)), at + 14
    if link_type == LINUX_SLL:
        return (be16(buffer, at + 14) if at + 16 <= end else np.int64(-2)), at + 16
    if link_type == LINUX_SLL2:
        return (be16(buffer, at) if at + 20 <= end else np.int64(-2)), at + 20
    version, here, vlan, path, ether_type, _note = network_layer(buffer, at, end, link_type)
    if vlan != 0 or (path != 0 and link_type != PPP_ETHER):
        return np.int64(-1), here
    if version == 4:
        return np.int64(0x0800), here
    if version == 6:
        return np.int64(0x86DD), here
    return (ether_type if ether_type != 0 else np.int64(-1)), here


@kernel
def calculated(sign: Int, a: Int, b: Int) -> Int:
    """Arithmetic of 32 bits; division by zero gives -1, which rejects."""
    if sign == 0:
        value = a + b
    elif sign == 1:
        value = a - b
    elif sign == 2:
        value = (a * (b & 0xFFFF)) + ((a * (b >> 16) & 0xFFFF) << 16)
    elif sign == 3 or sign == 4:
        if b == 0:
            return np.int64(-1)
        value = a // b if sign == 3 else a % b
    elif sign == 5:
        value = a & b
    elif sign == 6:
        value = a | b
    elif sign == 7:
        value = a ^ b
    elif b > 31:
        value = np.int64(0)
    elif sign == 8:
        value = a << b
    else:
        value = a >> b
    return value & 0xFFFFFFFF


@kernel
def run(
    program: NDArray[np.int64], buffer: NDArray[np.uint8], offset: NDArray[np.int64], caplen: NDArray[np.int32],
    wirelen: NDArray[np.int32], link_type: NDArray[np.int32], stack: NDArray[np.int64], passes: NDArray[np.bool_],
) -> None:
    """Run the program on every record. `stack` is its room: kernels allocate nothing (kernels.py)."""
    for i in range(offset.size):
        link = offset[i]
        end = link + np.int64(caplen[i])
        ether_type, network = link_of(buffer, link, end, np.int64(link_type[i]))
        pc = np.int64(0)
        top = np.int64(0)
        passes[i] = False
        while pc < program.shape[0]:
            op = program[pc, 0]
            if op == _LOAD or op == _LOAD_AT:
                size = program[pc, 4]
                base = program[pc, 2]
                if op == _LOAD:
                    at = program[pc, 1]
                else:
                    top -= 1
                    at = stack[top]
                if base == 0:
                    at += link
                else:
                    begin = network + program[pc, 3]
                    if base == 2:
                        if begin >= end:
                            break
                        begin += (np.int64(buffer[begin]) & 15) * 4
                    at += begin
                if at < link or at + size > end:
                    break
                if size == 1:
                    stack[top] = buffer[at]
                elif size == 2:
                    stack[top] = be16(buffer, at)
                else:
                    stack[top] = be32(buffer, at)
                top += 1
                pc += 1
            elif op == _IF_EQUAL_TO:
                top -= 1
                pc = program[pc, 3] if stack[top] == program[pc, 1] else program[pc, 4]
            elif op == _LINK_TYPE:
                if ether_type == -2:
                    break
                stack[top] = ether_type
                top += 1
                pc += 1
            elif op == _MASK:
                stack[top - 1] &= program[pc, 1]
                pc += 1
            elif op == _CONST:
                stack[top] = program[pc, 1]
                top += 1
                pc += 1
            elif op == _IF_EQUAL or op == _IF_GREATER or op == _IF_AT_LEAST:
                top -= 2
                a, b = stack[top], stack[top + 1]
                yes = a == b if op == _IF_EQUAL else (a > b if op == _IF_GREATER else a >= b)
                pc = program[pc, 3] if yes else program[pc, 4]
            elif op == _MATH:
                top -= 1
                value = calculated(program[pc, 1], stack[top - 1], stack[top])
                if value < 0:
                    break
                stack[top - 1] = value
                pc += 1
            elif op == _LENGTH:
                stack[top] = wirelen[i]
                top += 1
                pc += 1
            elif op == _IS_ETHERNET:
                stack[top] = 1 if link_type[i] == ETHERNET else 0
                top += 1
                pc += 1
            else:
                passes[i] = program[pc, 1] == 1
                break


def passing(chosen: Filter, buffer: NDArray[np.uint8], records: Records) -> NDArray[np.bool_]:
    """For each record whether the filter lets it pass."""
    out = np.zeros(records.offset.size, np.bool_)
    stack = np.zeros(_STACK, np.int64)
    run(chosen.program, buffer, records.offset, records.caplen, records.wirelen, records.link_type, stack, out)
    return out


def filtered(raw: RawBatch, chosen: Filter) -> RawBatch:
    """The batch without the records that do not pass, as if it had been captured with the filter; frames keep their numbers."""
    keep = passing(chosen, raw.buffer, raw.records)
    if keep.all():
        return raw
    return raw.only(keep)
