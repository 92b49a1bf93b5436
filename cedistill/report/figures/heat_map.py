"""The heat map of a study: objectives down, backbones across, the mean over seeds in each field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cedistill.report.figures.style import INK, canvas, save
from cedistill.report.names import shown_backbone, shown_measure, shown_objective


def grid(table: Mapping[str, Any], place: int) -> tuple[list[str], list[str], list[list[float | None]]]:
    """Return objectives, backbones and [objectives][backbones] means of a column, None where there is none."""
    objectives, backbones = (
        list(dict.fromkeys(row[name] for row in table["rows"][1:])) for name in ("objective", "backbone")
    )
    found = {(row["objective"], row["backbone"]): row["values"][place]["mean"] for row in table["rows"][1:]}
    return objectives, backbones, [[found.get((o, b)) for b in backbones] for o in objectives]


def draw(table: Mapping[str, Any], place: int, folder: Path, name: str) -> str:
    """Draw the heat map of a column; return it for the page."""
    objectives, backbones, fields = grid(table, place)
    values = np.array(fields, dtype=float)
    column = table["columns"][place]
    with canvas(2.4 + 0.95 * len(backbones), 1.3 + 0.42 * len(objectives), name) as (figure, axes):
        shown = axes.imshow(
            values, aspect="auto", cmap="YlGnBu", vmin=np.nanmin(values) - 1e-9, vmax=np.nanmax(values) + 1e-9
        )
        axes.set_xticks(range(len(backbones)), _wrapped([shown_backbone(one) for one in backbones]))
        axes.set_yticks(range(len(objectives)), [shown_objective(one) for one in objectives])
        axes.grid(False)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        axes.set_title(f"{column['dataset']}, {shown_measure(column['measure'])}")
        for (down, across), value in np.ndenumerate(values):
            if not np.isnan(value):
                dark = shown.norm(value) > 0.6
                axes.text(across, down, f"{value:.3f}", ha="center", va="center", color="white" if dark else INK)
        return save(figure, folder, name)


def shades(fields: Sequence[Sequence[float | None]]) -> list[list[float]]:
    """Return each field's place between the lowest (0) and the highest (1) of all; 0.5 where all are equal."""
    known = [one for row in fields for one in row if one is not None]
    low, high = min(known), max(known)
    return [
        [0.0 if one is None else (one - low) / (high - low) if high > low else 0.5 for one in row] for row in fields
    ]


def _wrapped(names: Sequence[str]) -> list[str]:
    return [name.replace(" ", "\n").replace("-", "-\n", 1) if len(name) > 9 else name for name in names]
