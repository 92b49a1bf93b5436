"""Teachers that a study names by a ranker in place of a run: their runs are made once, into the study's folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cedistill.cache import locked
from cedistill.config.train_data import TrainData
from cedistill.data.digests import file_digest
from cedistill.data.references import BI_ENCODER, BM25, is_retriever, model_files, run_path
from cedistill.errors import InputError
from cedistill.study.code import code_version
from cedistill.training.record import Progress

CROSS_ENCODER = "cross-encoder"
MADE = (BM25, f"{BI_ENCODER}:M", f"{CROSS_ENCODER}:M")
"""Teachers by name; M is a model: a name, a Hub id or a folder."""

FOLDER = "teachers"

Identify = Callable[[TrainData], Any]
"""Returns what identifies the texts and the candidates that a teacher scores."""


def is_made(reference: str) -> bool:
    """Return whether a teacher is a ranker whose scores are to be made, not a run file."""
    kind, colon, model = reference.partition(":")
    return reference == BM25 or (kind in (BI_ENCODER, CROSS_ENCODER) and bool(colon and model))


def teacher_beside(reference: str, folder: Path) -> str:
    """Return a teacher with its model's path starting at ``folder``, where that is a folder and not a name."""
    kind, colon, model = reference.partition(":")
    return f"{kind}:{folder / model}" if colon and (folder / model).is_dir() else reference


def check_teachers(data: TrainData) -> None:
    """Refuse teachers that are neither rankers nor runs that are there. Raises InputError."""
    for reference in data.teachers:
        if not is_made(reference) and not run_path(reference).is_file():
            raise InputError(
                f"{reference}: expected a teacher's run, {', '.join(MADE)}, found no such file; check the path, or "
                "make the run first: cedistill teach"
            )


def teacher_identity(reference: str) -> Any:
    """Return what identifies a ranker: its model's files where it is a folder, and the code that applies it."""
    kind, _, model = reference.partition(":")
    place = Path(model).expanduser()
    files = [file_digest(path) for path in model_files(place)] if model and place.is_dir() else []
    return [kind, files or model, code_version(("cedistill.teachers.members",))]


def with_runs(data: TrainData, folder: Path, identify: Identify) -> TrainData:
    """Return training data with the files of made runs in place of rankers; ``folder`` is the study's."""
    if not any(map(is_made, data.teachers)):
        return data
    runs = tuple(str(_path(data, one, folder, identify)) if is_made(one) else one for one in data.teachers)
    return data.model_copy(update={"teachers": runs})


def make_runs(data: TrainData, folder: Path, identify: Identify, report: Callable[[str], Progress]) -> None:
    """Make the runs of the rankers among the teachers that are not in the study's folder yet.

    Raises:
        InputError: data without a data set or without candidates to score, or no such model.
    """
    for reference in data.teachers:
        if not is_made(reference):
            continue
        path = _path(data, reference, folder, identify)
        with locked(folder / ".locks" / path.name):
            if not path.is_file():
                _make(data, reference, path, report(f"teacher {reference}"))


def _make(data: TrainData, reference: str, path: Path, progress: Progress) -> None:
    if data.dataset is None or data.candidates is None:
        raise InputError(
            f"expected dataset and candidates in [train] for the teacher {reference} to score, found "
            f"{'no candidates' if data.dataset else 'no dataset'}; give them, or a run in the teacher's place"
        )
    from cedistill.data.collections import check_texts, open_collection
    from cedistill.data.runs import read_run, write_run
    from cedistill.retrieval.first_stage import retrieved_path
    from cedistill.teachers.members import member_run

    collection, candidates = open_collection(data.dataset), data.candidates
    scored = retrieved_path(collection, candidates) if is_retriever(candidates) else run_path(candidates)
    run = read_run(scored)
    check_texts(run, scored, collection)
    made = member_run(
        reference, collection, run, precision="auto", progress=lambda done, total: progress(done, total, "")
    )
    write_run(path, made, path.name.rpartition("-")[0])


def _path(data: TrainData, reference: str, folder: Path, identify: Identify) -> Path:
    identity = json.dumps([teacher_identity(reference), identify(data)], sort_keys=True)
    kind, _, model = reference.partition(":")
    name = "-".join(filter(None, [kind, *Path(model).name.split()]))
    return folder / FOLDER / f"{name}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.trec.gz"
