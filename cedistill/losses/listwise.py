"""Listwise losses: the distribution or the order of a whole list.

Each is first a number for every list, then the mean over the lists for which that number is defined.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from cedistill.losses.arguments import check_parameters, checked
from cedistill.losses.reductions import differences, divergence, masked_logsumexp, mean_where


def infonce(scores: Tensor, targets: Tensor, mask: Tensor | None = None, *, temperature: float = 1.0) -> Tensor:
    """InfoNCE (localized contrastive estimation): a positive against the negatives of its own list.

    ``mean over lists with a positive of mean over the positives i of −log( e^{s_i/T} / (e^{s_i/T} + Σ_{j: t_j ≤ 0}
    e^{s_j/T}) )``

    Documents with target > 0 are positives, the others negatives; the positives of a list do not compete. There are
    no in-batch negatives. The value is at least 0; a constant added to a list's scores changes nothing.
    Paper: van den Oord et al. 2018, arXiv 1807.03748; for re-rankers Gao et al. 2021, arXiv 2101.08751.

    Args:
        scores: raw logits s, [B, N].
        targets: labels t, of which only t > 0 counts, [B, N].
        mask: [B, N] bool, True for a real document; None when all are real.
        temperature: T > 0.

    Returns:
        Scalar; a differentiable 0 when no list has a positive.

    Raises:
        ValueError: the temperature is out of range, a shape is wrong or a target is not finite.
    """
    check_parameters(temperature=temperature)
    scores, targets, mask = checked(scores, targets, mask)
    positives = mask & (targets > 0)
    logits = scores / temperature
    negatives = masked_logsumexp(logits, mask & (targets <= 0)).unsqueeze(-1)
    per_list = mean_where(-functional.logsigmoid(logits - negatives), positives, dim=-1)
    return mean_where(per_list, positives.any(-1))


def kl_divergence(scores: Tensor, targets: Tensor, mask: Tensor | None = None, *, temperature: float = 1.0) -> Tensor:
    """Kullback-Leibler divergence of the student's distribution over a list from the teacher's.

    ``mean over lists with a real document of T² · KL(softmax(t/T) ‖ softmax(s/T))``

    The teacher's entropy is part of it: the value is at least 0, and 0 when scores equal targets up to a constant for
    each list. Paper: Hinton et al. 2015, arXiv 1503.02531.

    Args:
        scores: raw logits s, [B, N].
        targets: teacher scores t, [B, N].
        mask: [B, N] bool, True for a real document; None when all are real.
        temperature: T > 0.

    Returns:
        Scalar; a differentiable 0 when no document is real.

    Raises:
        ValueError: the temperature is out of range, a shape is wrong or a target is not finite.
    """
    check_parameters(temperature=temperature)
    scores, targets, mask = checked(scores, targets, mask)
    return mean_where(divergence(targets, scores, mask, temperature), mask.any(-1))


def list_mle(scores: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
    """ListMLE: the negative log-likelihood of the targets' order under the Plackett-Luce model.

    ``mean over lists with a real document of Σ_i −log( e^{s_i} / (e^{s_i} + Σ_{j: t_j < t_i} e^{s_j}) )``

    A sum over the documents of a list, not a mean. Tied documents do not compete with each other: a tie is no
    preference, so the order of the documents in the tensor does not matter and a list of ties gives 0. Without ties
    this is the published form. The value is at least 0; a constant added to a list's scores changes nothing.
    Paper: Xia et al. 2008, doi 10.1145/1390156.1390306.

    Args:
        scores: raw logits s, [B, N].
        targets: labels, teacher scores or a ranking as scores t, of which only the order counts, [B, N].
        mask: [B, N] bool, True for a real document; None when all are real.

    Returns:
        Scalar; a differentiable 0 when no two targets of a list differ.

    Raises:
        ValueError: a shape is wrong or a target is not finite.
    """
    scores, targets, mask = checked(scores, targets, mask)
    worse = mask.unsqueeze(-2) & (differences(targets) > 0)
    rivals = masked_logsumexp(scores.unsqueeze(-2).expand(worse.shape), worse)
    losses = -functional.logsigmoid(scores - rivals)
    per_list = losses.masked_fill(~mask, 0).sum(-1)
    return mean_where(per_list, mask.any(-1))
