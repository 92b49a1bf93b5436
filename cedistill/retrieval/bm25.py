"""BM25, the lexical first stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import bm25s
import numpy as np
import Stemmer

from cedistill.data.runs import Run

SETTINGS: dict[str, Any] = {"method": "lucene", "k1": 0.9, "b": 0.4, "stopwords": "english", "stemmer": "porter"}
"""What the run depends on besides the texts."""


def retrieve(queries: Mapping[str, str], documents: Mapping[str, str], depth: int) -> Run:
    """Return the first ``depth`` documents of every query by BM25.

    Lucene's form of BM25 with the settings of Anserini's baselines (Yang et al. 2017): k1 = 0.9, b = 0.4, Lucene's
    English stop words and the Porter stemmer; on lower-cased words of two or more characters.

    Args:
        queries: id → text.
        documents: id → text.
        depth: the number of documents kept, at least 1; equal scores in order of falling id, as in
            :func:`cedistill.data.runs.ranked`.

    Returns:
        Query id → document id → score above 0, best first. A query none of whose words occurs is left out.
    """
    ids = list(documents)
    tokens = _tokens([documents[one] for one in ids])
    if not tokens.vocab:
        return {}
    index = bm25s.BM25(method=SETTINGS["method"], k1=SETTINGS["k1"], b=SETTINGS["b"], backend="numpy")
    index.index(tokens, show_progress=False)
    # Falling ids first, so that a stable sort by score leaves ties in trec_eval's order.
    falling = np.array(sorted(range(len(ids)), key=ids.__getitem__, reverse=True))
    run: Run = {}
    for query_id, text in queries.items():
        words = [one for one in _tokens([text], numbered=False)[0] if one in tokens.vocab]
        if words:
            scores = index.get_scores(words)
            run[query_id] = {ids[place]: float(scores[place]) for place in _best(scores, falling, depth)}
    return {query_id: scores for query_id, scores in run.items() if scores}


def _best(scores: np.ndarray, falling: np.ndarray, depth: int) -> np.ndarray:
    found = falling[scores[falling] > 0]
    if len(found) > depth:
        least = np.partition(scores[found], len(found) - depth)[len(found) - depth]
        found = found[scores[found] >= least]
    return found[np.argsort(-scores[found], kind="stable")][:depth]


def _tokens(texts: list[str], *, numbered: bool = True) -> Any:
    return bm25s.tokenize(
        texts,
        stopwords=SETTINGS["stopwords"],
        stemmer=Stemmer.Stemmer(SETTINGS["stemmer"]),
        return_ids=numbered,
        show_progress=False,
    )
