import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cedistill.config.objective import load_objective
from cedistill.config.train_data import TrainData
from cedistill.errors import InputError
from cedistill.training.record import DivergedError
from cedistill.training.train import train

SETTINGS = ("training.steps=12", "training.queries=4", "training.learning_rate=1e-3", "training.precision=float32")


@pytest.fixture
def data(tiny):
    return TrainData(dataset=str(tiny), candidates=f"{tiny}/candidates.trec", teachers=(f"{tiny}/teacher.trec",))


def _log(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    "objective",
    ["bce", "hinge", "margin-mse", "infonce", "distill-ranknet", "adr-mse", "kl-distill", "lambda"],
)
def test_every_shipped_objective_trains(objective, data, tiny_bert, tmp_path):
    out = tmp_path / "out"
    done = train(str(tiny_bert), objective, out, data=data, settings=[*SETTINGS, "training.steps=3"], workers=0)
    before, after = (load_file(folder / "model.safetensors") for folder in (tiny_bert, out))
    same = [torch.equal(weights, after[f"bert.{name}"]) for name, weights in before.items()]
    assert not any(same[:5])  # embeddings move too
    assert [line["step"] for line in _log(out)] == [1, 2, 3]
    assert done["figures"]["steps"] == 3 and np.isfinite(done["figures"]["loss"])
    assert not (out / "checkpoints").exists() and json.loads((out / "cedistill.json").read_text()) == done


@pytest.mark.slow
def test_a_compiled_encoder_makes_the_same_steps(data, tiny_bert, tmp_path):
    for name, settings in (("plain", SETTINGS), ("compiled", [*SETTINGS, "training.compile=true"])):
        train(str(tiny_bert), "distill-ranknet", tmp_path / name, data=data, settings=settings, workers=0)
    plain, compiled = ([line["loss"] for line in _log(tmp_path / name)] for name in ("plain", "compiled"))
    assert compiled == pytest.approx(plain, abs=1e-4) and plain[-1] != plain[0]


def test_saved_model_gives_the_same_scores_everywhere(data, tiny_bert, tmp_path):
    from sentence_transformers import CrossEncoder

    from cedistill import Reranker

    train(str(tiny_bert), "bce", tmp_path / "out", data=data, settings=SETTINGS, workers=0)
    pairs = [("what about topic1", "Title 1 this tells of topic1"), ("what about topic1", "of topic2 " * 40)]
    ours = Reranker(tmp_path / "out").score(pairs)
    theirs = CrossEncoder(str(tmp_path / "out"), device="cpu").predict(pairs)
    assert ours.dtype == np.float32 and ours == pytest.approx(theirs, abs=1e-5)
    content = json.loads((tmp_path / "out" / "cedistill.json").read_text())
    assert {one["role"] for one in content["inputs"]} == {"dataset", "candidates"}
    assert all(len(one["sha256"]) == 64 for one in content["inputs"]) and content["seed"] == 12


def test_steps_are_those_of_a_plain_loop(data, tiny_bert, tmp_path):
    """AdamW, clipping, warm-up and decay over the same lists, written out with padded batches of one list each."""
    from transformers import AutoTokenizer

    from cedistill.config.objective import Lists
    from cedistill.data.lists import TrainingLists
    from cedistill.data.pools import load_pools
    from cedistill.losses import margin_mse
    from cedistill.model.backbones import load_backbone

    settings = [*SETTINGS, "training.warmup_steps=3"]
    train(str(tiny_bert), "margin-mse", tmp_path / "out", data=data, settings=settings, workers=0, seed=3)
    model, _ = load_backbone(str(tiny_bert), 3)
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    lists = TrainingLists(load_pools(data, labels=False), Lists(kind="pairs", needs=("teacher-scores",), size=2), 3, 48)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, eps=1e-8, weight_decay=0.0)
    for step in range(12):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * (step / 3 if step < 3 else (12 - step) / 9)
        chosen = [lists[4 * step + place] for place in range(4)]
        scores = torch.stack(
            [
                model(**tokenizer([one.query] * 2, one.documents, padding=True, return_tensors="pt")).logits[:, 0]
                for one in chosen
            ]
        )
        loss = margin_mse(scores, torch.tensor(np.stack([one.targets for one in chosen])))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        assert _log(tmp_path / "out")[step]["loss"] == pytest.approx(loss.item(), rel=1e-3)
    trained = load_file(tmp_path / "out" / "model.safetensors")
    start, _ = load_backbone(str(tiny_bert), 3)
    for name, weights in model.state_dict().items():
        if name in trained:
            # Adam magnifies the rounding of single gradients near zero, so that means are compared.
            moved = (weights - start.state_dict()[name]).abs().mean()
            assert (weights - trained[name]).abs().mean() <= 0.05 * moved + 1e-6, name


