"""The demo as a test bench: its truth is known, so what training does to a model can be judged."""

import statistics

import pytest

from cedistill.config.train_data import TrainData
from cedistill.data.collections import open_collection
from cedistill.data.references import run_path
from cedistill.data.runs import read_run, top
from cedistill.evaluation.measures import mean, per_query
from cedistill.evaluation.rerank import rerank
from cedistill.model.backbones import load_backbone
from cedistill.model.reranker import Reranker
from cedistill.training.train import train

LISTS = {  # queries a step and documents of a list: 128 documents a step, as in results/demo
    "bce": (64, 2),
    "hinge": (64, 2),
    "margin-mse": (64, 2),
    "infonce": (16, 8),
    "distill-ranknet": (8, 16),
    "adr-mse": (8, 16),
}
SEEDS = (1, 2, 3)


@pytest.fixture(scope="module")
def quality():
    """nDCG@10 of a model on the candidates of the demo's dev queries, to depth 30."""
    collection = open_collection("demo:dev")
    candidates = top(read_run(run_path("demo:dev.candidates")), 30)

    def measure(scorer):
        return mean(per_query(rerank(scorer, collection, candidates), collection.qrels, ["ndcg@10"])["ndcg@10"])

    return measure


def _trained(objective, teacher, seed, steps, folder):
    queries, size = LISTS[objective]
    data = TrainData(dataset="demo:train", candidates="demo:train.candidates", teachers=(f"demo:train.{teacher}",))
    settings = [f"training.steps={steps}", "training.warmup_steps=30", f"training.queries={queries}"]
    settings += [f"lists.size={size}", "lists.relevant_grade=2", "training.precision=float32"]
    train("micro-bert", objective, folder, data=data, seed=seed, settings=settings)
    return Reranker(folder)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("objective", LISTS)
def test_every_objective_points_uphill(objective, quality, tmp_path):
    """Each seed's model is far above every seed's untrained one."""
    untrained = [quality(Reranker.of(*load_backbone("micro-bert", seed))) for seed in SEEDS]
    trained = [quality(_trained(objective, "ensemble", seed, 100, tmp_path / str(seed))) for seed in SEEDS]
    gain = statistics.fmean(trained) - statistics.fmean(untrained)
    assert min(trained) > max(untrained) + 0.03
    assert gain > 3 * max(statistics.stdev(trained), statistics.stdev(untrained))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_accurate_teacher_beats_a_noisy_one(quality, tmp_path):
    found = {
        teacher: [
            quality(_trained("distill-ranknet", teacher, seed, 200, tmp_path / f"{teacher}{seed}"))
            for seed in SEEDS[:2]
        ]
        for teacher in ("accurate", "ensemble-1")
    }
    assert min(found["accurate"]) > max(found["ensemble-1"])
