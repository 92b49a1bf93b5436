import json
import shutil

import pytest

from cedistill.errors import InputError
from cedistill.study import cell as cell_module
from cedistill.study.plan import Cell, cells, objective_of, train_data_of
from cedistill.study.reading import load_study
from cedistill.study.run import CellsFailedError, plan_study, report_study, run_study

STUDY = """
title = "Tiny"
backbones = ["{backbone}"]
objectives = ["untrained", "bce", "margin-mse"]
seeds = [1, 2]
[train]
dataset = "${{TINY}}"
candidates = "${{TINY}}/candidates.trec"
teachers = ["${{TINY}}/teacher.trec"]
[training]
steps = 4
queries = 4
learning_rate = 1e-3
precision = "float32"
[objective.margin-mse.training]
steps = 2
[[evaluate]]
dataset = "${{TINY}}"
name = "tiny"
candidates = "${{TINY}}/candidates.trec"
depth = 5
[[evaluate]]
dataset = "${{TINY}}:train"
candidates = "bm25"
measures = ["ndcg@10"]
"""


@pytest.fixture
def study(tiny, tiny_bert, tmp_path, monkeypatch):
    monkeypatch.setenv("TINY", str(tiny))
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "study.toml").write_text(STUDY.format(backbone=tiny_bert))
    return folder


def _status(seen):
    def status(number, total, cell):
        seen.append((number, total, cell.objective, cell.seed))
        return lambda phase: lambda done, steps, words="": None

    return status


def test_cells_run_once_and_the_table_is_what_their_runs_say(study):
    seen = []
    table = run_study(study, _status(seen))
    assert [one[2:] for one in seen] == [("untrained", 1), ("bce", 1), ("bce", 2), ("margin-mse", 1), ("margin-mse", 2)]
    rows = {row["objective"]: row for row in table["rows"]}
    assert list(rows) == ["first stage", "untrained", "bce", "margin-mse"] and rows["bce"]["seeds"] == [1, 2]

    from cedistill.data.qrels import read_qrels
    from cedistill.data.runs import read_run, top
    from cedistill.evaluation.measures import mean, per_query

    qrels = read_qrels(study.parent / "tiny" / "qrels" / "test.tsv")
    folders = [next(study.glob(f"*/bce/seed-{seed}")) for seed in (1, 2)]
    means = [mean(per_query(read_run(f / "runs" / "tiny.trec.gz"), qrels, ["ndcg@10"])["ndcg@10"]) for f in folders]
    value = rows["bce"]["values"][0]
    assert value["mean"] == pytest.approx(sum(means) / 2) and value["deviation"] == pytest.approx(
        abs(means[0] - means[1]) / 2**0.5
    )
    candidates = top(read_run(study.parent / "tiny" / "candidates.trec"), 5)
    first = mean(per_query(candidates, qrels, ["ndcg@10"])["ndcg@10"])
    assert rows["first stage"]["values"][0]["mean"] == pytest.approx(first)
    assert [len(folder.read_text().splitlines()) for folder in study.glob("*/margin-mse/*/log.jsonl")] == [2, 2]

    again = []
    assert run_study(study, _status(again)) == table and again == []
    assert {state for _, state in plan_study(study)} == {"keep"}
    assert report_study(study) == table and json.loads((study / "table.json").read_text()) == table


def test_table_shows_first_stage_seeds_best_and_sources(study):
    run_study(study, _status([]), command="cedistill run study")
    text = (study / "table.md").read_text()
    lines = text.splitlines()
    assert "cedistill run study" in lines and "tiny nDCG@10" in text and "tiny-train nDCG@10" in text
    rows = [line for line in lines if line.startswith("|")]
    assert "first stage" in rows[2] and "±" in rows[4] and text.count("**") >= 2 * 3
    assert "tiny candidates to depth 5, 6 queries; tiny-train bm25, 4 queries" in text


def test_a_change_of_the_configuration_or_of_the_data_runs_again_what_it_touches(study):
    run_study(study, _status([]))
    path = study / "study.toml"
    path.write_text(path.read_text().replace("steps = 2", "steps = 3"))
    states = {cell.objective: state for cell, state in plan_study(study)}
    assert states == {"untrained": "keep", "bce": "keep", "margin-mse": "run"}
    run_study(study, _status([]))
    assert {len(one.read_text().splitlines()) for one in study.glob("*/margin-mse/*/log.jsonl")} == {3}
    # Another depth: the models stay, only the figures are made again.
    before = {one: one.stat().st_mtime_ns for one in study.glob("*/*/*/model/model.safetensors")}
    path.write_text(path.read_text().replace("depth = 5", "depth = 4"))
    assert {state for _, state in plan_study(study)} == {"run"}
    run_study(study, _status([]))
    assert before == {one: one.stat().st_mtime_ns for one in before} and len(before) == 4
    teacher = study.parent / "tiny" / "teacher.trec"
    teacher.write_text(teacher.read_text().replace(" 10.5 ", " 11.5 "))
    # bce reads no teacher.
    assert {cell.objective for cell, state in plan_study(study) if state == "run"} == {"margin-mse"}


