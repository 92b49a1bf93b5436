"""The mean of a benchmark over its data sets."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

RERANKED = "reranked"


def macro_mean(
    datasets: Mapping[str, Mapping[str, Any]],
    groups: Sequence[Sequence[str]],
    published: Mapping[str, Mapping[str, float]] | None = None,
) -> dict[str, Any]:
    """Return the means over data sets of what was measured on all of them.

    Args:
        datasets: label → result of a data set, as :func:`cedistill.evaluation.evaluate.evaluate` gives it.
        groups: labels of the data sets that count as one; a group's figure is the mean over its data sets.
        published: means that others report, by source and measure; they are passed on.

    Returns:
        ``{"datasets": number of groups, "first_stage": {MEASURE: mean}, "reranked": {MEASURE: mean},
        "published": {SOURCE: {MEASURE: mean}}}``, the latter where there is any.
    """
    labels = [label for group in groups for label in group]
    of_all = [set(datasets[label]["runs"][RERANKED]["measures"]) for label in labels]
    first = datasets[labels[0]]["runs"][RERANKED]["measures"]
    measures = [one for one in first if all(one in names for names in of_all)]

    def mean(role: str, measure: str) -> float:
        return statistics.fmean(
            statistics.fmean(_measures(datasets[label], role)[measure] for label in group) for group in groups
        )

    return {
        "datasets": len(groups),
        **{role: {one: mean(role, one) for one in measures} for role in ("first_stage", RERANKED)},
        **({"published": dict(published)} if published else {}),
    }


def summary_table(name: str, result: Mapping[str, Any], labels: Sequence[str]) -> str:
    """Return a benchmark's figures as Markdown: a row per data set, then their mean where there is one."""
    from cedistill.evaluation.metrics import markdown_table

    datasets, mean = result["datasets"], result.get("means", {}).get(name)
    measures = list(dict.fromkeys(one for label in labels for one in datasets[label]["runs"][RERANKED]["measures"]))
    header = [name, *(f"{role} {one}" for one in measures for role in ("first stage", RERANKED))]
    rows = [
        [label, *_cells(_measures(datasets[label], "first_stage"), _measures(datasets[label], RERANKED), measures)]
        for label in labels
    ]
    if mean:
        rows.append([f"mean of {mean['datasets']}", *_cells(mean["first_stage"], mean[RERANKED], measures)])
        for source, figures in mean.get("published", {}).items():
            rows.append([f"published mean: {source}", *_cells({}, figures, measures)])
    return markdown_table(header, rows)


def _measures(result: Mapping[str, Any], role: str) -> Mapping[str, float]:
    return result["runs"][RERANKED if role == RERANKED else result["first_stage"]]["measures"]


def _cells(first: Mapping[str, float], reranked: Mapping[str, float], measures: Sequence[str]) -> list[str]:
    return [f"{role[one]:.4f}" if one in role else "" for one in measures for role in (first, reranked)]
