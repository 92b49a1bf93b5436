"""Sums, means and softmaxes over the real documents of a list."""

from __future__ import annotations

import torch
from torch import Tensor


def mean_where(values: Tensor, where: Tensor, dim: int | None = None) -> Tensor:
    """Return the mean of the places where ``where`` is True; a differentiable 0 where there is none.

    Args:
        values: any shape, finite also where ``where`` is False.
        where: bool, of the same shape.
        dim: the dimension to average over; None for all.
    """
    kept = torch.where(where, values, torch.zeros_like(values))
    total = kept.sum() if dim is None else kept.sum(dim)
    count = where.sum() if dim is None else where.sum(dim)
    return total / count.clamp(min=1)


def masked_logsumexp(values: Tensor, mask: Tensor) -> Tensor:
    """Return log Σ exp over the True places of the last dimension; the lowest finite number where there is none."""
    return values.masked_fill(~mask, torch.finfo(values.dtype).min).logsumexp(-1)


def masked_log_softmax(values: Tensor, mask: Tensor) -> Tensor:
    """Return the log-softmax over the True places of the last dimension, 0 at the others."""
    lowest = torch.finfo(values.dtype).min
    return values.masked_fill(~mask, lowest).log_softmax(-1).masked_fill(~mask, 0)


def divergence(teacher: Tensor, student: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """Return KL(softmax(teacher/T) ‖ softmax(student/T))·T² over the True places of the last dimension.

    Args:
        teacher: logits, [..., N].
        student: logits, [..., N].
        mask: bool, [..., N].
        temperature: T > 0.

    Returns:
        [...], each at least 0; 0 where no place is True.
    """
    log_p = masked_log_softmax(teacher / temperature, mask)
    log_q = masked_log_softmax(student / temperature, mask)
    kl = (log_p.exp() * (log_p - log_q)).sum(-1)
    # Rounding can leave −1e-8 near equality. The negative part goes as a constant: a clamp would take the gradient too.
    return (kl - kl.detach().clamp(max=0)) * temperature**2


def differences(values: Tensor) -> Tensor:
    """Return v_i − v_j for every two documents of a list, [..., N] → [..., N (i), N (j)]."""
    return values.unsqueeze(-1) - values.unsqueeze(-2)


def pairs_of(mask: Tensor) -> Tensor:
    """Return where two real and different documents of a list meet, [B, N] → [B, N, N] bool."""
    return mask.unsqueeze(-1) & mask.unsqueeze(-2) & ~torch.eye(mask.shape[-1], dtype=torch.bool, device=mask.device)
