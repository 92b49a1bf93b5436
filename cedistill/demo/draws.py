"""Random numbers of the demo: integers only, the same on every machine and in every version of Python."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

_MASK = (1 << 64) - 1


class Draws:
    """The SplitMix64 generator (Steele, Lea and Flood 2014) and what the demo draws with it."""

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    @classmethod
    def named(cls, name: str) -> Draws:
        """Return the generator of a name, so that one part of the demo does not change with what another part draws."""
        return cls(zlib.crc32(name.encode()))

    def bits(self) -> int:
        """Return the next integer of 64 random bits."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return mixed ^ (mixed >> 31)

    def below(self, bound: int) -> int:
        """Return an integer from 0 to ``bound`` − 1 (multiply and shift; the bias is below ``bound`` / 2⁶⁴)."""
        return (self.bits() * bound) >> 64

    def chance(self, percent: int) -> bool:
        """Return true in ``percent`` of 100 cases."""
        return self.below(100) < percent

    def pick(self, among: Sequence[T]) -> T:
        """Return one element."""
        return among[self.below(len(among))]

    def shuffled(self, elements: Sequence[T]) -> list[T]:
        """Return the elements in random order (Fisher and Yates)."""
        order = list(elements)
        for last in range(len(order) - 1, 0, -1):
            other = self.below(last + 1)
            order[last], order[other] = order[other], order[last]
        return order

    def some(self, elements: Sequence[T], count: int) -> list[T]:
        """Return ``count`` different elements, or all where there are fewer, in random order."""
        return self.shuffled(elements)[:count]

    def noise(self, scale: int) -> int:
        """Return an integer of mean 0 and standard deviation ``scale``: near normal, never beyond 3.5 deviations."""
        bits = self.bits()
        total = (bits & 0xFFFF) + (bits >> 16 & 0xFFFF) + (bits >> 32 & 0xFFFF) + (bits >> 48)
        # The sum of four uniform 16-bit integers has mean 131 070 and standard deviation 37 837.
        return (total - 131_070) * scale // 37_837
