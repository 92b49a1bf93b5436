"""Distillation from several teachers at once."""

from __future__ import annotations

import torch
from torch import Tensor

from cedistill.losses.arguments import check_finite, check_mask, check_parameters, check_shape, working_type
from cedistill.losses.reductions import divergence, mean_where


def standardised(scores: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return z-scores over the last dimension's real places, and which lists have any spread.

    Args:
        scores: [..., N], finite.
        mask: [..., N] bool.

    Returns:
        ``(x − mean) / std`` with the standard deviation of the population, [..., N], 0 at masked places and in lists
        without spread; and [...] bool, False for a list without spread.
    """
    lowest = scores.masked_fill(~mask, torch.inf).amin(-1, keepdim=True)
    highest = scores.masked_fill(~mask, -torch.inf).amax(-1, keepdim=True)
    # Equal scores have a rounded mean and with it a tiny std: their spread is told by comparison.
    spread = highest > lowest
    # Brought to [0, 1] first, so that no square overflows or vanishes.
    width = torch.where(spread, highest - lowest, torch.ones_like(lowest))
    unit = torch.where(mask & spread, (scores - lowest.masked_fill(~spread, 0)) / width, torch.zeros_like(scores))
    mean = mean_where(unit, mask, dim=-1).unsqueeze(-1)
    variance = mean_where(torch.square(unit - mean), mask, dim=-1).unsqueeze(-1)
    z = (unit - mean) / torch.where(spread, variance, torch.ones_like(variance)).sqrt()
    return z.masked_fill(~mask, 0), spread.squeeze(-1)


def mixture_kl(
    student: Tensor, teachers: Tensor, weights: Tensor, mask: Tensor | None = None, temperature: float = 1.0
) -> Tensor:
    """Kullback-Leibler divergence of the student from several teachers, weighted for each query.

    ``mean over lists q with a signal of Σ_k w_k(q) · T² · KL(softmax(z(t_k)/T) ‖ softmax(s/T))``

    z standardises teacher k's scores over the documents it judged in the list, (x − mean) / std with the standard
    deviation of the population: adding a constant to, or scaling by a positive factor, a teacher's scores changes
    nothing. Both softmaxes run over the documents that teacher k judged. A teacher whose scores of a list are all
    equal gives no signal there and is left out; a list has a signal when one teacher has. Weights are used as they
    come, never renormalised, and get a gradient. The value is at least 0 for weights at least 0.
    Papers: Hinton et al. 2015, arXiv 1503.02531; several teachers, MST-Distill 2025, arXiv 2507.07015.

    Args:
        student: raw logits s, [B, N].
        teachers: raw scores t of K teachers, [B, K, N].
        weights: how much each teacher counts for each list, [B, K].
        mask: [B, K, N] or [B, N] bool, True where teacher k judged a real document; None when all are.
        temperature: T > 0.

    Returns:
        Scalar; a differentiable 0 when no teacher has a signal.

    Raises:
        ValueError: the temperature is out of range, a shape is wrong or a teacher's score is not finite.
    """
    check_parameters(temperature=temperature)
    mask = _teacher_mask(student, teachers, weights, mask)
    dtype = working_type(student, teachers)
    teachers = teachers.to(dtype).masked_fill(~mask, 0)
    check_finite("teachers", teachers)
    z, signal = standardised(teachers, mask)
    return weighted_divergence(student.to(dtype), z, weights.to(dtype), mask & signal.unsqueeze(-1), temperature)


def weighted_divergence(student: Tensor, logits: Tensor, weights: Tensor, heard: Tensor, temperature: float) -> Tensor:
    """Return ``mean over lists with a signal of Σ_k w_k · T² · KL(softmax(l_k/T) ‖ softmax(s/T))`` of logits as given.

    Args:
        student: raw logits s, [B, N].
        logits: the teachers' logits l, finite, [B, K, N].
        weights: [B, K]; those of teachers that nobody hears do not count, whatever they are.
        heard: [B, K, N] bool, True where teacher k has a say on a document; both softmaxes run over these.
        temperature: T > 0.

    Returns:
        Scalar; a differentiable 0 when no teacher has a say.
    """
    signal = heard.any(-1)
    seen = student.unsqueeze(1).expand_as(logits).masked_fill(~heard, 0)
    losses = weights.masked_fill(~signal, 0) * divergence(logits, seen, heard, temperature)
    return mean_where(losses.sum(-1), signal.any(-1))


def _teacher_mask(student: Tensor, teachers: Tensor, weights: Tensor, mask: Tensor | None) -> Tensor:
    """Return the mask as [B, K, N], having checked every shape."""
    if student.dim() != 2 or not student.shape[1]:
        raise ValueError(f"student must be [lists, documents], with a document, found shape {list(student.shape)}")
    lists, documents = student.shape
    if teachers.dim() != 3 or (teachers.shape[0], teachers.shape[2]) != (lists, documents):
        expected = f"[{lists}, teachers, {documents}]"
        raise ValueError(f"teachers must be {expected} for a student of [B, N], found {list(teachers.shape)}")
    check_shape("weights", weights, teachers.shape[:2], "lists and teachers [B, K]")
    if mask is None:
        return torch.ones_like(teachers, dtype=torch.bool)
    check_mask(mask)
    if mask.dim() == 2:
        check_shape("mask", mask, student.shape, "student [B, N] or teachers [B, K, N]")
        return mask.unsqueeze(1).expand_as(teachers)
    check_shape("mask", mask, teachers.shape, "student [B, N] or teachers [B, K, N]")
    return mask
