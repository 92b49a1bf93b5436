"""Two processes, connected by gloo as torchrun does, make what one makes."""

import json
import os
import socket
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from cedistill.config.benchmark import Evaluation
from cedistill.config.train_data import TrainData
from cedistill.evaluation.evaluate import evaluate
from cedistill.training.train import train

LOSSES = ("hinge", "bce", "adr-mse")  # means over all pairs, all documents, all lists of the step
OBJECTIVE = """
title = "{loss}"
loss = "{loss}"
[lists]
kind = "ranking"
needs = ["labels"]
size = 9
[training]
steps = 50
queries = 5  # two processes take three and two
learning_rate = 1e-3
precision = "float32"
max_grad_norm = 0.5
validate_every = 25
"""

ROUTED = (  # a loss with parameters of its own, and one that draws teachers
    OBJECTIVE.format(loss="infonce").replace('["labels"]', '["labels", "teacher-scores"]\nteachers = "each"')
    + '[mixture]\nrouting = "{routing}"\n'
)
OBJECTIVES = {loss: OBJECTIVE.format(loss=loss) for loss in LOSSES}
OBJECTIVES["adr-mse"] += "graph_tokens = 100  # most chunks are computed twice\n"
OBJECTIVES |= {routing: ROUTED.format(routing=routing) for routing in ("soft", "random")}

WORK = """
import json, sys
from pathlib import Path
import torch
from cedistill import processes
from cedistill.config.benchmark import Evaluation
from cedistill.config.train_data import TrainData
from cedistill.evaluation.evaluate import evaluate
from cedistill.training.exchange import gather_lists, sum_gradients
from cedistill.training.train import train
from cedistill.training.trainer import set_random_state

backbone, lists, tiny, folder = sys.argv[1:5]
folder = Path(folder)
for objective in sorted(folder.glob("*.toml")):
    train(backbone, str(objective), folder / objective.stem, data=TrainData(lists=lists), workers=0,
          validate=tiny, validate_candidates=f"{tiny}/candidates.trec")

def stop(step, steps, words):
    if step == 30:
        raise KeyboardInterrupt

try:
    train(backbone, str(folder / "hinge.toml"), folder / "broken", data=TrainData(lists=lists), workers=0,
          validate=tiny, validate_candidates=f"{tiny}/candidates.trec", progress=stop)
except KeyboardInterrupt:
    pass
train(backbone, str(folder / "hinge.toml"), folder / "broken", data=TrainData(lists=lists), workers=0,
      validate=tiny, validate_candidates=f"{tiny}/candidates.trec", resume=True)
found = evaluate(folder / "hinge", [Evaluation(dataset=tiny, candidates=f"{tiny}/candidates.trec")], folder / "figures")
number = processes.number()
(folder / f"found-{number}.json").write_text(json.dumps(found))

torch.manual_seed(7)
set_random_state(7)
drawn = torch.rand(1).item()
own = torch.tensor([[1.0, 2.0], [3.0, 4.0]] if number == 0 else [[5.0, 6.0, 7.0]], requires_grad=True)
mask = torch.ones_like(own, dtype=torch.bool)
teachers = torch.stack([own.detach() + 20, own.detach() + 40], 1)
there = torch.stack([mask, ~mask], 1)
heavy = torch.tensor([0.5, 2.0] if number == 0 else [3.0])
scores, targets, mask, teachers, there, heavy = gather_lists(own, 10 * own.detach(), mask, 3, 4, teachers, there, heavy)
assert teachers.tolist()[0] == [[21, 22, 0, 0], [41, 42, 0, 0]] and teachers.tolist()[2][1] == [45, 46, 47, 0]
assert there.int().tolist()[2] == [[1, 1, 1, 0], [0, 0, 0, 0]] and heavy.tolist() == [0.5, 2, 3]
(scores * mask).square().sum().backward()
weight = torch.nn.Parameter(torch.zeros(2))
weight.grad = torch.tensor([1.0, float(number)])
sum_gradients([weight, torch.nn.Parameter(torch.zeros(1))])
print(json.dumps([drawn, *(one.tolist() for one in (scores, targets, mask.int(), own.grad, weight.grad))]))
processes.stop()
"""


