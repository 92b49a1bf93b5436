"""Training lists: a query, some of its documents, and a target for each, drawn from pools.

List ``i`` depends on the seed and ``i`` alone, so that loaders of any number of workers and resumed runs see the same
lists.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cedistill.cache import cache_folder
from cedistill.config.objective import Lists
from cedistill.data.arrow_tables import made_once
from cedistill.data.draws import Candidates, draw, negatives_of
from cedistill.data.order import Order
from cedistill.data.pair_table import PairTable
from cedistill.data.pools import Pools
from cedistill.data.teacher_scores import masked_mean, normalised
from cedistill.errors import InputError, shown

logger = logging.getLogger(__name__)

_ORDER, _DRAW = 1, 2  # two independent streams of random numbers
_KEPT_FROM = 10_000  # pools, from which on the entries are kept in the cache: to find them takes longer than seconds


class TrainingList(NamedTuple):
    """A query with N documents, their texts and targets: ``targets`` [N] float32 (labels, or teachers' mean scores).

    ``teachers`` [K, N] float32 are the scores of each teacher, NaN where it gave none, and ``labels`` [N] the grades,
    at least 0, NaN where nobody judged; None where the objective does not ask for each (``lists.teachers``). ``weight``
    is how much the list counts.
    """

    query: str
    documents: list[str]
    targets: np.ndarray
    teachers: np.ndarray | None = None
    labels: np.ndarray | None = None
    weight: float = 1.0


class TrainingLists:
    """The ``count`` lists of a training run, by number: a map-style data set for a loader.

    Every entry (a relevant document with its negatives, a query with its teacher's scores, or a line of a file of
    pairs) is visited once before any is visited again, in an order drawn anew each time or in that of the file;
    negatives are drawn anew at each visit.
    """

    def __init__(self, pools: Pools, lists: Lists, seed: int, count: int) -> None:
        """Scan the pools for usable entries (pairs are taken as they are). Raises InputError when there is none."""
        self.pools, self.lists, self.seed, self.count = pools, lists, seed, count
        self.fixed = isinstance(pools.table, PairTable)
        self.entries = np.empty((0, 2), np.int64) if self.fixed else _entries(pools, lists)
        if self.fixed and lists.normalise != "none":
            raise InputError(
                f"lists.normalise: expected 'none' with a file of pairs, found {lists.normalise!r}: of two scores "
                "nothing would be left but their order; give candidates with a teacher's run"
            )
        entries = pools.table.num_rows if self.fixed else len(self.entries)
        if not entries:
            raise InputError(_nothing_usable(lists, pools.table.num_rows))
        shuffle_seed = seed if lists.shuffle_seed is None else lists.shuffle_seed
        self.order = Order(entries, shuffle_seed, _ORDER, shuffled=lists.order != "file")

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> TrainingList:
        if not 0 <= index < self.count:
            raise IndexError(index)
        entry = self.order(index)
        if self.fixed:
            pool = self.pools.table[entry]
            targets = np.array(pool["scores"][0] if self.lists.teacher else pool["labels"], np.float32)
            return self._texts(pool["query_id"], pool["document_ids"], targets)
        row, positive = self.entries[entry]
        pool = self.pools.table[int(row)]
        candidates = _candidates(pool, self.lists, self.pools.first_rank)
        chosen = draw(candidates, int(positive), self.lists, np.random.default_rng([self.seed, _DRAW, index]))
        ids = [pool["document_ids"][one] for one in chosen]
        drawn = self._texts(pool["query_id"], ids, candidates.targets[chosen])
        drawn = drawn._replace(weight=float(pool.get("weight", 1.0)))
        if self.lists.teachers != "each":
            return drawn
        labels = np.maximum(candidates.grades[chosen], 0)
        return drawn._replace(teachers=candidates.teachers[:, chosen], labels=labels)

    def _texts(self, query_id: str, document_ids: Sequence[str], targets: np.ndarray) -> TrainingList:
        try:
            documents = [self.pools.documents[one] for one in document_ids]
            return TrainingList(self.pools.queries[query_id], documents, targets)
        except KeyError as error:
            raise InputError(
                f"expected a text for each id of the training data, found none for {shown(str(error.args[0]))} "
                f"(query {shown(query_id)}); check that the data set is the one that the ids come from"
            ) from None


def _candidates(pool: dict[str, Any], lists: Lists, first_rank: int) -> Candidates:
    count = len(pool["document_ids"])
    grades = np.array(pool["labels"], np.float32) if pool["labels"] else np.full(count, np.nan, np.float32)
    scores = np.array(pool["scores"], np.float32).reshape(-1, count)
    teachers = normalised(scores, lists.normalise).astype(np.float32) if lists.normalise != "none" else scores
    teacher = teachers[0] if len(teachers) == 1 else masked_mean(teachers).astype(np.float32)
    if lists.teachers == "each" and "labels" in lists.needs:
        targets = np.where(np.isnan(teacher), np.maximum(grades, 0), teacher)  # of use if a label or a teacher has it
    elif lists.teacher:
        targets = teacher
    elif lists.kind == "ranking":
        targets = np.maximum(np.nan_to_num(grades), 0)
    else:
        targets = (grades >= lists.relevant_grade).astype(np.float32)
    return Candidates(targets, grades, teacher, first_rank, teachers)


def _entries(pools: Pools, lists: Lists) -> np.ndarray:
    """Return the entries [E, 2]: the row of a pool, and the place of its relevant document or -1."""
    if pools.table.num_rows < _KEPT_FROM:
        return _scanned(pools, lists)
    parts = f"entries 3 {pools.key} {pools.first_rank} {lists.model_dump_json(exclude={'order', 'shuffle_seed'})}"
    path = cache_folder() / "tables" / f"entries-{hashlib.sha256(parts.encode()).hexdigest()[:32]}.npy"

    def write(target: Path) -> None:
        with target.open("wb") as stream:
            np.save(stream, _scanned(pools, lists))

    return np.load(made_once(path, write), mmap_mode="r")


def _scanned(pools: Pools, lists: Lists) -> np.ndarray:
    entries: list[tuple[int, int]] = []
    dropped = uneven = 0
    for row in range(pools.table.num_rows):
        pool = _candidates(pools.table[row], lists, pools.first_rank)
        found = _of_pool(row, pool, lists)
        entries += found
        dropped += not found
        gaps = np.isnan(pool.teachers)
        uneven += bool((gaps.any(0) & ~gaps.all(0)).any())
    if uneven and lists.teacher and (lists.normalise, lists.teachers) == ("none", "mean"):
        logger.warning(
            "in %d of %d queries teachers scored different documents, and raw scores are averaged over those that "
            "scored; unless all are of one scale, set lists.normalise",
            uneven,
            pools.table.num_rows,
        )
    if entries and dropped:
        logger.warning("%d of %d queries give no list and are left out", dropped, pools.table.num_rows)
    return np.array(entries, np.int64).reshape(-1, 2)


def _of_pool(row: int, pool: Candidates, lists: Lists) -> list[tuple[int, int]]:
    usable = ~np.isnan(pool.targets)
    if "labels" not in lists.needs:
        # Opposite teachers have a constant mean, but each of them says something.
        voices = pool.teachers if lists.teachers == "each" else pool.targets[None]
        return [(row, -1)] if any(_has_spread(voice) for voice in voices) else []
    relevant = np.flatnonzero(usable & (pool.grades >= lists.relevant_grade))
    if lists.kind == "ranking":
        labelled = len(relevant) and len(negatives_of(pool, relevant, lists))
        taught = lists.teachers == "each" and any(_has_spread(voice) for voice in pool.teachers)
        return [(row, -1)] if labelled or taught else []
    return [(row, int(place)) for place in relevant if len(negatives_of(pool, np.array([place]), lists))]


def _has_spread(scores: np.ndarray) -> bool:
    there = scores[~np.isnan(scores)]
    return bool(len(there)) and bool(there.min() < there.max())


def _nothing_usable(lists: Lists, count: int) -> str:
    if lists.teacher:
        return (
            f"expected queries with two candidates that the teacher scored differently, found none in {count} queries; "
            "check that candidates and teacher name the same queries and documents"
        )
    chosen = lists.negatives.model_dump(exclude_defaults=True)
    return (
        f"expected queries with a document of grade {lists.relevant_grade} or more and one below, found none in "
        f"{count} queries; check the split, the candidates and lists.relevant_grade"
        f"{', and lists.negatives' if chosen else ''}"
    )
