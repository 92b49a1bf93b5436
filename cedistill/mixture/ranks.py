"""Ranks and rank correlations of masked lists, over any leading dimensions."""

from __future__ import annotations

import torch
from torch import Tensor

from cedistill.losses.reductions import differences, mean_where


def ranks(values: Tensor, mask: Tensor) -> Tensor:
    """Return each value's rank among the True places of the last dimension, 1 for the lowest.

    Ties share the mean of their ranks.

    Args:
        values: [..., N], finite where ``mask`` is True.
        mask: [..., N] bool.

    Returns:
        [..., N] of the values' type, 0 at masked places.
    """
    gap = differences(values.masked_fill(~mask, 0))
    rivals = mask.unsqueeze(-2)
    below = ((gap > 0) & rivals).sum(-1)
    equal = ((gap == 0) & rivals).sum(-1)
    return (below + (equal + 1) / 2).to(values.dtype).masked_fill(~mask, 0)


def spearman(first: Tensor, second: Tensor, mask: Tensor) -> Tensor:
    """Return Spearman's rank correlation over the True places of the last dimension, ties by the mean of their ranks.

    Args:
        first: [..., N], finite where ``mask`` is True.
        second: [..., N], likewise.
        mask: [..., N] bool.

    Returns:
        [...] in [−1, 1]; 0 where there are fewer than two places or one of the two is constant over them.
    """
    centred = []
    for values in (first, second):
        own = ranks(values, mask)
        centred.append((own - mean_where(own, mask, dim=-1).unsqueeze(-1)).masked_fill(~mask, 0))
    a, b = centred
    # Ranks are multiples of ½ and their squares are summed exactly: no spread is exactly 0.
    spread = torch.square(a).sum(-1) * torch.square(b).sum(-1)
    defined = spread > 0
    return torch.where(defined, (a * b).sum(-1) / torch.where(defined, spread, torch.ones_like(spread)).sqrt(), 0)


def mean_of_others(z: Tensor, heard: Tensor) -> tuple[Tensor, Tensor]:
    """Return for each teacher the mean of the other teachers' z-scores, and where there is any.

    Args:
        z: [B, K, N], finite.
        heard: [B, K, N] bool, True where teacher k has a say on a document.

    Returns:
        [B, K, N], 0 where no other has a say; and [B, K, N] bool.
    """
    kept = z.masked_fill(~heard, 0)
    others = ~torch.eye(z.shape[1], dtype=torch.bool, device=z.device)
    count = others.to(z.dtype) @ heard.to(z.dtype)
    # Summed over the others, not as the sum of all minus one's own: one's own scores must not come in by rounding.
    return others.to(z.dtype) @ kept / count.clamp(min=1), count > 0
