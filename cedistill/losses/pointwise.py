"""Pointwise losses: each document by itself."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from cedistill.losses.arguments import checked
from cedistill.losses.reductions import mean_where


def bce(scores: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
    """Binary cross-entropy of σ(score) against a probability of relevance.

    ``mean over the real documents of the batch of −[t log σ(s) + (1 − t) log(1 − σ(s))]``

    The value is at least 0; for given targets the minimum, their mean binary entropy, is at σ(s) = t.
    Paper: Nogueira and Cho 2019, arXiv 1901.04085.

    Args:
        scores: raw logits s, [B, N].
        targets: t in [0, 1], [B, N].
        mask: [B, N] bool, True for a real document; None when all are real.

    Returns:
        Scalar; a differentiable 0 when no document is real.

    Raises:
        ValueError: a target is outside [0, 1], or a shape is wrong.
    """
    scores, targets, mask = checked(scores, targets, mask)
    outside = targets[(targets < 0) | (targets > 1)]
    if outside.numel():
        raise ValueError(f"bce needs targets in [0, 1], found {outside[0].item():g}; rescale them or use mse")
    losses = -targets * functional.logsigmoid(scores) - (1 - targets) * functional.logsigmoid(-scores)
    return mean_where(losses, mask)


def mse(scores: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean squared error between scores and targets.

    ``mean over the real documents of the batch of (s − t)²``

    The value is at least 0, and 0 exactly at s = t.
    Paper: Ba and Caruana 2014 (logits of a teacher as regression targets), arXiv 1312.6184.

    Args:
        scores: raw logits s, [B, N].
        targets: the teacher's scores t, on the scale the student shall have, [B, N].
        mask: [B, N] bool, True for a real document; None when all are real.

    Returns:
        Scalar; a differentiable 0 when no document is real.

    Raises:
        ValueError: a shape is wrong or a target is not finite.
    """
    scores, targets, mask = checked(scores, targets, mask)
    return mean_where(torch.square(scores - targets), mask)
