import math

import pytest

from cedistill.data.collections import open_collection
from cedistill.data.runs import ranked, top
from cedistill.evaluation.measures import mean, per_query
from cedistill.retrieval.bm25 import retrieve

DOCUMENTS = {"a": "Cats chase the cat.", "b": "A dog and a cat", "c": "dogs, dogs, dogs, dogs", "d": ""}


def _weight(count, length, containing):
    # Lucene's BM25 over DOCUMENTS: 4 documents of 3 + 2 + 4 + 0 words.
    rarity = math.log(1 + (4 - containing + 0.5) / (containing + 0.5))
    return rarity * count / (count + 0.9 * (1 - 0.4 + 0.4 * length / (9 / 4)))


def test_scores_by_hand():
    run = retrieve({"1": "the cat", "2": "dogs cat dog"}, DOCUMENTS, 10)
    # "cats" is stemmed to "cat", "the", "and" and "a" are no words of the index, "dog" counts twice in query 2.
    assert run["1"] == pytest.approx({"a": _weight(2, 3, 2), "b": _weight(1, 2, 2)}, rel=1e-5)
    assert run["2"] == pytest.approx(
        {"a": _weight(2, 3, 2), "b": _weight(1, 2, 2) + 2 * _weight(1, 2, 2), "c": 2 * _weight(4, 4, 2)}, rel=1e-5
    )
    assert list(run["2"]) == ranked(run["2"])


def test_queries_without_a_known_word_are_left_out():
    assert retrieve({"1": "the", "2": "", "3": "zebra", "4": "cat"}, DOCUMENTS, 1) == {
        "4": {"a": pytest.approx(0.3846, abs=1)}
    }
    assert retrieve({"1": "cat"}, {"a": "the", "b": ""}, 5) == {}
    assert retrieve({"1": "cat"}, {}, 5) == {}
    assert retrieve({}, DOCUMENTS, 5) == {}


@pytest.mark.parametrize("depth", [1, 7, 99, 100, 1000])
def test_ties_fall_by_id_at_every_depth_and_in_any_order_of_documents(depth):
    documents = {str(number): "red fox" if number % 3 else "red red hen" for number in range(100)}
    deep = retrieve({"1": "red fox"}, documents, 100)
    assert len(deep["1"]) == 100
    run = retrieve({"1": "red fox"}, dict(reversed(documents.items())), depth)
    assert run == top(deep, depth)
    assert list(run["1"]) == ranked(deep["1"])[:depth]


def test_nothing_on_stdout_or_stderr(capfd):
    retrieve({"1": "cat"}, DOCUMENTS, 2)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("reference", "expected", "tolerance"),
    [("scifact", 0.665, 0.01), ("cranfield", 0.34, 0.02), ("cisi", 0.36, 0.02), ("cacm", 0.45, 0.04)],
)
def test_real_collections(shared_data, reference, expected, tolerance):
    collection = open_collection(str(shared_data / reference))
    run = retrieve({one: collection.queries[one] for one in collection.qrels}, collection.documents, 100)
    figure = mean(per_query(run, collection.qrels, ["ndcg@10"])["ndcg@10"])
    assert figure == pytest.approx(expected, abs=tolerance)
