"""The report: one self-contained HTML page, with its figures also as files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cedistill.data.files import writing
from cedistill.report.columns import MAIN, columns_of
from cedistill.report.cost import COSTS, read_log, shown_cost
from cedistill.report.figures import critical_difference, curves, heat_map, teacher_shares, trade_off
from cedistill.report.layout import (
    costs_of,
    first_stages,
    has_letters,
    has_seeds,
    is_best,
    mark,
    parts,
    published_cells,
)
from cedistill.report.letters import row_name
from cedistill.report.names import shown_backbone, shown_measure, shown_objective
from cedistill.report.provenance import provenance
from cedistill.report.queries import Group, query_data
from cedistill.report.teachers import teacher_agreement
from cedistill.report.words import model_name, signed, summary
from cedistill.study.plan import Study

_DIGITS = 3
_TEMPLATE = Path(__file__).parent / "template"


def write_report(
    study: Study,
    folder: Path,
    study_file: Path,
    table: Mapping[str, Any],
    groups: Sequence[Group],
    command: str,
    *,
    texts: bool = True,
) -> Path:
    """Write ``report/index.html`` and ``report/figures/`` into a study's folder; return the page.

    Args:
        study: what was asked for.
        folder: the study's folder.
        study_file: its file.
        table: as ``cedistill.report.table.collect`` gives it.
        groups: the cells with figures of each row of the table after the first stage, in its order.
        command: what made the report.
        texts: show queries and documents where they are on this machine, not only their ids.
    """
    names = [row_name(row) for row in table["rows"][1:]]
    single = {column.labels: column for column in reversed(columns_of(study)) if not column.is_mean}
    ordered = [single[(one.label,)] for one in study.evaluate]
    queries = query_data(dict(zip(names, groups, strict=True)), ordered, study.evaluate, folder, texts=texts)
    content = {
        "table": table,
        "summary": summary(table),
        "notes": _notes(table),
        "heat_maps": _heat_maps(table),
        "figures": _figures(table, groups, folder),
        "comparisons": _comparisons(table),
        "queries": queries,
        "labels": {row_name(row): model_name(row) for row in table["rows"]},
        "teachers": teacher_agreement(study),
        "provenance": provenance(folder, study_file, [cell for group in groups for cell, _ in group], command),
    }
    path = folder / "report" / "index.html"
    with writing(path) as file:
        file.write(render(content))
    return path


def render(content: Mapping[str, Any]) -> str:
    """Return the page of a report's content; it names no other file and needs no network."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    functions: dict[str, Callable[..., Any]] = {
        "parts": parts,
        "is_best": lambda table, row, place: is_best(table, row, place, _DIGITS),
        "mark": mark,
        "backbone": shown_backbone,
        "objective": shown_objective,
        "measure": shown_measure,
        "cost": shown_cost,
        "costs_of": costs_of,
        "published_cells": published_cells,
        "has_letters": has_letters,
        "has_seeds": has_seeds,
        "p": _p,
        "signed": signed,
    }
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= functions | {"COSTS": COSTS, "MAIN": MAIN}
    return environment.get_template("report.html.j2").render(
        **content,
        style=(_TEMPLATE / "report.css").read_text(encoding="utf-8"),
        script=(_TEMPLATE / "report.js").read_text(encoding="utf-8"),
        data=_for_script({"sets": content["queries"], "labels": content["labels"]}),
    )


def _for_script(value: Any) -> str:
    """Return JSON that may stand inside a script element, whatever texts it holds."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _notes(table: Mapping[str, Any]) -> list[str]:
    main = [one for one in table["columns"] if one["table"] == MAIN]
    seeds = " ± is the standard deviation over seeds." if has_seeds(table) else ""
    test = f"paired t-test over queries, Holm-corrected, p < {table['alpha']:g}"
    notes = [
        f"First stage: {'; '.join(first_stages(main))}.",
        f"Bold: best of a column.{seeds} ▴ above the first stage, ▾ below it ({test}).",
    ]
    if has_letters(table):
        of_group = " of the same backbone" if any(row.get("group") for row in table["rows"]) else ""
        notes.append(f"Letters after a figure: significantly above the rows{of_group} that carry them (all pairs).")
    return notes


def _heat_maps(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = []
    for place in table["leading"]:
        objectives, backbones, fields = heat_map.grid(table, place)
        if len(objectives) * len(backbones) > 1:
            one = {"column": table["columns"][place], "objectives": objectives, "backbones": backbones}
            found.append(one | {"fields": fields, "shades": heat_map.shades(fields)})
    return found


def _figures(table: Mapping[str, Any], groups: Sequence[Group], folder: Path) -> dict[str, str | None]:
    place, figures = folder / "report" / "figures", {}
    lead = table["leading"][0]
    heat_map.draw(table, lead, place, "heat-map")
    figures["trade_off"] = trade_off.draw(table, lead, place, "effectiveness-and-cost")
    logs = {
        (group[0][0].backbone, group[0][0].objective): [read_log(folder / cell.name) for cell, _ in group]
        for group in groups
    }
    measure, validation = curves.validation_curves(logs)
    figures["validation"] = curves.draw(validation, f"validation {shown_measure(measure)}", place, "validation")
    routed = curves.routing_curves(logs)
    figures["routing_entropy"] = curves.draw(routed["entropy"], "routing entropy (nats)", place, "routing-entropy")
    figures["routing_share"] = curves.draw(routed["share"], "largest share of a teacher", place, "routing-share")
    figures["teacher_shares"] = teacher_shares.draw(teacher_shares.shares_of(logs), place, "teacher-shares")
    figures["loss"] = curves.draw(curves.loss_curves(logs), "relative loss", place, "loss")
    for kind, shown in (("objectives", shown_objective), ("backbones", shown_backbone)):
        for origin, prefix, names in (("rankings", "", shown), ("published_rankings", "published-", str)):
            ranking = (table[origin] or {}).get(kind, {"none": ""})
            name = f"{prefix}ranks-of-{kind}"
            drawn = None if "none" in ranking else critical_difference.draw(ranking, names, place, name)
            figures[name.replace("-", "_")] = drawn
    return figures


def _comparisons(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the comparisons of the leading columns, each with its column."""
    return [
        one | {"heading": table["columns"][one["column"]]}
        for one in table["comparisons"]
        if one["column"] in table["leading"]
    ]


def _p(value: float) -> str:
    return "< .0001" if value < 0.0001 else f"{value:.4f}"[1:] if value < 1 else "1"