def _launch(command, **more):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    started = []
    for number in ("0", "1"):
        environment = os.environ | shared | {"RANK": number, "LOCAL_RANK": number, "OMP_NUM_THREADS": "1"} | more
        started.append(
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
    return [(*one.communicate(timeout=500), one.returncode) for one in started]


def _losses(folder):
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line], [line for line in lines if "validation" in line]


@pytest.fixture
def ragged_lists(tmp_path):
    """Lists of two to nine documents."""
    path = tmp_path / "lists.jsonl"
    with path.open("w") as file:
        for i in range(30):
            documents = [f"this tells of topic{j} " * (1 + (i + j) % 4) for j in range(2 + i % 8)]
            one = {
                "query": f"what about topic{i % 6}",
                "docs": documents,
                "labels": [1.0] + [0.0] * (len(documents) - 1),
            }
            numbers = range(len(documents))
            one["scores"] = {"teacher": [float((7 * j + i) % 11) for j in numbers]}
            one["scores"] |= {"other": [float((5 * j + i) % 7) for j in numbers]} if i % 4 else {}
            one["weight"] = 1 + i % 3
            file.write(json.dumps(one) + "\n")
    return str(path)


@pytest.mark.slow
def test_two_processes_make_what_one_makes(tiny, tiny_bert, ragged_lists, tmp_path):
    two, one = tmp_path / "two", tmp_path / "one"
    two.mkdir()
    for name, text in OBJECTIVES.items():
        (two / f"{name}.toml").write_text(text)
    ended = _launch([sys.executable, "-c", WORK, str(tiny_bert), ragged_lists, str(tiny), str(two)])
    assert [status for _, _, status in ended] == [0, 0], ended
    for loss in OBJECTIVES:
        objective, candidates = str(two / f"{loss}.toml"), f"{tiny}/candidates.trec"
        data = TrainData(lists=ragged_lists)
        validation = {"validate": str(tiny), "validate_candidates": candidates}
        train(str(tiny_bert), objective, one / loss, data=data, workers=0, **validation)
        (losses, validations), (expected, expected_validations) = _losses(two / loss), _losses(one / loss)
        assert len(losses) == 50 and max(expected) - min(expected) > 1e-3
        assert losses == pytest.approx(expected, abs=1e-5)
        # Weights equal up to rounding may still swap two documents of almost the same score.
        figures, expected_figures = (
            [one["validation"]["ndcg@10"] for one in ones] for ones in (validations, expected_validations)
        )
        assert figures == pytest.approx(expected_figures, abs=0.02) and len(figures) >= 2
        assert {path.name for path in (two / loss).iterdir()} == {path.name for path in (one / loss).iterdir()}
    whole, broken = (load_file(two / name / "model.safetensors") for name in ("hinge", "broken"))
    assert all(torch.equal(whole[name], broken[name]) for name in whole)
    assert _losses(two / "broken") == _losses(two / "hinge")
    found = [json.loads((two / f"found-{number}.json").read_text()) for number in range(2)]
    evaluation = Evaluation(dataset=str(tiny), candidates=f"{tiny}/candidates.trec")
    assert found[0] == found[1] == json.loads((two / "figures" / "metrics.json").read_text())
    assert found[0] == json.loads(json.dumps(evaluate(two / "hinge", [evaluation], tmp_path / "figures")))
    _check_exchange(*(json.loads(out) for out, _, _ in ended))


