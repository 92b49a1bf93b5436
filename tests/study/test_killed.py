"""A study that is killed at random moments and run again ends as one that nobody disturbed."""

import hashlib
import json
import multiprocessing
import os
import random
import shutil
import time

import pytest

STUDY = """
title = "Tiny"
backbones = ["{backbone}"]
objectives = ["later", "untrained", "bce", "margin-mse"]
seeds = [1]
[train]
dataset = "${{TINY}}"
candidates = "bm25"
teachers = ["${{TINY}}/teacher.trec"]
[training]
steps = 24
queries = 4
learning_rate = 1e-3
precision = "float32"
validate_every = 8
[objective.later]
base = "hinge"
start = "bce"
[validate]
dataset = "${{TINY}}:train"
[[evaluate]]
dataset = "${{TINY}}"
candidates = "${{TINY}}/candidates.trec"
depth = 5
"""


def run(study, tiny):
    # As from the command line; workers of a fork server's child would outlive it.
    multiprocessing.set_start_method("fork", force=True)
    os.environ["TINY"] = str(tiny)
    from cedistill.study.run import run_study

    run_study(study, lambda *_: lambda _: lambda *_: None)


def outcome(study):
    """What the study says, and the weights of its models."""
    table = json.loads((study / "table.json").read_text())
    values = [(row["objective"], row["seeds"], row["values"]) for row in table["rows"]]
    cells = sorted(study.glob("*/*/seed-*"))
    figures = [json.loads((one / "metrics.json").read_text()) for one in cells]
    weights = [hashlib.sha256(one.read_bytes()).hexdigest() for one in sorted(study.rglob("model.safetensors"))]
    steps = [[json.loads(line)["step"] for line in one.read_text().splitlines()] for one in study.rglob("log.jsonl")]
    return table["columns"], values, [(one["identity"], one["datasets"]) for one in figures], weights, sorted(steps)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_a_study_killed_at_random_moments_gives_the_same(tiny, tiny_bert_with_dropout, tmp_path, kills):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        [
            "cedistill.study.run",
            "cedistill.training.fit",
            "cedistill.training.validation",
            "cedistill.evaluation.evaluate",
        ]
    )
    studies = [tmp_path / name for name in ("whole", "killed")]
    for study in studies:
        study.mkdir()
        (study / "study.toml").write_text(STUDY.format(backbone=tiny_bert_with_dropout))

    def started(study):
        process = context.Process(target=run, args=(study, tiny))
        process.start()
        return process

    whole, killed = studies
    started(whole).join()
    for one in whole.glob("*/*/seed-*"):
        shutil.rmtree(one)
    begin = time.monotonic()  # with warm caches
    started(whole).join()
    alone, expected = time.monotonic() - begin, outcome(whole)
    chance, died = random.Random(kills), 0
    while died < kills:
        process = started(killed)
        process.join(chance.uniform(0.0, 0.5) * alone)
        process.kill()
        process.join()
        if process.exitcode == 0:  # all was done before the kill: from the beginning again
            for one in killed.glob("*/*/seed-*"):
                shutil.rmtree(one)
        died += process.exitcode != 0
    last = started(killed)
    last.join()
    assert last.exitcode == 0 and outcome(killed) == expected
    assert not list(killed.rglob("checkpoints"))
