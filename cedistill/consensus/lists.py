"""The training lists of a generation: labelled queries with people's labels, unlabelled ones with the consensus."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cedistill.data.collections import Collection, require_labels
from cedistill.data.files import writing
from cedistill.data.runs import Run, ranked
from cedistill.teachers.pseudo_labels import PseudoLabel

logger = logging.getLogger(__name__)

CONSENSUS = "consensus"


def free_queries(candidates: Run, collection: Collection, judged: Mapping[str, Collection]) -> list[str]:
    """Return the queries of the candidates that may get pseudo-labels.

    None of them is judged in a collection of ``judged`` (labelled, held out or evaluated; by name), neither by id in
    the same data set nor by its text in any: labels from people are never overwritten, and what decides or measures is
    never learned from.
    """
    texts = {_plain(one.queries[query_id]) for one in judged.values() for query_id in one.qrels or {}}
    free = [query_id for query_id in candidates if _plain(collection.queries[query_id]) not in texts]
    if len(free) < len(candidates):
        logger.warning("%d queries have labels elsewhere and get no consensus", len(candidates) - len(free))
    return free


def write_lists(
    path: Path,
    labelled: tuple[Collection, Run],
    unlabelled: tuple[Collection, Run],
    labels: Mapping[str, PseudoLabel],
    weigh: bool,
) -> None:
    """Write text lists: all judged documents and candidates of labelled queries, then the pseudo-labelled queries.

    Candidates that nobody judged have label 0; a pseudo-labelled query has no label but the scores of one teacher,
    ``consensus``, and as weight its confidence (0 where that is negative) or 1.
    """
    with writing(path) as file:
        for record in (*_with_labels(*labelled), *_with_consensus(*unlabelled, labels, weigh)):
            file.write(json.dumps(record) + "\n")


def _with_labels(collection: Collection, candidates: Run) -> Iterator[dict[str, Any]]:
    for query_id, grades in require_labels(collection).items():
        found = ranked(candidates.get(query_id, {}))
        ids = [one for one in dict.fromkeys([*found, *grades]) if one in collection.documents]
        texts = [collection.documents[one] for one in ids]
        yield {"query": collection.queries[query_id], "docs": texts, "labels": [grades.get(one, 0) for one in ids]}


def _with_consensus(
    collection: Collection, candidates: Run, labels: Mapping[str, PseudoLabel], weigh: bool
) -> Iterator[dict[str, Any]]:
    for query_id, one in labels.items():
        ids = [document_id for document_id in ranked(candidates[query_id]) if document_id in one.labels]
        yield {
            "query": collection.queries[query_id],
            "docs": [collection.documents[document_id] for document_id in ids],
            "scores": {CONSENSUS: [one.labels[document_id] for document_id in ids]},
            "weight": max(one.confidence, 0.0) if weigh else 1.0,
        }


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