KILLED = """
import os, signal, sys
{lanes}
from cedistill.config.train_data import TrainData
from cedistill.training.train import train

backbone, folder, output, stop, resume = sys.argv[1:6]
data = TrainData(dataset=folder, candidates=f"{folder}/candidates.trec")

def progress(step, steps, words):
    if step == int(stop):
        os.kill(os.getpid(), signal.SIGKILL)

settings = ["training.steps=12", "training.queries=4", "training.learning_rate=1e-3", "training.precision=float32"]
train(backbone, "bce", output, data=data, settings=settings, workers=1, resume=resume == "resume", progress=progress)
"""
TWO_LANES = """
import torch
from cedistill.model import forward
from cedistill.training import gradient_cache, loading
torch.set_num_threads(2)
forward.LEAST_TOKENS = 16
in_lanes = gradient_cache.in_lanes

def seen(function, items, lanes):
    assert lanes == 2, lanes
    return in_lanes(function, items, lanes)

gradient_cache.in_lanes = seen
"""


@pytest.mark.parametrize("lanes", ["", TWO_LANES], ids=["one lane", "two lanes"])
def test_killed_and_resumed_equals_uninterrupted(lanes, tiny, tiny_bert_with_dropout, tmp_path):
    code = KILLED.replace("{lanes}", lanes)

    def run(output, stop, resume=""):
        command = [sys.executable, "-c", code, str(tiny_bert_with_dropout), str(tiny), str(output), str(stop), resume]
        return subprocess.run(command, capture_output=True, text=True).returncode

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run(whole, 0) == 0
    assert run(broken, 8) == -signal.SIGKILL  # checkpoints are at 3, 6, 9 and 12
    assert sorted(path.name for path in (broken / "checkpoints").glob("checkpoint-*")) == ["checkpoint-6"]
    assert not (broken / "cedistill.json").exists()
    half = broken / "checkpoints" / "checkpoint-7"  # as an interruption in the middle of saving leaves it
    half.mkdir()
    (half / "trainer_state.json").write_text('{"global_st')
    assert run(broken, 0, "resume") == 0
    one, other = (load_file(folder / "model.safetensors") for folder in (whole, broken))
    assert all(torch.equal(one[name], other[name]) for name in one)
    logs = [[(line["step"], line["loss"]) for line in _log(folder)] for folder in (whole, broken)]
    assert logs[0] == logs[1] and len(logs[0]) == 12


def test_resuming_another_run_is_refused(data, tiny_bert, tmp_path):
    out = tmp_path / "out"

    def stop(step, steps, words):
        if step == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(str(tiny_bert), "bce", out, data=data, settings=SETTINGS, workers=0, progress=stop)
    with pytest.raises(InputError, match=r"found an interrupted run; .*--resume"):
        train(str(tiny_bert), "bce", out, data=data, settings=SETTINGS, workers=0)
    with pytest.raises(InputError, match="expected the same seed"):
        train(str(tiny_bert), "bce", out, data=data, settings=SETTINGS, workers=0, resume=True, seed=99)
    done = train(str(tiny_bert), "bce", out, data=data, settings=SETTINGS, workers=0, resume=True)
    assert train(str(tiny_bert), "bce", out, data=data, settings=SETTINGS, workers=0, resume=True) == done
    with pytest.raises(InputError, match="found a finished model"):
        train(str(tiny_bert), "bce", out, data=data, settings=SETTINGS, workers=0)


def test_best_checkpoint_is_kept_and_patience_stops_early(data, tiny, tiny_bert, tmp_path, monkeypatch):
    from cedistill.training import validation

    figures = iter([0.3, 0.9, 0.5, 0.4, 0.2])
    snapshots = []

    def make(sets):
        def validate(model, encoder, precision):
            snapshots.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
            return {"ndcg@10": next(figures)}

        return validate

    monkeypatch.setattr(validation, "make_validation", make)
    settings = [*SETTINGS, "training.validate_every=2", "training.patience=2"]
    out = tmp_path / "out"
    done = train(str(tiny_bert), "bce", out, data=data, settings=settings, workers=0, validate=str(tiny))
    assert len(snapshots) == 4 and done["figures"]["steps"] == 8  # two validations without a better one
    assert done["figures"]["validation"] == {"ndcg@10": 0.9, "step": 4}
    saved = load_file(out / "model.safetensors")
    assert all(torch.equal(saved[name], snapshots[1][name]) for name in saved)
    validations = [line for line in _log(out) if "validation" in line]
    assert [line["validation"]["ndcg@10"] for line in validations] == [0.3, 0.9, 0.5, 0.4]


