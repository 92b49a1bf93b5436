"""The written forms of a study's tables: Markdown, LaTeX, CSV and JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cedistill.data.files import writing
from cedistill.report.cost import COSTS
from cedistill.report.latex import latex
from cedistill.report.markdown import markdown_in_full


def write_tables(folder: Path, table: Mapping[str, Any], command: str) -> None:
    """Write ``table.md``, ``table.tex``, ``table.csv`` and ``table.json`` into a study's folder."""
    with writing(folder / "table.json") as file:
        json.dump(table, file, indent=1)
    with writing(folder / "table.md") as file:
        made_by = f"```\n{command}\n```\n\n" if command else ""
        file.write(f"# {table['title']}\n\n{made_by}{markdown_in_full(table)}\n")
    with writing(folder / "table.tex") as file:
        file.write(latex(table))
    with writing(folder / "table.csv") as file:
        csv.writer(file, lineterminator="\n").writerows(csv_rows(table))


def csv_rows(table: Mapping[str, Any]) -> list[list[Any]]:
    """Return one line for each row and column of the table, all digits, under a header; "" is what is not known."""
    header = ["backbone", "objective", "seeds", "table", "dataset", "measure", "mean", "deviation", "first_stage"]
    header += ["difference", "p_holm", "better_than", "published", "to_published", "source", *COSTS]
    lines = []
    for row in table["rows"]:
        for place, (column, value) in enumerate(zip(table["columns"], row["values"], strict=True)):
            known = [row["backbone"], row["objective"], len(row["seeds"]) or "", column["table"]]
            known += [column["dataset"], column["measure"], value["mean"], value.get("deviation")]
            known += [table["rows"][0]["values"][place]["mean"], value.get("difference"), value.get("p")]
            known += [value.get(name, "") for name in ("better", "published", "to_published", "source")]
            known += [row.get("cost", {}).get(name, "") for name in COSTS]
            lines.append(["" if one is None else one for one in known])
    return [header, *lines]
