import gzip
import json
import logging

import pytest

from cedistill.data.qrels import read_qrels
from cedistill.errors import InputError
from cedistill.evaluation.metrics import metrics, metrics_table, per_query_table, run_names

QRELS = {"1": {"a": 1, "b": 0}, "2": {"a": 2}}


@pytest.fixture
def runs(tmp_path):
    (tmp_path / "good.trec").write_text("1 Q0 a 1 2 t\n1 Q0 b 2 1 t\n2 Q0 a 1 1 t\n")
    (tmp_path / "poor.trec.gz").write_bytes(gzip.compress(b"1 Q0 b 1 2 t\n1 Q0 a 2 1 t\n3 Q0 a 1 1 t\n"))
    return [tmp_path / "good.trec", tmp_path / "poor.trec.gz"]


def test_json_form(runs, caplog):
    with caplog.at_level(logging.WARNING):
        result = json.loads(json.dumps(metrics(runs, QRELS, ["rr@10", "P@1", "p@1"]), allow_nan=False))
    assert result["runs"] == {
        "good": {
            "measures": {"rr@10": 1.0, "p@1": 1.0},
            "per_query": {"1": {"rr@10": 1.0, "p@1": 1.0}, "2": {"rr@10": 1.0, "p@1": 1.0}},
            "queries": {"judged": 2, "missing": 0, "unjudged": 0},
        },
        "poor": {
            "measures": {"rr@10": 0.25, "p@1": 0.0},
            "per_query": {"1": {"rr@10": 0.5, "p@1": 0.0}, "2": {"rr@10": 0.0, "p@1": 0.0}},
            "queries": {"judged": 2, "missing": 1, "unjudged": 1},
        },
    }
    assert [(one["run"], one["measure"], one["difference"]) for one in result["comparisons"]] == [
        ("poor", "rr@10", -0.75),
        ("poor", "p@1", -1.0),
    ]
    assert "1 of 2 judged queries have no candidates" in caplog.text
    assert "1 queries are not judged" in caplog.text


def test_one_run_with_the_default_measures(runs):
    result = metrics(runs[:1], QRELS)
    assert result["runs"]["good"]["measures"] == {"ndcg@10": 1.0, "rr@10": 1.0, "ap": 1.0, "recall@100": 1.0}
    assert result["comparisons"] == []


def test_bad_input(runs, tmp_path):
    other = tmp_path / "other.trec"
    other.write_text("7 Q0 a 1 2 t\n")
    cases = [
        ([other], QRELS, ["ap"], f"{other}:1: expected queries of the qrels such as '1', found query '7'"),
        ([], QRELS, ["ap"], "expected at least one run"),
        (runs, {}, ["ap"], "expected judged queries"),
        ([runs[0], runs[0]], QRELS, ["ap"], "expected each run once"),
        ([runs[0], tmp_path / "none"], QRELS, ["ap"], "expected a file, found none"),
        (runs, QRELS, ["app"], "unknown measure 'app'; did you mean 'ap'?"),
    ]
    for paths, qrels, names, part in cases:
        with pytest.raises(InputError) as caught:
            metrics(paths, qrels, names)
        assert part in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a/x.trec", "a/y.trec.gz", "a/z.gz", "a/v.run"], ["x", "y", "z", "v.run"]),
        (["one/dl19.trec", "two/dl19.trec", "b.trec"], ["one/dl19", "two/dl19", "b"]),
        (["s/one/dl19.trec", "t/one/dl19.trec"], ["s/one/dl19", "t/one/dl19"]),
        (["a/x.trec", "a/x.trec.gz"], ["x.trec", "x.trec.gz"]),
    ],
)
def test_names_are_short_and_unique(paths, names):
    assert run_names(paths) == names


def test_tables(runs):
    result = metrics(runs, QRELS, ["rr@10"])
    means, tests = metrics_table(result).split("\n\n")
    assert [cell.strip() for cell in means.splitlines()[0].split("|")] == [
        "",
        "run",
        "rr@10",
        "judged",
        "missing",
        "unjudged",
        "",
    ]
    assert [cell.strip() for cell in means.splitlines()[3].split("|")] == ["", "poor", "0.2500", "2", "1", "1", ""]
    row = [cell.strip() for cell in tests.splitlines()[2].split("|")]
    assert row[1:5] == ["poor", "good", "rr@10", "-0.7500"]
    assert metrics_table(metrics(runs[:1], QRELS, ["ap"])).count("\n\n") == 0
    lines = per_query_table(result).splitlines()
    assert len(lines) == 2 + 4
    assert [cell.strip() for cell in lines[4].split("|")] == ["", "poor", "1", "0.5000", ""]


def test_significance_is_marked(shared_data):
    folder = shared_data / "msmarco-v1"
    paths = [folder / "runs" / f"dl19.{name}.trec.gz" for name in ("bm25", "splade", "bm25-rm3")]
    result = metrics(paths, read_qrels(folder / "qrels" / "dl19.tsv"), ["ndcg@10"])
    assert list(result["runs"]) == ["dl19.bm25", "dl19.splade", "dl19.bm25-rm3"]
    assert result["runs"]["dl19.splade"]["measures"]["ndcg@10"] == pytest.approx(0.7308, abs=5e-5)
    marks = [line.split("|")[-2].strip() for line in metrics_table(result).split("\n\n")[1].splitlines()[2:]]
    assert marks == ["*", ""]
