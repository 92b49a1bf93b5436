"""A study's comparison: a row per backbone and objective, the first stage on top, a column per data set and measure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cedistill.evaluation.compare import holm
from cedistill.evaluation.significance import t_tests
from cedistill.report.columns import MAIN, Column, columns_of, describe, is_complete, leading, strata_of, values_of
from cedistill.report.cost import cell_cost, mean_cost
from cedistill.report.letters import FIRST_STAGE, better_than, comparisons, give_letters, row_name
from cedistill.report.markdown import markdown
from cedistill.report.names import shown_measure
from cedistill.report.published import FILE, PublishedRow, published_rankings, published_value, read_published
from cedistill.report.ranking import rankings
from cedistill.report.write import write_tables
from cedistill.study.plan import UNTRAINED, Cell, Study

__all__ = ["ALPHA", "FIRST_STAGE", "collect", "markdown", "row_name", "shown_measure", "write_tables"]

ALPHA = 0.01


def collect(
    study: Study, figures: Iterable[tuple[Cell, Mapping[str, Any]]], folder: Path | None = None
) -> dict[str, Any]:
    """Gather the figures of a study's finished cells.

    Args:
        study: what was asked for.
        figures: each cell with its ``metrics.json``, empty for one without figures.
        folder: the study's folder, for published figures, logs and weights; None to read no file.

    Returns:
        ``columns``: name (``dataset``), measure, table, data sets, first stage, depth and numbers of queries of each.
        ``rows``: the first stage, then each backbone and objective with ``seeds``, ``letter``, ``cost`` and ``values``,
        per column ``mean``, ``deviation`` over seeds (None for one seed), against the first stage ``difference`` and
        Holm-corrected ``p`` (paired t-test of per-query means over seeds; all rows of one column are a family),
        ``better``, the letters of the rows of its group that it is significantly above (all pairs of a group's rows are
        a family), and where there is one ``published`` with ``source`` and ours minus theirs. ``comparisons``: those
        tests with intervals and effect sizes, for the main columns. ``rankings``: of objectives and of backbones, over
        the blocks that ``leading`` columns give, and ``published_rankings``. ``missing``: cells without figures.
    """
    figures = list(figures)
    done = [(cell, one) for cell, one in figures if one and is_complete(study, one)]
    missing = [cell.name for cell, one in figures if not (one and is_complete(study, one))]
    groups: dict[tuple[str, str], list[tuple[Cell, Mapping[str, Any]]]] = {}
    for cell, one in done:
        groups.setdefault((cell.backbone, cell.objective), []).append((cell, one))
    published = _published(folder)
    columns = columns_of(study) if done else []
    rows: list[dict[str, Any]] = [{"backbone": "", "objective": FIRST_STAGE, "seeds": [], "values": []}]
    rows += [_row(name, ones, folder) for name, ones in groups.items()]
    give_letters(rows[1:])
    tests: list[dict[str, Any]] = []
    for place, column in enumerate(columns):
        cells = [[one for _, one in ones] for ones in groups.values()]
        for record in _fill(rows, cells, column, published):
            tests.append({"column": place, **record})
    return {
        "title": study.title,
        "alpha": ALPHA,
        "columns": [describe(column, done[0][1]) for column in columns],
        "rows": rows,
        "comparisons": tests,
        "leading": [columns.index(one) for one in leading(columns)],
        "rankings": _rankings(study, rows[1:], [columns.index(one) for one in leading(columns)]),
        "published_rankings": _published_rankings(published),
        "missing": missing,
    }


def _row(name: tuple[str, str], ones: Sequence[tuple[Cell, Mapping[str, Any]]], folder: Path | None) -> dict[str, Any]:
    costs = [cell_cost(one, folder / cell.name if folder else None) for cell, one in ones]
    seeds = [cell.seed for cell, _ in ones]
    return {"backbone": name[0], "objective": name[1], "seeds": seeds, "cost": mean_cost(costs), "values": []}


def _fill(
    rows: Sequence[dict[str, Any]],
    groups: Sequence[Sequence[Mapping[str, Any]]],
    column: Column,
    published: Sequence[PublishedRow],
) -> list[dict[str, Any]]:
    """Append a column's values to all rows; return its comparisons, none for a column behind a mean."""
    strata = strata_of(column, groups[0][0])
    first = values_of(column, groups[0][:1], "first_stage")
    values = {FIRST_STAGE: first}
    values |= {row_name(row): values_of(column, ones) for row, ones in zip(rows[1:], groups, strict=True)}
    weights = strata.weights
    rows[0]["values"].append({"mean": float(first[0] @ weights)})
    differences = np.stack([values[row_name(row)].mean(axis=0) - first[0] for row in rows[1:]])
    corrected = holm(t_tests(differences, strata).tolist())
    better = better_than(rows[1:], values, strata, ALPHA)
    for row, difference, p in zip(rows[1:], differences @ weights, corrected, strict=True):
        seeds = (values[row_name(row)] @ weights).tolist()
        value: dict[str, Any] = {
            "mean": statistics.fmean(seeds),
            "deviation": statistics.stdev(seeds) if len(seeds) > 1 else None,
            "difference": float(difference),
            "p": p,
            "better": better[row_name(row)],
        }
        found = published_value(published, row["backbone"], row["objective"], column)
        if found:
            value |= {"published": found[0], "source": found[1], "to_published": value["mean"] - found[0]}
        row["values"].append(value)
    return comparisons(rows[1:], values, strata) if column.table == MAIN else []


def _rankings(study: Study, rows: Sequence[Mapping[str, Any]], columns: Sequence[int]) -> dict[str, Any]:
    found = {(row["backbone"], row["objective"]): row for row in rows}
    objectives = [one for one in study.objectives if one != UNTRAINED]

    def figure(backbone: str, objective: str, column: int) -> float | None:
        row = found.get((backbone, objective))
        return row["values"][column]["mean"] if row else None

    return rankings(study.backbones, objectives, columns, figure)


def _published(folder: Path | None) -> list[PublishedRow]:
    path = folder / FILE if folder else None
    return read_published(path) if path and path.is_file() else []


def _published_rankings(rows: Sequence[PublishedRow]) -> dict[str, Any] | None:
    found = published_rankings(rows) if rows else None
    return dict(zip(("objectives", "backbones"), (one.as_json() for one in found), strict=True)) if found else None
