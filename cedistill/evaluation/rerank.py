"""Re-ranking a run: the texts of each query's first candidates, scored anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cedistill.data.collections import Collection
from cedistill.data.runs import Run, ranked
from cedistill.data.texts import absent, look_up
from cedistill.errors import InputError, shown

WINDOW = 1024
"""Pairs given to the scorer at once; it sorts them by length."""

Score = Callable[[Sequence[tuple[str, str]]], Sequence[float] | np.ndarray]
"""From (query, document) texts to one score each."""


def rerank(
    scorer: Score | Any,
    collection: Collection,
    run: Mapping[str, Mapping[str, float]],
    depth: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Run:
    """Score each query's first candidates with a model.

    Args:
        scorer: a Reranker, or a function from a list of (query, document) texts to one score each.
        collection: where the texts are.
        run: query id → document id → score of the first stage.
        depth: how many candidates of a query, in the order of trec_eval (see ``ranked``); None for all.
        progress: called with pairs done and pairs in all.

    Returns:
        The run of the new scores; a query without candidates stays without.

    Raises:
        InputError: an id of the run has no text; nothing is scored then.
    """
    score: Score = getattr(scorer, "score", scorer)
    places = [(query_id, document_id) for query_id, scores in run.items() for document_id in ranked(scores)[:depth]]
    check_texts_of(run, collection, depth)
    reranked: Run = {query_id: {} for query_id in run}
    for start in range(0, len(places), WINDOW):
        window = places[start : start + WINDOW]
        texts = look_up(collection.documents, dict.fromkeys(document_id for _, document_id in window))
        pairs = [(collection.queries[query_id], texts[document_id]) for query_id, document_id in window]
        for (query_id, document_id), value in zip(window, score(pairs), strict=True):
            reranked[query_id][document_id] = float(value)
        if progress is not None:
            progress(start + len(window), len(places))
    return reranked


def check_texts_of(run: Mapping[str, Mapping[str, float]], collection: Collection, depth: int | None = None) -> None:
    """Make sure that each query and its first ``depth`` documents have texts. Raises InputError."""
    names = [one for scores in run.values() for one in (ranked(scores)[:depth] if depth else scores)]
    wanted = {
        "query": (collection.queries, [query_id for query_id, scores in run.items() if scores]),
        "document": (collection.documents, list(dict.fromkeys(names))),
    }
    for kind, (texts, ids) in wanted.items():
        for name in absent(texts, ids):
            raise InputError(
                f"{collection.name}: expected a text for every id, found none for {kind} {shown(name)}; "
                "drop it from the run or add its text"
            )
