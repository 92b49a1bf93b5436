"""Paired tests of two runs' per-query values, and Holm's correction for several of them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

SAMPLES = 100_000
_EXACT_LIMIT = 12
_BOOTSTRAP_SAMPLES = 10_000


def compare(
    baseline: str, runs: Mapping[str, Mapping[str, Mapping[str, float]]], measures: Sequence[str], seed: int = 12
) -> list[dict[str, Any]]:
    """Test every other run against the baseline, measure by measure.

    Both tests are two-sided and paired by query: Student's t on the differences, and Fisher's randomisation test
    (Smucker et al. 2007, A Comparison of Statistical Significance Tests for Information Retrieval Evaluation). The
    p-values of one measure and one test, over all runs compared with the baseline, are one family for Holm's
    correction.

    Args:
        baseline: the name of the run that the others are compared with.
        runs: name → measure → query id → value; all over the same queries.
        measures: the measures to test.
        seed: of the randomisation test and the bootstrap.

    Returns:
        One record per measure and other run: ``measure``, ``baseline``, ``run``, ``difference`` (mean of run minus
        baseline), ``interval`` (its 95 % bootstrap interval), ``effect`` (:func:`effect_size`), ``test``
        (``student-t``), ``p``, ``p_holm``, ``p_randomisation``, ``p_randomisation_holm``, and ``queries``, the number
        of pairs.
    """
    records: list[dict[str, Any]] = []
    for measure in measures:
        first = runs[baseline][measure]
        family: list[dict[str, Any]] = []
        for name, values in runs.items():
            if name == baseline:
                continue
            differences = np.array([values[measure][query_id] - value for query_id, value in first.items()])
            family.append(
                {
                    "measure": measure,
                    "baseline": baseline,
                    "run": name,
                    "queries": len(differences),
                    "difference": float(differences.mean()),
                    "interval": list(bootstrap_interval(differences, seed)),
                    "effect": effect_size(differences),
                    "test": "student-t",
                    "p": student_t(differences),
                    "p_randomisation": randomisation(differences, seed),
                }
            )
        for key in ("p", "p_randomisation"):
            for record, corrected in zip(family, holm([record[key] for record in family]), strict=True):
                record[f"{key}_holm"] = corrected
        records += family
    return records


def student_t(differences: np.ndarray) -> float:
    """Return the two-sided p-value of Student's paired t-test.

    Args:
        differences: [Q] the per-query differences.

    Returns:
        p in [0, 1]; 1 where the test is not defined: no difference at all, or fewer than two queries.
    """
    from scipy import stats

    if len(differences) < 2 or not differences.any():
        return 1.0
    with warnings.catch_warnings():
        # Equal differences everywhere: the statistic is infinite and p is 0, which is right.
        warnings.simplefilter("ignore", RuntimeWarning)
        p = float(stats.ttest_1samp(differences, 0.0).pvalue)
    return 1.0 if math.isnan(p) else p


def randomisation(differences: np.ndarray, seed: int = 12, samples: int = SAMPLES) -> float:
    """Return the two-sided p-value of Fisher's randomisation test of the mean difference.

    Every query's difference changes its sign at random. With up to twelve queries that differ all assignments are
    counted; beyond that ``samples`` of them are drawn, and the observed one is counted among them.

    Args:
        differences: [Q] the per-query differences.
        seed: of the drawn signs.
        samples: how many assignments to draw.

    Returns:
        p in (0, 1]; 1 if no query differs.
    """
    # A query without a difference adds nothing under either sign.
    differences = differences[differences != 0]
    if len(differences) == 0:
        return 1.0
    exact = len(differences) <= _EXACT_LIMIT
    # Sums in another order differ in the last bits: equal ones must count as reached.
    reached = abs(float(differences.sum())) - 1e-9 * float(np.abs(differences).sum())
    if exact:
        return float(np.mean(np.abs(_signed_sums(differences)) >= reached))
    generator = np.random.default_rng(seed)
    totals = np.zeros(samples)
    for start in range(0, len(differences), 8):
        sums = _signed_sums(differences[start : start + 8])
        totals += sums[generator.integers(0, len(sums), samples)]
    return (float(np.sum(np.abs(totals) >= reached)) + 1) / (samples + 1)


def effect_size(differences: np.ndarray) -> float | None:
    """Return Cohen's d of paired samples: the mean of the differences over their standard deviation.

    Args:
        differences: [Q] the per-query differences.

    Returns:
        d; 0 without any difference, None where the deviation is 0 or not defined (fewer than two queries).
    """
    if not differences.any():
        return 0.0
    deviation = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    return float(differences.mean()) / deviation if deviation > 0 else None


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number by Holm's step-down method (1979), in the given order.

    The i-th smallest of n is multiplied by n − i + 1; none may be below a smaller one's, and none above 1.
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - place)))
        corrected[index] = largest
    return corrected


def bootstrap_interval(
    differences: np.ndarray, seed: int = 12, samples: int = _BOOTSTRAP_SAMPLES
) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of the mean difference, queries drawn with replacement.

    Args:
        differences: [Q] the per-query differences.
        seed: of the drawn queries.
        samples: how many times to draw Q queries.

    Returns:
        The lower and the upper end.
    """
    generator = np.random.default_rng(seed)
    chunk = max(1, 4_000_000 // len(differences))
    means = [
        differences[generator.integers(0, len(differences), (min(chunk, samples - start), len(differences)))].mean(1)
        for start in range(0, samples, chunk)
    ]
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return float(low), float(high)


def _signed_sums(differences: np.ndarray) -> np.ndarray:
    sums = np.zeros(1)
    for difference in differences:
        sums = np.concatenate([sums + difference, sums - difference])
    return sums
