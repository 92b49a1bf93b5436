"""How engines are asked for, and how they take failures; a real Ray is in test_cluster.py."""

import json
import sys
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from cedistill.cli import app
from cedistill.errors import InputError
from cedistill.study import cell as cell_module
from cedistill.study.cluster import Cluster, run_on_ray
from cedistill.study.outcome import CellsFailedError
from cedistill.study.run import run_study
from cedistill.study.status import time_left

STUDY = """
title = "Tiny"
backbones = ["{backbone}"]
objectives = ["later", "bce", "hinge"]
[train]
dataset = "${{TINY}}"
candidates = "${{TINY}}/candidates.trec"
[training]
steps = 1
queries = 4
learning_rate = 1e-3
precision = "float32"
[objective.later]
base = "hinge"
start = "bce"
[[evaluate]]
dataset = "${{TINY}}"
candidates = "${{TINY}}/candidates.trec"
depth = 3
"""


@pytest.fixture
def study(tiny, tiny_bert, tmp_path, monkeypatch):
    monkeypatch.setenv("TINY", str(tiny))
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "study.toml").write_text(STUDY.format(backbone=tiny_bert))
    return folder


@pytest.fixture
def bce_fails(monkeypatch):
    original = cell_module._ready_model

    def ready_model(study, cell, *others):
        if cell.objective == "bce":
            raise KeyError("out of luck")
        return original(study, cell, *others)

    monkeypatch.setattr(cell_module, "_ready_model", ready_model)


class Ray:
    """Tasks run as they are asked for, in this process; ``dying`` are the objectives whose worker dies each time."""

    def __init__(self, dying=(), nodes=()):
        self.dying, self.said = dying, {}
        self.exceptions = SimpleNamespace(RayError=type("RayError", (Exception,), {}))
        self._nodes = [{"Alive": alive, "Resources": {"GPU": gpus}} for alive, gpus in nodes]

    def init(self, **options):
        self.said["init"] = options

    def shutdown(self):
        self.said["ended"] = True

    def nodes(self):
        return self._nodes

    def remote(self, **options):
        self.said["task"] = options
        return lambda function: SimpleNamespace(remote=lambda *arguments: self._task(function, *arguments))

    def _task(self, function, settings, names, start):
        dead = names[1] in self.dying or (start is not None and start[1] is None)
        task = (names, None if dead else function(settings, names, start and start[1]))
        self.said.setdefault("tasks", []).append(task)
        return task

    def wait(self, tasks, num_returns, timeout):
        self.waits = getattr(self, "waits", 0) + 1
        return ([], tasks) if self.waits == 1 else (tasks[:1], tasks[1:])

    def get(self, task):
        if task[1] is None:
            raise self.exceptions.RayError("The worker died.\nMore.")
        return task[1]


def _quiet(*_):
    return lambda _: lambda *_: None


def _run(study, ray, monkeypatch, **cluster):
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray.exceptions", ray.exceptions)
    ended = []
    try:
        run_study(study, _quiet, engine=lambda job: run_on_ray(job, Cluster(**cluster)), finished=ended.append)
    finally:
        assert ray.said.get("ended", True)
    return ended


def test_ray_runs_all_cells_after_those_they_start_from(study, monkeypatch, capfd):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    ray = Ray(nodes=[(True, 2.0), (False, 9.0)])
    ended = _run(study, ray, monkeypatch, retries=5)
    assert [(one.cell.objective, one.cause) for one in ended] == [("bce", ""), ("later", ""), ("hinge", "")]
    assert ray.said["init"]["address"] == "local" and ray.said["task"]["num_gpus"] == 1.0
    assert ray.said["task"]["max_retries"] == 5
    assert "CEDISTILL_CACHE" in ray.said["task"]["runtime_env"]["env_vars"]
    assert json.loads((study / "table.json").read_text())["missing"] == []
    name = next(study.glob("*/bce/seed-12")).relative_to(study)
    assert f"[0/3] at work: {name} (step 1), " in capfd.readouterr().err


@pytest.mark.parametrize("how", ["fails", "dies"])
def test_what_starts_from_a_failed_cell_is_not_tried_and_all_else_is(study, monkeypatch, how, request):
    if how == "fails":
        request.getfixturevalue("bce_fails")
    with pytest.raises(CellsFailedError, match="2 of 3 cells failed") as raised:
        _run(study, Ray(dying=("bce",) if how == "dies" else ()), monkeypatch, address="there")
    first, second = raised.value.failures
    cause = "KeyError('out of luck')" if how == "fails" else "its worker died and retries did not help: RayError"
    assert cause in first and first.endswith("bce/seed-12/error.txt")
    assert "bce/seed-12, from which it starts, failed; log: " in second
    assert len(list(study.rglob("error.txt"))) == 2 and len(list(study.rglob("metrics.json"))) == 1


def test_more_gpus_than_a_node_has_are_refused(study, monkeypatch):
    with pytest.raises(InputError, match="expected a node with 3 GPUs for --gpus-per-cell, found at most 2"):
        _run(study, Ray(nodes=[(True, 2.0)]), monkeypatch, gpus=3)


def test_the_failed_are_listed_at_the_end_with_cause_and_log(study, bce_fails):
    done = CliRunner().invoke(app, ["run", str(study)])
    assert isinstance(done.exception, CellsFailedError)
    start, first, second = done.stderr.splitlines()[-3:]
    assert start == "failed:" and first.endswith(f"bce/seed-12: KeyError('out of luck'); log: {_log(study, 'bce')}")
    assert second.endswith(f"failed; log: {_log(study, 'later')}") and "out of luck" in _log(study, "bce").read_text()
    rows = json.loads((study / "table.json").read_text())["rows"]
    assert [row["objective"] for row in rows] == ["first stage", "hinge"]


def _log(study, objective):
    return next(study.glob(f"*/{objective}/seed-12/error.txt"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--engine", "rya"], "unknown engine 'rya'; did you mean 'ray'"),
        (["--address", "auto"], "expected --engine ray with --address or --gpus-per-cell, found the engine local"),
        (
            ["--engine", "ray"],
            "found none; pip install 'cedistill.cluster",
        ),
        (["--report-to", "wandv"], "unknown tracker 'wandv'; did you mean 'wandb'"),
    ],
)
def test_mistakes_are_told_before_anything_runs(study, monkeypatch, options, message):
    monkeypatch.setitem(sys.modules, "ray", None)
    done = CliRunner().invoke(app, ["run", str(study), *options])
    assert isinstance(done.exception, InputError) and message.replace(".cluster", "[cluster") in str(done.exception)
    assert not list(study.rglob("started.json"))


def test_time_left_is_the_longest_of_each_that_is_to_come_and_counts_those_at_once():
    assert time_left([2.0, 10.0], 5, 12.0) == pytest.approx(30.0)
    assert time_left([10.0, 10.0], 6, 10.0) == pytest.approx(20.0)
    assert time_left([], 3, 1.0) == 0.0
