import math
import random

import bm25s
import numpy as np
import pytest
import Stemmer

from cedistill.data.collections import open_collection
from cedistill.data.runs import ranked, read_run, top
from cedistill.evaluation.measures import mean, per_query
from cedistill.retrieval.bm25 import retrieve, search
from cedistill.retrieval.bm25_index import build_index
from cedistill.retrieval.words import words_of

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


def _peer(texts):
    return bm25s.tokenize(
        texts, stopwords="english", stemmer=Stemmer.Stemmer("porter"), return_ids=False, show_progress=False
    )


def test_words_are_those_of_bm25s():
    texts = ["The cats' ĲSSELMEER İstanbul naïve don't 你好世界 a1 _x of OF", "", "the", "running runs\nran\u2028ran"]
    assert words_of(texts).of_texts() == _peer(texts)
    assert words_of([]).of_texts() == [] and words_of(["the"]).of_texts() == [[]]


@pytest.mark.parametrize(("characters", "postings"), [(1, 40), (700, 1), (1 << 20, 1 << 20)])
def test_index_in_blocks_scores_every_document_as_bm25s_in_memory(tmp_path, characters, postings):
    draw = random.Random(5)
    words = [f"{letter}{number}x" for letter in "abc" for number in range(40)]
    texts = [" ".join(draw.choices(words, range(120, 0, -1), k=draw.randrange(30))) for _ in range(90)]
    documents = {f"d{number}": text for number, text in enumerate(texts)}
    queries = {f"q{number}": " ".join(draw.choices([*words, "absent"], k=5)) for number in range(20)}
    calls = []
    build_index(documents, tmp_path, lambda *call: calls.append(call), characters=characters, postings=postings)
    assert calls[-1] == (90, 90) and len(calls) == len(set(calls)) == (90 if characters == 1 else len(calls))
    assert not (tmp_path / "runs").exists()

    peer = bm25s.BM25(method="lucene", k1=0.9, b=0.4, backend="numpy")
    peer.index(_peer(texts), show_progress=False)
    run = search(tmp_path, queries, 90)
    for query_id, tokens in zip(queries, _peer(list(queries.values())), strict=True):
        scores = peer.get_scores(tokens)
        expected = {f"d{place}": float(scores[place]) for place in np.flatnonzero(scores)}
        assert run[query_id] == expected and list(run[query_id]) == ranked(expected)


@pytest.mark.parametrize(
    ("reference", "expected", "tolerance"),
    [("scifact", 0.665, 0.01), ("cranfield", 0.34, 0.02), ("cisi", 0.36, 0.02), ("cacm", 0.45, 0.04)],
)
def test_real_collections(shared_data, reference, expected, tolerance):
    collection = open_collection(str(shared_data / reference))
    run = retrieve({one: collection.queries[one] for one in collection.qrels}, collection.documents, 100)
    figure = mean(per_query(run, collection.qrels, ["ndcg@10"])["ndcg@10"])
    assert figure == pytest.approx(expected, abs=tolerance)


def test_passages_of_dl19_and_dl20(shared_data):
    """Among the 38 497 shared passages; the runs of data/README.md were cut from all 8.8 million."""
    collection = open_collection(str(shared_data / "msmarco-v1:dl19"))
    second = open_collection(str(shared_data / "msmarco-v1:dl20"))
    queries = {one: collection.queries[one] for one in (*collection.qrels, *second.qrels)}
    run = retrieve(queries, collection.documents, 100)
    for labelled, figure in ((collection, 0.437), (second, 0.463)):
        found = mean(per_query(run, labelled.qrels, ["ndcg@10"])["ndcg@10"])
        peer = read_run(shared_data / "msmarco-v1" / "runs" / f"{labelled.split}.bm25.trec.gz")
        common = [len(run[one].keys() & peer[one].keys()) / len(peer[one]) for one in labelled.qrels]
        assert found == pytest.approx(figure, abs=0.005) and sum(common) / len(common) > 0.8
