"""Paired tests and effect sizes of many comparisons at once, over one data set or a mean over several."""

from __future__ import annotations

import numpy as np

from cedistill.evaluation.strata import Strata

SAMPLES = 20_000
_EXACT_LIMIT = 12
_CHUNK = 1 << 22


def t_tests(differences: np.ndarray, strata: Strata) -> np.ndarray:
    """Return two-sided p-values of Student's paired t-test.

    Over one data set this is the usual test. The variance of a mean over several is the sum of theirs, each with its
    share squared, and its degrees of freedom are Welch's and Satterthwaite's.

    Args:
        differences: [M, Q] per-query differences of M comparisons.
        strata: the data sets that the Q queries are of.

    Returns:
        [M] p in [0, 1]; 1 where the test is not defined: no difference at all, or a data set of one query.
    """
    from scipy import stats

    variances, freedom = [], []
    for place, share in zip(strata.slices, strata.shares, strict=True):
        part = differences[:, place]
        count = part.shape[1]
        if count < 2:
            return np.ones(len(differences))
        variances.append(share**2 * part.var(axis=1, ddof=1) / count)
        freedom.append(count - 1)
    variance = np.sum(variances, axis=0)
    means = differences @ strata.weights
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = means / np.sqrt(variance)
        degrees = variance**2 / np.sum([v**2 / f for v, f in zip(variances, freedom, strict=True)], axis=0)
        p = 2 * stats.t.sf(np.abs(statistic), degrees)
    # Equal differences everywhere leave no variance: the statistic is infinite, and p is 0.
    p = np.where(np.isinf(statistic), 0.0, p)
    return np.where(differences.any(axis=1) & ~np.isnan(p), p, 1.0)


def randomisation_tests(differences: np.ndarray, strata: Strata, seed: int = 12, samples: int = SAMPLES) -> np.ndarray:
    """Return two-sided p-values of Fisher's randomisation test (Smucker et al. 2007).

    Every query's difference changes its sign at random; the same signs serve all comparisons. With up to twelve queries
    all assignments are counted, beyond that ``samples`` are drawn and the observed one is counted among them.

    Args:
        differences: [M, Q] per-query differences of M comparisons.
        strata: the data sets that the Q queries are of.
        seed: of the drawn signs.
        samples: how many assignments to draw.

    Returns:
        [M] p in (0, 1].
    """
    weighted = (differences * strata.weights).T
    # Sums in another order differ in the last bits: equal ones must count as reached.
    observed = np.abs(weighted.sum(axis=0))
    reached = observed - 1e-6 * np.abs(weighted).sum(axis=0)
    queries = len(weighted)
    if queries <= _EXACT_LIMIT:
        signs = 1.0 - 2.0 * ((np.arange(2**queries)[:, None] >> np.arange(queries)) & 1)
        return np.mean(np.abs(signs @ weighted) >= reached, axis=0)
    generator = np.random.default_rng(seed)
    single, above = weighted.astype(np.float32), np.ones(weighted.shape[1])
    rows = max(1, _CHUNK // queries)
    for start in range(0, samples, rows):
        size = (min(rows, samples - start), queries)
        signs = generator.integers(0, 2, size, dtype=np.int8).astype(np.float32) * 2 - 1
        above += np.sum(np.abs(signs @ single) >= reached, axis=0)
    return above / (samples + 1)


def effect_sizes(differences: np.ndarray, strata: Strata) -> np.ndarray:
    """Return standardised mean differences: the mean over the standard deviation of the per-query differences.

    This is Cohen's d of paired samples. Over several data sets the variance is the mean of theirs by share.

    Args:
        differences: [M, Q] per-query differences.
        strata: the data sets that the Q queries are of.

    Returns:
        [M]; 0 without a difference, NaN where the deviation is 0 or not defined.
    """
    variance = np.zeros(len(differences))
    for place, share in zip(strata.slices, strata.shares, strict=True):
        part = differences[:, place]
        variance += share * part.var(axis=1, ddof=1) if part.shape[1] > 1 else np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        effect = (differences @ strata.weights) / np.sqrt(variance)
    effect = np.where(np.isinf(effect), np.nan, effect)
    return np.where(differences.any(axis=1), effect, 0.0)
