"""The identities of a cell: a hash of all that determines its model, and one of all that determines its figures.

That is its configuration, the content of its data, and the code that computes it (see ``cedistill.study.code``); not
the versions of libraries, which the model's ``cedistill.json`` names.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from cedistill.config.benchmark import Evaluation
from cedistill.config.sources import find_source
from cedistill.config.train_data import TrainData, bound, needed
from cedistill.data.collections import collection_files
from cedistill.data.digests import file_digest
from cedistill.data.references import is_retriever, parse_retriever, retriever_files, run_path
from cedistill.study.code import backbone_code, figures_code, loss_code, training_code
from cedistill.study.plan import UNTRAINED, Cell, Study, objective_of, start_of, train_data_of
from cedistill.study.teachers import is_made, teacher_identity


def training_identity(study: Study, cell: Cell) -> str:
    """Return the identity of a cell's model. Raises InputError when a file it depends on is missing."""
    objective, data = None, study.train
    if cell.objective != UNTRAINED:
        objective, data = bound(objective_of(study, cell), train_data_of(study, cell))
    validation = [_evaluation(one)[1:3] for one in study.validation] if objective else []
    start = start_of(study, cell)
    return _hash(
        training_code(bool(validation)) + loss_code(objective.loss) if objective else backbone_code(),
        cell.backbone,
        cell.seed,
        objective and objective.model_dump(mode="json"),
        objective and _train_data(needed(objective, data)),
        validation,
        start and training_identity(study, start),
    )


def figures_identity(study: Study, cell: Cell) -> str:
    """Return the identity of a cell's figures: its model's, and what it is evaluated on."""
    return _hash(training_identity(study, cell), figures_code(), [_evaluation(one) for one in study.evaluate])


def scored_identity(data: TrainData) -> Any:
    """Return what identifies the texts and the candidates that a teacher made for ``data`` scores."""
    return [_dataset(data.dataset or ""), _run(data.candidates or "")]


def _train_data(data: TrainData) -> Any:
    files = [_file(Path(one)) if one else None for one in (data.pairs, data.lists, data.list_weights)]
    runs = [data.candidates and _run(data.candidates)]
    runs += [teacher_identity(one) if is_made(one) else _run(one) for one in data.teachers]
    parts = [_dataset(data.dataset) if data.dataset else None, runs, files]
    return [*parts, *_source(data.source)] if data.source else parts


def _source(name: str) -> list[str]:
    source = find_source(name)
    return [name, source.file.md5 if source.file else source.docpairs or ""]


def _evaluation(one: Evaluation) -> Any:
    return [one.label, _dataset(one.dataset), _run(one.candidates), one.depth, list(one.measures)]


def _dataset(reference: str) -> list[str]:
    return [_file(path) for path in collection_files(reference)]


def _run(reference: str) -> Any:
    if reference == "scoreddocs":
        return reference
    if not is_retriever(reference):
        return _file(run_path(reference))
    # A model that is a folder counts by its content, wherever it lies.
    files = [_file(path) for path in retriever_files(reference)]
    return [parse_retriever(reference)[0], *files] if files else reference


def _file(path: Path) -> str:
    stat = path.stat()
    return _content(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4096)
def _content(path: Path, size: int, changed: int) -> str:
    return file_digest(path)


def _hash(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
