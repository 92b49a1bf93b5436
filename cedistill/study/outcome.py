"""How the attempt at a cell ended, and the file that tells why it failed."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from cedistill.data.files import writing
from cedistill.errors import InputError
from cedistill.study.cell import Report, forget_figures, run_cell
from cedistill.study.plan import Cell, Study, start_of

LOG = "error.txt"


class Outcome(NamedTuple):
    """A cell that was tried: how long it took in seconds, and the cause of its failure, "" when it is finished."""

    cell: Cell
    seconds: float
    cause: str = ""


Finished = Callable[[Outcome], None]
"""Called as a cell ends, well or not."""


class CellsFailedError(RuntimeError):
    """Some cells of a study failed; the others are finished and in the table. ``failures`` has a line for each."""

    def __init__(self, failed: Sequence[Outcome], tried: int, folder: Path) -> None:
        """Tell of ``failed`` among ``tried`` cells, whose logs are in the study's folder."""
        self.failures = [f"{one.cell.name}: {one.cause}; log: {log_of(one.cell, folder)}" for one in failed]
        names = ", ".join(one.cell.name for one in failed)
        super().__init__(f"{len(failed)} of {tried} cells failed, see {LOG} in: {names}")


def log_of(cell: Cell, folder: Path) -> Path:
    """Return the file that tells why a cell failed; it is there only while the last attempt at it failed."""
    return folder / cell.name / LOG


def attempt(study: Study, cell: Cell, folder: Path, report: Report, report_to: Sequence[str] = ()) -> Outcome:
    """Run a cell; a failure is written to its log and returned, an interruption is raised."""
    started = time.monotonic()
    log_of(cell, folder).unlink(missing_ok=True)
    try:
        run_cell(study, cell, folder, report, report_to)
    except Exception as error:  # whatever a cell fails of must not stop the others
        return failed(cell, folder, _cause(error), traceback.format_exc(), time.monotonic() - started)
    return Outcome(cell, time.monotonic() - started)


def failed(cell: Cell, folder: Path, cause: str, log: str, seconds: float = 0.0) -> Outcome:
    """Write a failure to the cell's log and return it; figures of before are of something else, and go."""
    forget_figures(cell, folder)
    with writing(log_of(cell, folder)) as file:
        file.write(log)
    return Outcome(cell, seconds, cause)


def failed_start(study: Study, cell: Cell, failures: Sequence[Outcome]) -> str:
    """Return why a cell cannot run as the one that it starts from failed, "" where that did not."""
    start = start_of(study, cell)
    return next((f"{one.cell.name}, from which it starts, failed" for one in failures if one.cell == start), "")


def _cause(error: Exception) -> str:
    text = " ".join(str(error).split())
    # The text of a missing key or of a wrong type says little without its kind.
    return text if text and isinstance(error, (InputError, RuntimeError, OSError)) else repr(error)
