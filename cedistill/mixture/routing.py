"""Routing: which teachers the student listens to for a query, and what the gate learns from."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from cedistill.losses.reductions import mean_where
from cedistill.mixture.labels import teacher_losses
from cedistill.mixture.ranks import ranks
from cedistill.mixture.weights import AGREEMENT_TEMPERATURE, correlations, even, one_hot, softmax_where

GATED = ("paper", "soft", "supervised")
"""Routings with a gate: ``paper`` takes the top k of c alike and trains the gate by load balance alone, as the released
code of MST-Distill does; ``soft`` weighs the divergences by c, so that distillation trains the gate; ``supervised``
trains it towards the teachers that fit the labels, and agree with the others where there are no labels."""

FUSED = ("zscore", "rrf")
"""Controls that make one teacher of all before the student listens."""

ROUTINGS = ("uniform", "random", "agreement", *GATED, "oracle", *FUSED)
"""All routings; ``oracle`` takes for each query the teacher that fits the labels best."""

_RRF_K = 60


class Route(NamedTuple):
    """Weights [B, K] of the divergences, and what the gate itself learns from (a scalar, 0 without a gate)."""

    weights: Tensor
    gate_loss: Tensor


def gated(routing: str, c: Tensor, target: Tensor | None, top_k: int | None) -> Route:
    """Return weights out of the gate's distribution.

    ``paper``: 1/k for the k teachers with the highest c; nothing of the weights reaches the gate. ``soft``: c of these
    k, not renormalised (with k = 1 that would be a constant 1 without a gradient). ``supervised``: the same without a
    gradient; the gate learns KL(target ‖ c).

    Args:
        routing: one of ``GATED``.
        c: the gate's distribution, [B, K], 0 for teachers without a signal.
        target: what ``supervised`` learns, [B, K], rows summing to 1 or 0.
        top_k: teachers of a query that are listened to; None for all.
    """
    chosen = top(c.detach(), top_k)
    nothing = c.new_zeros(())
    if routing == "paper":
        return Route(even(chosen, c.dtype), nothing)
    if routing == "soft":
        return Route(c * chosen, nothing)
    if target is None:
        raise ValueError("routing 'supervised' needs a target for the gate, found none")
    return Route(c.detach() * chosen, gate_divergence(target, c))


def top(c: Tensor, count: int | None) -> Tensor:
    """Return where the ``count`` largest values above 0 of each row are, [B, K] bool; of equal ones the first."""
    there = c > 0
    if count is None or count >= c.shape[-1]:
        return there
    order = c.sort(dim=-1, descending=True, stable=True).indices
    return torch.zeros_like(there).scatter(-1, order[..., :count], value=True) & there


def supervised_target(logits: Tensor, z: Tensor, labels: Tensor, heard: Tensor, tau: float) -> Tensor:
    """Return what a gate should say: ``softmax over k of −ℓ_k/τ`` of the teachers' label losses ℓ on labelled queries.

    On the others, and where no teacher judged a relevant document: leave-one-out agreement, softmax(ρ_k / 0.3).

    Args:
        logits: of the distributions the student would learn, [B, K, N].
        z: the teachers' z-scores, which agreement is told by, [B, K, N].
        labels: [B, N], NaN where nobody judged.
        heard: [B, K, N] bool.
        tau: τ > 0; the smaller, the more the best teacher alone counts.
    """
    losses, labelled = teacher_losses(logits, labels, heard)
    agreed = softmax_where(correlations(z, heard) / AGREEMENT_TEMPERATURE, heard.any(-1))
    fitting = softmax_where(-losses / tau, labelled)
    return torch.where(labelled.any(-1, keepdim=True), fitting, agreed)


def oracle(logits: Tensor, labels: Tensor, heard: Tensor) -> Tensor:
    """Return 1 for the teacher that fits each query's labels best; equal weights where there are no labels."""
    losses, labelled = teacher_losses(logits, labels, heard)
    best = one_hot(-losses, labelled, logits.dtype)
    return torch.where(labelled.any(-1, keepdim=True), best, even(heard.any(-1), logits.dtype))


def gate_divergence(target: Tensor, c: Tensor) -> Tensor:
    """Return KL(target ‖ c), the mean over lists with a target; [B, K] each."""
    tiny = torch.finfo(c.dtype).tiny
    kl = (torch.xlogy(target, target) - torch.xlogy(target, c.clamp(min=tiny))).sum(-1)
    return mean_where(kl, target.sum(-1) > 0)


def load_balance(c: Tensor, prior: Tensor | None = None) -> Tensor:
    """Return KL(mean over the batch of c ‖ prior), 0 when the gate spreads the queries as the prior does.

    Args:
        c: [B, K]; lists without any signal are left out.
        prior: [K], above 0 and summing to 1; None for equal shares.
    """
    there = c.detach().sum(-1) > 0
    if not bool(there.any()):
        return c.sum() * 0
    # A share that rounds to 0 would have an infinite gradient.
    mean = c[there].mean(0).clamp(min=torch.finfo(c.dtype).tiny)
    prior = torch.full_like(mean, 1 / len(mean)) if prior is None else prior.to(mean)
    return (torch.special.xlogy(mean, mean) - torch.special.xlogy(mean, prior)).sum()


def fused(how: str, z: Tensor, heard: Tensor) -> Tensor:
    """Return one teacher's scores out of all, [B, N], over the documents that any has a say on.

    ``zscore``: the mean of the z-scores. ``rrf``: the mean of 1 / (60 + rank), ranks from 1 for a teacher's best
    (Cormack et al. 2009). Means run over the teachers that have a say on a document.
    """
    values = z if how == "zscore" else 1 / (_RRF_K + ranks(-z, heard))
    return mean_where(values, heard, dim=1)


def kl_anneal(step: int, steps: int) -> float:
    """Return the factor of the distillation weight: halved at 30, 60 and 90 % of the steps."""
    return 0.5 ** sum(100 * step >= percent * steps for percent in (30, 60, 90))


def balance_anneal(step: int, steps: int) -> float:
    """Return the factor of the load balance weight: × 0.9 every 10 % of the steps."""
    return float(0.9 ** (10 * step // steps))
