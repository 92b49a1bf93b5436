"""The order in which training entries are visited, round after round."""

from __future__ import annotations

import numpy as np

_STORED = 1 << 20  # up to so many entries an order is an array of at most 8 MiB
_ROUNDS = 8
_MASK = (1 << 64) - 1


class Order:
    """A permutation of ``count`` entries for each round, which depends on the seed and the round alone.

    Short ones are numpy's. A long one is never stored: a Feistel network of eight rounds permutes the numbers below the
    next power of four, and those that fall outside go through it again (cycle walking; Black and Rogaway 2002).
    """

    def __init__(self, count: int, seed: int, stream: int, shuffled: bool = True) -> None:
        """Take the number of entries, and what the order depends on. Unshuffled is 0, 1, 2, and so on."""
        self.count, self.seed, self.stream, self.shuffled = count, seed, stream, shuffled
        self.bits = max(1, ((count - 1).bit_length() + 1) // 2)
        self._round = -1
        self._stored = np.empty(0, np.int64)
        self._keys: list[int] = []

    def __call__(self, index: int) -> int:
        """Return the entry that is visited as number ``index``, counted over all rounds from 0."""
        turn, place = divmod(index, self.count)
        if not self.shuffled:
            return place
        if turn != self._round:
            self._begin(turn)
        if self.count <= _STORED:
            return int(self._stored[place])
        place = self._permuted(place)
        while place >= self.count:
            place = self._permuted(place)
        return place

    def _begin(self, turn: int) -> None:
        random = np.random.default_rng([self.seed, self.stream, turn])
        if self.count <= _STORED:
            self._stored = random.permutation(self.count)
        else:
            self._keys = [int(key) for key in random.integers(0, _MASK, _ROUNDS, np.uint64, endpoint=True)]
        self._round = turn

    def _permuted(self, place: int) -> int:
        mask = (1 << self.bits) - 1
        left, right = place >> self.bits, place & mask
        for key in self._keys:
            # The finaliser of SplitMix64 (Steele et al. 2014).
            mixed = (right + key) & _MASK
            mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
            mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
            left, right = right, left ^ ((mixed ^ (mixed >> 31)) & mask)
        return left << self.bits | right
