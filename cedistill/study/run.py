"""Run a study: its cells one after another, finished ones kept, and the table of what came out."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cedistill.console import lines
from cedistill.data.collections import fetch
from cedistill.data.files import writing
from cedistill.errors import InputError
from cedistill.report.table import collect, write_tables
from cedistill.study.cell import Report, check_cell, is_finished, read_figures, run_cell
from cedistill.study.plan import Cell, Study, cells, references, training_sources
from cedistill.study.reading import load_study

logger = logging.getLogger(__name__)

Status = Callable[[int, int, Cell], Report]
"""Called as a cell starts, with its number from 1, the number of cells that run and the cell."""


class CellsFailedError(RuntimeError):
    """Some cells of a study failed; the others are finished and in the table."""


def plan_study(reference: str | Path, only: str | None = None) -> list[tuple[Cell, str]]:
    """Return the cells of a study with what would happen to each: ``keep``, ``go on`` or ``run``. Raises InputError."""
    study, folder = load_study(reference)
    return [(cell, _state(study, cell, folder)) for cell in _checked(study, only)]


def run_study(reference: str | Path, status: Status, only: str | None = None, command: str = "") -> dict[str, Any]:
    """Run a study's unfinished cells and write its tables.

    Args:
        reference: the study's folder or file.
        status: told of each cell that starts; what it returns is told of each phase of that cell.
        only: pattern of cells to run; the tables show every cell that has figures.
        command: stands beside the table.

    Returns:
        The table as JSON values (see ``cedistill.report.table.collect``).

    Raises:
        InputError: a study, data or an objective that cannot work; no cell has started then.
        CellsFailedError: cells failed while running; each one's cause is in its ``error.txt``, the tables are written.
    """
    study, folder = load_study(reference)
    chosen = _checked(study, only)
    _fetch(study, chosen)
    waiting = [cell for cell in chosen if not is_finished(study, cell, folder)]
    failed = []
    for number, cell in enumerate(waiting, start=1):
        error_file = folder / cell.name / "error.txt"
        error_file.unlink(missing_ok=True)
        try:
            run_cell(study, cell, folder, status(number, len(waiting), cell))
        except (RuntimeError, InputError, OSError, MemoryError) as error:
            logger.error("%s failed: %s", cell.name, error)
            failed.append(cell.name)
            with writing(error_file) as file:
                file.write(traceback.format_exc())
    if len(failed) == len(chosen):
        raise CellsFailedError(f"all cells failed, see error.txt in: {', '.join(failed)}")
    table = report_study(reference, command)
    if failed:
        raise CellsFailedError(f"{len(failed)} of {len(waiting)} cells failed, see error.txt in: {', '.join(failed)}")
    return table


def report_study(reference: str | Path, command: str = "") -> dict[str, Any]:
    """Write and return the table of the cells that have figures. Raises InputError when there is none."""
    study, folder = load_study(reference)
    figures = [(cell, read_figures(folder, cell)) for cell in cells(study)]
    if not any(one for _, one in figures):
        raise InputError(f"{folder}: expected a cell with figures, found none; run it first: cedistill run {reference}")
    table = collect(study, figures)
    write_tables(folder, table, command)
    return table


def _fetch(study: Study, chosen: list[Cell]) -> None:
    from cedistill.data.source_pools import source_file

    fetch(references(study, chosen))
    for source in training_sources(study, chosen):
        source_file(source, lines)


def _checked(study: Study, only: str | None) -> list[Cell]:
    chosen = cells(study, only)
    for cell in chosen:
        check_cell(study, cell)
    return chosen


def _state(study: Study, cell: Cell, folder: Path) -> str:
    if is_finished(study, cell, folder):
        return "keep"
    return "go on" if (folder / cell.name / "model" / "checkpoints").is_dir() else "run"
