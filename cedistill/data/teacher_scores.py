"""Scores of several teachers for the documents of one query: any scale, ties, and gaps that are never filled.

Arrays are [K, N], a row for each teacher, NaN where it gave no score.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

Normalisation = Literal["none", "zscore", "minmax", "rank"]


def normalised(scores: np.ndarray, how: Normalisation) -> np.ndarray:
    """Bring each teacher's scores to one scale, over the documents that it scored.

    ``zscore``: (x − mean) / std, of the population. ``minmax``: (x − min) / (max − min). ``rank``: from 1 for the best
    to 0 for the worst in even steps, equal scores sharing the mean of theirs. ``none``: as they are.

    Args:
        scores: [K, N], NaN where a teacher gave none.
        how: which of the four.

    Returns:
        float64 [K, N], NaN where a teacher gave none; but for ``none`` also where a teacher's scores are all equal:
        they say nothing of the documents' order.
    """
    if how == "none":
        return scores.astype(np.float64)
    result = np.full(scores.shape, np.nan)
    for row, teacher in zip(result, scores.astype(np.float64), strict=True):
        there = ~np.isnan(teacher)
        # Equal scores have a rounded mean and with it a tiny std: their spread is told by comparison.
        if there.any() and teacher[there].min() < teacher[there].max():
            row[there] = _one(teacher[there], how)
    return result


def masked_mean(values: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Return the (weighted) mean over the teachers that gave a score, [N]; NaN where none did.

    Args:
        values: [K, N].
        weights: [K], above 0 where a teacher is to count; all 1 by default.
    """
    share = np.ones(len(values)) if weights is None else weights
    counted = np.where(np.isnan(values), 0.0, share[:, None])
    total = counted.sum(axis=0)
    mean = (counted * np.nan_to_num(values)).sum(axis=0) / np.where(total > 0, total, 1.0)
    return np.where(total > 0, mean, np.nan)


def average_ranks(values: np.ndarray) -> np.ndarray:
    """Return the ranks of values [N], from 1 for the lowest; equal ones share the mean of their ranks."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(sizes) - (sizes - 1) / 2)[group]


def _one(scores: np.ndarray, how: Normalisation) -> np.ndarray:
    if how == "zscore":
        return (scores - scores.mean()) / scores.std()
    if how == "minmax":
        return (scores - scores.min()) / (scores.max() - scores.min())
    return (average_ranks(scores) - 1) / (len(scores) - 1)
