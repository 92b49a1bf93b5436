"""The loss of an objective, as the trainer calls it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cedistill.config.objective import VALUE_LOSSES, Objective
from cedistill.losses import get_loss
from cedistill.losses.normalise import normalised
from cedistill.losses.registry import Loss


def weighted_loss(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return a loss of lists that count differently: the mean of each list's own loss by ``weights`` [B].

    Lists of equal weight give the mean over lists; a loss that averages over all pairs or documents of a batch becomes
    one that averages over those of a list first. Weights of 0 alone give a differentiable 0.
    """

    def mean(scores: Tensor, targets: Tensor, mask: Tensor, *, weights: Tensor, **each: Tensor) -> Tensor:
        own = [
            loss(*(one[place : place + 1] for one in (scores, targets, mask)), **_of_list(each, place))
            for place in range(len(scores))
        ]
        shares = weights.to(scores.dtype)
        return (torch.stack(own) * shares).sum() / shares.sum().clamp_min(torch.finfo(scores.dtype).tiny)

    return mean


def _of_list(each: dict[str, Tensor], place: int) -> dict[str, Tensor]:
    return {name: one[place : place + 1] for name, one in each.items()}


def objective_loss(objective: Objective) -> Loss:
    """Return the loss of an objective with its parameters; where it compares values, on normalised scores.

    Teacher scores come normalised over all candidates of a query (``lists.normalise``). A loss that looks at the order
    of targets, or at differences of scores, takes raw logits: a constant added to a list changes nothing for it, and
    its scale can be learnt. One that compares a score with its target (``mse``) would make the student guess the mean
    of the candidates from a single pair: there both sides are normalised over the list.

    Raises:
        ValueError: as ``get_loss``.
    """
    loss = get_loss(objective.loss, **objective.parameters)
    how = objective.lists.normalise
    if how == "none" or objective.loss not in VALUE_LOSSES:
        return loss

    def both_sides(scores: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
        student, spread = normalised(scores, mask, how)
        teacher, signal = normalised(targets, mask, how)
        heard = (spread & signal).unsqueeze(-1).expand_as(student)
        return loss(student, teacher, heard if mask is None else heard & mask)

    return both_sides