def test_validation_measures_the_model_on_the_data_set(tiny, tiny_bert):
    from cedistill.evaluation.rerank import rerank
    from cedistill.model.backbones import load_backbone
    from cedistill.model.encode import make_encoder
    from cedistill.model.reranker import Reranker
    from cedistill.training.validation import make_validation

    model, tokenizer = load_backbone(str(tiny_bert), 4)
    found = make_validation([(str(tiny), f"{tiny}/candidates.trec")])(model, make_encoder(tokenizer), "float32")
    import pytrec_eval

    from cedistill.data.collections import open_collection
    from cedistill.data.runs import read_run

    collection = open_collection(str(tiny))
    run = rerank(Reranker.of(model, tokenizer), collection, read_run(f"{tiny}/candidates.trec"))
    judged = pytrec_eval.RelevanceEvaluator(collection.qrels, {"ndcg_cut.10"}).evaluate(run)
    expected = sum(one["ndcg_cut_10"] for one in judged.values()) / 6
    assert found["ndcg@10"] == pytest.approx(expected, abs=1e-6)


def test_divergence_is_an_error(data, tiny_bert, tmp_path):
    settings = [*SETTINGS, "training.learning_rate=1e30"]
    with pytest.raises(DivergedError, match=r"lower training\.learning_rate"):
        train(str(tiny_bert), "margin-mse", tmp_path / "out", data=data, settings=settings, workers=0)


def test_own_loss_by_module_and_function(data, tiny_bert, tmp_path, monkeypatch):
    body = "def squared(scores, targets, mask=None):\n    return (scores[mask] ** 2).mean()\n"
    (tmp_path / "my_losses.py").write_text(body)
    objective = tmp_path / "mine.toml"
    objective.write_text(
        'title = "Mine"\nloss = "my_losses:squared"\n[lists]\nkind = "pairs"\nneeds = ["labels"]\nsize = 2\n'
        "[training]\nsteps = 4\nlearning_rate = 1e-3\nqueries = 4\n"
    )
    monkeypatch.chdir(tmp_path)
    done = train(str(tiny_bert), load_objective(str(objective)), tmp_path / "out", data=data, workers=0)
    assert done["figures"]["steps"] == 4


def test_bad_input_writes_nothing(data, tiny, tiny_bert, tmp_path):
    (tiny / "teacher.trec").write_text("q0 Q0 d1 1 nan x\n")
    with pytest.raises(InputError, match=r"teacher\.trec:1: expected a finite score"):
        train(str(tiny_bert), "margin-mse", tmp_path / "out", data=data, settings=SETTINGS)
    assert not Path(tmp_path / "out").exists()


def test_a_loss_of_ones_own_sees_each_teacher(tiny, tiny_bert, tmp_path, monkeypatch):
    (tmp_path / "of_each.py").write_text(
        "from cedistill.losses import mixture_kl\n"
        "seen = []\n"
        "def loss(scores, targets, mask=None, *, teachers=None, teacher_mask=None):\n"
        "    seen.append((tuple(teachers.shape), bool((teacher_mask.any(1) == mask).all())))\n"
        "    return mixture_kl(scores, teachers, teachers.new_ones(teachers.shape[:2]), teacher_mask)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (tiny / "other.trec").write_text("".join(f"q{i} Q0 d{j} 1 {-j} x\n" for i in range(6) for j in range(4, 12)))
    data = TrainData(
        dataset=str(tiny), candidates=f"{tiny}/candidates.trec", teachers=(f"{tiny}/teacher.trec", f"{tiny}/other.trec")
    )
    settings = ["loss=of_each:loss", "parameters={}", "lists.teachers=each", "lists.size=4", "training.steps=2"]
    objective = load_objective("kl-distill", [*settings, "training.queries=3", "training.learning_rate=1e-3"])
    content = train(str(tiny_bert), objective, tmp_path / "model", data=data, workers=0)
    import of_each

    assert of_each.seen == [((3, 2, 4), True)] * 2 and content["figures"]["loss"] > 0
