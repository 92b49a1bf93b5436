from pathlib import Path

import numpy as np
import pytest

from cedistill.data.collections import Collection
from cedistill.errors import InputError
from cedistill.evaluation import rerank as module
from cedistill.evaluation.rerank import rerank

COLLECTION = Collection(
    name="letters:test",
    folder=Path("letters"),
    split="test",
    queries={"q1": "one", "q2": "two", "q3": "three"},
    documents={"a": "1", "b": "22", "c": "333", "d": "4444"},
    qrels=None,
    files=(),
)
RUN = {"q1": {"a": 3.0, "b": 2.0, "c": 1.0}, "q2": {"d": 1.0, "c": 1.0, "b": 1.0}, "q3": {}}


def by_length(pairs):
    return np.array([len(query) * 10 + len(document) for query, document in pairs], dtype=np.float32)


def test_every_candidate_gets_its_own_score():
    assert rerank(by_length, COLLECTION, RUN) == {
        "q1": {"a": 31.0, "b": 32.0, "c": 33.0},
        "q2": {"d": 34.0, "c": 33.0, "b": 32.0},
        "q3": {},
    }


def test_depth_takes_the_first_in_trec_order():
    reranked = rerank(by_length, COLLECTION, RUN, depth=2)
    assert reranked == {"q1": {"a": 31.0, "b": 32.0}, "q2": {"d": 34.0, "c": 33.0}, "q3": {}}


def test_windows_and_progress(monkeypatch):
    monkeypatch.setattr(module, "WINDOW", 4)
    seen, sizes = [], []

    def scorer(pairs):
        sizes.append(len(pairs))
        return by_length(pairs)

    reranked = rerank(scorer, COLLECTION, RUN, progress=lambda done, total: seen.append((done, total)))
    assert reranked == rerank(by_length, COLLECTION, RUN)
    assert sizes == [4, 2]
    assert seen == [(4, 6), (6, 6)]


def test_a_reranker_is_a_scorer():
    class Model:
        def score(self, pairs):
            return by_length(pairs)

    assert rerank(Model(), COLLECTION, RUN) == rerank(by_length, COLLECTION, RUN)


def test_a_scorer_with_a_stream_is_given_all_pairs_in_one(monkeypatch):
    monkeypatch.setattr(module, "WINDOW", 4)
    streams, seen = [], []

    class Model:
        def stream(self, pairs):
            streams.append(pairs)
            return (float(len(query) * 10 + len(document)) for query, document in pairs)

    reranked = rerank(Model(), COLLECTION, RUN, progress=lambda done, total: seen.append((done, total)))
    assert reranked == rerank(by_length, COLLECTION, RUN)
    assert len(streams) == 1
    assert seen == [(4, 6), (6, 6)]


def test_scores_are_the_float32_values():
    reranked = rerank(lambda pairs: np.full(len(pairs), 0.1, dtype=np.float32), COLLECTION, {"q1": {"a": 1.0}})
    assert reranked["q1"]["a"] == float(np.float32(0.1))


@pytest.mark.parametrize(("run", "what"), [({"q9": {"a": 1.0}}, "query 'q9'"), ({"q1": {"z": 1.0}}, "document 'z'")])
def test_ids_without_a_text_are_refused_before_scoring(run, what):
    calls = []
    with pytest.raises(InputError, match=f"letters:test: expected a text for every id, found none for {what}"):
        rerank(lambda pairs: calls.append(pairs), COLLECTION, {**RUN, **run})
    assert calls == []


def test_a_scorer_that_loses_a_score_is_an_error():
    with pytest.raises(ValueError, match="shorter"):
        rerank(lambda pairs: by_length(pairs)[1:], COLLECTION, RUN)
