"""The quality of teachers before anything is trained on them: figures, agreement, correlation of errors, coverage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from cedistill.data.qrels import Qrels
from cedistill.data.runs import Run
from cedistill.data.teacher_scores import normalised
from cedistill.evaluation.measures import mean
from cedistill.evaluation.metrics import markdown_table, measure_run
from cedistill.teachers.combine import aligned, combine, kendall, spearman
from cedistill.teachers.members import covered

MEASURE = "ndcg@10"
CONSENSUS = ("zscore", "rrf", "agreement")
"""Combinations whose figures stand beside those of their members; the mean of raw scores takes members of one scale."""


def quality(
    runs: Mapping[str, Run],
    qrels: Qrels | None = None,
    candidates: Run | None = None,
    accounts: Mapping[str, Mapping[str, Any]] | None = None,
    measure: str = MEASURE,
) -> dict[str, Any]:
    """Report on teachers.

    Args:
        runs: name of a teacher → query id → document id → score.
        qrels: judgements, if there are any; of the runs' queries those without are left out of the measure.
        candidates: if given, everything is about these documents alone, so that teachers of different pools compare.
        accounts: name of an LLM teacher → its account, of which ``malformed_share`` is taken.
        measure: the measure of the teachers.

    Returns:
        ``teachers``: by name ``queries`` and ``documents`` that have a score; ``coverage``, the share of the candidates
        that has one; ``tied``, the share of two documents of a query that have equal scores, mean over queries;
        ``malformed``, the share of an LLM's answers; and the measure's mean over judged queries, those the run lacks
        counting 0. ``combinations``: the measure of all teachers combined, by way. ``pairs``: see
        :func:`compared`. What cannot be said is None.

    Raises:
        InputError: a run without any judged query or candidate.
    """
    kept = runs if candidates is None else {name: covered(run, candidates, name) for name, run in runs.items()}
    wanted = None if candidates is None else sum(map(len, candidates.values()))
    values: dict[str, dict[str, float]] = {}
    teachers: dict[str, dict[str, Any]] = {}
    for name, run in kept.items():
        documents = sum(map(len, run.values()))
        if qrels is not None:
            values[name] = measure_run(run, qrels, [measure], name)[0][measure]
        teachers[name] = {
            "queries": len(run),
            "documents": documents,
            "coverage": documents / wanted if wanted else None,
            "tied": _mean([_tied(scores) for scores in run.values()]),
            "malformed": (accounts or {}).get(name, {}).get("malformed_share"),
            measure: mean(values[name]) if qrels is not None else None,
        }
    several = list(kept.values()) if len(kept) > 1 and qrels is not None else []
    return {
        "measure": measure,
        "teachers": teachers,
        "combinations": {
            how: mean(measure_run(combine(several, how), qrels or {}, [measure], how)[0][measure])
            for how in (CONSENSUS if several else ())
        },
        "pairs": [
            {"teachers": [one, other]}
            | compared(kept[one], kept[other], qrels)
            | {"failures": _failures(values.get(one), values.get(other), kept[one], kept[other])}
            for one, other in combinations(kept, 2)
        ],
    }


def compared(one: Run, other: Run, qrels: Qrels | None = None) -> dict[str, Any]:
    """Compare two teachers, over the documents of each query that both scored.

    Returns:
        ``queries`` and ``documents`` that both scored; ``kendall`` (tau-b) and ``spearman``, means over the queries
        where both have spread; ``errors``: how far they err on the same documents. That is the partial correlation of
        their z-scores given the labels' (each standardised over the judged documents of a query that both scored, all
        queries pooled): 0 for two teachers whose noise around the labels is independent, 1 for the same noise. The
        mean of teachers gains the more over the best of them, the lower it is. What both see and coarse labels do not
        tell counts as common error too: compare pairs of one table, not tables. None where nothing can be said.
    """
    taus, rhos, judged = [], [], [np.empty((3, 0))]
    queries = documents = 0
    for query_id in one.keys() & other.keys():
        ids, scores = aligned([one[query_id], other[query_id]])
        both = ~np.isnan(scores).any(axis=0)
        queries, documents = queries + bool(both.any()), documents + int(both.sum())
        rhos.append(spearman(*scores))
        taus.append(kendall(*scores))
        if qrels and query_id in qrels:
            judged.append(_standardised_with_labels(ids, scores, qrels[query_id]))
    return {
        "queries": queries,
        "documents": documents,
        "kendall": _mean(taus),
        "spearman": _mean(rhos),
        "errors": _partial_correlation(np.concatenate(judged, axis=1)),
    }


def quality_table(report: Mapping[str, Any]) -> str:
    """Return the report of :func:`quality` as Markdown: the teachers, then every two of them."""
    measure = report["measure"]
    header = ["teacher", measure, "queries", "documents", "coverage", "tied", "malformed"]
    rows = [
        [name, _figure(one[measure], 4), str(one["queries"]), str(one["documents"])]
        + [_share(one[key]) for key in ("coverage", "tied", "malformed")]
        for name, one in report["teachers"].items()
    ]
    rows += [[f"(all, {how})", _figure(value, 4), *[""] * 5] for how, value in report["combinations"].items()]
    tables = [markdown_table(header, rows)]
    if report["pairs"]:
        figures = ("kendall", "spearman", "errors", "failures")
        pairs = [
            [
                *pair["teachers"],
                str(pair["queries"]),
                str(pair["documents"]),
                *(_figure(pair[key], 2) for key in figures),
            ]
            for pair in report["pairs"]
        ]
        header = ["teacher", "and", "queries", "documents", "Kendall", "Spearman", "same errors", "same failures"]
        tables.append(markdown_table(header, pairs))
    return "\n\n".join(tables)


def _standardised_with_labels(ids: Sequence[str], scores: np.ndarray, grades: Mapping[str, int]) -> np.ndarray:
    """Return z-scores [3, judged documents that both scored]: of two teachers and the labels; [3, 0] without spread."""
    labels = np.array([max(grades[one], 0) if one in grades else np.nan for one in ids])
    rows = np.vstack([scores, labels])
    z = normalised(rows[:, ~np.isnan(rows).any(axis=0)], "zscore")
    return np.empty((3, 0)) if np.isnan(z).any() else z


def _partial_correlation(z: np.ndarray) -> float | None:
    """Return the correlation of rows 0 and 1 of [3, D] with what row 2 tells of them taken out."""
    if z.shape[1] < 3:
        return None
    correlations = z @ z.T / z.shape[1]  # of z-scores, whose pooled mean is 0 and variance 1
    between, first, second = correlations[0, 1], correlations[0, 2], correlations[1, 2]
    rest = (1 - first**2) * (1 - second**2)
    return float(np.clip((between - first * second) / math.sqrt(rest), -1, 1)) if rest > 1e-12 else None


def _failures(
    one: Mapping[str, float] | None, other: Mapping[str, float] | None, first: Run, second: Run
) -> float | None:
    """Return Pearson's correlation, over the judged queries of both, of what their measures lack to 1."""
    if one is None or other is None:
        return None
    both = [query_id for query_id in one if query_id in first and query_id in second]
    deficits = np.array([[1 - values[query_id] for query_id in both] for values in (one, other)])
    if len(both) < 3 or (np.ptp(deficits, axis=1) == 0).any():
        return None
    return float(np.corrcoef(deficits)[0, 1])


def _tied(scores: Mapping[str, float]) -> float:
    count = len(scores)
    _, equal = np.unique(np.fromiter(scores.values(), np.float32, count), return_counts=True)
    return float((equal * (equal - 1)).sum() / (count * (count - 1))) if count > 1 else math.nan


def _mean(values: Sequence[float]) -> float | None:
    there = [value for value in values if not math.isnan(value)]
    return math.fsum(there) / len(there) if there else None


def _figure(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"
