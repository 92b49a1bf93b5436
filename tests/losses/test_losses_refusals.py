"""Tensors of the wrong shape or type and parameters out of range are refused, in one line."""

import math

import pytest
import torch
from loss_cases import CASES, NAMES, SCHEMES, function, lists

from cedistill import losses
from cedistill.losses.arguments import targets_checked

every_loss = pytest.mark.parametrize(("name", "parameters"), CASES, ids=NAMES)


@every_loss
def test_wrong_tensors_are_refused(name, parameters):
    scores, targets, mask = lists(11)
    with pytest.raises(ValueError, match=r"targets must have the shape of scores \[B, N\], \[3, 6\], found \[3, 5\]"):
        function(name)(scores, targets[:, :5], mask, **parameters)
    with pytest.raises(ValueError, match=r"mask must have the shape of scores \[B, N\], \[3, 6\], found \[1, 6\]"):
        function(name)(scores, targets, mask[:1], **parameters)
    with pytest.raises(ValueError, match=r"scores must be \[lists, documents\], found shape \[6\]; .*unsqueeze"):
        function(name)(scores[0], targets[0], **parameters)
    with pytest.raises(ValueError, match=r"found shape \[1, 3, 6\]"):
        function(name)(scores[None], targets[None], **parameters)
    with pytest.raises(ValueError, match="mask must be of type bool"):
        function(name)(scores, targets, mask.long(), **parameters)
    targets[0, 0] = math.nan
    with pytest.raises(ValueError, match="targets of real documents must be finite"):
        function(name)(scores, targets, mask, **parameters)


@pytest.mark.parametrize("wrong", [-0.01, 1.5, 3.0])
def test_bce_refuses_targets_that_are_no_probabilities(wrong):
    targets = torch.tensor([[1.0, wrong]])
    with pytest.raises(ValueError, match=rf"targets in \[0, 1\], found {wrong:g}"):
        losses.bce(torch.zeros(1, 2), targets)
    assert losses.bce(torch.zeros(1, 2), targets, torch.tensor([[True, False]])) > 0


WRONG = [(0, "> 0"), (-1, "> 0"), (math.nan, "> 0"), (math.inf, "> 0"), ("1", "> 0"), (True, "> 0"), (None, "> 0")]
WRONG_PARAMETERS = [
    *(("hinge", "margin", *wrong) for wrong in WRONG),
    *(("ranknet", "sigma", *wrong) for wrong in WRONG),
    *(("infonce", "temperature", *wrong) for wrong in WRONG),
    *(("kl-divergence", "temperature", *wrong) for wrong in WRONG),
    *(("adr-mse", "tau", *wrong) for wrong in WRONG),
    *(("approx-ndcg", "temperature", *wrong) for wrong in WRONG),
    *(("lambda-loss", "sigma", *wrong) for wrong in WRONG),
    *(("lambda-loss", "mu", value, ">= 0") for value in (-1, math.nan, "10", True)),
    *(("lambda-loss", "k", value, ">= 1") for value in (0, -3, 2.5, "10", True)),
    *(("lambda-loss", "scheme", value, ", ".join(SCHEMES)) for value in ("ndcg", None, 2)),
]


@pytest.mark.parametrize(("name", "parameter", "value", "expected"), WRONG_PARAMETERS)
def test_a_parameter_out_of_range_is_refused_in_the_call_and_before(name, parameter, value, expected):
    scores, targets, mask = lists()
    for refused in (
        lambda: function(name)(scores, targets, mask, **{parameter: value}),
        lambda: losses.get_loss(name, **{parameter: value}),
    ):
        with pytest.raises(ValueError) as error:
            refused()
        text = str(error.value)
        assert text.startswith(f"{parameter} must be ")
        assert expected in text
        assert text.endswith(f"found {value!r}")


def test_targets_that_the_caller_checked_are_not_looked_at_again():
    scores, targets = torch.zeros(1, 2), torch.tensor([[float("nan"), 1.0]])
    with targets_checked():
        losses.mse(scores, targets)
    with pytest.raises(ValueError, match="must be finite"):
        losses.mse(scores, targets)
