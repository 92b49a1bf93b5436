"""Studies that name benchmarks, validate on them, and start cells from one another."""

import pytest

from cedistill.errors import InputError
from cedistill.study.plan import Cell, cells, objective_of, start_of
from cedistill.study.reading import load_study
from cedistill.study.run import plan_study, run_study

BENCHMARK = """
title = "Two"
candidates = "bm25"
depth = 6
measures = ["ndcg@10"]
[published]
"A paper" = { "ndcg@10" = 0.5 }
[[datasets]]
name = "all"
dataset = "${TINY}"
[[datasets]]
name = "some"
dataset = "${TINY}:train"
"""
STUDY = """
title = "Tiny"
backbones = ["BACKBONE"]
objectives = ["later", "bce"]
[train]
dataset = "${TINY}"
candidates = "${TINY}/candidates.trec"
[training]
steps = 2
queries = 4
learning_rate = 1e-3
precision = "float32"
[objective.later]
base = "hinge"
start = "bce"
training.steps = 3
[validate]
benchmark = "two.toml"
[[evaluate]]
dataset = "${TINY}"
name = "alone"
[[evaluate]]
benchmark = "two.toml"
depth = 4
"""


@pytest.fixture
def study(tiny, tiny_bert, tmp_path, monkeypatch):
    monkeypatch.setenv("TINY", str(tiny))
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "two.toml").write_text(BENCHMARK)
    (folder / "study.toml").write_text(STUDY.replace("BACKBONE", str(tiny_bert)))
    return folder


def test_a_benchmark_stands_for_its_data_sets(study):
    loaded, _ = load_study(study)
    assert [(one.label, one.benchmark, one.depth) for one in loaded.evaluate] == [
        ("alone", "", None), ("all", "two", 4), ("some", "two", 4),
    ]  # fmt: skip
    assert [one.label for one in loaded.benchmarks["two"].datasets] == ["all", "some"]
    assert [(one.label, one.candidates) for one in loaded.validation] == [("all", "bm25"), ("some", "bm25")]


def test_the_start_comes_first_and_its_cell_is_chosen_with_those_that_need_it(study):
    loaded, _ = load_study(study)
    backbone = loaded.backbones[0]
    assert [one.objective for one in cells(loaded)] == ["bce", "later"]
    assert [one.objective for one in cells(loaded, "*/later/*")] == ["bce", "later"]
    assert [one.objective for one in cells(loaded, "*/bce/*")] == ["bce"]
    later = Cell(backbone, "later", 12)
    assert start_of(loaded, later) == Cell(backbone, "bce", 12) and start_of(loaded, start_of(loaded, later)) is None
    assert objective_of(loaded, later).loss == "hinge" and objective_of(loaded, later).training.steps == 3


def test_cells_have_the_benchmark_s_mean_and_validate_on_its_data_sets(study):
    import json

    run_study(study, lambda *_: lambda _: lambda *_: None)
    figures = json.loads(next(study.glob("*/later/*/metrics.json")).read_text())
    one, other = (figures["datasets"][name]["runs"]["reranked"]["measures"]["ndcg@10"] for name in ("all", "some"))
    mean = figures["means"]["two"]
    assert mean["reranked"]["ndcg@10"] == pytest.approx((one + other) / 2) and mean["published"]["A paper"]
    said = json.loads(next(study.glob("*/later/*/model/cedistill.json")).read_text())
    assert len(said["validate"]) == 2 and said["start"]["model"].endswith("bce/seed-12/model")
    assert {state for _, state in plan_study(study)} == {"keep"}
    assert not [path for path in study.rglob("*.lock") if path.parent.name != ".locks"]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('start = "bce"', 'start = "bec"', r"\[objective.later\]: start: unknown objective 'bec'; did you mean 'bce'"),
        ('start = "bce"', 'start = "later"', "found a circle by way of 'later'"),
        ('start = "bce"', 'begin = "bce"', "unknown key 'objective.later.begin'"),
        ('base = "hinge"', 'base = "hing"', "unknown objective 'hing'; did you mean 'hinge'"),
        ('benchmark = "two.toml"\ndepth', 'benchmark = "trec-d"\ndepth', "unknown benchmark 'trec-d'; did you mean"),
        ('benchmark = "two.toml"\ndepth = 4', 'benchmark = "two.toml"\ndept = 4', "unknown key 'dept'"),
        ("depth = 4", 'dataset = "${TINY}"', "expected 'dataset' or 'benchmark' in an .*found both"),
        ("depth = 4", 'candidates = "one.trec"', "expected a run for each of 2 data sets, found the one"),
        ('name = "alone"', 'name = "alone"\n[[evaluate]]\nbenchmark = "two.toml"', "expected each benchmark once"),
        ('[validate]\nbenchmark = "two.toml"', "[validate]", "expected exactly one of 'dataset' and 'benchmark'"),
    ],
)
def test_mistakes_are_told(study, before, after, message):
    path = study / "study.toml"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    with pytest.raises(InputError, match=message):
        plan_study(study)


def test_the_same_data_set_of_two_entries_carries_its_benchmark_s_name(study):
    path = study / "study.toml"
    text = path.read_text().replace('name = "alone"', 'name = "some"')
    path.write_text(text + '[[evaluate]]\nbenchmark = "two.toml"\nname = "again"\n')
    labels = [one.label for one in load_study(study)[0].evaluate]
    assert labels == ["some", "two-all", "two-some", "again-all", "again-some"]
