"""The engine `ray` on a real cluster."""

import json
import shutil
import subprocess
import sys
import time

import pytest

from cedistill.study.run import run_study

STUDY = """
title = "Tiny"
backbones = ["{backbone}"]
objectives = ["later", "bce", "hinge"]
[train]
dataset = "${{TINY}}"
candidates = "bm25"
[training]
steps = 600
queries = 4
learning_rate = 1e-3
precision = "float32"
validate_every = 50
[objective.later]
base = "hinge"
start = "bce"
training.steps = 20
[[evaluate]]
dataset = "${{TINY}}"
candidates = "${{TINY}}/candidates.trec"
"""


def _quiet(*_):
    return lambda _: lambda *_: None


@pytest.fixture
def study(tiny, tiny_bert_with_dropout, tmp_path, monkeypatch):
    monkeypatch.setenv("TINY", str(tiny))
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "study.toml").write_text(STUDY.format(backbone=tiny_bert_with_dropout))
    return folder


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_cluster_that_loses_a_node_gives_what_one_process_gives(study, tmp_path):
    pytest.importorskip("ray", reason="needs Ray: pip install 'cedistill[cluster]'")
    from ray.cluster_utils import Cluster as Nodes

    alone = tmp_path / "alone"
    shutil.copytree(study, alone)
    run_study(alone, _quiet)
    nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        _, second = (nodes.add_node(num_cpus=1) for _ in range(2))
        command = [sys.executable, "-m", "cedistill", "run", str(study), "--engine", "ray", "--address", nodes.address]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as driver:
            _wait(driver, lambda: _at_work(study))
            # Two cells, and one place on each node: one of them is on the node that dies.
            assert not list(study.rglob("metrics.json"))
            nodes.remove_node(second, allow_graceful=False)
            said = driver.communicate(timeout=400)[0]
    finally:
        nodes.shutdown()
    assert driver.returncode == 0, said
    tables = [json.loads((one / "table.json").read_text()) for one in (study, alone)]
    assert [row["values"] for row in tables[0]["rows"]] == [row["values"] for row in tables[1]["rows"]]
    for path in alone.rglob("model.safetensors"):
        assert (study / path.relative_to(alone)).read_bytes() == path.read_bytes()
    assert len(list(study.rglob("model.safetensors"))) == 3


def _at_work(study):
    begun = list(study.glob("*/*/seed-*/started.json"))
    return len(begun) == 2 and any(study.glob("*/*/seed-*/model/checkpoints/checkpoint-*"))


def _wait(process, ready):
    end = time.monotonic() + 200
    while not ready():
        assert process.poll() is None and time.monotonic() < end, process.communicate()[0] if process.poll() else ""
        time.sleep(0.05)
