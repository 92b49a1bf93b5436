"""Validation while training: nDCG@10 of re-ranked candidates of labelled data sets."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cedistill.config.benchmark import load_benchmark
from cedistill.config.shipped import shipped_names
from cedistill.data.collections import DEMO, fetch, open_collection, require_labels
from cedistill.evaluation.first_stage import candidates_of

MEASURE = "ndcg@10"
DEPTH = 100

Validation = Callable[[Any, Any, str], dict[str, float]]
"""Called with model, encoder and precision; returns figures by name."""


def validation_sets(reference: str, candidates: str | None = None) -> list[tuple[str, str]]:
    """Return the data sets that ``--validate`` means, each with its candidates.

    Args:
        reference: a data set reference, or a benchmark's name or file for all its data sets (``nano-beir``).
        candidates: in place of BM25's or the benchmark's.

    Raises:
        InputError: a malformed benchmark.
    """
    is_benchmark = reference in shipped_names("benchmarks") and not Path(reference).is_dir() and reference != DEMO
    if is_benchmark or reference.endswith(".toml"):
        return [(one.dataset, candidates or one.candidates) for one in load_benchmark(reference).datasets]
    return [(reference, candidates or "bm25")]


def make_validation(sets: Sequence[tuple[str, str]]) -> Validation:
    """Read labelled data sets and their candidates; return the function that validates a model on them.

    Its figure is the mean over the data sets of each one's mean over queries, to depth 100.

    Raises:
        InputError: malformed or unlabelled data.
    """
    fetch(sets)
    ready = []
    for dataset, candidates in sets:
        collection = open_collection(dataset)
        ready.append((collection, require_labels(collection), candidates_of(collection, candidates, DEPTH)))

    def validate(model: Any, encoder: Any, precision: str) -> dict[str, float]:
        from cedistill import processes
        from cedistill.evaluation.measures import mean, per_query
        from cedistill.evaluation.shards import rerank_together
        from cedistill.model.reranker import score_pairs

        def score(pairs: Any) -> Any:
            return score_pairs(model, encoder, pairs, precision=precision)

        runs = [rerank_together(score, collection, run) for collection, _, run in ready]

        def figure() -> dict[str, float]:
            means = [
                mean(per_query(run, qrels, [MEASURE])[MEASURE]) for run, (_, qrels, _) in zip(runs, ready, strict=True)
            ]
            return {MEASURE: statistics.fmean(means)}

        return processes.answer_of_first(figure)

    return validate
