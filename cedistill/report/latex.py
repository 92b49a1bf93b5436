"""A study's tables as LaTeX, for the package booktabs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from cedistill.report.cost import COSTS, shown_cost
from cedistill.report.layout import Part, costs_of, first_stages, has_letters, has_seeds, is_best, parts
from cedistill.report.names import shown_backbone, shown_measure, shown_objective

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}
_ESCAPES |= {sign: f"\\{sign}" for sign in "&%$#_{}"}
_DIGITS = 3


def latex(table: Mapping[str, Any]) -> str:
    """Return the tables one after another: the study's, each benchmark's data sets, and cost."""
    tables = [_part(table, part) for part in parts(table)]
    if costs_of(table):
        tables.append(_cost(table))
    return "% Needs \\usepackage{booktabs}\n" + "\n\n".join(tables) + "\n"


def escaped(text: str) -> str:
    """Return text with the signs that LaTeX reads as commands written out."""
    return "".join(_ESCAPES.get(sign, sign) for sign in text)


def _part(table: Mapping[str, Any], part: Part) -> str:
    columns = [table["columns"][place] for place in part.places]
    body = []
    for _group, rows in groupby(table["rows"], key=lambda row: row["backbone"]):
        body += [_line(table, row, part) for row in rows] + ["\\midrule"]
    name = f"{table['title']}: {part.name}, by data set" if part.name else table["title"]
    return _framed(_caption(table, name, columns), "ll" + "r" * len(columns), [*_head(columns), *body[:-1]])


def _head(columns: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the heading: data sets over their measures, or one line where each has one measure."""
    spans = [(name, len(list(ones))) for name, ones in groupby(columns, key=lambda one: one["dataset"])]
    measures = [escaped(shown_measure(one["measure"])) for one in columns]
    if len(set(measures)) == 1 and len(spans) == len(columns):
        return [_joined(["Backbone", "Objective", *(escaped(name) for name, _ in spans)]), "\\midrule"]
    rules, place = [], 3
    for _, width in spans:
        rules.append(f"\\cmidrule(lr){{{place}-{place + width - 1}}}")
        place += width
    over = [f"\\multicolumn{{{width}}}{{c}}{{{escaped(name)}}}" for name, width in spans]
    return [_joined(["", "", *over]), " ".join(rules), _joined(["Backbone", "Objective", *measures]), "\\midrule"]


def _line(table: Mapping[str, Any], row: Mapping[str, Any], part: Part) -> str:
    letter = f"\\textsuperscript{{{row['letter']}}}" if row.get("letter") else ""
    objective = shown_objective(row["objective"]) if row["backbone"] else "First stage"
    names = [escaped(shown_backbone(row["backbone"])), escaped(objective) + letter]
    return _joined([*names, *(_value(table, row, place) for place in part.places)])


def _value(table: Mapping[str, Any], row: Mapping[str, Any], place: int) -> str:
    value = row["values"][place]
    text = _number(value["mean"])
    text = f"\\textbf{{{text}}}" if is_best(table, row, place, _DIGITS) else text
    if value.get("deviation") is not None:
        text += f"{{\\scriptsize\\,$\\pm$\\,{_number(value['deviation'])}}}"
    signs = value.get("better", "")
    if value.get("p", 1.0) < table["alpha"]:
        signs = ("$\\ast$" if value["difference"] > 0 else "$\\downarrow$") + signs
    return f"{text}\\textsuperscript{{{signs}}}" if signs else text


def _number(value: float) -> str:
    return f"{value:.{_DIGITS}f}".replace("0.", ".", 1) if 0 <= value < 0.9995 else f"{value:.{_DIGITS}f}"


def _caption(table: Mapping[str, Any], name: str, columns: Sequence[Mapping[str, Any]]) -> str:
    shared = {shown_measure(one["measure"]) for one in columns}
    measure = f" {escaped(shared.pop())}." if len(shared) == 1 else ""
    seeds = " $\\pm$: standard deviation over seeds." if has_seeds(table) else ""
    letters = " Letters: significantly above those rows." if has_letters(table) else ""
    signs = (
        f" Bold: best. $\\ast$/$\\downarrow$: above/below the first stage.{letters}{seeds}"
        f" Paired t-test, Holm-corrected, $p<{table['alpha']:g}$."
    )
    return f"{escaped(name)}.{measure}{signs} First stages: {escaped('; '.join(first_stages(columns)))}."


def _cost(table: Mapping[str, Any]) -> str:
    costs, places = costs_of(table), table["leading"]
    header = ["Backbone", "Objective", *(escaped(table["columns"][place]["dataset"]) for place in places)]
    header += [escaped(COSTS[name]) for name in costs]
    body = [
        _joined(
            [
                escaped(shown_backbone(row["backbone"])),
                escaped(shown_objective(row["objective"])),
                *(_number(row["values"][place]["mean"]) for place in places),
                *(escaped(shown_cost(name, row["cost"].get(name))) for name in costs),
            ]
        )
        for row in table["rows"][1:]
    ]
    caption = f"{escaped(table['title'])}: effectiveness and cost."
    return _framed(caption, "ll" + "r" * (len(header) - 2), [_joined(header), "\\midrule", *body])


def _framed(caption: str, alignment: str, lines: Sequence[str]) -> str:
    start = [
        "\\begin{table}",
        "\\centering",
        f"\\caption{{{caption}}}",
        f"\\begin{{tabular}}{{{alignment}}}",
        "\\toprule",
    ]
    return "\n".join([*start, *lines, "\\bottomrule", "\\end{tabular}", "\\end{table}"])


def _joined(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"
