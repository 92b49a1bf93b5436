"""Scores of a list brought to one scale, with a gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from cedistill.losses.arguments import working_type
from cedistill.losses.mixture import standardised


def normalised(scores: Tensor, mask: Tensor | None, how: str) -> tuple[Tensor, Tensor]:
    """Bring the scores of each list to one scale: ``zscore`` or ``minmax``, over its real documents.

    ``zscore`` is (x − mean) / std with the standard deviation of the population, ``minmax`` (x − min) / (max − min).
    Adding a constant to a list, or scaling it by a positive factor, changes nothing. Papers: standardised logits of
    teacher and student, Sun et al. 2024, arXiv 2403.01427.

    Args:
        scores: [B, N]; what stands at masked places does not matter.
        mask: [B, N] bool, True for a real document; None when all are real.
        how: ``zscore`` or ``minmax``.

    Returns:
        [B, N], 0 at masked places and in lists without spread; and [B] bool, False for a list without spread.

    Raises:
        ValueError: no such way.
    """
    if how not in ("zscore", "minmax"):
        raise ValueError(f"expected 'zscore' or 'minmax', which have a gradient, found {how!r}")
    mask = torch.ones_like(scores, dtype=torch.bool) if mask is None else mask
    scores = scores.to(working_type(scores)).masked_fill(~mask, 0)
    if how == "zscore":
        return standardised(scores, mask)
    lowest = scores.masked_fill(~mask, torch.inf).amin(-1, keepdim=True)
    width = scores.masked_fill(~mask, -torch.inf).amax(-1, keepdim=True) - lowest
    spread = width > 0
    unit = (scores - lowest.masked_fill(~spread, 0)) / torch.where(spread, width, torch.ones_like(width))
    return unit.masked_fill(~(mask & spread), 0), spread.squeeze(-1)
