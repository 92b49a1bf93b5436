"""BM25, the lexical first stage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import bm25s
import numpy as np

from cedistill.data.runs import Run
from cedistill.retrieval.bm25_index import VOCABULARY, build_index
from cedistill.retrieval.document_ids import DocumentIds, open_ids
from cedistill.retrieval.words import words_of


def retrieve(queries: Mapping[str, str], documents: Mapping[str, str], depth: int) -> Run:
    """Return the first ``depth`` documents of every query by BM25, by an index that is not kept.

    See :func:`search`. ``documents`` is id → text.
    """
    with TemporaryDirectory(prefix="cedistill-") as folder:
        build_index(documents, Path(folder))
        return search(Path(folder), queries, depth)


def search(folder: Path, queries: Mapping[str, str], depth: int) -> Run:
    """Return the first ``depth`` documents of every query by an index on disk, which is memory-mapped.

    Lucene's form of BM25 with the settings of Anserini's baselines (Yang et al. 2017): k1 = 0.9, b = 0.4, Lucene's
    English stop words and the Porter stemmer; on lower-cased words of two or more characters.

    Args:
        folder: what :func:`cedistill.retrieval.bm25_index.build_index` wrote.
        queries: id → text.
        depth: the number of documents kept, at least 1; equal scores in order of falling id, as in
            :func:`cedistill.data.runs.ranked`.

    Returns:
        Query id → document id → score above 0, best first. A query none of whose words occurs is left out.
    """
    asked = _asked(folder, queries)
    if not any(asked.values()):
        return {}
    index = bm25s.BM25.load(folder, mmap=True, load_vocab=False)
    ids = open_ids(folder)
    return {query_id: _best(index.get_scores_from_ids(words), ids, depth) for query_id, words in asked.items() if words}


def score(folder: Path, queries: Mapping[str, str], candidates: Mapping[str, Mapping[str, float]]) -> Run:
    """Return the BM25 scores of each query's candidates, by the statistics of all documents of an index.

    Args:
        folder: as for :func:`search`, with which the scores agree.
        queries: id → text; every query of the candidates is among them.
        candidates: query id → document id → anything; documents of the index.

    Returns:
        Query id → document id → score, 0 where query and document share no word.
    """
    asked = _asked(folder, {query_id: queries[query_id] for query_id in candidates})
    run: Run = {query_id: dict.fromkeys(documents, 0.0) for query_id, documents in candidates.items()}
    if not any(asked.values()):
        return run
    index = bm25s.BM25.load(folder, mmap=True, load_vocab=False)
    ids = open_ids(folder)
    names = list(dict.fromkeys(one for documents in candidates.values() for one in documents))
    place_of = dict(zip(names, np.argsort(ids.ranks)[ids.ranks_of(names)].tolist(), strict=True))
    for query_id, words in asked.items():
        if words:
            places = np.array([place_of[one] for one in run[query_id]], np.int64)
            found = index.get_scores_from_ids(words)[places]
            run[query_id] = dict(zip(run[query_id], found.tolist(), strict=True))
    return run


def _asked(folder: Path, queries: Mapping[str, str]) -> dict[str, list[int]]:
    """Return the numbers of the words of each query that occur in the documents."""
    texts = dict(zip(queries, words_of(list(queries.values())).of_texts(), strict=True))
    numbers = _numbers(folder / VOCABULARY, {word for words in texts.values() for word in words})
    return {query_id: [numbers[word] for word in words if word in numbers] for query_id, words in texts.items()}


def _numbers(vocabulary: Path, wanted: set[str]) -> dict[str, int]:
    """Return the numbers of the wanted words that occur; the vocabulary of a large corpus is never held as a table."""
    with vocabulary.open(encoding="utf-8", newline="\n") as lines:
        return {word: number for number, line in enumerate(lines) if (word := line[:-1]) in wanted}


def _best(scores: np.ndarray, ids: DocumentIds, depth: int) -> dict[str, float]:
    found = np.flatnonzero(scores > 0)
    if len(found) > depth:
        reached = scores[found]
        found = found[reached >= np.partition(reached, len(reached) - depth)[len(reached) - depth]]
    ranks = ids.ranks[found]
    order = np.lexsort((-ranks, -scores[found]))[:depth]
    return dict(zip(ids.at(ranks[order]), scores[found][order].tolist(), strict=True))
