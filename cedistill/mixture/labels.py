"""How well logits of a list, a teacher's or a student's, fit the labels."""

from __future__ import annotations

import torch
from torch import Tensor

from cedistill.losses.reductions import masked_log_softmax


def label_losses(logits: Tensor, labels: Tensor, where: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``−Σ_d y_d log softmax(logits)_d`` of every list, y the labels above 0 scaled to sum to 1.

    Args:
        logits: [..., N], finite.
        labels: [..., N]; NaN where nobody judged, which counts as no positive.
        where: [..., N] bool, the documents that the softmax runs over.

    Returns:
        [...], 0 where no document has a label above 0; and [...] bool, where one has.
    """
    gains = torch.nan_to_num(labels).clamp(min=0).masked_fill(~where, 0)
    total = gains.sum(-1)
    labelled = total > 0
    y = gains / torch.where(labelled, total, torch.ones_like(total)).unsqueeze(-1)
    return -(y * masked_log_softmax(logits, where)).sum(-1), labelled


def teacher_losses(logits: Tensor, labels: Tensor, heard: Tensor) -> tuple[Tensor, Tensor]:
    """Return how much worse than guessing each teacher is on each list: its label loss less that of equal scores.

    Less the loss of equal scores, because teachers that judged fewer documents have fewer to choose from.

    Args:
        logits: the teachers' logits, [B, K, N].
        labels: [B, N].
        heard: [B, K, N] bool.

    Returns:
        [B, K], below 0 for a teacher better than a guess; and [B, K] bool, where a document that it judged is relevant.
    """
    losses, labelled = label_losses(logits, labels.unsqueeze(1).expand_as(logits), heard)
    return losses - heard.sum(-1).clamp(min=1).to(losses.dtype).log(), labelled
