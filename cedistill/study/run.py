"""Run a study: what its cells share, then the cells that are not finished, then the table of what came out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cedistill.console import lines
from cedistill.report.build import report_study
from cedistill.study.cell import check_cell, is_finished, read_figures
from cedistill.study.engine import Engine, Job, Status, run_here
from cedistill.study.outcome import CellsFailedError, Finished
from cedistill.study.plan import Cell, Study, cells
from cedistill.study.prepare import fetch_data, make_shared
from cedistill.study.reading import load_study
from cedistill.training.tracking import trackers

__all__ = ["CellsFailedError", "plan_study", "report_study", "run_study"]

logger = logging.getLogger(__name__)


def plan_study(reference: str | Path, only: str | None = None) -> list[tuple[Cell, str]]:
    """Return the cells of a study with what would happen to each: ``keep``, ``go on`` or ``run``. Raises InputError."""
    study, folder = load_study(reference)
    return [(cell, _state(study, cell, folder)) for cell in _checked(study, only)]


def run_study(
    reference: str | Path,
    status: Status,
    only: str | None = None,
    command: str = "",
    *,
    engine: Engine = run_here,
    finished: Finished | None = None,
    report_to: Sequence[str] = (),
) -> dict[str, Any]:
    """Run a study's unfinished cells and write its tables.

    Args:
        reference: the study's folder or file.
        status: told of each cell that starts; what it returns is told of each phase of that cell.
        only: pattern of cells to run; the tables show every cell that has figures.
        command: stands beside the table.
        engine: what runs the cells; by default one after the other, here.
        finished: told of each cell that ends.
        report_to: trackers that are told of each training, as ``train`` takes them.

    Returns:
        The table as JSON values (see ``cedistill.report.table.collect``).

    Raises:
        InputError: a study, data or an objective that cannot work; no cell has started then.
        CellsFailedError: cells failed while running; each one's cause is in its ``error.txt``, the tables are written.
    """
    study, folder = load_study(reference)
    chosen = _checked(study, only)
    told_of_training = trackers(report_to)
    fetch_data(study, chosen, lines)
    waiting = [cell for cell in chosen if not is_finished(study, cell, folder)]
    if waiting:
        make_shared(study, waiting, folder, lines)
    told = finished or (lambda outcome: None)
    job = Job(study, Path(reference), folder, tuple(waiting), status, told, told_of_training)
    failures = [one for one in engine(job) if one.cause] if waiting else []
    if len(failures) == len(chosen):
        raise CellsFailedError(failures, len(waiting), folder)
    table = report_study(reference, command)
    _warn_of_stale(study, set(chosen), folder)
    if failures:
        raise CellsFailedError(failures, len(waiting), folder)
    return table


def _warn_of_stale(study: Study, chosen: set[Cell], folder: Path) -> None:
    """Say which figures in the table are of cells that were not asked for and that would be made anew."""
    others = [cell for cell in cells(study) if cell not in chosen and read_figures(folder, cell)]
    stale = [cell.name for cell in others if not is_finished(study, cell, folder)]
    if stale:
        logger.warning(
            "the table shows figures of %d cells that other settings, data or code made: %s; run the study without "
            "--only to renew them",
            len(stale),
            ", ".join(stale),
        )


def _checked(study: Study, only: str | None) -> list[Cell]:
    chosen = cells(study, only)
    for cell in chosen:
        check_cell(study, cell)
    return chosen


def _state(study: Study, cell: Cell, folder: Path) -> str:
    if is_finished(study, cell, folder):
        return "keep"
    return "go on" if (folder / cell.name / "model" / "checkpoints").is_dir() else "run"
