"""Pairwise losses: two documents of one list at a time.

Each is the mean over all its pairs of the batch, so a list without a pair adds nothing and takes part in no count.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from cedistill.losses.arguments import check_parameters, checked
from cedistill.losses.reductions import differences, mean_where, pairs_of


def hinge(scores: Tensor, targets: Tensor, mask: Tensor | None = None, *, margin: float = 1.0) -> Tensor:
    """Pairwise hinge: the better document leads by a margin.

    ``mean over all pairs of the batch with t_i > t_j, both of one list, of max(0, margin − (s_i − s_j))``

    The value is at least 0, and 0 when every better document leads by the margin; a constant added to a list's scores
    changes nothing. Paper: Xiong et al. 2017, arXiv 1706.06613; as in arXiv 2603.03010.

    Args:
        scores: raw logits s, [B, N].
        targets: labels or teacher scores t, of which only the order counts, [B, N].
        mask: [B, N] bool, True for a real document; None when all are real.
        margin: > 0.

    Returns:
        Scalar; a differentiable 0 when no two targets of a list differ.

    Raises:
        ValueError: the margin is out of range, a shape is wrong or a target is not finite.
    """
    check_parameters(margin=margin)
    scores, targets, mask = checked(scores, targets, mask)
    ordered = pairs_of(mask) & (differences(targets) > 0)
    return mean_where(functional.relu(margin - differences(scores)), ordered)


def ranknet(scores: Tensor, targets: Tensor, mask: Tensor | None = None, *, sigma: float = 1.0) -> Tensor:
    """RankNet: the logistic loss of every pair that the targets order.

    ``mean over all pairs of the batch with t_i > t_j, both of one list, of log(1 + exp(−sigma · (s_i − s_j)))``

    The value is above 0 and nears 0 as the order becomes certain; a constant added to a list's scores changes nothing.
    Paper: Burges et al. 2005, doi 10.1145/1102351.1102363; for distillation Schlatt et al. 2025, arXiv 2405.07920.

    Args:
        scores: raw logits s, [B, N].
        targets: labels, teacher scores or a ranking as scores t, of which only the order counts, [B, N].
        mask: [B, N] bool, True for a real document; None when all are real.
        sigma: steepness, > 0.

    Returns:
        Scalar; a differentiable 0 when no two targets of a list differ.

    Raises:
        ValueError: sigma is out of range, a shape is wrong or a target is not finite.
    """
    check_parameters(sigma=sigma)
    scores, targets, mask = checked(scores, targets, mask)
    ordered = pairs_of(mask) & (differences(targets) > 0)
    return mean_where(-functional.logsigmoid(sigma * differences(scores)), ordered)


def margin_mse(scores: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
    """MarginMSE: the student's score differences become the teacher's.

    ``mean over all unordered pairs {i, j} of the batch, both of one list, of ((s_i − s_j) − (t_i − t_j))²``

    For lists of two this is the published form. The value is at least 0, and 0 when scores equal targets up to a
    constant for each list. Paper: Hofstätter et al. 2020, arXiv 2010.02666.

    Args:
        scores: raw logits s, [B, N].
        targets: teacher scores t, [B, N].
        mask: [B, N] bool, True for a real document; None when all are real.

    Returns:
        Scalar; a differentiable 0 when no list has two real documents.

    Raises:
        ValueError: a shape is wrong or a target is not finite.
    """
    scores, targets, mask = checked(scores, targets, mask)
    errors = differences(scores) - differences(targets)
    # Each unordered pair stands twice in the square of pairs, which leaves the mean as it is.
    return mean_where(torch.square(errors), pairs_of(mask))
