"""Evaluate a model: re-rank the candidates of data sets and measure the result beside the first stage."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from cedistill import processes
from cedistill.config.benchmark import Benchmark, Evaluation
from cedistill.data.collections import check_labels, fetch, open_collection, require_labels
from cedistill.data.files import writing
from cedistill.data.qrels import Qrels
from cedistill.data.runs import Run, write_run
from cedistill.errors import InputError
from cedistill.evaluation.compare import compare
from cedistill.evaluation.first_stage import candidates_of, check_candidates, first_stage_name
from cedistill.evaluation.means import RERANKED, macro_mean
from cedistill.evaluation.measures import parse_measure
from cedistill.evaluation.metrics import measure_run
from cedistill.evaluation.shards import rerank_together
from cedistill.model.reranker import Reranker


def evaluate(
    model: str | Path | Reranker,
    evaluations: Iterable[Evaluation],
    output: str | Path,
    *,
    benchmarks: Mapping[str, Benchmark] | None = None,
    precision: str = "float32",
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Re-rank and measure each data set; write ``metrics.json`` and ``runs/`` into ``output``.

    Started in several processes by torchrun or accelerate, each re-ranks its part of the queries, the first one
    measures and writes, and all return the same.

    Args:
        model: a trained model's folder or Hub id, or a loaded Reranker.
        evaluations: the data sets, for example ``load_benchmark("demo").datasets``.
        output: folder for the results, made if missing.
        benchmarks: those by name whose mean over several data sets, all among ``evaluations``, is wanted.
        precision: ``float32``, ``bf16`` or ``auto`` for scoring.
        progress: called with pairs done and pairs in all, for each data set anew.

    Returns:
        ``{"datasets": {LABEL: {"first_stage": NAME, "depth": K, "runs": {...}, "comparisons": [...]}}}``, the latter
        two as ``cedistill metrics --json`` gives them, the first stage first. With ``benchmarks`` also
        ``"means": {NAME: ...}`` as :func:`cedistill.evaluation.means.macro_mean` gives them.

    Raises:
        InputError: malformed or unlabelled data, unknown measures, no such model; nothing is written for that data set.
    """
    evaluations, output = list(evaluations), Path(output)
    for one in evaluations:
        for measure in one.measures:
            parse_measure(measure)
        check_labels(one.dataset)
        check_candidates(one.candidates)
    labels = [one.label for one in evaluations]
    if len(set(labels)) < len(labels):
        raise InputError(f"expected each data set once, found {', '.join(labels)}; leave out the repeated one")
    processes.start()
    with processes.first_goes_first():
        fetch((one.dataset, one.candidates) for one in evaluations)
        scorer = model if isinstance(model, Reranker) else Reranker(str(model), precision=precision)
    datasets = {one.label: _one(scorer, one, output / "runs", progress) for one in evaluations}
    result: dict[str, Any] = {"datasets": datasets}
    several = {name: one for name, one in (benchmarks or {}).items() if one.mean and len(one.datasets) > 1}
    if several:
        result["means"] = {name: macro_mean(datasets, one.groups, one.published) for name, one in several.items()}
    if processes.is_first():
        with writing(output / "metrics.json") as file:
            json.dump(result, file, indent=1)
    return result


def _one(scorer: Reranker, one: Evaluation, runs: Path, progress: Callable[[int, int], None] | None) -> dict[str, Any]:
    with processes.first_goes_first():
        collection = open_collection(one.dataset)
        qrels = require_labels(collection)
        candidates = candidates_of(collection, one.candidates, one.depth)
    reranked = rerank_together(scorer.score, collection, candidates, progress=progress)
    first = first_stage_name(one.candidates)
    path = runs / f"{one.label}.trec.gz"

    def measure() -> dict[str, Any]:
        measured = _measured({first: candidates, RERANKED: reranked}, qrels, one, path)
        write_run(path, reranked, "cedistill")
        return measured

    return {
        "first_stage": first,
        "depth": one.depth,
        **({"published": one.published} if one.published else {}),
        **processes.answer_of_first(measure),
    }


def _measured(runs: dict[str, Run], qrels: Qrels, one: Evaluation, path: Path) -> dict[str, Any]:
    names = [str(parse_measure(measure)) for measure in one.measures]
    measured = {name: measure_run(run, qrels, names, f"{path.name} ({name})") for name, run in runs.items()}
    values = {name: values for name, (values, _) in measured.items()}
    return {
        "runs": {name: record for name, (_, record) in measured.items()},
        "comparisons": compare(next(iter(runs)), values, names),
    }
