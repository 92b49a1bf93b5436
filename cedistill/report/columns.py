"""The columns of a study's tables: a benchmark's mean or a data set, each with a measure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cedistill.config.benchmark import Benchmark, Evaluation, Published
from cedistill.evaluation.means import RERANKED
from cedistill.evaluation.measures import parse_measure
from cedistill.evaluation.strata import Strata
from cedistill.study.plan import Study

MAIN = ""
"""The table of a study's main columns; those of a benchmark's data sets behind its mean go by the benchmark's name."""


@dataclass(frozen=True)
class Column:
    """One column: the figure of ``measure`` over data sets, each with its share in the mean.

    ``name`` heads it, ``table`` is the table it stands in, ``published`` are figures of others by source.
    """

    name: str
    table: str
    measure: str
    labels: tuple[str, ...]
    shares: tuple[float, ...]
    benchmark: str = ""
    published: Published | None = None

    @property
    def is_mean(self) -> bool:
        """Whether the column is a mean over data sets."""
        return len(self.labels) > 1


def columns_of(study: Study) -> list[Column]:
    """Return a study's columns in the order of its file, a benchmark's mean before its data sets."""
    benchmarks, seen = study.benchmarks, set()
    columns: list[Column] = []
    for one in study.evaluate:
        benchmark = benchmarks.get(one.benchmark)
        with_mean = benchmark is not None and benchmark.mean and len(benchmark.datasets) > 1
        if benchmark and with_mean and one.benchmark not in seen:
            columns += _means(one.benchmark, benchmark)
            seen.add(one.benchmark)
        columns += [
            Column(
                _name(one, benchmark, with_mean),
                one.benchmark if with_mean else MAIN,
                measure,
                (one.label,),
                (1.0,),
                one.benchmark,
                one.published,
            )
            for measure in _measures(one)
        ]
    return columns


def leading(columns: Sequence[Column]) -> list[Column]:
    """Return one column for each data set or mean of the main table: those that a ranking or a figure is made of.

    The measure is the one that most of them have (of equals the first named); where it is missing, their own first.
    """
    main = [one for one in columns if one.table == MAIN]
    if not main:
        return []
    common = Counter(one.measure for one in main).most_common(1)[0][0]
    by_name: dict[str, list[Column]] = {}
    for one in main:
        by_name.setdefault(one.name, []).append(one)
    return [next((one for one in ones if one.measure == common), ones[0]) for ones in by_name.values()]


def is_complete(study: Study, figures: Mapping[str, Any]) -> bool:
    """Return whether a cell's figures hold all that the study evaluates; those of an earlier study file may not."""
    found = figures.get("datasets", {})
    return all(
        one.label in found and set(_measures(one)) <= set(found[one.label]["runs"][RERANKED]["measures"])
        for one in study.evaluate
    )


def values_of(column: Column, cells: Sequence[Mapping[str, Any]], role: str = RERANKED) -> np.ndarray:
    """Return [S, Q] per-query values of a column: a row per cell, queries in the order of the first cell's.

    Args:
        column: the column.
        cells: ``metrics.json`` of each seed.
        role: ``reranked`` or ``first_stage``.
    """
    parts = []
    for label in column.labels:
        queries = list(_run(cells[0], label, RERANKED)["per_query"])
        parts.append(
            [[_run(cell, label, role)["per_query"][query][column.measure] for query in queries] for cell in cells]
        )
    return np.concatenate([np.array(part, dtype=float).reshape(len(cells), -1) for part in parts], axis=1)


def strata_of(column: Column, cell: Mapping[str, Any]) -> Strata:
    """Return the number of queries of a column's data sets, and their shares."""
    return Strata(tuple(len(_run(cell, label, RERANKED)["per_query"]) for label in column.labels), column.shares)


def describe(column: Column, cell: Mapping[str, Any]) -> dict[str, Any]:
    """Return a column as JSON values, with first stage, depth and numbers of queries."""
    found = [cell["datasets"][label] for label in column.labels]
    counts: Counter[str] = Counter()
    for one in found:
        counts.update(one["runs"][one["first_stage"]]["queries"])
    stages = dict.fromkeys(one["first_stage"] for one in found)
    depths = {one["depth"] for one in found}
    return {
        "dataset": column.name,
        "measure": column.measure,
        "table": column.table,
        "datasets": list(column.labels),
        "first_stage": ", ".join(stages) if len(stages) < 4 else "one for each data set",
        "depth": depths.pop() if len(depths) == 1 else None,
        **{name: counts[name] for name in ("judged", "missing", "unjudged")},
    }


def _means(name: str, benchmark: Benchmark) -> list[Column]:
    of_all = [set(_measures(one)) for one in benchmark.datasets]
    measures = [one for one in _measures(benchmark.datasets[0]) if all(one in names for names in of_all)]
    groups = benchmark.groups
    shares = {label: 1 / len(groups) / len(group) for group in groups for label in group}
    labels = tuple(one.label for one in benchmark.datasets)
    return [
        Column(name, MAIN, measure, labels, tuple(shares[label] for label in labels), name, benchmark.published)
        for measure in measures
    ]


def _name(one: Evaluation, benchmark: Benchmark | None, with_mean: bool) -> str:
    if benchmark is None or with_mean:
        return one.label
    stem = Path(one.benchmark).stem
    if len(benchmark.datasets) == 1:
        return stem
    return one.label if one.label.startswith(stem) else f"{stem} {one.label}"


def _measures(one: Evaluation) -> list[str]:
    return [str(parse_measure(measure)) for measure in one.measures]


def _run(cell: Mapping[str, Any], label: str, role: str) -> Mapping[str, Any]:
    found = cell["datasets"][label]
    return found["runs"][RERANKED if role == RERANKED else found["first_stage"]]
