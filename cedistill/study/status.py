"""What a person sees of a running study: the cell at work, a line for each that ended, and how long the rest takes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from cedistill.console import clock, phases
from cedistill.study.cell import Report
from cedistill.study.engine import Status
from cedistill.study.outcome import Finished, Outcome
from cedistill.study.plan import Cell
from cedistill.training.record import Progress


class Shown(NamedTuple):
    """What an engine tells of its cells as they start and as they end."""

    status: Status
    finished: Finished


@contextmanager
def status_lines() -> Iterator[Shown]:
    """Yield the status of a study, shown on stderr."""
    seconds: list[float] = []
    started = time.monotonic()
    count = 0
    with ExitStack() as cell_at_work:

        def status(number: int, total: int, cell: Cell) -> Report:
            nonlocal count
            count = total
            cell_at_work.close()  # the bars of a cell go with it: one line stays
            phase = cell_at_work.enter_context(phases(transient=True))

            def report(name: str) -> Progress:
                return phase(f"[{number}/{total}] {cell.name}: {name}")

            return report

        def finished(outcome: Outcome) -> None:
            cell_at_work.close()
            seconds.append(outcome.seconds)
            left = time_left(seconds, count, time.monotonic() - started)
            what = f"failed: {outcome.cause}" if outcome.cause else f"done in {clock(outcome.seconds)}"
            rest = f"; {clock(left)} left in all" if len(seconds) < count else ""
            sys.stderr.write(f"[{len(seconds)}/{count}] {outcome.cell.name}: {what}{rest}\n")

        yield Shown(status, finished)


def time_left(seconds: list[float], count: int, elapsed: float) -> float:
    """Return the seconds that the rest of ``count`` cells takes, as far as those that ended tell.

    The longest so far stands for each that is to come, since the first ones may be mere evaluations; ``elapsed`` tells
    how many run at once.
    """
    at_once = max(1.0, sum(seconds) / max(elapsed, 1e-9))
    return max(seconds, default=0.0) * (count - len(seconds)) / at_once
