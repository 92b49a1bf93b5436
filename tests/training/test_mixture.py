import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.special import softmax
from scipy.stats import entropy

from cedistill.config.objective import load_objective
from cedistill.config.train_data import TrainData
from cedistill.data.lists import TrainingLists
from cedistill.data.pools import load_pools
from cedistill.errors import InputError
from cedistill.losses import get_loss
from cedistill.mixture.gate import Gate
from cedistill.model.backbones import load_backbone
from cedistill.training.mixture import mixture_objective
from cedistill.training.stages import teacher_names
from cedistill.training.start import batch_of, learner, scores_of, start_together
from cedistill.training.train import train

SETTINGS = ("training.steps=6", "training.queries=4", "training.learning_rate=1e-3", "training.precision=float32")


@pytest.fixture
def data(tiny):
    """Two teachers; the second judged every other document, and contradicts the first."""
    lines = [f"q{i} Q0 d{j} 1 {j + 0.25 * ((i + j) % 3)} other\n" for i in range(6) for j in range(0, 14, 2)]
    (tiny / "other.trec").write_text("".join(lines))
    return TrainData(
        dataset=str(tiny), candidates=f"{tiny}/candidates.trec", teachers=(f"{tiny}/teacher.trec", f"{tiny}/other.trec")
    )


def _log(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    "routing", ["uniform", "random", "agreement", "paper", "soft", "supervised", "oracle", "zscore", "rrf"]
)
def test_every_routing_trains_and_tells_how_it_routed(routing, data, tiny_bert, tmp_path):
    settings = [*SETTINGS, "training.steps=3", f"mixture.routing={routing}"]
    train(str(tiny_bert), "teacher-mixture", tmp_path / "out", data=data, settings=settings, workers=0)
    lines = _log(tmp_path / "out")
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert all(sum(line["routing_share"].values()) == pytest.approx(1, abs=1e-4) for line in lines)
    assert set(lines[0]["routing_share"]) == {"teacher", "other"}
    entropy = [line["routing_entropy"] for line in lines]
    if routing in ("random", "oracle"):
        assert entropy == [0, 0, 0]
    if routing in ("uniform", "zscore", "rrf"):
        assert entropy == pytest.approx([0.69315] * 3)
    gate = tmp_path / "out" / "mixture.safetensors"
    assert gate.exists() == (routing in ("paper", "soft", "supervised"))
    assert not any("gate" in name for name in load_file(tmp_path / "out" / "model.safetensors"))


@pytest.mark.parametrize(("routing", "learns"), [("paper", False), ("soft", True), ("supervised", True)])
def test_what_trains_the_gate(routing, learns, data, tiny_bert, tmp_path):
    """Without load balance the paper's gate stays as it was drawn."""
    settings = [*SETTINGS, f"mixture.routing={routing}", "mixture.balance_weight=0"]
    train(str(tiny_bert), "teacher-mixture", tmp_path / "out", data=data, settings=settings, workers=0, seed=3)
    saved = load_file(tmp_path / "out" / "mixture.safetensors")
    objective = load_objective("teacher-mixture", settings)
    drawn = mixture_objective(objective, ["teacher", "other"], 3).state_dict()
    assert set(saved) == set(drawn) == {f"mixture.gate.{name}" for name in Gate(2).state_dict()}
    assert torch.equal(saved["mixture.gate.output.bias"], drawn["mixture.gate.output.bias"]) != learns


def test_lists_carry_labels_and_each_teacher(data):
    lists = load_objective("teacher-mixture", ["lists.size=8"]).lists
    pools = load_pools(data, labels=True)
    assert teacher_names(pools) == ["teacher", "other"]
    drawn = TrainingLists(pools, lists, 1, 6)
    for one in (drawn[number] for number in range(6)):
        topic = int(one.query.removeprefix("what about topic"))
        for text, label, scores in zip(one.documents, one.labels, one.teachers.T, strict=True):
            number = int(text.split()[1])
            judged = {topic: 2, topic + 6: 1, topic + 1: 0}
            assert label == judged[number] if number in judged else label != label
            assert scores[0] == 10.5 - number if number < 10 else scores[0] != scores[0]
            assert scores[1] == number + 0.25 * ((topic + number) % 3) if number % 2 == 0 else scores[1] != scores[1]


def test_stages_before_distillation(data, tiny_bert, tmp_path):
    """Peers become teachers, calibrators are trained and then frozen, the student starts where the start left it."""
    settings = [
        *SETTINGS,
        "mixture.start.steps=4",
        f'mixture.start.peers=["{tiny_bert}"]',
        "mixture.specialise.steps=5",
    ]
    train(str(tiny_bert), "teacher-mixture", tmp_path / "out", data=data, settings=settings, workers=0)
    assert set(_log(tmp_path / "out")[0]["routing_share"]) == {"teacher", "other", f"peer-1-{tiny_bert.name}"}
    saved = load_file(tmp_path / "out" / "mixture.safetensors")
    drawn = mixture_objective(load_objective("teacher-mixture", settings), ["a", "b", "c"], 12).state_dict()
    for number in range(3):
        name = f"mixture.calibrators.of.{number}.mask.bias"
        assert not torch.equal(saved[name], drawn[name])
    assert not (tmp_path / "out" / "checkpoints").exists()


