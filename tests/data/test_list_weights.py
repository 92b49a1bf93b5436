import numpy as np
import pytest

from cedistill.config.objective import load_objective
from cedistill.config.train_data import TrainData, check_provides
from cedistill.data.list_weights import read_list_weights
from cedistill.data.lists import TrainingLists
from cedistill.data.pools import load_pools
from cedistill.errors import InputError


def test_the_column_is_found_by_its_name(tmp_path):
    path = tmp_path / "confidence.tsv"
    path.write_text("query-id\tkendall-tau\tweight\nq1\t0.5\t0.75\nq0\t-1\t0\n")
    assert read_list_weights(path) == {"q1": 0.75, "q0": 0.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q1\t1\n", r":1: expected a header with query-id and weight, tab-separated"),
        ("query-id\tweight\nq1\tx\n", r":2: expected a weight of at least 0, found 'x'"),
        ("query-id\tweight\nq1\tnan\n", r":2: expected a weight of at least 0"),
        ("query-id\tweight\nq1\t-1\n", r":2: expected a weight of at least 0"),
        ("query-id\tweight\nq1\t1\nq1\t2\n", r":3: expected each query once"),
        ("query-id\tweight\nq1\t1\t2\n", r":2: expected 2 columns as in the header, found 3"),
        ("query-id\tweight\nq1\t0\n", r"expected a weight above 0, found none"),
    ],
)
def test_mistakes_are_told_with_their_line(tmp_path, text, message):
    path = tmp_path / "w.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_list_weights(path)


def test_lists_carry_the_weight_of_their_query(tiny, tmp_path):
    path = tmp_path / "w.tsv"
    path.write_text("query-id\tweight\nq1\t0.25\nq4\t3\n")
    objective = load_objective("kl-distill")
    data = TrainData(dataset=str(tiny), teachers=(f"{tiny}/teacher.trec",), list_weights=str(path))
    pools = load_pools(data, labels=False)
    lists = TrainingLists(pools, objective.lists, 1, 12)
    weights = {one.query: one.weight for one in lists}
    assert pools.weighted and weights == {f"what about topic{i}": {1: 0.25, 4: 3.0}.get(i, 1.0) for i in range(6)}
    assert not load_pools(data.model_copy(update={"list_weights": None}), labels=False).weighted
    assert "list weights" in [one.role for one in pools.inputs]


def test_weights_of_other_data_are_refused(tiny):
    data = TrainData(dataset=str(tiny), pairs="pairs.tsv", list_weights="w.tsv")
    with pytest.raises(InputError, match="expected --list-weights with --dataset and --candidates or --teacher"):
        check_provides(load_objective("margin-mse"), data)


def test_the_weighted_loss_is_the_mean_of_each_list_s_own():
    import torch

    from cedistill.losses import bce
    from cedistill.training.loss import weighted_loss

    scores = torch.tensor([[0.0, 0.0], [2.0, 9.0]], requires_grad=True)
    targets = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    mask = torch.tensor([[True, True], [True, False]])
    found = weighted_loss(bce)(scores, targets, mask, weights=torch.tensor([3.0, 1.0]))
    expected = (3 * np.log(2) + np.log1p(np.exp(-2.0))) / 4
    assert found.item() == pytest.approx(expected, abs=1e-6)
    nothing = weighted_loss(bce)(scores, targets, mask, weights=torch.zeros(2))
    nothing.backward()
    assert nothing.item() == 0 and not scores.grad.any()


def test_training_hears_the_weights(tiny, tiny_bert, tmp_path):
    import json

    from cedistill.training.train import train

    path = tmp_path / "w.tsv"
    losses = {}
    for name, weight in (("equal", 2.0), ("plain", None), ("one", 0.0)):
        path.write_text("query-id\tweight\nq0\t1\n" + "".join(f"q{i}\t{weight}\n" for i in range(1, 6)))
        if name == "equal":
            path.write_text("query-id\tweight\n" + "".join(f"q{i}\t{weight}\n" for i in range(6)))
        data = TrainData(
            dataset=str(tiny), teachers=(f"{tiny}/teacher.trec",), list_weights=None if weight is None else str(path)
        )
        settings = [
            "training.steps=6",
            "training.queries=6",
            "training.learning_rate=1e-3",
            "training.precision=float32",
        ]
        out = tmp_path / name
        train(str(tiny_bert), "kl-distill", out, data=data, settings=settings, workers=0)
        losses[name] = [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()]
    # KL averages over lists: equal weights change nothing, and one list alone is another loss.
    assert losses["equal"] == pytest.approx(losses["plain"], rel=1e-4) and len(losses["one"]) == 6
    assert abs(losses["one"][0] - losses["plain"][0]) > 1e-4
