"""What the cells of a study share, made once before they start: data, sources, first stages, teachers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from cedistill.config.train_data import TrainData, bound, needed
from cedistill.data.collections import Collection, fetch, open_collection
from cedistill.data.references import is_retriever
from cedistill.study.identity import scored_identity
from cedistill.study.plan import UNTRAINED, Cell, Study, objective_of, references, train_data_of, training_sources
from cedistill.study.teachers import make_runs, with_runs
from cedistill.training.record import Progress


def fetch_data(study: Study, chosen: Sequence[Cell], report: Callable[[str], Progress]) -> None:
    """Fetch the data sets and training sources that cells need. Raises InputError where they cannot be had."""
    from cedistill.data.source_pools import source_file

    fetch(references(study, chosen))
    for source in training_sources(study, chosen):
        source_file(source, report)


def make_shared(study: Study, waiting: Sequence[Cell], folder: Path, report: Callable[[str], Progress]) -> None:
    """Make the first stages and teachers of the cells that will run; what is there is kept.

    First stages go into the cache, teachers' runs into the study's folder.

    Raises:
        InputError: a first stage or a teacher that cannot be made of the data.
    """
    trained = [cell for cell in waiting if cell.objective != UNTRAINED]
    for data in _distinct(study, trained):
        make_runs(data, folder, scored_identity, report)
    _first_stages(study, trained, report)


def ready_data(study: Study, cell: Cell, folder: Path) -> TrainData:
    """Return what a cell's lists are made of, with the files of its made teachers in place of their names."""
    return with_runs(train_data_of(study, cell), folder, scored_identity)


def _first_stages(study: Study, trained: Sequence[Cell], report: Callable[[str], Progress]) -> None:
    """Make the first stages as evaluation, validation and the reading of training data will ask for them."""
    from cedistill.evaluation.first_stage import candidates_of
    from cedistill.retrieval.first_stage import retrieved_path
    from cedistill.training.validation import DEPTH

    wanted: list[tuple[str, str, int | None]] = [(one.dataset, one.candidates, one.depth) for one in study.evaluate]
    if trained:
        wanted += [(one.dataset, one.candidates, DEPTH) for one in study.validation]
    opened: dict[str, Collection] = {}
    for dataset, candidates, depth in dict.fromkeys(one for one in wanted if is_retriever(one[1])):
        opened[dataset] = opened.get(dataset) or open_collection(dataset)
        candidates_of(opened[dataset], candidates, depth, _documents(report, dataset, candidates))
    drawn = ((one.dataset, one.candidates) for one in _distinct(study, trained))
    for dataset, candidates in dict.fromkeys((one, other) for one, other in drawn if one and other):
        if is_retriever(candidates):
            retrieved_path(
                opened.get(dataset) or open_collection(dataset),
                candidates,
                progress=_documents(report, dataset, candidates),
            )


def _distinct(study: Study, trained: Sequence[Cell]) -> list[TrainData]:
    """Return the training data of cells as their objectives read them, each once."""
    of_objectives = {cell.objective: cell for cell in trained}
    found: dict[str, TrainData] = {}
    for cell in of_objectives.values():
        data = needed(*bound(objective_of(study, cell), train_data_of(study, cell)))
        found.setdefault(data.model_dump_json(), data)
    return list(found.values())


def _documents(report: Callable[[str], Progress], dataset: str, candidates: str) -> Callable[[int, int], None]:
    advance = report(f"first stage {candidates} of {dataset}: documents")

    def progress(done: int, total: int) -> None:
        if done < total:  # what takes no time needs no line
            advance(done, total, "")

    return progress
