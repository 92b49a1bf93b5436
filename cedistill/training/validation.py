"""Validation while training: nDCG@10 of re-ranked candidates of a labelled data set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cedistill.data.collections import open_collection, require_labels
from cedistill.evaluation.first_stage import candidates_of

MEASURE = "ndcg@10"
DEPTH = 100

Validation = Callable[[Any, Any, str], dict[str, float]]
"""Called with model, encoder and precision; returns figures by name."""


def make_validation(dataset: str, candidates: str) -> Validation:
    """Read a labelled data set and its candidates; return the function that validates a model on them.

    Raises:
        InputError: malformed or unlabelled data.
    """
    collection = open_collection(dataset)
    qrels = require_labels(collection)
    run = candidates_of(collection, candidates, DEPTH)

    def validate(model: Any, encoder: Any, precision: str) -> dict[str, float]:
        from cedistill import processes
        from cedistill.evaluation.measures import mean, per_query
        from cedistill.evaluation.shards import rerank_together
        from cedistill.model.reranker import score_pairs

        reranked = rerank_together(
            lambda pairs: score_pairs(model, encoder, pairs, precision=precision), collection, run
        )
        return processes.answer_of_first(lambda: {MEASURE: mean(per_query(reranked, qrels, [MEASURE])[MEASURE])})

    return validate
