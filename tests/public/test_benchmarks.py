"""Every shipped benchmark through the real code path: ir_datasets' readers, first stage, model, measures."""

import json
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from cedistill.config.benchmark import load_benchmark, load_suites
from cedistill.config.shipped import shipped_names
from cedistill.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
ON_IR_DATASETS = [name for name in shipped_names("benchmarks") if name != "demo"]


@pytest.fixture(scope="module")
def scorer(tmp_path_factory, tiny_bert):
    from cedistill.model.backbones import load_backbone
    from cedistill.model.reranker import Reranker

    return Reranker.of(*load_backbone(str(tiny_bert), 12))


def test_shipped_benchmarks():
    wanted = {"trec-dl", "trec-dl-v2", "msmarco-dev", "beir", "beir-15", "cqadupstack", "lotte-search", "lotte-forum"}
    assert wanted | {"robust04", "nano-beir"} <= set(shipped_names("benchmarks"))
    sizes = {name: len(load_benchmark(name).datasets) for name in ON_IR_DATASETS}
    assert sizes == {
        "trec-dl": 2, "trec-dl-v2": 3, "msmarco-dev": 1, "beir": 13, "beir-15": 26, "cqadupstack": 12,
        "lotte-search": 5, "lotte-forum": 5, "robust04": 2, "nano-beir": 13,
    }  # fmt: skip
    assert len(load_benchmark("beir-15").groups) == 15
    assert [one.dataset for one in load_benchmark("beir").datasets][-1] == "beir/webis-touche2020/v2"


@pytest.mark.parametrize("name", ON_IR_DATASETS)
def test_every_data_set_is_there_and_labelled(name, full_home):
    from cedistill.data.collections import has_labels, is_public
    from cedistill.evaluation.measures import parse_measure

    for one in load_benchmark(name).datasets:
        assert is_public(one.dataset) and has_labels(one.dataset)
        known = {str(parse_measure(measure)) for measure in one.measures}
        assert all(str(parse_measure(key)) in known for figures in one.published.values() for key in figures)


def test_folds_of_robust04_part_its_queries(full_home):
    from cedistill.data.public_files import load

    for one in load_benchmark("robust04").datasets:
        folds = [load(fold.partition(":")[0]).queries_handler()._lazy_qids() for fold in one.folds]
        assert [len(fold) for fold in folds] == [50] * 5 and len(set().union(*folds)) == 250


@pytest.mark.parametrize("name", ON_IR_DATASETS)
def test_evaluate(name, full_home, scorer, tmp_path):
    from cedistill.evaluation.evaluate import evaluate

    (suite,) = load_suites([name])
    benchmark = suite.benchmark
    result = evaluate(scorer, benchmark.datasets, tmp_path, benchmarks={name: benchmark})
    assert list(result["datasets"]) == [one.label for one in benchmark.datasets]
    for one in benchmark.datasets:
        found = result["datasets"][one.label]
        queries = found["runs"]["reranked"]["queries"]
        assert queries == {"judged": 5 if name == "robust04" else 6, "missing": 0, "unjudged": 0}
        # Candidates hold the documents of a topic, in the order of their ids or nearly so.
        assert found["runs"][found["first_stage"]]["measures"]["ndcg@10"] > 0.2
        assert (tmp_path / "runs" / f"{one.label}.trec.gz").is_file()
    if name == "beir-15":
        measured = {key: value["runs"]["reranked"]["measures"]["ndcg@10"] for key, value in result["datasets"].items()}
        forums = statistics.fmean(value for key, value in measured.items() if key.startswith("cqadupstack-"))
        others = [value for key, value in measured.items() if not key.startswith("cqadupstack-")]
        assert result["means"]["beir-15"]["reranked"]["ndcg@10"] == pytest.approx(sum([forums, *others]) / 15)
    assert ("means" in result) == (benchmark.mean and len(benchmark.datasets) > 1)


def test_binary_measures_of_trec_dl_count_from_grade_2(full_home, scorer, tmp_path):
    from cedistill.evaluation.evaluate import evaluate

    (suite,) = load_suites(["trec-dl-v2/dl21"])
    first = evaluate(scorer, suite.benchmark.datasets, tmp_path)["datasets"]["dl21"]["runs"]["scoreddocs"]["measures"]
    # The track's run has the document of grade 2 first, that of grade 0 second, that of grade 1 seventh.
    assert first["rr(rel=2)@10"] == first["ap(rel=2)"] == 1.0
    assert first["ndcg@10"] == pytest.approx((2 + 1 / 3) / (2 + 1 / 1.584962500721156))


