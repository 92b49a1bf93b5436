import csv
import math
import os
import random
import subprocess
import sys

import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from cedistill.data.qrels import read_qrels
from cedistill.data.runs import read_run
from cedistill.errors import InputError
from cedistill.evaluation.measures import Measure, mean, parse_measure, per_query

# name -> (pytrec_eval's measure, its key, the threshold)
TREC = {
    "ndcg@10": ("ndcg_cut.10", "ndcg_cut_10", 1),
    "ndcg@3": ("ndcg_cut.3", "ndcg_cut_3", 1),
    "ndcg": ("ndcg", "ndcg", 1),
    "rr": ("recip_rank", "recip_rank", 1),
    "ap": ("map", "map", 1),
    "ap@5": ("map_cut.5", "map_cut_5", 1),
    "recall@5": ("recall.5", "recall_5", 1),
    "recall@100": ("recall.100", "recall_100", 1),
    "success@5": ("success.5", "success_5", 1),
    "p@10": ("P.10", "P_10", 1),
    "rr(rel=2)": ("recip_rank", "recip_rank", 2),
    "ap(rel=2)": ("map", "map", 2),
    "ap(rel=3)@5": ("map_cut.5", "map_cut_5", 3),
    "recall(rel=2)@5": ("recall.5", "recall_5", 2),
    "success(rel=2)@5": ("success.5", "success_5", 2),
    "p(rel=3)@3": ("P.3", "P_3", 3),
}


def _trec_eval(run, qrels, name):
    measure, key, threshold = TREC[name]
    # A query with nothing but negative grades makes pytrec_eval crash; it has no relevant document.
    asked = {query_id: grades for query_id, grades in qrels.items() if max(grades.values()) >= 0}
    values = pytrec_eval.RelevanceEvaluator(asked, {measure}, relevance_level=threshold).evaluate(run)
    return {query_id: values[query_id][key] if query_id in values else 0.0 for query_id in qrels}


def _assert_equal_to_trec_eval(run, qrels):
    values = per_query(run, qrels, list(TREC))
    for name in TREC:
        assert list(values[name]) == list(qrels)
        assert values[name] == pytest.approx(_trec_eval(run, qrels, name), abs=1e-6), name
    # trec_eval has no reciprocal rank with a cut-off: it is the plain one, 0 beyond the cut-off.
    for name, plain in (("rr@3", "rr"), ("rr(rel=2)@3", "rr(rel=2)")):
        cut = {query_id: value if value > 0.3 else 0.0 for query_id, value in _trec_eval(run, qrels, plain).items()}
        assert per_query(run, qrels, [name])[name] == pytest.approx(cut, abs=1e-6)


IDS = st.sampled_from(["a", "b", "aa", "B", "é", "10", "9", "x" * 40, "c", "d", "e", "f"])
# Few different scores, some of which only differ as float64.
SCORES = st.sampled_from([0.0, -1.0, 1.0, 1.0 + 1e-9, 0.1, 16777217.0, 16777216.0, 1e-30])
RUNS = st.dictionaries(st.sampled_from("123456"), st.dictionaries(IDS, SCORES, min_size=1), min_size=1)
QRELS = st.dictionaries(st.sampled_from("12345"), st.dictionaries(IDS, st.integers(-2, 4), min_size=1), min_size=1)


@settings(max_examples=150, deadline=None)
@given(RUNS, QRELS)
def test_equal_to_trec_eval(run, qrels):
    _assert_equal_to_trec_eval(run, qrels)


@pytest.mark.parametrize("seed", [0, 1])
def test_equal_to_trec_eval_on_long_runs(seed):
    source = random.Random(seed)
    documents = [str(source.randrange(10**6)) for _ in range(2000)]
    run = {
        str(query): {one: float(source.randrange(300)) for one in source.sample(documents, 1000)} for query in range(20)
    }
    qrels = {
        str(query): {one: source.choice([-1, 0, 0, 0, 1, 2, 3]) for one in source.sample(documents, 150)}
        for query in range(5, 25)
    }
    _assert_equal_to_trec_eval(run, qrels)


def test_by_hand():
    qrels = {"1": {"a": 3, "b": 0, "c": 1, "d": -1}, "2": {"a": 1}, "3": {"a": 0, "b": -2}}
    run = {"1": {"b": 4.0, "c": 3.0, "x": 2.0, "a": 1.0, "d": 5.0}, "3": {"a": 1.0}, "4": {"a": 1.0}}
    values = per_query(run, qrels, ["ndcg@10", "rr@10", "rr(rel=2)@10", "rr@2", "ap", "p@5", "recall@4", "success@2"])
    # The ranking of query 1 is d b c x a.
    gain, ideal = 1 / math.log2(4) + 3 / math.log2(6), 3 + 1 / math.log2(3)
    assert values["ndcg@10"] == pytest.approx({"1": gain / ideal, "2": 0.0, "3": 0.0})
    assert values["rr@10"] == pytest.approx({"1": 1 / 3, "2": 0.0, "3": 0.0})
    assert values["rr(rel=2)@10"]["1"] == pytest.approx(1 / 5)
    assert values["rr@2"]["1"] == 0.0
    assert values["ap"]["1"] == pytest.approx((1 / 3 + 2 / 5) / 2)
    assert (values["p@5"]["1"], values["recall@4"]["1"], values["success@2"]["1"]) == pytest.approx((0.4, 0.5, 0.0))


