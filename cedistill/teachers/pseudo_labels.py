"""Pseudo-labels: what several paths, rankers that see different evidence, agree on for a query without labels.

Neural Graph Consensus, Leordeanu et al. 2021, arXiv 2010.01086; the weighting is that of CShift, arXiv 2103.14417.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from cedistill.data.runs import Run
from cedistill.data.teacher_scores import masked_mean, normalised
from cedistill.errors import InputError, unknown
from cedistill.teachers.combine import AGREEMENT_TEMPERATURE, COMBINATIONS, agreement_weights, aligned, spearman

How = Literal["agreement", "mean", "median", "rrf", "cshift"]


class PseudoLabel(NamedTuple):
    """Soft labels of a query's documents, in units of standard deviations, and how sure the paths are of them.

    ``confidence`` is the mean of ρ_k, Spearman's correlation of each path with the mean of the others, in [−1, 1].
    """

    labels: dict[str, float]
    confidence: float


def pseudo_label(
    paths: Sequence[Mapping[str, float]], how: How = "agreement", anchor: int | None = None
) -> PseudoLabel | None:
    """Return the consensus of K paths on one query.

    ``agreement``: Σ_k w_k z_k with w = softmax(ρ_k / 0.3). ``mean`` and ``median`` of the z-scores. ``rrf``: reciprocal
    rank fusion, standardised. ``cshift``: as agreement, but ρ_k is the correlation with the path ``anchor``, whose own
    is 1. z-scores are taken over the documents that a path scored; the others are left to the other paths.

    Args:
        paths: of each path, document id → score; a path without this query is empty.
        how: one of the five.
        anchor: the path that ``cshift`` shifts towards.

    Returns:
        None where fewer than two paths have spread: nothing agrees then.
    """
    ids, scores = aligned(paths)
    z = normalised(scores, "zscore")
    voices = ~np.isnan(z).all(axis=1)
    if voices.sum() < 2:
        return None
    weights, rho = agreement_weights(scores)
    consensus = _consensus(z, scores, weights, how, anchor)
    known = ~np.isnan(consensus)
    labels = {one: float(consensus[place]) for place, one in enumerate(ids) if known[place]}
    return PseudoLabel(labels, float(rho[voices].mean()))


def pseudo_labels(
    runs: Mapping[str, Run],
    queries: Sequence[str],
    how: How = "agreement",
    *,
    leave_out: str | None = None,
    anchor: str | None = None,
) -> dict[str, PseudoLabel]:
    """Return the consensus of the paths by query, for those of ``queries`` that two paths or more say something on.

    Args:
        runs: name of a path → its run.
        queries: ids.
        how: see :func:`pseudo_label`.
        leave_out: a path that has no part in it: the student's own, of the student that learns from the labels.
        anchor: name of the path that ``cshift`` shifts towards.

    Raises:
        InputError: ``cshift`` without an anchor among the paths.
    """
    kept = {name: run for name, run in runs.items() if name != leave_out}
    if how == "cshift" and anchor not in kept:
        raise InputError(unknown("anchor", anchor or "", list(kept)))
    place = list(kept).index(anchor) if how == "cshift" and anchor is not None else None
    found = {one: pseudo_label([run.get(one, {}) for run in kept.values()], how, place) for one in queries}
    return {query_id: one for query_id, one in found.items() if one is not None}


def confident(labels: Mapping[str, PseudoLabel], drop: float) -> dict[str, PseudoLabel]:
    """Return the labels but for the share ``drop`` of the queries with the lowest confidence (rounded down).

    Of equal ones the later ids go first.
    """
    order = sorted(labels, key=lambda one: (-labels[one].confidence, one))
    kept = set(order[: len(order) - int(drop * len(order))])
    return {query_id: one for query_id, one in labels.items() if query_id in kept}


def _consensus(z: np.ndarray, scores: np.ndarray, weights: np.ndarray, how: How, anchor: int | None) -> np.ndarray:
    if how == "mean":
        return masked_mean(z)
    if how == "median":
        there = ~np.isnan(z).all(axis=0)
        middle = np.full(z.shape[1], np.nan)
        middle[there] = np.nanmedian(z[:, there], axis=0)
        return middle
    if how == "rrf":
        return np.asarray(normalised(COMBINATIONS["rrf"](scores)[None], "zscore")[0])
    if how == "cshift":
        assert anchor is not None
        rho = np.nan_to_num(np.array([spearman(one, z[anchor]) for one in z]))
        weights = np.exp((rho - 1) / AGREEMENT_TEMPERATURE) * ~np.isnan(z).all(axis=1)
    voices = weights > 0
    return masked_mean(z[voices], weights[voices])
