"""How much each teacher counts for each query.

A weighting is ``weights(scores [B, K, N], mask [B, K, N]) -> [B, K]``: raw scores of K teachers over the N documents of
B lists, True in the mask where a teacher judged a document. Only z-scores and ranks count: adding a constant to, or
scaling by a positive factor, a teacher's scores changes nothing. A teacher whose scores of a list are all equal gives
no signal there and weighs 0; the others' weights of a list sum to 1.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from cedistill.losses.arguments import check_finite, check_mask, check_parameters, check_shape, did_you_mean
from cedistill.losses.mixture import standardised
from cedistill.mixture.ranks import mean_of_others, spearman

AGREEMENT_TEMPERATURE = 0.3

Weighting = Callable[[Tensor, Tensor], Tensor]


def heard_scores(scores: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return z-scores [B, K, N] and where they say something, [B, K, N] bool: judged, in a list with spread.

    Raises:
        ValueError: a shape is wrong or a teacher's score is not finite.
    """
    if scores.dim() != 3:
        raise ValueError(f"scores must be [lists, teachers, documents], found shape {list(scores.shape)}")
    check_shape("mask", mask, scores.shape, "scores [B, K, N]")
    check_mask(mask)
    kept = scores.masked_fill(~mask, 0)
    check_finite("scores", kept)
    z, signal = standardised(kept, mask)
    return z, mask & signal.unsqueeze(-1)


def uniform(scores: Tensor, mask: Tensor) -> Tensor:
    """Give every teacher with a signal the same weight."""
    _, heard = heard_scores(scores, mask)
    return even(heard.any(-1), scores.dtype)


def random(scores: Tensor, mask: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Give one teacher with a signal, drawn for each list, the weight 1: the control of every other weighting.

    ``generator`` draws; by default torch's own of the processor, so that runs are told by their seed on any device.
    """
    _, heard = heard_scores(scores, mask)
    signal = heard.any(-1)
    draws = torch.rand(signal.shape, generator=generator).to(scores.device)
    return one_hot(draws, signal, scores.dtype)


def agreement(scores: Tensor, mask: Tensor, temperature: float = AGREEMENT_TEMPERATURE) -> Tensor:
    """Weigh teachers by how far each agrees with the others: ``softmax over k of ρ_k / temperature``.

    ρ_k is Spearman's correlation of teacher k with the mean of the other teachers' z-scores, over the documents that k
    and another judged; 0 where it is not defined. A teacher's own scores have no part in what it is compared with.
    Paper: CShift, Hu et al. 2021, arXiv 2103.14417.

    Raises:
        ValueError: the temperature is out of range, a shape is wrong or a score is not finite.
    """
    check_parameters(temperature=temperature)
    z, heard = heard_scores(scores, mask)
    return softmax_where(correlations(z, heard) / temperature, heard.any(-1))


def correlations(z: Tensor, heard: Tensor) -> Tensor:
    """Return ρ [B, K] of every teacher with the mean of the others, from z-scores and where they say something."""
    others, there = mean_of_others(z, heard)
    return spearman(z, others, heard & there)


def softmax_where(logits: Tensor, where: Tensor) -> Tensor:
    """Return the softmax over the True places of the last dimension, 0 at the others and where there is none."""
    lowest = torch.finfo(logits.dtype).min
    return logits.masked_fill(~where, lowest).softmax(-1).masked_fill(~where, 0)


def even(where: Tensor, dtype: torch.dtype) -> Tensor:
    """Return equal weights that sum to 1 over the True places of the last dimension, 0 elsewhere."""
    return where.to(dtype) / where.sum(-1, keepdim=True).clamp(min=1)


def one_hot(preference: Tensor, where: Tensor, dtype: torch.dtype) -> Tensor:
    """Return 1 at the True place of the last dimension with the highest preference, the first of equal ones."""
    lowest = torch.finfo(preference.dtype).min
    best = preference.masked_fill(~where, lowest).argmax(-1, keepdim=True)
    return torch.zeros_like(where).scatter(-1, best, value=True).logical_and(where).to(dtype)


_WEIGHTINGS: dict[str, Callable[..., Tensor]] = {"uniform": uniform, "random": random, "agreement": agreement}


def weighting_names() -> tuple[str, ...]:
    """Return the names of the weightings that need no training, sorted."""
    return tuple(sorted(_WEIGHTINGS))


def get_weighting(name: str, **parameters: Any) -> Weighting:
    """Return a weighting by name with its parameters bound. Raises ValueError for an unknown name."""
    if name not in _WEIGHTINGS:
        raise ValueError(f"unknown weighting {name!r}; {did_you_mean(name, weighting_names())}")
    return partial(_WEIGHTINGS[name], **parameters)
