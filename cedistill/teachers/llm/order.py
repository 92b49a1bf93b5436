"""Order sensitivity: shuffled orders, what their rankings agree on, and how far they agree."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np


def shuffled(documents: Sequence[str], query_id: str, number: int, seed: int) -> list[str]:
    """Return the documents of a query in shuffled order ``number``; it depends on the arguments alone.

    Each is placed by the hash of its id, so that neither the platform nor other queries change the order.
    """
    start = f"{seed}\n{number}\n{query_id}\n"
    return sorted(documents, key=lambda one: (hashlib.sha256((start + one).encode()).digest(), one))


def mean_scores(rankings: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return the mean over rankings of the score by rank: n for the first of n documents, 1 for the last (Borda).

    Args:
        rankings: the same documents in each, best first.

    Returns:
        Document id → mean score, best first; of equal means the better rank in the first ranking goes first.
    """
    totals = dict.fromkeys(rankings[0], 0)
    for ranking in rankings:
        for rank, document in enumerate(ranking):
            totals[document] += len(ranking) - rank
    return {one: total / len(rankings) for one, total in sorted(totals.items(), key=lambda pair: -pair[1])}


def agreement(rankings: Sequence[Sequence[str]]) -> float | None:
    """Return the mean over all pairs of rankings of Kendall's tau: 1 the same order, -1 reversed, about 0 by chance.

    Args:
        rankings: the same documents in each, best first.

    Returns:
        The mean, or None for fewer than two rankings or two documents.
    """
    documents = sorted(rankings[0])
    if len(rankings) < 2 or len(documents) < 2:
        return None
    places = [{document: rank for rank, document in enumerate(ranking)} for ranking in rankings]
    ranks = np.array([[place[document] for document in documents] for place in places])
    first, second = np.triu_indices(len(documents), 1)
    signs = np.sign(ranks[:, first] - ranks[:, second])
    taus = signs @ signs.T / len(first)
    return float(taus[np.triu_indices(len(rankings), 1)].mean())
