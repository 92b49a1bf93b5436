"""Re-ranking a run: the texts of each query's first candidates, scored anew."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from cedistill.data.collections import Collection
from cedistill.data.runs import Run, ranked
from cedistill.data.texts import absent, look_up
from cedistill.errors import InputError, shown

WINDOW = 1024
"""Pairs whose texts are looked up at once, and given at once to a scorer that is a function."""

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
        scorer: a Reranker (whose ``stream`` reads texts ahead), or a function from a list of (query, document) texts to
            one score each.
        collection: where the texts are.
        run: query id → document id → score of the first stage.
        depth: how many candidates of a query, in the order of trec_eval (see ``ranked``); None for all.
        progress: called with pairs done and pairs in all.

    Returns:
        The run of the new scores; a query without candidates stays without.

    Raises:
        InputError: an id of the run has no text; nothing is scored then.
    """
    places = [(query_id, document_id) for query_id, scores in run.items() for document_id in ranked(scores)[:depth]]
    check_texts_of(run, collection, depth)
    stream = getattr(scorer, "stream", None)
    score: Score = getattr(scorer, "score", scorer)
    windows = _windows(places, collection)
    values = stream(chain.from_iterable(windows)) if stream else chain.from_iterable(map(_whole(score), windows))
    reranked: Run = {query_id: {} for query_id in run}
    for done, ((query_id, document_id), value) in enumerate(zip(places, values, strict=True), 1):
        reranked[query_id][document_id] = float(value)
        if progress is not None and (done % WINDOW == 0 or done == len(places)):
            progress(done, len(places))
    return reranked


def _windows(places: Sequence[tuple[str, str]], collection: Collection) -> Iterator[list[tuple[str, str]]]:
    for start in range(0, len(places), WINDOW):
        window = places[start : start + WINDOW]
        texts = look_up(collection.documents, dict.fromkeys(document_id for _, document_id in window))
        yield [(collection.queries[query_id], texts[document_id]) for query_id, document_id in window]


def _whole(score: Score) -> Callable[[Sequence[tuple[str, str]]], Iterable[float]]:
    """Return ``score``, which then must give as many scores as it is given pairs."""

    def checked(pairs: Sequence[tuple[str, str]]) -> Iterable[float]:
        return [value for _, value in zip(pairs, score(pairs), strict=True)]

    return checked


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
