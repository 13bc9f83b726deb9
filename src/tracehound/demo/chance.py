"""In: a seed. Out: numbers that look random and are the same for the same seed on every machine and Python version.
Never here: the operating system's randomness, or the module `random`, whose sequences may change between versions.

The generator is SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014)."""

from __future__ import annotations

import math
from collections.abc import MutableSequence, Sequence
from typing import TypeVar

T = TypeVar("T")

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


class Chance:
    """A stream of numbers; `fork(name)` begins another one, so that a change in one actor leaves the others as they are."""

    __slots__ = ("_seed", "_state")

    def __init__(self, seed: int) -> None:
        self._seed = seed & _MASK
        self._state = self._seed

    def fork(self, name: str) -> Chance:
        """A stream of its own for `name`; depends on the seed and the name alone."""
        mixed = self._seed
        for byte in name.encode():
            mixed = ((mixed ^ byte) * 0x100000001B3) & _MASK
        return Chance(Chance(mixed).bits())

    def bits(self) -> int:
        """64 bits."""
        self._state = z = (self._state + _GOLDEN) & _MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return z ^ (z >> 31)

    def below(self, end: int) -> int:
        """A whole number in 0 .. end-1."""
        return (self.bits() * end) >> 64

    def between(self, low: int, high: int) -> int:
        """A whole number in low .. high, both included."""
        return low + self.below(high - low + 1)

    def unit(self) -> float:
        """A number in [0, 1)."""
        return (self.bits() >> 11) / (1 << 53)

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * self.unit()

    def happens(self, probability: float) -> bool:
        return self.unit() < probability

    def exponential(self, mean: float) -> float:
        """A waiting time of a Poisson process with this mean gap."""
        return -mean * math.log(1.0 - self.unit())

    def choice(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]

    def shuffle(self, items: MutableSequence[T]) -> None:
        for i in range(len(items) - 1, 0, -1):
            j = self.below(i + 1)
            items[i], items[j] = items[j], items[i]

    def octets(self, count: int) -> bytes:
        return b"".join(self.bits().to_bytes(8, "big") for _ in range((count + 7) // 8))[:count]