def test_the_start_is_label_losses_and_the_divergence_of_every_two(data, tiny_bert):
    """Its first loss is worked out by scipy from what the untrained models say; without labels they only converge."""
    objective = load_objective("teacher-mixture", [*SETTINGS, "lists.size=6"])
    lists = TrainingLists(load_pools(data, labels=True), objective.lists, 1, 24)
    cpu = torch.device("cpu")

    def learners():
        models = [load_backbone(str(tiny_bert), seed) for seed in (1, 2, 3)]
        for number, (model, _) in enumerate(models, start=1):
            model.classifier.weight.data.mul_(40.0 * number)
        return [learner(*one, objective, 1e-3, cpu) for one in models]

    def scored(ones, drawn):
        with torch.no_grad():
            return [scores_of(one, batch_of(one, drawn)).double().numpy() for one in ones]

    def apart(logits):
        p = [softmax(one / 4.0, axis=-1) for one in logits]
        pairs = [(a, b) for a in range(3) for b in range(3) if a != b]
        return sum(16 * entropy(p[a], p[b], axis=-1).mean() / 2 for a, b in pairs)

    drawn = [lists[number] for number in range(4)]
    before = scored(learners(), drawn)
    labels = np.nan_to_num(np.array([one.labels for one in drawn]))
    told = []
    together = learners()
    start_together(together, lists, 4, objective, 4.0, lambda done, steps, words: told.append(words))
    infonce = get_loss("infonce", temperature=1.0)
    of_labels = sum(infonce(torch.tensor(one), torch.tensor(labels)).item() for one in before)
    assert len(told) == 6
    assert float(told[0].removeprefix("loss ")) == pytest.approx(of_labels + apart(before), abs=2e-4)
    unlabelled = [one._replace(labels=[float("nan")] * 6) for one in (lists[n] for n in range(24))]
    converging = learners()
    start_together(converging, unlabelled, 4, objective, 4.0)
    assert apart(scored(converging, drawn)) < 0.9 * apart(before)


KILLED = """
import os, signal, sys
from cedistill.config.train_data import TrainData
from cedistill.training.train import train

backbone, folder, output, stop, *settings = sys.argv[1:]
teachers = (f"{folder}/teacher.trec", f"{folder}/other.trec")
data = TrainData(dataset=folder, candidates=f"{folder}/candidates.trec", teachers=teachers)

def reached(name):
    def progress(step, steps, words):
        if f"{name}:{step}" == stop:
            os.kill(os.getpid(), signal.SIGKILL)
    return progress

train(backbone, "teacher-mixture", output, data=data, settings=settings, workers=0, resume=True,
      progress=reached("training"), report=reached)
"""


def test_killed_and_resumed_equals_uninterrupted(data, tiny, tiny_bert_with_dropout, tmp_path):
    settings = [*SETTINGS, "training.steps=8", "mixture.start.steps=2", "mixture.specialise.steps=2"]
    settings += [f'mixture.start.peers=["{tiny_bert_with_dropout}"]', "mixture.routing=soft"]

    whole = tmp_path / "whole"
    train(str(tiny_bert_with_dropout), "teacher-mixture", whole, data=data, settings=settings, workers=0)
    for stop in ("specialised teachers:1", "training:5", "never"):
        command = [sys.executable, "-c", KILLED, str(tiny_bert_with_dropout), str(tiny), str(tmp_path / "broken"), stop]
        status = subprocess.run([*command, *settings], env=os.environ, check=False).returncode
        assert status == (0 if stop == "never" else -signal.SIGKILL)
    for name in ("model.safetensors", "mixture.safetensors"):
        whole, broken = (load_file(tmp_path / folder / name) for folder in ("whole", "broken"))
        assert whole.keys() == broken.keys()
        assert all(torch.equal(whole[key], broken[key]) for key in whole), name
    assert [line["step"] for line in _log(tmp_path / "broken")] == list(range(1, 9))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["lists.teachers=mean"], "expected lists of kind 'ranking' with teachers = 'each'"),
        (['lists.needs=["teacher-scores"]'], "expected 'labels' in lists.needs for routing 'supervised'"),
        (["mixture.routing=soften"], "mixture.routing"),
        (["mixture.prior=[0.5, 0.6]"], "prior: expected shares that sum to 1, found a sum of 1.1"),
        (["mixture.gates=2"], "unknown key 'mixture.gates'"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(settings, message):
    with pytest.raises(InputError, match=message) as caught:
        load_objective("teacher-mixture", settings)
    assert "\n" not in str(caught.value)


def test_a_prior_needs_a_share_for_each_teacher(data, tiny_bert, tmp_path):
    settings = [*SETTINGS, "mixture.prior=[0.25, 0.25, 0.5]"]
    with pytest.raises(InputError, match="prior must have a share for each of 2 teachers"):
        train(str(tiny_bert), "teacher-mixture", tmp_path / "out", data=data, settings=settings, workers=0)


def test_without_labels_agreement_routes_and_the_student_learns_from_teachers_alone(data, tiny_bert, tmp_path):
    settings = [*SETTINGS, 'lists.needs=["teacher-scores"]', "mixture.routing=agreement", "mixture.label_weight=0"]
    done = train(str(tiny_bert), "teacher-mixture", tmp_path / "out", data=data, settings=settings, workers=0)
    assert done["figures"]["loss"] > 0
