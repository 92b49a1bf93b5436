"""What cells share is made before the first of them starts."""

import pytest

from cedistill.cache import cache_folder
from cedistill.study.run import run_study

STUDY = """
title = "Tiny"
backbones = ["{backbone}"]
objectives = ["untrained", "bce", "hinge"]
[train]
dataset = "${{TINY}}:train"
candidates = "bm25"
[training]
steps = 1
queries = 4
learning_rate = 1e-3
precision = "float32"
[validate]
dataset = "${{TINY}}:train"
[[evaluate]]
dataset = "${{TINY}}"
depth = 7
"""


@pytest.fixture
def study(tiny, tiny_bert, tmp_path, monkeypatch):
    monkeypatch.setenv("TINY", str(tiny))
    monkeypatch.setenv("CEDISTILL_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "study.toml").write_text(STUDY.format(backbone=tiny_bert))
    return folder


def _runs():
    return {path: path.stat().st_mtime_ns for path in (cache_folder() / "first-stage").glob("*.trec")}


def test_first_stages_are_made_once_before_the_first_cell(study):
    seen = []

    def status(*_):
        seen.append(_runs())
        return lambda _: lambda *_: None

    run_study(study, status)
    # Of the judged queries of both splits: to depth 7 for evaluation, to 100 for training and validation.
    assert len(seen) == 3 and len(seen[0]) == 2 and all(one == seen[0] for one in [*seen, _runs()])
    lines = sorted(len(path.read_text().splitlines()) for path in seen[0])
    assert lines == [4 * 5, 6 * 5]  # five documents tell of each query's topic


def test_cells_that_do_not_train_need_no_first_stage_of_training(study):
    run_study(study, lambda *_: lambda _: lambda *_: None, "*/untrained/*")
    assert len(_runs()) == 1


def test_a_finished_study_makes_nothing_again(study):
    run_study(study, lambda *_: lambda _: lambda *_: None)
    for path in _runs():
        path.unlink()
    run_study(study, lambda *_: lambda _: lambda *_: None)
    assert not _runs()
