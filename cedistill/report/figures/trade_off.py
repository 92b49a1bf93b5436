"""Effectiveness against cost: how much a model's nDCG is bought with time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cedistill.report.figures.style import MUTED, canvas, save, series
from cedistill.report.names import shown_backbone, shown_measure, shown_objective

_AXES = {
    "ms_per_100_documents": "milliseconds per 100 documents",
    "training_seconds": "training time in seconds",
    "parameters": "parameters",
}


def cost_axis(table: Mapping[str, Any]) -> str | None:
    """Return the cost that effectiveness is shown against: latency, else training time, else size, if any is known."""
    for name in _AXES:
        if sum(name in row["cost"] for row in table["rows"][1:]) > 1:
            return name
    return None


def draw(table: Mapping[str, Any], place: int, folder: Path, name: str) -> str | None:
    """Draw each model as a point, a series for each objective; return it for the page, None without any cost."""
    axis = cost_axis(table)
    if axis is None:
        return None
    column = table["columns"][place]
    rows = [row for row in table["rows"][1:] if axis in row["cost"]]
    objectives = list(dict.fromkeys(row["objective"] for row in rows))
    with canvas(7.2, 4.2, name) as (figure, axes):
        for number, objective in enumerate(objectives):
            ones = [row for row in rows if row["objective"] == objective]
            x = [row["cost"][axis] for row in ones]
            y = [row["values"][place]["mean"] for row in ones]
            errors = [row["values"][place].get("deviation") or 0.0 for row in ones]
            axes.errorbar(
                x,
                y,
                errors,
                linestyle="",
                markersize=7,
                elinewidth=1,
                label=shown_objective(objective),
                **series(number),
            )
        highest: dict[str, Mapping[str, Any]] = {}
        for row in rows:
            known = highest.get(row["backbone"])
            if known is None or row["values"][place]["mean"] > known["values"][place]["mean"]:
                highest[row["backbone"]] = row
        first = table["rows"][0]["values"][place]["mean"]
        axes.axhline(first, color=MUTED, linestyle="--", linewidth=1)
        axes.annotate(
            "first stage",
            (1, first),
            (-2, 4),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            ha="right",
            color=MUTED,
            fontsize=9,
        )
        values = [row["cost"][axis] for row in rows]
        if max(values) > 8 * min(values):
            axes.set_xscale("log")
        axes.margins(0.12)
        points = [(row["cost"][axis], row["values"][place]["mean"]) for row in rows]
        tops = [(row["cost"][axis], row["values"][place]["mean"]) for row in highest.values()]
        figure.draw_without_rendering()  # places below are those of the final scales
        _name_points(axes, [shown_backbone(one) for one in highest], tops, points)
        axes.set_xlabel(_AXES[axis])
        axes.set_ylabel(f"{column['dataset']}, {shown_measure(column['measure'])}")
        figure.legend(loc="outside lower center", ncols=min(4, len(objectives)))
        return save(figure, folder, name)


def _name_points(
    axes: Any, names: Sequence[str], tops: Sequence[tuple[float, float]], points: Sequence[tuple[float, float]]
) -> None:
    """Write each name beside its point, on the side where it covers the fewest points and names."""
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in axes.transData.transform(points)]
    for name, top, (x, y) in zip(names, tops, axes.transData.transform(tops), strict=True):
        width = 7.5 * len(name)
        sides = [
            (9, 4, "left"),
            (-9, 4, "right"),
            (9, -14, "left"),
            (-9, -14, "right"),
            (9, 14, "left"),
            (-9, 14, "right"),
        ]
        boxes = [
            (
                x + right - (width if side == "right" else 0),
                y + up,
                x + right + (width if side == "left" else 0),
                y + up + 13,
            )
            for right, up, side in sides
        ]
        inside = axes.get_window_extent()
        covered = [
            sum(_overlap(box, other) for other in taken) + (box[0] < inside.x0 or box[2] > inside.x1) for box in boxes
        ]
        best = covered.index(min(covered))
        right, up, side = sides[best]
        taken.append(boxes[best])
        axes.annotate(
            name, top, (right * 0.72, up * 0.72), textcoords="offset points", ha=side, color=MUTED, fontsize=9
        )


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
