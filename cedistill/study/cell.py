"""One cell of a study: train and evaluate it, or keep what is there when it is what the study asks for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cedistill.config.train_data import check_provides
from cedistill.data.collections import check_labels
from cedistill.data.files import writing
from cedistill.study.identity import figures_identity, training_identity
from cedistill.study.plan import UNTRAINED, Cell, Study, objective_of, train_data_of
from cedistill.training.record import Progress

_MODEL = "model"
_METRICS = "metrics.json"
_STARTED = "started.json"

Report = Callable[[str], Progress]
"""Given the name of a phase, returns what is called with steps done, steps in all and a few words."""


def check_cell(study: Study, cell: Cell) -> None:
    """Refuse a cell that cannot run, before any cell starts. Raises InputError."""
    if cell.objective != UNTRAINED:
        check_provides(objective_of(study, cell), train_data_of(study, cell))
    for one in study.evaluate:
        check_labels(one.dataset)


def is_finished(study: Study, cell: Cell, folder: Path) -> bool:
    """Return whether the cell's model and figures are there, made by this configuration from these data."""
    figures = read_figures(folder, cell)
    has_model = cell.objective == UNTRAINED or (folder / cell.name / _MODEL / "cedistill.json").is_file()
    return bool(figures) and has_model and figures.get("identity") == figures_identity(study, cell)


def read_figures(folder: Path, cell: Cell) -> dict[str, Any]:
    """Return the cell's ``metrics.json``, empty when there is none."""
    path = folder / cell.name / _METRICS
    return json.loads(path.read_text()) if path.is_file() else {}


def run_cell(study: Study, cell: Cell, folder: Path, report: Report) -> dict[str, Any]:
    """Train and evaluate a cell in ``folder/cell.name``, going on where an interrupted run of it stopped.

    Leftovers of another configuration or of other data are removed first. Returns the content of ``metrics.json``.
    """
    from cedistill.evaluation.evaluate import evaluate
    from cedistill.model.reranker import Reranker

    place = folder / cell.name
    model = _ready_model(study, cell, place, report)
    training = objective_of(study, cell).training if cell.objective != UNTRAINED else None
    asked = training.precision if training else study.training.get("precision", "auto")
    scorer = Reranker(str(model), precision=asked) if isinstance(model, Path) else Reranker.of(*model, precision=asked)
    report_scoring = report("re-ranking pairs")
    result = evaluate(scorer, study.evaluate, place, progress=lambda done, total: report_scoring(done, total, ""))
    trained = json.loads((model / "cedistill.json").read_text())["figures"] if isinstance(model, Path) else None
    figures = {
        "identity": figures_identity(study, cell),
        **cell._asdict(),
        "training": trained,
        "precision": scorer.precision,
        **result,
    }
    with writing(place / _METRICS) as file:
        json.dump(figures, file, indent=1)
    return figures


def _ready_model(study: Study, cell: Cell, place: Path, report: Report) -> Any:
    if cell.objective == UNTRAINED:
        from cedistill.model.backbones import load_backbone

        return load_backbone(cell.backbone, cell.seed)
    from cedistill.training.train import train

    wanted = {"identity": training_identity(study, cell)}
    started = place / _STARTED
    if place.exists() and (not started.is_file() or json.loads(started.read_text()) != wanted):
        shutil.rmtree(place)
    with writing(started) as file:
        json.dump(wanted, file)
    validate = study.validate_on
    train(
        cell.backbone,
        objective_of(study, cell),
        place / _MODEL,
        data=train_data_of(study, cell),
        seed=cell.seed,
        validate=validate.dataset if validate else None,
        validate_candidates=validate.candidates if validate else "bm25",
        resume=True,
        log=place / "log.jsonl",
        command=f"cedistill run {cell.name}",
        progress=report("training"),
        report=report,
    )
    return place / _MODEL
