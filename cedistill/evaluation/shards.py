"""Re-ranking by several processes: each scores a part of the queries, the first one has the whole run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice

from cedistill import processes
from cedistill.data.collections import Collection
from cedistill.data.runs import Run
from cedistill.evaluation.rerank import Score, rerank


def rerank_together(
    score: Score,
    collection: Collection,
    run: Mapping[str, Mapping[str, float]],
    progress: Callable[[int, int], None] | None = None,
) -> Run:
    """Score each query's candidates, the queries dealt out to the processes of this run in turn.

    Args:
        score: from (query, document) texts to one score each.
        collection: where the texts are.
        run: query id → document id → score of the first stage; the same in every process.
        progress: called with about how many pairs are done, over all processes, and pairs in all.

    Returns:
        In the first process the run of the new scores, its queries in the order of ``run``; in the others an empty one.

    Raises:
        InputError: an id of the run has no text.
    """
    count = processes.count()
    whole = sum(len(scores) for scores in run.values())
    own = dict(islice(run.items(), processes.number(), None, count))
    advance = progress and (lambda done, _: progress(min(done * count, whole), whole))
    parts = processes.gathered(rerank(score, collection, own, progress=advance))
    merged = {query_id: scores for part in parts for query_id, scores in part.items()}
    return {query_id: merged[query_id] for query_id in run} if parts else {}
