"""One line of status per cell of a study: what runs, how far it is, and how long the rest may take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

from cedistill.console import clock, phases
from cedistill.study.cell import Report
from cedistill.study.plan import Cell
from cedistill.study.run import Status
from cedistill.training.record import Progress


@contextmanager
def status_lines() -> Iterator[Status]:
    """Yield the status of a study, shown on stderr."""
    starts: list[float] = []
    with phases() as phase:

        def status(number: int, total: int, cell: Cell) -> Report:
            starts.append(time.monotonic())
            # The longest cell so far stands for those to come: the first ones may be mere evaluations.
            longest = max((end - start for start, end in pairwise(starts)), default=None)
            rest = f", {clock(longest * (total - number + 1))} left in all" if longest else ""

            def report(name: str) -> Progress:
                return phase(f"[{number}/{total}{rest}] {cell.name}: {name}")

            return report

        yield status
