"""One teacher out of several: their runs combined, query by query."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from cedistill.data.runs import Run
from cedistill.data.teacher_scores import average_ranks, masked_mean, normalised
from cedistill.errors import InputError, unknown

RRF_K = 60
"""The constant of reciprocal rank fusion (Cormack et al. 2009, doi 10.1145/1571941.1572114)."""

AGREEMENT_TEMPERATURE = 0.3
"""Of the softmax over rank correlations that weighs members by agreement."""


def combine(runs: Sequence[Mapping[str, Mapping[str, float]]], how: str) -> Run:
    """Combine the runs of K members into one.

    A document's combined score is the mean over the members that scored it; those that did not are left out for this
    document and never imputed. What the mean is of:

    ``mean``: raw scores. For members of one scale and full coverage, as an ensemble's logits.
    ``zscore``: (x − mean) / std of a member over the documents of the query that it scored, with the standard deviation
    of the population.
    ``rrf``: 1 / (60 + rank), ranks from 1 over the documents that the member scored; equal scores share the mean of
    their ranks.
    ``agreement``: z-scores, weighted by :func:`agreement_weights` of the query; the weights of the members that scored
    a document are scaled to sum to 1.

    In ``zscore`` and ``agreement`` a member whose scores of a query are all equal gives no signal there and is left
    out. A document that only such members scored gets 0, the middle. A document that nobody scored is not in the run.

    Args:
        runs: of each member, query id → document id → score.
        how: ``mean``, ``zscore``, ``rrf`` or ``agreement``.

    Returns:
        The run of all queries and documents that a member scored, in the order they are first met.

    Raises:
        InputError: no run, or no such combination.
    """
    if how not in COMBINATIONS:
        raise InputError(unknown("combination", how, COMBINATIONS))
    if not runs:
        raise InputError("expected at least one run to combine, found none; name teachers")
    combined: Run = {}
    for query_id in dict.fromkeys(query_id for run in runs for query_id in run):
        ids, scores = aligned([run.get(query_id, {}) for run in runs])
        combined[query_id] = dict(zip(ids, COMBINATIONS[how](scores).tolist(), strict=True))
    return combined


def aligned(members: Sequence[Mapping[str, float]]) -> tuple[list[str], np.ndarray]:
    """Return the documents that any member scored, and the scores as float64 [K, N], NaN where a member gave none."""
    ids = list(dict.fromkeys(one for scores in members for one in scores))
    rows = [[scores.get(one, np.nan) for one in ids] for scores in members]
    return ids, np.array(rows, np.float64).reshape(len(members), len(ids))


def agreement_weights(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weigh the members of one query by how far each agrees with the others.

    ρ_k is Spearman's correlation of member k with the mean of the others' z-scores, over the documents that both cover;
    0 where they share fewer than two or one of them is constant there. w_k = softmax(ρ_k / 0.3) over the members with
    spread (in the manner of CShift, arXiv 2103.14417).

    Args:
        scores: [K, N], NaN where a member gave none.

    Returns:
        w [K], which sums to 1, with 0 for members without spread (all 0 where none has any); and ρ [K].
    """
    z = normalised(scores, "zscore")
    voices = ~np.isnan(z).all(axis=1)
    rho = np.array([spearman(z[k], masked_mean(np.delete(z, k, axis=0))) for k in range(len(z))])
    rho = np.nan_to_num(rho, nan=0.0)
    weights = np.where(voices, np.exp((rho - rho.max(initial=-1.0)) / AGREEMENT_TEMPERATURE), 0.0)
    return weights / (weights.sum() or 1.0), rho


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Return Spearman's correlation over the places where both are numbers, ties sharing the mean of their ranks.

    NaN where there are fewer than two such places, or one of the two is constant over them.
    """
    both = ~(np.isnan(first) | np.isnan(second))
    if both.sum() < 2:
        return float("nan")
    a, b = average_ranks(first[both]), average_ranks(second[both])
    a, b = a - a.mean(), b - b.mean()
    spread = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / spread) if spread > 0 else float("nan")


def kendall(first: np.ndarray, second: np.ndarray) -> float:
    """Return Kendall's tau-b over the places where both are numbers; NaN where :func:`spearman` is."""
    both = ~(np.isnan(first) | np.isnan(second))
    a, b = _preferences(first[both]), _preferences(second[both])
    spread = math.sqrt(np.count_nonzero(a) * np.count_nonzero(b))
    return float(np.multiply(a, b).sum(dtype=np.int64) / spread) if spread else float("nan")


def _preferences(scores: np.ndarray) -> np.ndarray:
    """Return the sign of x_i − x_j, int8 [N, N]."""
    return (scores[:, None] > scores).astype(np.int8) - (scores[:, None] < scores).astype(np.int8)


def _zscore(scores: np.ndarray) -> np.ndarray:
    return np.nan_to_num(masked_mean(normalised(scores, "zscore")), nan=0.0)


def _rrf(scores: np.ndarray) -> np.ndarray:
    places = np.full_like(scores, np.nan)
    for row, member in zip(places, scores.astype(np.float32), strict=True):  # float32, as measures rank a run
        there = ~np.isnan(member)
        row[there] = average_ranks(-member[there])
    return masked_mean(1.0 / (RRF_K + places))


def _agreement(scores: np.ndarray) -> np.ndarray:
    weights, _ = agreement_weights(scores)
    return np.nan_to_num(masked_mean(normalised(scores, "zscore"), weights), nan=0.0)


COMBINATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": masked_mean,
    "zscore": _zscore,
    "rrf": _rrf,
    "agreement": _agreement,
}
