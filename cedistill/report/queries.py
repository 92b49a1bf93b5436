"""Per-query values of a study's models, and the top documents where models differ most."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from cedistill.config.benchmark import Evaluation
from cedistill.data.collections import Collection, is_public, open_collection
from cedistill.data.texts import look_up
from cedistill.errors import InputError
from cedistill.evaluation.bootstrap import interval, resampled_figures
from cedistill.evaluation.compare import holm
from cedistill.evaluation.significance import t_tests
from cedistill.evaluation.strata import one_stratum
from cedistill.report.columns import Column, values_of
from cedistill.report.letters import FIRST_STAGE
from cedistill.report.names import shown_measure
from cedistill.study.plan import Cell

QUERIES = 400
"""Most queries of a data set whose values are shown; of more, those on which models differ most."""
_DETAILED = 400
_DOCUMENTS = 3
_CHARACTERS = 260
_RUN_BYTES = 200_000_000
_PAIRS_AT_ONCE = 100

Group = Sequence[tuple[Cell, Mapping[str, Any]]]
"""The cells of one row, each with its ``metrics.json``."""


def query_data(
    rows: Mapping[str, Group],
    columns: Sequence[Column],
    evaluations: Iterable[Evaluation],
    folder: Path,
    *,
    texts: bool = True,
) -> list[dict[str, Any]]:
    """Return what the report says of single queries, one entry per data set.

    Args:
        rows: name → the cells of a row.
        columns: one column of each data set (never a mean): its measure is compared.
        evaluations: the study's data sets, for their texts and judgements.
        folder: the study's folder, for its runs.
        texts: read the collections where they are on this machine; without, only ids are given.

    Returns:
        Per data set ``name``, ``measure``, ``total`` queries, ``queries`` (ids), ``texts``, ``values`` (row → values in
        thousandths, mean over seeds; ``first stage`` is the first), ``tests`` (:func:`every_two`), ``tops`` (query's
        place → row → places in ``documents``), ``documents`` ([id, text]) and ``grades`` (query's place → document's
        place → grade).
    """
    by_label = {one.label: one for one in evaluations}
    budget, shares = _RUN_BYTES, max(1, _DETAILED // max(len(columns), 1))
    found = []
    for column in columns:
        collection = _texts(by_label[column.labels[0]]) if texts else None
        entry, budget = _one(rows, column, collection, folder, budget, shares)
        found.append(entry)
    return found


def _one(
    rows: Mapping[str, Group], column: Column, collection: Collection | None, folder: Path, budget: int, detailed: int
) -> tuple[dict[str, Any], int]:
    label = column.labels[0]
    first = [figures for _, figures in next(iter(rows.values()))]
    queries = list(first[0]["datasets"][label]["runs"]["reranked"]["per_query"])
    seeds = {FIRST_STAGE: values_of(column, first[:1], "first_stage")}
    seeds |= {name: values_of(column, [figures for _, figures in group]) for name, group in rows.items()}
    means = np.stack([one.mean(axis=0) for one in seeds.values()])
    shown = widest(means, QUERIES)
    stacked = means[:, shown]
    picked = most_different(stacked, detailed)
    files = {name: folder / group[0][0].name / "runs" / f"{label}.trec.gz" for name, group in rows.items()}
    size = sum(one.stat().st_size for one in files.values() if one.is_file())
    wanted = {queries[shown[place]]: place for place in picked} if size <= budget else {}
    tops = {name: top_documents(path, wanted) for name, path in files.items() if wanted and path.is_file()}
    ids = [queries[place] for place in shown]
    texts = look_up(collection.queries, ids) if collection else {}
    entry = {
        "name": column.name,
        "measure": column.measure,
        "heading": shown_measure(column.measure),
        "total": len(queries),
        "queries": ids,
        "texts": [texts.get(one, "") for one in ids],
        "values": {name: np.rint(row * 1000).astype(int).tolist() for name, row in zip(seeds, stacked, strict=True)},
        "tests": every_two(list(seeds.values()), means),
        **_documents(tops, wanted, collection),
    }
    return entry, budget - (size if wanted else 0)


def every_two(seeds: Sequence[np.ndarray], means: np.ndarray) -> list[list[float]]:
    """Test every two models over all queries of a data set; all pairs are one family for Holm's correction.

    Args:
        seeds: [S, Q] per-query values of each model's seeds.
        means: [K, Q] their means over seeds.

    Returns:
        For each pair, in the order of ``itertools.combinations``: the mean of the earlier minus that of the later, the
        ends of its 95 % interval over queries and seeds, p of Student's t, and p after Holm's correction.
    """
    strata, pairs = one_stratum(means.shape[1]), list(combinations(range(len(means)), 2))
    p: list[float] = []
    for start in range(0, len(pairs), _PAIRS_AT_ONCE):
        some = pairs[start : start + _PAIRS_AT_ONCE]
        p += t_tests(np.stack([means[one] - means[other] for one, other in some]), strata).tolist()
    draws, figures = resampled_figures(seeds, strata), means.mean(axis=1)
    found = []
    for (one, other), single, corrected in zip(pairs, p, holm(p), strict=True):
        ends = interval(draws[one] - draws[other])
        differences = [round(float(value), 4) for value in (figures[one] - figures[other], *ends)]
        found.append([*differences, float(f"{single:.2g}"), float(f"{corrected:.2g}")])
    return found


def widest(values: np.ndarray, count: int) -> list[int]:
    """Return the places of the ``count`` queries with the widest range of values over models, in their order.

    Args:
        values: [K, Q] per-query values.
        count: how many.
    """
    if values.shape[1] <= count:
        return list(range(values.shape[1]))
    order = np.argsort(-np.ptp(values, axis=0), kind="stable")
    return sorted(order[:count].tolist())


def most_different(values: np.ndarray, count: int) -> list[int]:
    """Return at most ``count`` places of queries: for every two models in turn those on which they differ most.

    Args:
        values: [K, Q] per-query values.
        count: how many.
    """
    chosen: dict[int, None] = {}
    orders = [np.argsort(a - b, kind="stable") for a, b in combinations(values, 2)]
    for depth in range(values.shape[1]):
        for order in orders:
            for place in (order[depth], order[-1 - depth]):
                if len(chosen) >= count:
                    return list(chosen)
                chosen[int(place)] = None
        if depth >= 10:
            break
    return list(chosen)


def top_documents(path: Path, queries: Iterable[str], count: int = _DOCUMENTS) -> dict[str, list[str]]:
    """Return the first documents of some queries, from a run whose lines stand by rank, as ours are written."""
    found: dict[str, list[str]] = {query: [] for query in queries}
    with io.TextIOWrapper(gzip.open(path), encoding="utf-8") as lines:
        for line in lines:
            query, _, rest = line.partition(" ")
            tops = found.get(query)
            if tops is not None and len(tops) < count:
                tops.append(rest.split(" ", 2)[1])
    return found


def _texts(evaluation: Evaluation) -> Collection | None:
    """Return the collection where it is on this machine; nothing is fetched for a report."""
    try:
        if is_public(evaluation.dataset):
            from cedistill.data.public_files import PARTS, is_ready

            if not is_ready(evaluation.dataset.partition(":")[0], PARTS):
                return None
        return open_collection(evaluation.dataset)
    except (InputError, OSError):
        return None


def _documents(
    tops: Mapping[str, Mapping[str, Sequence[str]]], wanted: Mapping[str, int], collection: Collection | None
) -> dict[str, Any]:
    numbers: dict[str, int] = {}
    placed: dict[int, dict[str, list[int]]] = {}
    for name, by_query in tops.items():
        for query, documents in by_query.items():
            numbered = [numbers.setdefault(one, len(numbers)) for one in documents]
            placed.setdefault(wanted[query], {})[name] = numbered
    texts = look_up(collection.documents, numbers) if collection else {}
    qrels = (collection.qrels if collection else None) or {}
    grades = {
        place: {numbers[one]: grade for one, grade in qrels.get(query, {}).items() if one in numbers}
        for query, place in wanted.items()
    }
    return {
        "tops": placed,
        "documents": [[name, _cut(texts.get(name, ""))] for name in numbers],
        "grades": {place: ones for place, ones in grades.items() if ones},
        "judged": bool(qrels),
    }


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _CHARACTERS else text[: _CHARACTERS - 1].rstrip() + "…"
