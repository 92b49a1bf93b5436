"""Ranks over blocks: Friedman's test, Nemenyi's post-hoc test and the critical difference of average ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cedistill.errors import InputError

ALPHA = 0.05


@dataclass(frozen=True)
class Ranking:
    """What comes of ranking K treatments within each of B blocks, rank 1 the best.

    ``names`` and ``average_ranks`` stand best first. ``nemenyi`` is [K, K] p-values in that order. Average ranks
    further apart than ``critical_difference`` differ at ``alpha``; ``cliques`` are the longest stretches of names that
    do not.
    """

    names: tuple[str, ...]
    average_ranks: tuple[float, ...]
    blocks: int
    statistic: float
    p: float
    nemenyi: tuple[tuple[float, ...], ...]
    critical_difference: float
    cliques: tuple[tuple[str, ...], ...]
    alpha: float = ALPHA

    def as_json(self) -> dict[str, Any]:
        """Return the ranking as JSON values."""
        return asdict(self)


def rank_over_blocks(figures: np.ndarray, names: Sequence[str], alpha: float = ALPHA) -> Ranking:
    """Rank treatments over blocks (Demšar 2006, Statistical Comparisons of Classifiers over Multiple Data Sets).

    Ties share their average rank. The statistic is Friedman's, corrected for ties.

    Args:
        figures: [B, K] higher is better; a block is what the K treatments were measured on alike.
        names: of the K treatments.
        alpha: level of the critical difference.

    Raises:
        InputError: fewer than three treatments or two blocks.
    """
    from scipy import stats

    blocks, treatments = figures.shape
    if treatments < 3 or blocks < 2:
        raise InputError(
            f"expected at least 3 treatments over 2 blocks to rank, found {treatments} over {blocks}; compare pairs"
        )
    average = stats.rankdata(-figures, axis=1).mean(axis=0)
    order = np.argsort(average, kind="stable")
    if np.ptp(figures, axis=1).any():
        statistic, p = (float(one) for one in stats.friedmanchisquare(*figures.T))
    else:
        statistic, p = 0.0, 1.0  # nothing but ties
    ranked = [names[place] for place in order]
    difference = critical_difference(treatments, blocks, alpha)
    return Ranking(
        tuple(ranked),
        tuple(average[order].tolist()),
        blocks,
        statistic,
        p,
        tuple(map(tuple, _nemenyi(figures[:, order]).tolist())),
        difference,
        _cliques(ranked, average[order].tolist(), difference),
        alpha,
    )


def critical_difference(treatments: int, blocks: int, alpha: float = ALPHA) -> float:
    """Return Nemenyi's critical difference of average ranks: q_α / √2 · √(K (K + 1) / 6 B)."""
    from scipy import stats

    quantile = float(stats.studentized_range.ppf(1 - alpha, treatments, math.inf)) / math.sqrt(2)
    return quantile * math.sqrt(treatments * (treatments + 1) / (6 * blocks))


def _nemenyi(figures: np.ndarray) -> np.ndarray:
    from scikit_posthocs import posthoc_nemenyi_friedman

    return np.asarray(posthoc_nemenyi_friedman(figures), dtype=float)


def _cliques(names: list[str], ranks: list[float], difference: float) -> tuple[tuple[str, ...], ...]:
    found: list[tuple[int, int]] = []
    for start in range(len(names)):
        end = max(place for place in range(start, len(names)) if ranks[place] - ranks[start] <= difference)
        if end > start and (not found or end > found[-1][1]):
            found.append((start, end))
    return tuple(tuple(names[start : end + 1]) for start, end in found)
