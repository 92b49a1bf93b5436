"""A study's comparison table: a row per backbone and objective, first stage on top, a column per measure."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cedistill.data.files import writing
from cedistill.evaluation.compare import compare
from cedistill.study.plan import Cell, Study

ALPHA = 0.01
_FIRST_STAGE = "first stage"


def collect(study: Study, figures: Iterable[tuple[Cell, Mapping[str, Any]]]) -> dict[str, Any]:
    """Gather the figures of a study's finished cells.

    Returns:
        ``columns``: data set, measure, first stage, depth and number of judged queries of each. ``rows``: the first
        stage, then each backbone and objective with ``seeds`` and per column ``mean``, ``deviation`` over seeds (None
        for one seed) and, against the first stage, ``difference`` and Holm-corrected ``p`` (paired t-test of per-query
        means over seeds; all rows of one column are a family). ``missing``: cells without figures.
    """
    figures = list(figures)
    done = [(cell, one) for cell, one in figures if one]
    missing = [cell.name for cell, one in figures if not one]
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for cell, one in done:
        groups.setdefault((cell.backbone, cell.objective), []).append(one)
    columns = (
        [_column(one.label, measure, done[0][1]) for one in study.evaluate for measure in one.measures] if done else []
    )
    rows: list[dict[str, Any]] = [{"backbone": "", "objective": _FIRST_STAGE, "seeds": [], "values": []}]
    rows += [
        {"backbone": b, "objective": o, "seeds": [one["seed"] for one in ones], "values": []}
        for (b, o), ones in groups.items()
    ]
    for column in columns:
        _fill(rows, list(groups.values()), column)
    return {"title": study.title, "columns": columns, "rows": rows, "missing": missing}


def write_tables(folder: Path, table: Mapping[str, Any], command: str) -> None:
    """Write ``table.md`` and ``table.json`` into a study's folder."""
    with writing(folder / "table.json") as file:
        json.dump(table, file, indent=1)
    with writing(folder / "table.md") as file:
        file.write(f"# {table['title']}\n\n" + (f"```\n{command}\n```\n\n" if command else "") + markdown(table) + "\n")


def markdown(table: Mapping[str, Any]) -> str:
    """Return the table as Markdown: best in bold, ``±`` the deviation over seeds, ``*`` above the first stage."""
    columns, rows = table["columns"], table["rows"]
    best = [max((row["values"][place]["mean"] for row in rows[1:]), default=math.nan) for place in range(len(columns))]
    header = [
        "backbone",
        "objective",
        "seeds",
        *(f"{one['dataset']} {shown_measure(one['measure'])}" for one in columns),
    ]
    lines = [header, ["---", "---", "---:", *["---:"] * len(columns)]]
    for row in rows:
        cells = [
            _shown(value, value["mean"] == best[place] and row is not rows[0])
            for place, value in enumerate(row["values"])
        ]
        stages = ", ".join(dict.fromkeys(one["first_stage"] for one in columns))
        name = row["objective"] if row is not rows[0] else f"{row['objective']} ({stages})"
        lines.append([row["backbone"], name, str(len(row["seeds"]) or ""), *cells])
    notes = [f"First stage: {'; '.join(_first_stages(columns))}.", _legend(rows)]
    if table["missing"]:
        notes.append(f"Without figures yet: {', '.join(table['missing'])}.")
    widths = [max(len(line[place]) for line in lines) for place in range(len(header))]
    body = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    return "\n".join([*body, "", *notes])


def shown_measure(name: str) -> str:
    """Return a measure's name as papers print it: ``ndcg@10`` as nDCG@10, ``rr(rel=2)@10`` as RR(rel=2)@10."""
    stem = name.partition("(")[0].partition("@")[0]
    known = {"ndcg": "nDCG", "rr": "RR", "ap": "AP", "p": "P", "recall": "Recall", "success": "Success"}
    return known.get(stem, stem) + name[len(stem) :]


def _column(dataset: str, measure: str, figures: Mapping[str, Any]) -> dict[str, Any]:
    found = figures["datasets"][dataset]
    first = found["first_stage"]
    queries = found["runs"][first]["queries"]
    return {"dataset": dataset, "measure": measure, "first_stage": first, "depth": found["depth"], **queries}


def _fill(
    rows: Sequence[dict[str, Any]], groups: Sequence[Sequence[Mapping[str, Any]]], column: Mapping[str, Any]
) -> None:
    dataset, measure, first = column["dataset"], column["measure"], column["first_stage"]
    baseline = groups[0][0]["datasets"][dataset]["runs"][first]["per_query"]
    values = {"": {measure: {query_id: one[measure] for query_id, one in baseline.items()}}}
    means = []
    for number, seeds in enumerate(groups):
        runs = [one["datasets"][dataset]["runs"]["reranked"] for one in seeds]
        means.append([run["measures"][measure] for run in runs])
        values[str(number)] = {
            measure: {
                query_id: statistics.fmean(run["per_query"][query_id][measure] for run in runs) for query_id in baseline
            }
        }
    rows[0]["values"].append({"mean": statistics.fmean(values[""][measure].values())})
    for row, seeds, test in zip(rows[1:], means, compare("", values, [measure]), strict=True):
        deviation = statistics.stdev(seeds) if len(seeds) > 1 else None
        tested = {"difference": test["difference"], "p": test["p_holm"]}
        row["values"].append({"mean": statistics.fmean(seeds), "deviation": deviation, **tested})


def _shown(value: Mapping[str, Any], best: bool) -> str:
    text = f"{value['mean']:.4f}"
    text = f"**{text}**" if best else text
    if value.get("deviation") is not None:
        text += f" ± {value['deviation']:.4f}"
    if value.get("p", 1.0) < ALPHA:
        text += " *" if value["difference"] > 0 else " ▾"
    return text


def _legend(rows: Sequence[Mapping[str, Any]]) -> str:
    seeds = " ± is the standard deviation over seeds." if any(len(row["seeds"]) > 1 for row in rows) else ""
    return (
        f"Bold: best of a column.{seeds} *: above the first stage, ▾: below it (paired t-test over queries, "
        f"Holm-corrected over the rows, p < {ALPHA:g})."
    )


def _first_stages(columns: Sequence[Mapping[str, Any]]) -> list[str]:
    shown = {}
    for one in columns:
        depth = f" to depth {one['depth']}" if one["depth"] else ""
        missing = f", {one['missing']} without candidates" if one["missing"] else ""
        shown[one["dataset"]] = f"{one['dataset']} {one['first_stage']}{depth}, {one['judged']} queries{missing}"
    return list(shown.values())
