"""One cell of a study: train and evaluate it, or keep what is there when it is what the study asks for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from cedistill.cache import locked
from cedistill.config.train_data import bound, check_provides, needed
from cedistill.data.collections import check_labels
from cedistill.data.files import writing
from cedistill.study.cost import Meter, forget_peak, scoring_cost
from cedistill.study.identity import figures_identity, training_identity
from cedistill.study.plan import UNTRAINED, Cell, Study, objective_of, start_of, train_data_of
from cedistill.study.prepare import ready_data
from cedistill.study.teachers import check_teachers
from cedistill.training.record import Progress

_MODEL = "model"
_FINISHED = "cedistill.json"
_METRICS = "metrics.json"
_STARTED = "started.json"

Report = Callable[[str], Progress]
"""Given the name of a phase, returns what is called with steps done, steps in all and a few words."""


def check_cell(study: Study, cell: Cell) -> None:
    """Refuse a cell that cannot run, before any cell starts. Raises InputError."""
    if cell.objective != UNTRAINED:
        check_provides(objective_of(study, cell), train_data_of(study, cell))
        check_teachers(needed(*bound(objective_of(study, cell), train_data_of(study, cell))))
    for one in (*study.evaluate, *study.validation):
        check_labels(one.dataset)


def is_finished(study: Study, cell: Cell, folder: Path) -> bool:
    """Return whether the cell's model and figures are there, made by this configuration from these data."""
    figures = read_figures(folder, cell)
    has_model = cell.objective == UNTRAINED or (folder / cell.name / _MODEL / _FINISHED).is_file()
    return bool(figures) and has_model and figures.get("identity") == figures_identity(study, cell)


def read_figures(folder: Path, cell: Cell) -> dict[str, Any]:
    """Return the cell's ``metrics.json``, empty when there is none or only that of an evaluation that was cut short."""
    path = folder / cell.name / _METRICS
    figures: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return figures if "identity" in figures else {}


def forget_figures(cell: Cell, folder: Path) -> None:
    """Remove a cell's figures, so that no table shows what another configuration made."""
    (folder / cell.name / _METRICS).unlink(missing_ok=True)


def run_cell(study: Study, cell: Cell, folder: Path, report: Report, report_to: Sequence[str] = ()) -> dict[str, Any]:
    """Train and evaluate a cell in ``folder/cell.name``, going on where an interrupted run of it stopped.

    Leftovers of another configuration or of other data are removed first. Another process that is at the same cell is
    waited for, and what it made is kept. Returns the content of ``metrics.json``.
    """
    with _alone(cell, folder):
        if is_finished(study, cell, folder):
            return read_figures(folder, cell)
        forget_figures(cell, folder)
        model = _ready_model(study, cell, folder, report, report_to)
        return _evaluated(study, cell, model, folder / cell.name, report)


def _evaluated(study: Study, cell: Cell, model: Any, place: Path, report: Report) -> dict[str, Any]:
    from cedistill.evaluation.evaluate import evaluate
    from cedistill.model.reranker import Reranker

    training = objective_of(study, cell).training if cell.objective != UNTRAINED else None
    asked = training.precision if training else study.training.get("precision", "auto")
    scorer = Reranker(str(model), precision=asked) if isinstance(model, Path) else Reranker.of(*model, precision=asked)
    report_scoring = report("re-ranking pairs")
    meter = Meter(lambda done, total: report_scoring(done, total, ""))
    forget_peak()
    result = evaluate(
        scorer,
        study.evaluate,
        place,
        benchmarks=study.benchmarks,
        progress=meter,
    )
    trained = json.loads((model / _FINISHED).read_text())["figures"] if isinstance(model, Path) else None
    figures = {
        "identity": figures_identity(study, cell),
        **cell._asdict(),
        "training": trained,
        "precision": scorer.precision,
        "cost": scoring_cost(scorer.model, meter),
        **result,
    }
    with writing(place / _METRICS) as file:
        json.dump(figures, file, indent=1)
    return figures


def _ready_model(study: Study, cell: Cell, folder: Path, report: Report, report_to: Sequence[str] = ()) -> Any:
    if cell.objective == UNTRAINED:
        from cedistill.model.backbones import load_backbone

        return load_backbone(cell.backbone, cell.seed)
    place = folder / cell.name
    _clear(place, {"identity": training_identity(study, cell)})
    if (place / _MODEL / _FINISHED).is_file():
        shutil.rmtree(place / _MODEL / "checkpoints", ignore_errors=True)  # of a run that was killed at its very end
        return place / _MODEL
    from cedistill.training.train import train

    start = _start_model(study, cell, folder, report, report_to)
    train(
        cell.backbone,
        objective_of(study, cell),
        place / _MODEL,
        data=ready_data(study, cell, folder),
        seed=cell.seed,
        validate=[(one.dataset, one.candidates) for one in study.validation],
        start=start,
        resume=True,
        log=place / "log.jsonl",
        command=f"cedistill run {cell.name}",
        progress=report("training"),
        report=report,
        report_to=report_to,
    )
    return place / _MODEL


def _start_model(study: Study, cell: Cell, folder: Path, report: Report, report_to: Sequence[str]) -> Path | None:
    first = start_of(study, cell)
    if first is None:
        return None
    with _alone(first, folder):
        model: Path = _ready_model(study, first, folder, report, report_to)
    return model


def _alone(cell: Cell, folder: Path) -> AbstractContextManager[None]:
    return locked(folder / ".locks" / cell.name.replace("/", "--"))


def _clear(place: Path, wanted: dict[str, str]) -> None:
    """Remove what another configuration or other data left in a cell's folder, and note what it is made of now."""
    started = place / _STARTED
    if not started.is_file() or json.loads(started.read_text()) != wanted:
        shutil.rmtree(place, ignore_errors=True)
        with writing(started) as file:
            json.dump(wanted, file)
