"""Score calibrators: a teacher's z-scores scaled and masked, so that what it says becomes what a student can learn."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cedistill.losses.reductions import divergence, mean_where
from cedistill.mixture.labels import label_losses
from cedistill.mixture.ranks import mean_of_others, ranks

_OPEN = 4.0  # sigmoid(4) = 0.98: at the start a mask lets nearly everything through


class Calibrator(nn.Module):
    """One teacher's: ``z̃_d = a(q) · m_d · z_d`` with a ≥ 0 and m in (0, 1), from a small network.

    It sees, for each document, the z-score, its rank as a share of the list and the distance from the mean of the other
    teachers; a comes from the mean of what it makes of them. At the start a is 1 and m is 0.98 everywhere.
    """

    def __init__(self, hidden: int = 8) -> None:
        """Make a calibrator with ``hidden`` hidden units."""
        super().__init__()
        self.hidden = nn.Linear(3, hidden)
        self.mask = nn.Linear(hidden, 1)
        self.scale = nn.Linear(hidden, 1)
        for head in (self.mask, self.scale):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        nn.init.constant_(self.mask.bias, _OPEN)

    def forward(self, seen: Tensor, z: Tensor, heard: Tensor) -> Tensor:
        """Return z̃ [B, N], from what is seen of each document [B, N, 3], z [B, N] and heard [B, N] bool."""
        inside = torch.tanh(self.hidden(seen))
        mask = torch.sigmoid(self.mask(inside)).squeeze(-1)
        pooled = mean_where(inside, heard.unsqueeze(-1).expand_as(inside), dim=1)
        return torch.exp(self.scale(pooled)) * mask * z


class Calibrators(nn.Module):
    """A calibrator for each teacher; none sees another's parameters."""

    def __init__(self, teachers: int, hidden: int = 8) -> None:
        """Make K calibrators."""
        super().__init__()
        self.of = nn.ModuleList(Calibrator(hidden) for _ in range(teachers))

    def forward(self, z: Tensor, heard: Tensor) -> Tensor:
        """Return the calibrated scores z̃, [B, K, N], 0 where a teacher has no say.

        Args:
            z: the teachers' z-scores, [B, K, N].
            heard: [B, K, N] bool, True where teacher k has a say on a document.
        """
        seen = _seen(z, heard)
        parts = [one(seen[:, k], z[:, k], heard[:, k]) for k, one in enumerate(self.of)]
        return torch.stack(parts, 1).masked_fill(~heard, 0)


def specialisation_loss(
    student: Tensor, calibrated: Tensor, labels: Tensor, heard: Tensor, temperature: float, label_weight: float
) -> Tensor:
    """Return what calibrators learn from: the student's distribution, and labels, lest they erase what it lacks.

    ``mean over lists and teachers of T² KL(p_S ‖ p̃_k) + label_weight · mean of −log p̃_k at the relevant documents``

    The student is not changed by it. Paper: MST-Distill 2025, arXiv 2507.07015; the label term is ours, for teachers
    that are stronger than the student.

    Args:
        student: raw logits, [B, N].
        calibrated: z̃, [B, K, N].
        labels: [B, N], NaN where nobody judged.
        heard: [B, K, N] bool.
        temperature: T > 0, of p_S and p̃.
        label_weight: γ ≥ 0.
    """
    seen = student.detach().unsqueeze(1).expand_as(calibrated).masked_fill(~heard, 0)
    towards_student = mean_where(divergence(seen, calibrated, heard, temperature), heard.any(-1))
    grades = labels.unsqueeze(1).expand_as(calibrated)
    losses, labelled = label_losses(calibrated / temperature, grades, heard)
    return towards_student + label_weight * mean_where(losses, labelled)


def _seen(z: Tensor, heard: Tensor) -> Tensor:
    others, there = mean_of_others(z, heard)
    count = heard.sum(-1, keepdim=True).clamp(min=1)
    return torch.stack([z, ranks(z, heard) / count, (z - others) * (heard & there)], -1)