def test_one_data_set_of_a_benchmark():
    found = load_benchmark("lotte-search/writing")
    assert [one.dataset for one in found.datasets] == ["lotte/writing/test/search"]
    with pytest.raises(InputError, match=r"unknown data set 'writng'; did you mean 'writing'\?"):
        load_benchmark("lotte-search/writng")
    with pytest.raises(InputError, match="unknown benchmark 'lote-search/writing'"):
        load_benchmark("lote-search/writing")
    of_a_file = load_benchmark(f"{ROOT}/benchmarks/lotte-forum.toml/science")
    assert [one.label for one in of_a_file.datasets] == ["science"]


def test_other_candidates_depth_and_measures(tmp_path):
    (suite,) = load_suites(["lotte-search"], "runs/{dataset}.trec.gz", 1000, ["p@5"])
    assert [one.candidates for one in suite.benchmark.datasets][:2] == [
        "runs/writing.trec.gz", "runs/recreation.trec.gz",
    ]  # fmt: skip
    assert {(one.depth, one.measures) for one in suite.benchmark.datasets} == {(1000, ("p@5",))}
    with pytest.raises(InputError, match=r"expected a run for each of 5 data sets, found the one runs/a.trec"):
        load_suites(["lotte-search"], "runs/a.trec")
    path = tmp_path / "own.toml"
    path.write_text(
        'title = "t"\ncandidates = "r/{dataset}.trec"\ndepth = 5\n[[datasets]]\nname = "a"\ndataset = "x"\n'
        '[[datasets]]\nname = "b"\ndataset = "y"\ndepth = 6\n'
    )
    own = [(one.candidates, one.depth) for one in load_benchmark(str(path)).datasets]
    assert own == [("r/a.trec", 5), ("r/b.trec", 6)]
    assert load_suites(["lotte-search/science"], "runs/a.trec")[0].benchmark.datasets[0].candidates == "runs/a.trec"


def test_names_that_two_benchmarks_share():
    suites = load_suites(["lotte-search", "lotte-forum"], "{dataset}.trec")
    labels = [one.label for suite in suites for one in suite.benchmark.datasets]
    assert labels[0] == "lotte-search-writing" and labels[5] == "lotte-forum-writing" and len(set(labels)) == 10


def test_a_run_that_is_not_there_is_told_before_scoring(full_home, tmp_path):
    from cedistill.evaluation.evaluate import evaluate

    (suite,) = load_suites(["beir"], f"{tmp_path}/{{dataset}}.trec")
    with pytest.raises(InputError, match=r"arguana\.trec: expected a run"):
        evaluate("no model is loaded", suite.benchmark.datasets, tmp_path / "o")


def test_command_line(full_home, tiny_bert, tmp_path):
    from cedistill.model.backbones import load_backbone
    from cedistill.model.saving import save_model

    save_model(tmp_path / "model", *load_backbone(str(tiny_bert), 12), max_length=64)
    for topic in ("writing", "recreation", "science", "technology", "lifestyle"):
        lines = [f"{i} Q0 {(i + k) % 24} {k + 1} {20 - k} x\n" for i in range(6) for k in range(8)]
        (tmp_path / f"{topic}.trec").write_text("".join(lines))
    arguments = ["--benchmark", "lotte-search", "--candidates", f"{tmp_path}/{{dataset}}.trec", "--depth", "7"]
    command = [sys.executable, "-m", "cedistill", "evaluate", tmp_path / "model", *arguments, "--output"]
    done = subprocess.run([*map(str, command), str(tmp_path / "o")], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines()]
    start = next(n for n, row in enumerate(rows) if row and row[0] == "lotte-search")
    assert rows[start][1:3] == ["first stage success@5", "reranked success@5"]
    assert [row[0] for row in rows[start + 2 : start + 8]] == [
        "writing", "recreation", "science", "technology", "lifestyle", "mean of 5",
    ]  # fmt: skip
    published = next(row for row in rows if row and row[0].endswith("arXiv 2603.03010), ELECTRA, InfoNCE"))
    assert published[1:] == ["", "", "", "0.5480"]
    # Documents i and i + 6 are relevant: the first is at rank 1, the second at 7.
    assert {row[1] for row in rows[start + 2 : start + 8]} == {"1.0000"}
    content = json.loads((tmp_path / "o" / "metrics.json").read_text())
    assert content["datasets"]["science"]["depth"] == 7 and content["datasets"]["science"]["first_stage"] == "science"
    one = content["means"]["lotte-search"]
    assert one["datasets"] == 5 and one["first_stage"]["success@5"] == 1.0
    expected = (1 + 1 / 3) / (1 + 1 / 1.584962500721156)
    assert one["first_stage"]["ndcg@10"] == pytest.approx(expected)
