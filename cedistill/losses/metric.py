"""Losses made from ranks and from nDCG."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from cedistill.losses.arguments import check_parameters, checked
from cedistill.losses.reductions import differences, mean_where, pairs_of


def soft_ranks(scores: Tensor, mask: Tensor, tau: float) -> Tensor:
    """Return ``π_i = 1 + Σ_{j≠i} σ((s_j − s_i)/τ)`` over the real documents of each list, [B, N]."""
    above = torch.sigmoid(-differences(scores) / tau)
    return 1 + above.masked_fill(~pairs_of(mask), 0).sum(-1)


def average_ranks(targets: Tensor, mask: Tensor) -> Tensor:
    """Return each real document's rank by target, 1 the highest, ties sharing the mean of their places, [B, N]."""
    gaps, real = differences(targets), mask.unsqueeze(-2)
    above = ((gaps < 0) & real).sum(-1)
    level = ((gaps == 0) & real).sum(-1)
    return (above + (level + 1) / 2).to(targets.dtype)


def score_ranks(scores: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Return each document's place by score, 1 the highest, masked documents last, [B, N] int64.

    Of documents with one score the one with the lower target stands first: so the places depend on no order in the
    tensor, and a tie counts against the student.
    """
    by_target = targets.argsort(dim=-1, stable=True)
    keys = scores.masked_fill(~mask, -math.inf).gather(-1, by_target)
    order = by_target.gather(-1, keys.argsort(dim=-1, descending=True, stable=True))
    return order.argsort(dim=-1) + 1


def normalised_gains(targets: Tensor, k: int | None = None) -> Tensor:
    """Return ``(2^t − 1) / ideal DCG@k`` with negative targets as 0, [B, N]; all 0 for a list without a gain.

    Masked documents have target 0 here and with it no gain.
    """
    grades = targets.clamp(min=0)
    # Both sides are divided by 2^(highest grade): a teacher's ranking as targets would overflow otherwise.
    highest = grades.sort(dim=-1, descending=True).values[..., :1]
    gains = torch.exp2(grades - highest) * -torch.expm1(-grades * math.log(2))
    best = gains.sort(dim=-1, descending=True).values[..., :k]
    places = torch.arange(1, best.shape[-1] + 1, device=targets.device, dtype=targets.dtype)
    ideal = (best / torch.log2(1 + places)).sum(-1, keepdim=True)
    return gains / torch.where(ideal > 0, ideal, torch.ones_like(ideal))


def adr_mse(scores: Tensor, targets: Tensor, mask: Tensor | None = None, *, tau: float = 1.0) -> Tensor:
    """ADR-MSE: squared error between approximated and target ranks, discounted by the target rank.

    ``mean over lists with a real document of mean_i (π_i − r_i)² / log₂(r_i + 1)`` with
    ``π_i = 1 + Σ_{j≠i} σ((s_j − s_i)/τ)`` and r_i the rank of t_i in its list (1 = highest target, ties share the
    mean of their places); i and j run over real documents.

    The value is at least 0; it nears 0 as scores spread in the targets' order, tied documents level with each other. A
    constant added to a list's scores changes nothing. Paper: Schlatt et al. 2025, arXiv 2405.07920.

    Args:
        scores: raw logits s, [B, N].
        targets: labels, teacher scores or a ranking as scores t, of which only the order counts, [B, N].
        mask: [B, N] bool, True for a real document; None when all are real.
        tau: temperature τ > 0 of the approximated ranks.

    Returns:
        Scalar; a differentiable 0 when no document is real.

    Raises:
        ValueError: tau is out of range, a shape is wrong or a target is not finite.
    """
    check_parameters(tau=tau)
    scores, targets, mask = checked(scores, targets, mask)
    ranks = average_ranks(targets, mask)
    losses = torch.square(soft_ranks(scores, mask, tau) - ranks) / torch.log2(ranks + 1)
    return mean_where(mean_where(losses, mask, dim=-1), mask.any(-1))


def approx_ndcg(scores: Tensor, targets: Tensor, mask: Tensor | None = None, *, temperature: float = 1.0) -> Tensor:
    """ApproxNDCG: one minus nDCG with differentiable ranks.

    ``mean over lists with a target > 0 of 1 − Σ_i (2^{t_i} − 1) / log₂(1 + π_i) / ideal DCG`` with
    ``π_i = 1 + Σ_{j≠i} σ((s_j − s_i)/T)`` over real documents; negative targets count 0.

    The value lies in [0, 1) and nears 0 as scores spread in the targets' order; a constant added to a list's scores
    changes nothing. Paper: Qin et al. 2010, doi 10.1007/s10791-009-9124-x (its α is 1/T).

    Args:
        scores: raw logits s, [B, N].
        targets: grades t, [B, N].
        mask: [B, N] bool, True for a real document; None when all are real.
        temperature: T > 0; the lower, the closer to nDCG and the fewer pairs have a gradient.

    Returns:
        Scalar; a differentiable 0 when no list has a target > 0.

    Raises:
        ValueError: the temperature is out of range, a shape is wrong or a target is not finite.
    """
    check_parameters(temperature=temperature)
    scores, targets, mask = checked(scores, targets, mask)
    gains = normalised_gains(targets)
    ndcg = (gains / torch.log2(1 + soft_ranks(scores, mask, temperature))).sum(-1)
    return mean_where(1 - ndcg, (gains > 0).any(-1))


def _pair_weights(gains: Tensor, ranks: Tensor, scheme: str, mu: float) -> Tensor:
    """Return the weight of every pair of a list under a LambdaLoss scheme, [B, N, N]."""
    if scheme == "none":
        return torch.ones_like(differences(gains))
    discounts = 1 / torch.log2(1 + ranks)
    if scheme == "ndcg-loss1":
        return (gains * discounts).unsqueeze(-1).expand(*gains.shape, gains.shape[-1])
    apart = differences(ranks).abs().clamp(min=1)
    by_distance = 1 / torch.log2(1 + apart) - 1 / torch.log2(2 + apart)
    by_place = differences(discounts).abs()
    deltas = {
        "ndcg-loss2": by_distance,
        "lambdarank": by_place,
        "ndcg-loss2++": mu * by_distance + by_place,
    }
    return deltas[scheme] * differences(gains).abs()


def lambda_loss(
    scores: Tensor,
    targets: Tensor,
    mask: Tensor | None = None,
    *,
    scheme: str = "ndcg-loss2++",
    sigma: float = 1.0,
    mu: float = 10.0,
    k: int | None = None,
) -> Tensor:
    """LambdaLoss: RankNet's pairs, each weighted by what it means for nDCG.

    ``mean over pairs of the batch with t_i > t_j, both of one list, of w_ij · log₂(1 + exp(−sigma · (s_i − s_j)))``

    With G_i = (2^{t_i} − 1) / ideal DCG@k (negative targets count 0), p_i the document's place by score now,
    D(p) = log₂(1 + p) and d = |p_i − p_j|, the weight is, by scheme:
    ``none`` 1; ``ndcg-loss1`` G_i/D(p_i), over all (i, j), i = j included, of lists whose targets differ;
    ``ndcg-loss2`` (1/D(d) − 1/D(d+1)) · |G_i − G_j|; ``lambdarank`` |1/D(p_i) − 1/D(p_j)| · |G_i − G_j|;
    ``ndcg-loss2++`` mu · ndcg-loss2 + lambdarank. Weights carry no gradient.

    The value is at least 0; a constant added to a list's scores changes nothing. Of documents with one score the one
    with the lower target takes the better place. Paper: Wang et al. 2018, doi 10.1145/3269206.3271784.

    Args:
        scores: raw logits s, [B, N].
        targets: grades t, [B, N].
        mask: [B, N] bool, True for a real document; None when all are real.
        scheme: none, ndcg-loss1, ndcg-loss2, lambdarank or ndcg-loss2++.
        sigma: steepness, > 0.
        mu: weight of ndcg-loss2 within ndcg-loss2++, >= 0.
        k: keep the pairs of which one document stands in the first k places by score; None for all.

    Returns:
        Scalar; a differentiable 0 when no pair is left.

    Raises:
        ValueError: a parameter is out of range, a shape is wrong or a target is not finite.
    """
    check_parameters(scheme=scheme, sigma=sigma, mu=mu, k=k)
    scores, targets, mask = checked(scores, targets, mask)
    ranks = score_ranks(scores.detach(), targets, mask)
    gains = normalised_gains(targets, k)
    weights = _pair_weights(gains, ranks.to(gains.dtype), scheme, mu)
    real = mask.unsqueeze(-1) & mask.unsqueeze(-2)
    pairs = real & (differences(targets) > 0)
    if scheme == "ndcg-loss1":
        pairs = real & pairs.any(-1).any(-1)[:, None, None]
    if k is not None:
        pairs = pairs & ((ranks <= k).unsqueeze(-1) | (ranks <= k).unsqueeze(-2))
    losses = -functional.logsigmoid(sigma * differences(scores)) / math.log(2)
    return mean_where(weights * losses, pairs)