def test_figures_without_their_model_are_made_again(study):
    run_study(study, _status([]), only="*/bce/seed-1")
    shutil.rmtree(next(study.glob("*/bce/seed-1")) / "model")
    assert [state for cell, state in plan_study(study, "*/bce/seed-1")] == ["run"]


def test_a_failing_cell_does_not_stop_the_others(study, monkeypatch):
    original = cell_module._ready_model

    def failing(study, cell, *others):
        if cell.objective == "bce" and cell.seed == 1:
            raise KeyError("out of luck")
        return original(study, cell, *others)

    monkeypatch.setattr(cell_module, "_ready_model", failing)
    with pytest.raises(CellsFailedError, match=r"1 of 5 cells failed.*bce/seed-1"):
        run_study(study, _status([]))
    assert "out of luck" in next(study.glob("*/bce/seed-1/error.txt")).read_text()
    rows = json.loads((study / "table.json").read_text())["rows"]
    assert {row["objective"]: row["seeds"] for row in rows}["bce"] == [2]
    monkeypatch.undo()
    seen = []
    monkeypatch.setenv("TINY", str(study.parent / "tiny"))
    run_study(study, _status(seen))
    assert [one[2:] for one in seen] == [("bce", 1)] and not list(study.glob("*/bce/seed-1/error.txt"))


def test_an_interrupted_study_goes_on(study):
    def stop(number, total, cell):
        def report(phase):
            def progress(done, steps, words=""):
                if cell.objective == "bce" and cell.seed == 2 and phase == "training" and done == 3:
                    raise KeyboardInterrupt

            return progress

        return report

    with pytest.raises(KeyboardInterrupt):
        run_study(study, stop)
    states = [state for _, state in plan_study(study)]
    assert states == ["keep", "keep", "go on", "run", "run"]
    seen = []
    run_study(study, _status(seen))
    assert len(seen) == 3


def test_settings_reach_the_objective(study):
    loaded, _ = load_study(study)
    one = Cell(loaded.backbones[0], "margin-mse", 1)
    assert objective_of(loaded, one).training.steps == 2 and objective_of(loaded, one).training.queries == 4
    assert objective_of(loaded, one._replace(objective="bce")).training.steps == 4


def test_an_objective_may_have_data_of_its_own(study):
    text = (study / "study.toml").read_text()
    own = '[objective.margin-mse.train]\nteachers = ["${TINY}/other.trec"]\n[[evaluate]]'
    (study / "study.toml").write_text(text.replace("[[evaluate]]", own, 1))
    loaded, _ = load_study(study)
    for objective, file in (("margin-mse", "other.trec"), ("bce", "teacher.trec")):
        data = train_data_of(loaded, Cell(loaded.backbones[0], objective, 1))
        assert [one.rpartition("/")[2] for one in data.teachers] == [file] and data.candidates.endswith(
            "candidates.trec"
        )
    loaded.objective["margin-mse"].train["teacher"] = "x"
    with pytest.raises(InputError, match="unknown key 'teacher'; did you mean 'teachers'"):
        train_data_of(loaded, Cell(loaded.backbones[0], "margin-mse", 1))


def test_cell_names_and_patterns():
    assert Cell("jhu-clsp/ettin-encoder-17m", "bce", 3).name == "jhu-clsp--ettin-encoder-17m/bce/seed-3"
    assert Cell("minilm-l6", "own/mine.toml", 3).name == "minilm-l6/mine/seed-3"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("seeds", "seed", "unknown key 'seed'; did you mean 'seeds'"),
        ("[train]", "[trains]", "did you mean 'train'"),
        ("steps = 4", "stepz = 4", "unknown key 'training.stepz'; did you mean 'training.steps'"),
        ('"bce"', '"bcee"', "unknown objective 'bcee'; did you mean 'bce'"),
        ("${{TINY}}/teacher", "${{UNSET_NAME}}/teacher", "UNSET_NAME to be set"),
        ('name = "tiny"', 'name = "tiny-train"', "expected a different name for each"),
        ("depth = 5", "depth = 0", r"study.toml:\d+: evaluate.0.depth"),
        ('dataset = "${{TINY}}:train"', 'dataset = "${{TINY}}:dev"', "expected labels in qrels/dev.tsv"),
        ("seeds = [1, 2]", "seeds = [1, 2", r"study.toml:\d+: expected valid TOML"),
    ],
)
def test_mistakes_are_told_before_anything_runs(study, tiny_bert, before, after, message):
    (study / "study.toml").write_text(STUDY.replace(before, after).format(backbone=tiny_bert))
    with pytest.raises(InputError, match=message):
        run_study(study, _status([]))
    assert [path.name for path in study.iterdir()] == ["study.toml"]


def test_only_must_match(study):
    with pytest.raises(InputError, match="expected --only to match"):
        cells(load_study(study)[0], "nothing/*")
