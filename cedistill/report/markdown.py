"""A study's tables as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cedistill.report.cost import COSTS, shown_cost
from cedistill.report.layout import (
    Part,
    costs_of,
    first_stages,
    has_letters,
    has_seeds,
    is_best,
    mark,
    parts,
    published_cells,
)
from cedistill.report.names import shown_measure


def markdown(table: Mapping[str, Any]) -> str:
    """Return the main table: best in bold, ``±`` over seeds, ``*`` above the first stage, letters of beaten rows."""
    return _part(table, parts(table)[0]) + "\n\n" + "\n".join(_notes(table))


def markdown_in_full(table: Mapping[str, Any]) -> str:
    """Return the main table, then those of data sets behind means, cost, and published figures beside ours."""
    sections = [markdown(table)]
    for part in parts(table)[1:]:
        columns = [table["columns"][place] for place in part.places]
        stages = "\n".join(f"{one}." for one in first_stages(columns))
        sections.append(f"## {part.name}, by data set\n\n{_part(table, part)}\n\nFirst stages: {stages}")
    if costs_of(table):
        sections.append(f"## Effectiveness and cost\n\n{_cost(table)}")
    if any(True for _ in published_cells(table)):
        sections.append(f"## Beside published figures\n\n{_published(table)}")
    return "\n\n".join(sections)


def _part(table: Mapping[str, Any], part: Part) -> str:
    columns = [table["columns"][place] for place in part.places]
    letters = has_letters(table)
    header = ["backbone", "objective", *(["row"] if letters else []), "seeds"]
    rules = ["---", "---", *(["---"] if letters else []), "---:", *["---:"] * len(columns)]
    header += [_heading(one) for one in columns]
    lines = []
    for row in table["rows"]:
        stages = list(dict.fromkeys(one["first_stage"] for one in columns))
        name = row["objective"] if row["backbone"] or len(stages) > 3 else f"{row['objective']} ({', '.join(stages)})"
        cells = [_shown(table, row, place) for place in part.places]
        letter = [row.get("letter", "")] if letters else []
        lines.append([row["backbone"], name, *letter, str(len(row["seeds"]) or ""), *cells])
    return aligned(header, rules, lines)


def aligned(header: Sequence[str], rules: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, its columns padded to equal width."""
    every = [[cell.replace("|", "\\|") for cell in line] for line in (header, rules, *lines)]
    widths = [max(len(line[place]) for line in every) for place in range(len(header))]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in every
    )


def _heading(column: Mapping[str, Any]) -> str:
    return f"{column['dataset']} {shown_measure(column['measure'])}"


def _shown(table: Mapping[str, Any], row: Mapping[str, Any], place: int) -> str:
    value = row["values"][place]
    text = f"{value['mean']:.4f}"
    text = f"**{text}**" if is_best(table, row, place) else text
    if value.get("deviation") is not None:
        text += f" ± {value['deviation']:.4f}"
    return " ".join(one for one in (text, mark(value, table["alpha"]), value.get("better", "")) if one)


def _notes(table: Mapping[str, Any]) -> list[str]:
    main = [one for one in table["columns"] if not one["table"]]
    seeds = " ± is the standard deviation over seeds." if has_seeds(table) else ""
    test = f"paired t-test over queries, Holm-corrected over the rows, p < {table['alpha']:g}"
    notes = [
        f"First stage: {'; '.join(first_stages(main))}.",
        f"Bold: best of a column.{seeds} *: above the first stage, ▾: below it ({test}).",
    ]
    if has_letters(table):
        of_group = " of the same backbone" if any(row.get("group") for row in table["rows"]) else ""
        notes.append(f"Letters: significantly above those rows{of_group} (same test, Holm-corrected over all pairs).")
    if table["missing"]:
        notes.append(f"Without figures yet: {', '.join(table['missing'])}.")
    return notes


def _cost(table: Mapping[str, Any]) -> str:
    costs, places = costs_of(table), table["leading"]
    header = ["backbone", "objective", *(_heading(table["columns"][place]) for place in places)]
    header += [COSTS[name] for name in costs]
    lines = [
        [
            row["backbone"],
            row["objective"],
            *(f"{row['values'][place]['mean']:.4f}" for place in places),
            *(shown_cost(name, row["cost"].get(name)) for name in costs),
        ]
        for row in table["rows"][1:]
    ]
    return aligned(header, ["---", "---", *["---:"] * (len(header) - 2)], lines)


def _published(table: Mapping[str, Any]) -> str:
    lines = [
        [
            row["backbone"],
            row["objective"],
            _heading(column),
            f"{value['mean']:.4f}",
            f"{value['published']:.4f}",
            f"{value['to_published']:+.4f}",
            value["source"],
        ]
        for row, column, value in published_cells(table)
    ]
    header = ["backbone", "objective", "column", "ours", "published", "difference", "source"]
    return aligned(header, ["---", "---", "---", "---:", "---:", "---:", "---"], lines)
