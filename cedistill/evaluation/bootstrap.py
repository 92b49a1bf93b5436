"""Bootstrap over queries and seeds: how far a model's figure would move with other queries and other seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cedistill.evaluation.strata import Strata

SAMPLES = 2_000
_CHUNK = 1 << 22


def resampled_figures(
    models: Sequence[np.ndarray], strata: Strata, seed: int = 12, samples: int = SAMPLES
) -> np.ndarray:
    """Return each model's figure under redrawn queries and seeds.

    Queries are drawn with replacement within each data set, the same ones for all models, so that differences of rows
    stay paired; seeds are drawn with replacement for each model by itself, as they are independent runs.

    Args:
        models: [S, Q] per-query values of each model's S seeds; S may differ between models.
        strata: the data sets that the Q queries are of.
        seed: of the draws.
        samples: how many draws.

    Returns:
        [K, samples] figures.
    """
    generator = np.random.default_rng(seed)
    drawn_seeds = [_counts(generator, samples, len(values)) / len(values) for values in models]
    stacked = np.concatenate(models)
    figures = np.empty((samples, len(stacked)))
    rows = max(1, _CHUNK // max(stacked.shape[1], 1))
    for start in range(0, samples, rows):
        size = min(rows, samples - start)
        parts = [
            share / count * _counts(generator, size, count)
            for share, count in zip(strata.shares, strata.sizes, strict=True)
        ]
        figures[start : start + size] = np.concatenate(parts, axis=1) @ stacked.T
    by_model = np.split(figures, np.cumsum([len(values) for values in models])[:-1], axis=1)
    return np.stack([(drawn * seeds).sum(axis=1) for drawn, seeds in zip(by_model, drawn_seeds, strict=True)])


def interval(draws: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of bootstrap draws: its lower and upper end."""
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _counts(generator: np.random.Generator, samples: int, among: int) -> np.ndarray:
    """Return [samples, among]: how often each of ``among`` is drawn in as many draws with replacement."""
    drawn = generator.integers(0, among, (samples, among)) + np.arange(samples)[:, None] * among
    return np.bincount(drawn.ravel(), minlength=samples * among).reshape(samples, among)
