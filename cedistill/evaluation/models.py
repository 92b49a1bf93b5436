"""Comparisons between models that were trained with several seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from cedistill.evaluation.bootstrap import interval, resampled_figures
from cedistill.evaluation.compare import holm
from cedistill.evaluation.significance import effect_sizes, randomisation_tests, t_tests
from cedistill.evaluation.strata import Strata


def compare_models(
    models: Mapping[str, np.ndarray],
    strata: Strata,
    pairs: Sequence[tuple[str, str]] | None = None,
    seed: int = 12,
) -> list[dict[str, Any]]:
    """Test pairs of models against each other; all the pairs are one family for Holm's correction.

    Both tests are paired by query on means over seeds: they ask whether these models differ on other queries. The
    interval is a bootstrap over queries and seeds, and so also covers what other seeds would have given.

    Args:
        models: name → [S, Q] per-query values of its S seeds, all over the same Q queries.
        strata: the data sets that the queries are of.
        pairs: (model, baseline) to compare; by default every two models, the later against the earlier.
        seed: of the randomisation test and the bootstrap.

    Returns:
        One record per pair: ``run``, ``baseline``, ``queries``, ``difference``, ``interval`` (95 %), ``effect``
        (Cohen's d of paired samples, None where not defined), ``p``, ``p_holm`` (Student's t), ``p_randomisation``,
        ``p_randomisation_holm``.
    """
    pairs = [(b, a) for a, b in combinations(models, 2)] if pairs is None else list(pairs)
    if not pairs:
        return []
    means = {name: values.mean(axis=0) for name, values in models.items()}
    differences = np.stack([means[run] - means[baseline] for run, baseline in pairs])
    draws = dict(zip(models, resampled_figures(list(models.values()), strata, seed), strict=True))
    student, randomised = t_tests(differences, strata), randomisation_tests(differences, strata, seed)
    columns = zip(
        pairs,
        differences @ strata.weights,
        effect_sizes(differences, strata),
        student,
        holm(student.tolist()),
        randomised,
        holm(randomised.tolist()),
        strict=True,
    )
    return [
        {
            "run": run,
            "baseline": baseline,
            "queries": differences.shape[1],
            "difference": float(difference),
            "interval": list(interval(draws[run] - draws[baseline])),
            "effect": None if math.isnan(effect) else float(effect),
            "p": float(p),
            "p_holm": p_holm,
            "p_randomisation": float(p_randomisation),
            "p_randomisation_holm": p_randomisation_holm,
        }
        for (run, baseline), difference, effect, p, p_holm, p_randomisation, p_randomisation_holm in columns
    ]
