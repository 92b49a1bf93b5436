"""The written forms of a study's tables: Markdown, LaTeX, CSV and JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cedistill.data.files import writing
from cedistill.report.cost import COSTS
from cedistill.report.latex import cost_latex, latex
from cedistill.report.layout import costs_of
from cedistill.report.markdown import cost_markdown, markdown_in_full

_OF_COST = ["backbone", "objective", "seeds", *COSTS]


def write_tables(folder: Path, table: Mapping[str, Any], command: str) -> None:
    """Write a study's tables into its folder, in four forms each: ``table`` and, where anything is known, ``cost``.

    Cost stands by itself because times differ from run to run: of the same cells ``table`` is always the same.
    """
    made_by = f"```\n{command}\n```\n\n" if command else ""
    figures = without_cost(table)
    forms: dict[str, tuple[Any, str, str, list[list[Any]]]] = {
        "table": (figures, markdown_in_full(figures), latex(figures), csv_rows(figures))
    }
    if costs_of(table):
        whole = [{**row, **row["cost"], "seeds": len(row["seeds"])} for row in table["rows"][1:]]
        costs = [{name: row[name] for name in _OF_COST if name in row} for row in whole]
        rows = [_OF_COST, *([one.get(name, "") for name in _OF_COST] for one in costs)]
        forms["cost"] = (costs, cost_markdown(table), cost_latex(table), rows)
    for name, (content, markdown, tex, rows) in forms.items():
        with writing(folder / f"{name}.json") as file:
            json.dump(content, file, indent=1)
        with writing(folder / f"{name}.md") as file:
            file.write(f"# {table['title']}\n\n{made_by}{markdown}\n")
        with writing(folder / f"{name}.tex") as file:
            file.write(tex)
        with writing(folder / f"{name}.csv") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


def without_cost(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the table without what differs from run to run of the same cells."""
    rows = [{name: value for name, value in row.items() if name != "cost"} for row in table["rows"]]
    return {**table, "rows": rows}


def csv_rows(table: Mapping[str, Any]) -> list[list[Any]]:
    """Return one line for each row and column of the table, all digits, under a header; "" is what is not known."""
    header = ["backbone", "objective", "seeds", "table", "dataset", "measure", "mean", "deviation", "first_stage"]
    header += ["difference", "p_holm", "better_than", "published", "to_published", "source"]
    lines = []
    for row in table["rows"]:
        for place, (column, value) in enumerate(zip(table["columns"], row["values"], strict=True)):
            known = [row["backbone"], row["objective"], len(row["seeds"]) or "", column["table"]]
            known += [column["dataset"], column["measure"], value["mean"], value.get("deviation")]
            known += [table["rows"][0]["values"][place]["mean"], value.get("difference"), value.get("p")]
            known += [value.get(name, "") for name in ("better", "published", "to_published", "source")]
            lines.append(["" if one is None else one for one in known])
    return [header, *lines]
