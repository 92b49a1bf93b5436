"""Which documents of a pool a training list holds: positives, negatives of a range of ranks, a teacher's order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cedistill.config.objective import Lists


class Candidates(NamedTuple):
    """The N documents of a pool, as a list is drawn from them.

    ``targets`` [N] is what the loss will see, NaN where a document cannot be used. ``grades`` [N] are labels, NaN where
    nobody judged. ``teacher`` [N] is the mean of the teachers' scores over those that gave one, NaN where none did.
    ``first_rank`` is the rank of place 0: 1, or 0 where the pool starts with a document that was put before its
    candidates. ``teachers`` [K, N] are the scores that ``teacher`` is the mean of, NaN where a teacher gave none.
    """

    targets: np.ndarray
    grades: np.ndarray
    teacher: np.ndarray
    first_rank: int = 1
    teachers: np.ndarray = np.empty((0, 0), np.float32)


def draw(pool: Candidates, positive: int, lists: Lists, random: np.random.Generator) -> np.ndarray:
    """Draw the documents of one list.

    Args:
        pool: the documents to draw from.
        positive: place of the relevant document, for kinds that start from one.
        lists: kind and size of the list, and which negatives it takes.
        random: source of randomness of this list.

    Returns:
        Places of at most ``lists.size`` documents; a relevant document or the better of two comes first in pairs.
    """
    usable = np.flatnonzero(~np.isnan(pool.targets))
    if "labels" in lists.needs:
        if lists.kind == "ranking":
            relevant = usable[pool.grades[usable] >= lists.relevant_grade]
            negatives = negatives_of(pool, relevant, lists)
            kept = random.permutation(relevant)[: max(lists.size // 2, lists.size - len(negatives))]
        else:
            kept = np.array([positive])
            negatives = negatives_of(pool, kept, lists)
        return np.concatenate([kept, _drawn(negatives, lists.size - len(kept), pool.first_rank, lists, random)])
    if lists.kind == "pairs":
        first = random.choice(usable)
        second = random.choice(usable[pool.targets[usable] != pool.targets[first]])
        return np.array([first, second] if pool.targets[first] > pool.targets[second] else [second, first])
    return random.permutation(usable)[: lists.size]


def negatives_of(pool: Candidates, positives: np.ndarray, lists: Lists) -> np.ndarray:
    """Return the places of the negatives that a list with ``positives`` (places) may take.

    They are the usable documents below ``lists.relevant_grade`` whose rank is in the range of ``lists.negatives``, but
    for those that the teacher scores above the lowest of the positives or at most ``margin`` below it: such documents
    are likely relevant and unjudged (Qu et al. 2021, arXiv 2010.08191). What the teacher did not score is kept.
    """
    wanted = lists.negatives
    usable = np.flatnonzero(~np.isnan(pool.targets))
    negatives = usable[~(pool.grades[usable] >= lists.relevant_grade)]
    ranks = negatives + pool.first_rank
    negatives = negatives[(ranks >= wanted.from_rank) & (ranks <= (wanted.to_rank or np.inf))]
    if wanted.margin is None:
        return negatives
    scored = pool.teacher[positives][~np.isnan(pool.teacher[positives])]
    if not len(scored):
        return negatives
    return negatives[~(scored.min() - pool.teacher[negatives] <= wanted.margin)]


def _drawn(negatives: np.ndarray, count: int, first_rank: int, lists: Lists, random: np.random.Generator) -> np.ndarray:
    """Draw ``count`` negatives without replacement, in the order drawn.

    Over log-ranks, the next one is rank r with a probability proportional to log((r + 1) / r), r among those left:
    what a number drawn uniformly on a logarithmic scale is cut down to. (The smallest of exponential times divided by
    weights come first in this very order; Efraimidis and Spirakis 2006.)
    """
    if lists.negatives.over == "uniform":
        return random.permutation(negatives)[:count]
    weights = np.log1p(1 / (negatives + first_rank))
    return negatives[np.argsort(random.exponential(size=len(negatives)) / weights)[:count]]
