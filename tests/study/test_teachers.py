"""Teachers that a study names by a ranker: their runs are made once and shared."""

import json

import pytest

from cedistill.data.runs import read_run
from cedistill.errors import InputError
from cedistill.study.reading import load_study
from cedistill.study.run import plan_study, run_study
from cedistill.teachers import members

STUDY = """
title = "Tiny"
backbones = ["{backbone}"]
objectives = ["bce", "margin-mse", "kl-distill"]
[train]
dataset = "${{TINY}}"
candidates = "${{TINY}}/candidates.trec"
teachers = ["cross-encoder:model", "bm25"]
[training]
steps = 1
queries = 4
learning_rate = 1e-3
precision = "float32"
[[evaluate]]
dataset = "${{TINY}}"
candidates = "${{TINY}}/candidates.trec"
depth = 3
"""


@pytest.fixture
def study(tiny, tiny_bert, tmp_path, monkeypatch):
    monkeypatch.setenv("TINY", str(tiny))
    folder = tmp_path / "study"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "weights").write_text("1")
    (folder / "study.toml").write_text(STUDY.format(backbone=tiny_bert))
    return folder


@pytest.fixture
def made(monkeypatch):
    """The teachers that were asked, in order; a cross-encoder scores a document by its number."""
    asked, original = [], members.member_run

    def member_run(reference, collection, candidates, **others):
        asked.append(reference)
        if reference == "bm25":
            return original(reference, collection, candidates, **others)
        return {query: {one: float(one[1:]) for one in scores} for query, scores in candidates.items()}

    monkeypatch.setattr(members, "member_run", member_run)
    return asked


def _run(study, only=None):
    run_study(study, lambda *_: lambda _: lambda *_: None, only)


def test_a_teacher_is_made_once_for_all_cells_and_kept(study, made):
    assert {state for _, state in plan_study(study)} == {"run"} and not made
    _run(study)
    assert made == [f"cross-encoder:{study}/model", "bm25"]
    paths = sorted((study / "teachers").iterdir())
    assert [path.name[:-25] for path in paths] == ["bm25", "cross-encoder-model"]
    assert read_run(paths[1])["q2"] == {f"d{j}": float(j) for j in range(2, 12)}
    said = json.loads(next(study.glob("*/margin-mse/*/model/cedistill.json")).read_text())
    assert said["data"]["teachers"] == [str(paths[1]), str(paths[0])]
    assert not json.loads(next(study.glob("*/bce/*/model/cedistill.json")).read_text())["data"].get("teachers")
    _run(study)
    assert len(made) == 2 and {state for _, state in plan_study(study)} == {"keep"}


@pytest.mark.parametrize("changed", ["model", "candidates"])
def test_another_model_or_other_candidates_make_it_anew(study, made, tiny, changed):
    _run(study, "*/margin-mse/*")
    if changed == "model":
        (study / "model" / "weights").write_text("2")
        again = [f"cross-encoder:{study}/model"]
    else:
        path = tiny / "candidates.trec"
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
        again = [f"cross-encoder:{study}/model", "bm25"]
    assert {state for _, state in plan_study(study, "*/margin-mse/*")} == {"run"}
    _run(study, "*/margin-mse/*")
    assert made[2:] == again and len(list((study / "teachers").iterdir())) == 2 + len(again)


def test_nothing_is_made_for_objectives_that_read_no_teacher(study, made):
    _run(study, "*/bce/*")
    assert not made and not (study / "teachers").exists()


def test_a_teacher_needs_candidates(study, made):
    text = (study / "study.toml").read_text()
    (study / "study.toml").write_text(text.replace('candidates = "${TINY}/candidates.trec"\nteachers', "teachers"))
    with pytest.raises(InputError, match=r"candidates in \[train\] for the teacher cross-encoder:"):
        _run(study, "*/margin-mse/*")
    assert not list(study.glob("*/margin-mse"))


@pytest.mark.parametrize("teacher", ["llm:model", "nothing.trec", "cross-encoder:"])
def test_a_teacher_is_a_ranker_or_a_file(study, teacher):
    text = (study / "study.toml").read_text()
    (study / "study.toml").write_text(text.replace('"bm25"', f'"{teacher}"'))
    with pytest.raises(InputError, match=rf"{teacher}: expected a teacher's run, bm25, .* cedistill teach"):
        plan_study(study)
    assert plan_study(study, "*/bce/*")  # reads none


def test_paths_start_at_the_study_s_folder_and_names_are_names(study):
    text = (study / "study.toml").read_text().replace('"bm25"', '"bi-encoder:owner/name", "model.trec"')
    (study / "study.toml").write_text(text)
    (study / "model.trec").write_text("")
    teachers = load_study(study)[0].train.teachers
    assert teachers == (f"cross-encoder:{study}/model", "bi-encoder:owner/name", f"{study}/model.trec")
