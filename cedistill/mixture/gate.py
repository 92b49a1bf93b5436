"""The gate: from what can be told of a query by its scores alone, how much each teacher is to count."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cedistill.losses.reductions import masked_log_softmax
from cedistill.mixture.ranks import spearman
from cedistill.mixture.weights import correlations, softmax_where


def feature_count(teachers: int) -> int:
    """Return how many features :func:`query_features` gives for K teachers."""
    return 2 + 4 * teachers + teachers * (teachers - 1) // 2


def query_features(student: Tensor, z: Tensor, heard: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """Describe each list by its scores, without a gradient.

    In this order: the entropy of softmax(s/T) as a share of the highest possible, and its margin (the largest
    probability less the next); then K values each: whether the teacher has a signal, the entropy of softmax(z_k/T), the
    rank correlation with the mean of the other teachers, and with the student; then the rank correlation of every two
    teachers. All lie in [−1, 1]; what is not defined is 0.

    Args:
        student: raw logits s, [B, N].
        z: the teachers' z-scores, [B, K, N].
        heard: [B, K, N] bool, True where teacher k has a say on a document.
        mask: [B, N] bool, True for a real document.
        temperature: T > 0.

    Returns:
        [B, F], F as ``feature_count``.
    """
    student, z = student.detach(), z.detach()
    seen = student.unsqueeze(1).expand_as(z).masked_fill(~heard, 0)
    one, other = torch.triu_indices(z.shape[1], z.shape[1], offset=1, device=z.device)
    parts = [
        _entropy(student / temperature, mask).unsqueeze(-1),
        _margin(student / temperature, mask).unsqueeze(-1),
        heard.any(-1).to(z.dtype),
        _entropy(z / temperature, heard),
        correlations(z, heard),
        spearman(z, seen, heard),
        spearman(z[:, one], z[:, other], heard[:, one] & heard[:, other]),
    ]
    return torch.cat([part.to(z.dtype) for part in parts], -1)


class Gate(nn.Module):
    """A small network from a query's features to c(q), a distribution over the teachers with a signal.

    At the start it gives all of them the same, or with ``even`` false what a random output layer makes of the features.
    """

    def __init__(self, teachers: int, hidden: int = 32, even: bool = True) -> None:
        """Make a gate of K teachers with ``hidden`` hidden units."""
        super().__init__()
        self.hidden = nn.Linear(feature_count(teachers), hidden)
        self.output = nn.Linear(hidden, teachers)
        if even:
            nn.init.zeros_(self.output.weight)
            nn.init.zeros_(self.output.bias)

    def forward(self, features: Tensor, signal: Tensor) -> Tensor:
        """Return c, [B, K]: 0 for teachers without a signal, and otherwise summing to 1.

        Args:
            features: [B, F].
            signal: [B, K] bool.
        """
        return softmax_where(self.output(torch.tanh(self.hidden(features))), signal)


def _entropy(logits: Tensor, mask: Tensor) -> Tensor:
    log_p = masked_log_softmax(logits.masked_fill(~mask, 0), mask)
    highest = mask.sum(-1).clamp(min=2).to(log_p.dtype).log()
    return -(log_p.exp().masked_fill(~mask, 0) * log_p).sum(-1) / highest


def _margin(logits: Tensor, mask: Tensor) -> Tensor:
    lowest = torch.finfo(logits.dtype).min
    p = logits.masked_fill(~mask, lowest).softmax(-1).masked_fill(~mask, 0)
    best = p.topk(min(2, p.shape[-1]), -1).values
    return best[..., 0] - best[..., 1] if best.shape[-1] > 1 else torch.zeros_like(best[..., 0])


def entropy_of(weights: Tensor) -> Tensor:
    """Return the entropy in nats of each row of weights scaled to sum to 1, [B]; 0 for a row of zeros."""
    share = shares(weights)
    return torch.special.entr(share).sum(-1)


def shares(weights: Tensor) -> Tensor:
    """Return the weights of each row scaled to sum to 1; a row of zeros stays as it is."""
    total = weights.sum(-1, keepdim=True)
    return weights / torch.where(total > 0, total, torch.ones_like(total))