def test_nothing_retrieved_or_judged():
    assert per_query({}, {"1": {"a": 1}}, ["ndcg@10", "ap"]) == {"ndcg@10": {"1": 0.0}, "ap": {"1": 0.0}}
    assert per_query({"1": {}}, {"1": {"a": 1}, "2": {}}, ["rr"]) == {"rr": {"1": 0.0, "2": 0.0}}
    assert per_query({"1": {"a": 1.0}}, {}, ["rr"]) == {"rr": {}}


def test_mean():
    assert mean({"1": 0.25, "2": 0.75, "3": 0.5}) == 0.5
    assert mean({}) == 0.0


@pytest.mark.parametrize("name", [*TREC, "rr(rel=2)@10", "rr@10"])
def test_names_round_trip(name):
    assert str(parse_measure(name)) == name


def test_names_are_read_in_any_case():
    assert parse_measure("nDCG@10") == Measure("ndcg", 10)
    assert parse_measure(" RR(rel=2)@10") == Measure("rr", 10, 2)
    assert str(parse_measure("rr(rel=1)@10")) == "rr@10"


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("ndgc@10", "did you mean 'ndcg@10'?"),
        ("mrr@10", "did you mean 'rr@10'?"),
        ("map", "did you mean 'ap'?"),
        ("", "known: ndcg@10, rr@10, ap"),
        ("precision@10", "a relevance threshold is written rr(rel=2)@10"),
        ("p", "expected a cut-off, found none; write p@10"),
        ("recall(rel=2)", "expected a cut-off"),
        ("ndcg@0", "write ndcg@10"),
        ("ndcg@ten", "write ndcg@10"),
        ("ndcg@10.5", "write ndcg@10"),
        ("rr@10(rel=2)", "write rr@10 or rr(rel=2)@10"),
        ("rr(rel=0)@10", "write rr@10 or rr(rel=2)@10"),
        ("rr@10-l2", "write rr@10 or rr(rel=2)@10"),
        ("ndcg(rel=2)@10", "expected no relevance threshold"),
    ],
)
def test_bad_names(name, part):
    with pytest.raises(InputError) as caught:
        parse_measure(name)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_official_figures_per_query(shared_data):
    qrels = read_qrels(shared_data / "msmarco-v1" / "qrels" / "dl19.tsv")
    with (shared_data / "trec-runs" / "dl19.ndcg_cut_10.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["topic"] in qrels]
    runs = {row["runid"] for row in rows}
    assert len(runs) == 4
    assert len(rows) == 4 * 43
    for name in runs:
        values = per_query(read_run(shared_data / "trec-runs" / f"dl19.{name}.trec.gz"), qrels, ["ndcg@10"])["ndcg@10"]
        official = {row["topic"]: float(row["ndcg_cut_10"]) for row in rows if row["runid"] == name}
        assert values == pytest.approx(official, abs=5.001e-5)


@pytest.mark.parametrize(
    ("folder", "run", "in_file_order", "expected"),
    [
        ("msmarco-v1", "dl19.bm25", 0.5058, 0.5058),
        ("msmarco-v1", "dl20.bm25", 0.4796, 0.4803),
        ("msmarco-v1", "dl19.splade", 0.7308, 0.7308),
        ("msmarco-v1", "dl20.splade", 0.7197, 0.7197),
        ("msmarco-v1", "dl19.repllama", 0.7439, 0.7384),
        ("msmarco-v2", "dl21.bm25", 0.4458, 0.4452),
        ("msmarco-v2", "dl21.splade", 0.6839, 0.6846),
    ],
)
def test_known_means(shared_data, folder, run, in_file_order, expected):
    # The published figures are of the order in the file; the scores there are rounded and tie.
    qrels = read_qrels(shared_data / folder / "qrels" / f"{run[:4]}.tsv")
    scores = read_run(shared_data / folder / "runs" / f"{run}.trec.gz")
    order = {query_id: {one: -float(place) for place, one in enumerate(ids)} for query_id, ids in scores.items()}
    assert mean(per_query(order, qrels, ["ndcg@10"])["ndcg@10"]) == pytest.approx(in_file_order, abs=5.001e-5)
    assert mean(per_query(scores, qrels, ["ndcg@10"])["ndcg@10"]) == pytest.approx(expected, abs=5.001e-5)


def test_real_runs_equal_trec_eval(shared_data):
    qrels = read_qrels(shared_data / "msmarco-v1" / "qrels" / "dl19.tsv")
    # repllama's scores are rounded and tie often.
    for name in ("repllama", "tas-b"):
        _assert_equal_to_trec_eval(read_run(shared_data / "msmarco-v1" / "runs" / f"dl19.{name}.trec.gz"), qrels)


CODE = """
import sys
import cedistill.evaluation.metrics
assert not {"ranx", "numba", "pandas", "scipy", "torch"} & set(sys.modules)
import os
from cedistill.evaluation.measures import per_query
print(per_query({"1": {"a": 1.0}}, {"1": {"a": 1}}, ["p@2"]))
if os.fork() == 0:
    per_query({"1": {"a": 1.0}}, {"1": {"a": 1}}, ["p@2"])
    os._exit(0)
assert os.wait()[1] == 0
"""


def test_ranx_is_imported_late_and_a_process_may_fork_afterwards(tmp_path):
    blocked = tmp_path / "file"
    blocked.touch()
    # A cache that cannot be made must not stop the figures.
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"}
    environment |= {"CEDISTILL_CACHE": str(blocked / "below"), "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("{'p@2': {'1': 0.5}}\n", "")
    assert list(tmp_path.iterdir()) == [blocked]
