import math

import numpy as np
import pytest
import torch

from cedistill.config.objective import load_objective
from cedistill.errors import InputError
from cedistill.losses import kl_divergence, mixture_kl
from cedistill.training.collate import stacked
from cedistill.training.loss import objective_loss


def _objective(*settings):
    return load_objective("kl-distill", settings)


def test_mse_compares_both_sides_normalised_over_the_list():
    loss = objective_loss(_objective("loss=mse", "parameters={}", "lists.normalise=minmax"))
    scores, targets = torch.tensor([[10.0, 30.0, 20.0, 99.0]]), torch.tensor([[-1.0, 0.0, 1.0, 0.0]])
    mask = torch.tensor([[True, True, True, False]])
    assert loss(scores, targets, mask).item() == pytest.approx((0 + 0.25 + 0.25) / 3)  # (0, 1, ½) against (0, ½, 1)
    assert loss(100 * scores + 7, targets, mask).item() == pytest.approx(0.5 / 3)


def test_mse_of_a_list_without_spread_is_a_differentiable_0():
    loss = objective_loss(_objective("loss=mse", "parameters={}", "lists.normalise=zscore"))
    scores = torch.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    value = loss(scores, torch.ones(1, 3), None)
    value.backward()
    assert value.item() == 0 and scores.grad.tolist() == [[0, 0, 0]]


def test_losses_that_a_constant_does_not_touch_see_raw_logits():
    loss = objective_loss(_objective("lists.normalise=zscore"))
    scores, targets = torch.tensor([[1.0, 5.0, 2.0]]), torch.tensor([[0.1, -1.2, 1.1]])
    assert loss(scores, targets).item() == kl_divergence(scores, targets).item()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["loss=mse", "parameters={}", "lists.normalise=rank"], "the loss that compares ranks is adr-mse"),
        (["loss=mse", "parameters={}", "lists.normalise=zscore", "lists.size=2"], "expected 3 or more for mse"),
        (["loss=bce", "parameters={}", "lists.normalise=zscore"], "expected 'minmax' or 'rank' for bce"),
        (["lists.normalise=z-score"], "lists.normalise: expected to be 'none', 'zscore', 'minmax' or 'rank'"),
        (["lists.needs=['labels']", "lists.normalise=rank"], "normalise: expected 'none' for lists without a teacher"),
        (["lists.teachers=each"], "lists.teachers: expected 'mean' for a loss that takes one target a document"),
        (["lists.teachers=each", "lists.kind=pairs", "lists.size=2"], "expected 'mean' for lists of kind 'pairs'"),
    ],
)
def test_what_does_not_fit_is_refused(settings, message):
    with pytest.raises(InputError, match="expected") as error:
        _objective(*settings)
    assert message in str(error.value)


def test_teachers_of_a_batch_are_what_mixture_kl_takes():
    nan = math.nan
    first = np.array([[2.0, 1.0, 0.0], [0.0, nan, 4.0]], np.float32)
    second = np.array([[1.0, 3.0], [nan, nan]], np.float32)
    teachers, mask = stacked([first, second], 3)
    assert teachers.tolist() == [[[2, 1, 0], [0, 0, 4]], [[1, 3, 0], [0, 0, 0]]]
    assert mask.tolist() == [[[True] * 3, [True, False, True]], [[True, True, False], [False] * 3]]
    student = torch.tensor([[0.5, -0.5, 1.0], [0.2, 0.4, 9.0]])
    both = mixture_kl(student, torch.from_numpy(teachers), torch.full((2, 2), 0.5), torch.from_numpy(mask))
    # z of (2, 1, 0) is ±√1.5 and 0, of (0, 4) and (1, 3) ±1; the student over the same documents.
    z = math.sqrt(1.5)
    lists = [
        0.5 * kl_divergence(student[:1], torch.tensor([[z, 0.0, -z]])).item()
        + 0.5 * kl_divergence(student[:1, [0, 2]], torch.tensor([[-1.0, 1.0]])).item(),
        0.5 * kl_divergence(student[1:, :2], torch.tensor([[-1.0, 1.0]])).item(),
    ]
    assert both.item() == pytest.approx(np.mean(lists), abs=1e-6)
