"""How far a study's teachers agree with each other, and with the judgements of the queries they scored."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from cedistill.config.train_data import TrainData, bound
from cedistill.data.collections import has_labels, is_public, require_labels
from cedistill.data.qrels import Qrels
from cedistill.data.references import is_retriever, run_path
from cedistill.data.runs import Run, ranked, read_run
from cedistill.errors import InputError
from cedistill.evaluation.first_stage import first_stage_name
from cedistill.study.plan import UNTRAINED, Cell, Study, objective_of, train_data_of

QUERIES = 500
"""Most queries of two teachers that are compared."""
_TOP = 10
_MEASURE = "ndcg@10"


def teacher_agreement(study: Study) -> dict[str, Any]:
    """Compare a study's teachers, where their runs are on this machine.

    Returns:
        ``teachers``: name, data set, numbers of queries and documents, and ``ndcg@10`` (None without judgements) of
        each; ``pairs``: see :func:`agreement`; ``absent``: references that were not there.
    """
    teachers: dict[tuple[str, str], Run] = {}
    absent: list[str] = []
    for data in _trained_on(study):
        for reference in data.teachers:
            key = (data.dataset or "", reference)
            if key in teachers or reference in absent:
                continue
            try:
                teachers[key] = _read(reference)
            except (InputError, OSError):
                absent.append(reference)
    rows = [_described(name, dataset, run) for (dataset, name), run in teachers.items()]
    pairs = [
        {
            "teachers": [first_stage_name(first[1]), first_stage_name(second[1])],
            **agreement(teachers[first], teachers[second], _labels(first[0])),
        }
        for first, second in combinations(teachers, 2)
        if first[0] == second[0]
    ]
    return {"teachers": rows, "pairs": [one for one in pairs if one["queries"]], "absent": absent}


def agreement(first: Run, second: Run, qrels: Qrels | None = None) -> dict[str, Any]:
    """Return how far two runs agree on the queries that both have, at most :data:`QUERIES` of them.

    Returns:
        ``queries``, ``overlap`` in [0, 1] (None without queries), and ``kendall`` and ``errors`` as
        :func:`cedistill.teachers.quality.compared` gives them.
    """
    from cedistill.teachers.quality import compared

    shared = sorted(set(first) & set(second))
    if len(shared) > QUERIES:
        shared = [shared[int(place)] for place in np.linspace(0, len(shared) - 1, QUERIES)]
    both = [{query: run[query] for query in shared} for run in (first, second)]
    overlaps = []
    for query in shared:
        tops = [set(ranked(run[query])[:_TOP]) for run in both]
        overlaps.append(len(tops[0] & tops[1]) / max(1, min(_TOP, *(len(run[query]) for run in both))))
    found = compared(both[0], both[1], qrels)
    return {
        "kendall": found["kendall"],
        "errors": found["errors"],
        "overlap": float(np.mean(overlaps)) if overlaps else None,
        "queries": len(shared),
    }


def _trained_on(study: Study) -> list[TrainData]:
    cells = [Cell(study.backbones[0], one, study.seeds[0]) for one in study.objectives if one != UNTRAINED]
    found = [bound(objective_of(study, cell), train_data_of(study, cell))[1] for cell in cells]
    return list(dict.fromkeys(found))


def _read(reference: str) -> Run:
    if is_retriever(reference):
        raise InputError(f"{reference}: expected a run, found the name of a first stage; write it to a run first")
    return read_run(run_path(reference))


def _described(name: str, dataset: str, run: Run) -> dict[str, Any]:
    from cedistill.evaluation.measures import mean, per_query

    qrels = _labels(dataset)
    judged: Qrels = {query: grades for query, grades in qrels.items() if query in run}
    return {
        "name": first_stage_name(name),
        "dataset": dataset.rpartition("/")[2],
        "queries": len(run),
        "documents": sum(len(scores) for scores in run.values()) / len(run),
        "ndcg@10": mean(per_query(run, judged, [_MEASURE])[_MEASURE]) if judged else None,
        "judged": len(judged),
    }


def _labels(dataset: str) -> Qrels:
    try:
        if dataset and not is_public(dataset) and has_labels(dataset):
            return require_labels(dataset)
    except (InputError, OSError):
        pass
    return {}
