"""Training lists: a query, some of its documents, and a target for each, drawn from pools.

List ``i`` depends on the seed and ``i`` alone, so that loaders of any number of workers and resumed runs see the same
lists.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

import numpy as np

from cedistill.config.objective import Lists
from cedistill.data.pools import Pools
from cedistill.errors import InputError

logger = logging.getLogger(__name__)

_ORDER, _DRAW = 1, 2  # two independent streams of random numbers


class TrainingList(NamedTuple):
    """A query with N documents, their texts and targets: ``targets`` [N] float32 (labels, or a teacher's scores)."""

    query: str
    documents: list[str]
    targets: np.ndarray


class TrainingLists:
    """The ``count`` lists of a training run, by number: a map-style data set for a loader.

    Every entry (a relevant document with its negatives, or a query with its teacher's scores) is visited once before
    any is visited again; documents are drawn anew at each visit.
    """

    def __init__(self, pools: Pools, lists: Lists, seed: int, count: int) -> None:
        """Scan the pools for usable entries. Raises InputError when there is none."""
        self.pools, self.lists, self.seed, self.count = pools, lists, seed, count
        self.entries, dropped = _entries(pools, lists)
        if not len(self.entries):
            raise InputError(_nothing_usable(lists, pools.table.num_rows))
        if dropped:
            logger.warning("%d of %d queries give no list and are left out", dropped, pools.table.num_rows)
        self._epoch: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> TrainingList:
        if not 0 <= index < self.count:
            raise IndexError(index)
        epoch, place = divmod(index, len(self.entries))
        if self._epoch[0] != epoch:
            order = np.random.default_rng([self.seed, _ORDER, epoch]).permutation(len(self.entries))
            self._epoch = (epoch, order)
        row, positive = self.entries[self._epoch[1][place]]
        pool = self.pools.table[int(row)]
        targets, grades = _columns(pool, self.lists)
        chosen = draw(targets, grades, int(positive), self.lists, np.random.default_rng([self.seed, _DRAW, index]))
        documents = [self.pools.documents[pool["document_ids"][one]] for one in chosen]
        return TrainingList(self.pools.queries[pool["query_id"]], documents, targets[chosen])


def draw(
    targets: np.ndarray, grades: np.ndarray, positive: int, lists: Lists, random: np.random.Generator
) -> np.ndarray:
    """Draw the documents of one list from a pool of N documents.

    Args:
        targets: [N] what the loss will see; NaN marks a document that cannot be used.
        grades: [N] labels, NaN where unjudged.
        positive: place of the relevant document, for kinds that start from one.
        lists: kind and size of the list.
        random: source of randomness of this list.

    Returns:
        Places of at most ``lists.size`` documents; a relevant document or the better of two comes first in pairs.
    """
    usable = np.flatnonzero(~np.isnan(targets))
    if "labels" in lists.needs:
        relevant = grades >= lists.relevant_grade
        negatives = usable[~relevant[usable]]
        if lists.kind == "ranking":
            positives = random.permutation(usable[relevant[usable]])
            kept = positives[: max(lists.size // 2, lists.size - len(negatives))]
        else:
            kept = np.array([positive])
        return np.concatenate([kept, random.permutation(negatives)[: lists.size - len(kept)]])
    if lists.kind == "pairs":
        first = random.choice(usable)
        second = random.choice(usable[targets[usable] != targets[first]])
        return np.array([first, second] if targets[first] > targets[second] else [second, first])
    return random.permutation(usable)[: lists.size]


def _columns(pool: dict, lists: Lists) -> tuple[np.ndarray, np.ndarray]:
    count = len(pool["document_ids"])
    grades = np.array(pool["labels"], np.float32) if pool["labels"] else np.full(count, np.nan, np.float32)
    if lists.teacher:
        scores = np.array(pool["scores"], np.float32).reshape(-1, count)
        return (scores.mean(0) if len(scores) else np.full(count, np.nan, np.float32)), grades
    if lists.kind == "ranking":
        return np.maximum(np.nan_to_num(grades), 0), grades
    return (grades >= lists.relevant_grade).astype(np.float32), grades


def _entries(pools: Pools, lists: Lists) -> tuple[np.ndarray, int]:
    entries: list[tuple[int, int]] = []
    dropped = 0
    for row in range(pools.table.num_rows):
        found = _of_pool(row, pools.table[row], lists)
        entries += found
        dropped += not found
    return np.array(entries, np.int64).reshape(-1, 2), dropped


def _of_pool(row: int, pool: dict, lists: Lists) -> list[tuple[int, int]]:
    targets, grades = _columns(pool, lists)
    usable = ~np.isnan(targets)
    if "labels" not in lists.needs:
        signal = usable.any() and targets[usable].min() < targets[usable].max()
        return [(row, -1)] if signal else []
    relevant = usable & (grades >= lists.relevant_grade)
    if not relevant.any() or not (usable & ~relevant).any():
        return []
    return [(row, -1)] if lists.kind == "ranking" else [(row, int(place)) for place in np.flatnonzero(relevant)]


def _nothing_usable(lists: Lists, count: int) -> str:
    if lists.teacher:
        return (
            f"expected queries with two candidates that the teacher scored differently, found none in {count} queries; "
            "check that candidates and teacher name the same queries and documents"
        )
    return (
        f"expected queries with a document of grade {lists.relevant_grade} or more and one below, found none in "
        f"{count} queries; check the split, the candidates and lists.relevant_grade"
    )