def _check_exchange(first, second):
    assert first[0] == torch.rand(1, generator=torch.Generator().manual_seed(7)).item() != second[0]  # dropout
    assert first[1] == second[1] == [[1, 2, 0, 0], [3, 4, 0, 0], [5, 6, 7, 0]]
    assert first[2] == second[2] == [[10, 20, 0, 0], [30, 40, 0, 0], [50, 60, 70, 0]]
    assert first[3] == second[3] == [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0]]
    assert first[4] == [[2, 4], [6, 8]] and second[4] == [[10, 12, 14]]
    assert first[5] == second[5] == [2, 1]


FAILING = """
import os
from cedistill.errors import InputError
from cedistill.losses import hinge

calls = 0  # five a step: lists that count differently are asked one by one

def loss(scores, targets, mask=None):
    global calls
    calls += 1
    if calls == 101 and os.environ["RANK"] == "1":
        raise InputError("expected x, found y; do z")
    return hinge(scores, targets, mask)
"""


def test_equal_losses_until_an_error_of_one_process_ends_both(tiny_bert, ragged_lists, tmp_path):
    (tmp_path / "failing.py").write_text(FAILING)
    for name, loss in {"failing": "failing:loss", "hinge": "hinge"}.items():
        (tmp_path / f"{name}.toml").write_text(OBJECTIVE.format(loss=loss))
    command = [sys.executable, "-m", "cedistill", "train", "--backbone", str(tiny_bert), "--lists", ragged_lists]
    command += ["--objective", str(tmp_path / "failing.toml"), "--output", str(tmp_path / "two"), "--workers", "0"]
    python_path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    ended = _launch(command, PYTHONPATH=python_path)
    assert [status for _, _, status in ended] == [2, 2], ended
    errors = [line for _, stderr, _ in ended for line in stderr.splitlines() if line.startswith("error:")]
    assert errors == ["error: expected x, found y; do z"]
    assert all(not stdout for stdout, _, _ in ended) and not (tmp_path / "two" / "cedistill.json").exists()
    train(str(tiny_bert), str(tmp_path / "hinge.toml"), tmp_path / "one", data=TrainData(lists=ragged_lists), workers=0)
    losses, expected = _losses(tmp_path / "two")[0], _losses(tmp_path / "one")[0]
    assert len(losses) == 20 and losses == pytest.approx(expected[:20], abs=1e-5)


INTERRUPTED = """
import sys
from pathlib import Path
from cedistill import processes
from cedistill.config.train_data import TrainData
from cedistill.training.train import train

backbone, lists, objective, folder = sys.argv[1:]

def stop(step, steps, words):
    if step == 13:
        raise KeyboardInterrupt

def run(name, **more):
    train(backbone, objective, Path(folder) / name, data=TrainData(lists=lists), workers=0, **more)

run("whole")
try:
    run("broken", progress=stop)
except KeyboardInterrupt:
    pass
run("broken", resume=True)
processes.stop()
"""


@pytest.mark.slow
def test_two_processes_resume_with_the_dropout_of_each(tiny_bert_with_dropout, ragged_lists, tmp_path):
    objective = tmp_path / "hinge.toml"
    text = OBJECTIVE.format(loss="hinge").replace("steps = 50", "steps = 20")
    objective.write_text(text.replace("validate_every = 25", "validate_every = 10"))
    command = [sys.executable, "-c", INTERRUPTED, str(tiny_bert_with_dropout), ragged_lists, str(objective)]
    ended = _launch([*command, str(tmp_path)])
    assert [status for _, _, status in ended] == [0, 0], ended
    whole, broken = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "broken"))
    assert all(torch.equal(whole[name], broken[name]) for name in whole)
    assert _losses(tmp_path / "whole") == _losses(tmp_path / "broken") and len(_losses(tmp_path / "whole")[0]) == 20
    train(str(tiny_bert_with_dropout), str(objective), tmp_path / "one", data=TrainData(lists=ragged_lists), workers=0)
    assert _losses(tmp_path / "one") != _losses(tmp_path / "whole")  # each process drops on its own
