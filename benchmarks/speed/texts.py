"""The texts that are measured on: MS MARCO passages of ``CEDISTILL_DATA``, or without it the built-in collection."""

from __future__ import annotations

import os
from itertools import islice
from typing import Any

_BM25, _TEACHER = "msmarco-v1/runs/dl19.bm25.trec.gz", "msmarco-v1/teachers/dl19.gpt-4-exam-scores.trec.gz"


def source() -> dict[str, str]:
    """Return the data set with its candidates and teacher, as the command line takes them."""
    data = os.environ.get("CEDISTILL_DATA")
    if data:
        return {"dataset": f"{data}/msmarco-v1:dl19", "candidates": f"{data}/{_BM25}", "teacher": f"{data}/{_TEACHER}"}
    return {"dataset": "demo:train", "candidates": "demo:train.candidates", "teacher": "demo:train.ensemble"}


def training_lists(objective: str, size: int, count: int) -> Any:
    """Return ``count`` training lists of ``size`` documents of the source for a shipped objective."""
    from cedistill.config.objective import load_objective
    from cedistill.config.train_data import TrainData
    from cedistill.data.lists import TrainingLists
    from cedistill.data.pools import load_pools

    found = source()
    data = TrainData(dataset=found["dataset"], candidates=found["candidates"], teachers=(found["teacher"],))
    lists = load_objective(objective, [f"lists.size={size}"]).lists
    return TrainingLists(load_pools(data, labels=False, positives="judged"), lists, 12, count)


def scored_pairs(count: int) -> tuple[str, list[tuple[str, str]]]:
    """Return the collection's name and the first candidates of its first queries."""
    from cedistill.data.collections import open_collection
    from cedistill.data.runs import ranked, read_run

    found = source()
    collection = open_collection(found["dataset"])
    if not os.environ.get("CEDISTILL_DATA"):
        query = next(iter(collection.queries.values()))
        return "demo", [(query, text) for text in islice(collection.documents.values(), count)]
    run = read_run(found["candidates"])
    places = ((query, document) for query, scores in run.items() for document in ranked(scores))
    pairs = [(collection.queries[query], collection.documents[document]) for query, document in islice(places, count)]
    return "MS MARCO passages, TREC DL 2019, BM25's candidates", pairs
