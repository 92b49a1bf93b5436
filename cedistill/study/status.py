"""One line of status per cell of a study: what runs, how far it is, and how long the rest may take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from cedistill.console import clock, phases
from cedistill.study.cell import Report
from cedistill.study.plan import Cell
from cedistill.study.run import Status
from cedistill.training.record import Progress


@contextmanager
def status_lines() -> Iterator[Status]:
    """Yield the status of a study, shown on stderr."""
    started = time.monotonic()
    with phases() as phase:

        def status(number: int, total: int, cell: Cell) -> Report:
            done = number - 1
            left = (time.monotonic() - started) / done * (total - done) if done else None
            rest = f", {clock(left)} left in all" if left is not None else ""

            def report(name: str) -> Progress:
                return phase(f"[{number}/{total}{rest}] {cell.name}: {name}")

            return report

        yield status
