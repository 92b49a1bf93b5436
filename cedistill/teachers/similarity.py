"""A bi-encoder as a teacher: its similarity of each query with its own candidates."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from cedistill.data.runs import Run
from cedistill.data.texts import look_up
from cedistill.retrieval.encoders import Dense, Encoder

BLOCK = 2048
"""Documents that are encoded and held together."""

_PAIRS = 1 << 14
"""Pairs that are compared at once."""


def similarities(
    encoder: Encoder,
    queries: Mapping[str, str],
    documents: Mapping[str, str],
    candidates: Run,
    progress: Callable[[int, int], None] | None = None,
    *,
    block: int = BLOCK,
) -> Run:
    """Return the similarity of each query with each of its candidates. Every text is encoded once.

    Memory holds the vectors of the queries and of one block of documents, and 24 bytes a candidate.

    Args:
        encoder: a bi-encoder, see :func:`cedistill.retrieval.encoders.load_encoder`.
        queries: id → text.
        documents: id → text.
        candidates: query id → document id → anything.
        progress: called with documents done and documents in all.
        block: documents of a block.

    Returns:
        Query id → document id → the model's own similarity, in the order of ``candidates``.
    """
    if not isinstance(encoder, Dense):
        raise TypeError(f"expected a bi-encoder, found {type(encoder).__name__}")
    names = list(dict.fromkeys(one for scores in candidates.values() for one in scores))
    number = {one: place for place, one in enumerate(names)}
    document_of = np.fromiter((number[one] for scores in candidates.values() for one in scores), np.int64)
    query_of = np.repeat(np.arange(len(candidates)), [len(scores) for scores in candidates.values()])
    by_document = np.argsort(document_of, kind="stable")
    edges = np.searchsorted(document_of[by_document], np.arange(0, len(names) + block, block))
    scores = np.zeros(len(document_of), np.float32)
    asked = encoder.queries([queries[query_id] for query_id in candidates])
    for turn, start in enumerate(range(0, len(names), block)):
        chosen = names[start : start + block]
        texts = look_up(documents, chosen)
        vectors = encoder.documents([texts[one] for one in chosen])
        places = by_document[edges[turn] : edges[turn + 1]]
        for some in np.split(places, range(_PAIRS, len(places), _PAIRS)):
            left, right = asked[query_of[some]], vectors[document_of[some] - start]
            scores[some] = encoder.pairs(left, right).cpu().numpy()
        if progress is not None:
            progress(start + len(chosen), len(names))
    values = iter(scores.tolist())
    return {query_id: dict(zip(one, values, strict=False)) for query_id, one in candidates.items()}
