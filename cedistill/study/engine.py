"""What runs the cells of a study: the engine of this process, and what every engine is given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from cedistill.study.cell import Report
from cedistill.study.outcome import Finished, Outcome, attempt, failed, failed_start
from cedistill.study.plan import Cell, Study

Status = Callable[[int, int, Cell], Report]
"""Called as a cell starts, with its number from 1, the number of cells that run and the cell."""


class Job(NamedTuple):
    """The unfinished cells of a study, each after the one it starts from, and who is told of their progress.

    ``reference`` is the study's file or folder, ``folder`` the one that its results go into. ``report_to`` names
    trackers of training (see ``cedistill.training.tracking``).
    """

    study: Study
    reference: Path
    folder: Path
    waiting: tuple[Cell, ...]
    status: Status
    finished: Finished
    report_to: tuple[str, ...] = ()


Engine = Callable[[Job], list[Outcome]]
"""Tries every cell of a job and returns how each ended."""


def run_here(job: Job) -> list[Outcome]:
    """Run cells one after the other in this process."""
    outcomes: list[Outcome] = []
    for number, cell in enumerate(job.waiting, start=1):
        report = job.status(number, len(job.waiting), cell)
        cause = failed_start(job.study, cell, [one for one in outcomes if one.cause])
        if cause:
            outcomes.append(failed(cell, job.folder, cause, cause))
        else:
            outcomes.append(attempt(job.study, cell, job.folder, report, job.report_to))
        job.finished(outcomes[-1])
    return outcomes
