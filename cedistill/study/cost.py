"""What scoring with a model costs, noted while it is evaluated: parameters, pairs per second, memory of the GPU."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

Advance = Callable[[int, int], None]
"""Called with pairs done and pairs in all, for each data set anew."""


class Meter:
    """Times the pairs that go by between two reports of progress within a data set.

    The first report of each data set only starts the clock, so that reading data and warming up do not count.
    """

    def __init__(self, advance: Advance, clock: Callable[[], float] = time.monotonic) -> None:
        """Hand each report on to ``advance``."""
        self.advance, self.clock = advance, clock
        self.pairs, self.seconds = 0, 0.0
        self._mark: tuple[int, float] | None = None

    def __call__(self, done: int, total: int) -> None:
        """Note ``done`` of ``total`` pairs."""
        now = self.clock()
        if self._mark is not None and done > self._mark[0]:
            self.pairs += done - self._mark[0]
            self.seconds += now - self._mark[1]
        self._mark = (done, now) if done < total else None
        self.advance(done, total)

    @property
    def pairs_per_second(self) -> float | None:
        """The speed of scoring, None where too few pairs went by."""
        return self.pairs / self.seconds if self.seconds > 0 else None


def scoring_cost(model: Any, meter: Meter) -> dict[str, float]:
    """Return ``parameters``, and ``pairs_per_second`` and ``peak_memory_bytes`` (of a GPU) where they are known."""
    import torch

    cost: dict[str, float] = {"parameters": sum(one.numel() for one in model.parameters())}
    if meter.pairs_per_second:
        cost["pairs_per_second"] = round(meter.pairs_per_second, 1)
    if next(model.parameters()).is_cuda:
        cost["peak_memory_bytes"] = torch.cuda.max_memory_allocated()
    return cost


def forget_peak() -> None:
    """Begin anew with the peak of the GPU's memory."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
