"""Learning curves: validation and loss by step, a panel for each backbone and a line for each objective."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cedistill.report.figures.style import SERIES, canvas, save
from cedistill.report.names import shown_backbone, shown_measure, shown_objective

Curve = list[tuple[float, float]]
"""(step, value), by step."""
Logs = Mapping[tuple[str, str], Sequence[Sequence[Mapping[str, Any]]]]
"""(backbone, objective) → the log of each seed."""


def validation_curves(logs: Logs) -> tuple[str, dict[tuple[str, str], list[Curve]]]:
    """Return the measure of validation and its values by step for each seed; "" and nothing where none was logged."""
    names = [name for ones in logs.values() for log in ones for line in log for name in line.get("validation", {})]
    measure = next((name for name in names if name.startswith("ndcg")), names[0] if names else "")
    curves = {
        key: [
            [(one["step"], one["validation"][measure]) for one in log if measure in one.get("validation", {})]
            for log in ones
        ]
        for key, ones in logs.items()
    }
    return measure, {key: ones for key, ones in curves.items() if measure and any(ones)}


def loss_curves(logs: Logs) -> dict[tuple[str, str], list[Curve]]:
    """Return the loss by step for each seed as a share of its first values, as losses differ in their units."""
    curves = {}
    for key, ones in logs.items():
        found = []
        for log in ones:
            points = [(one["step"], one["loss"]) for one in log if "loss" in one]
            start = float(np.mean([loss for _, loss in points[:2]])) if points else 0.0
            found.append([(step, loss / start) for step, loss in points] if start > 0 else [])
        if any(found):
            curves[key] = found
    return curves


def routing_curves(logs: Logs) -> dict[str, dict[tuple[str, str], list[Curve]]]:
    """Return how objectives with several teachers routed by step for each seed; empty where none did.

    ``entropy`` is that of the teachers' weights, in nats, by backbone and objective. ``share`` is the largest share
    that one teacher has, which tells a gate that has collapsed (1) from one that spreads its queries.
    """
    values: dict[str, Callable[[Mapping[str, Any]], float]] = {
        "entropy": lambda one: one["routing_entropy"],
        "share": lambda one: max(one["routing_share"].values(), default=0.0),
    }
    found = {}
    for name, value in values.items():
        curves = {
            key: [[(one["step"], value(one)) for one in log if "routing_share" in one] for log in ones]
            for key, ones in logs.items()
        }
        found[name] = {key: ones for key, ones in curves.items() if any(ones)}
    return found


def draw(curves: Mapping[tuple[str, str], Sequence[Curve]], label: str, folder: Path, name: str) -> str | None:
    """Draw the curves, the mean over seeds over thin lines of each; return them for the page, None without any."""
    if not curves:
        return None
    backbones, objectives = (list(dict.fromkeys(key[place] for key in curves)) for place in (0, 1))
    across = min(3, len(backbones))
    down = math.ceil(len(backbones) / across)
    size = (7.2 if across > 1 else 5.4, 0.8 + 2.3 * down if across > 1 else 3.4)
    with canvas(*size, name, nrows=down, ncols=across, sharex=True, sharey=True, squeeze=False) as (figure, axes):
        for axis in axes.flat[len(backbones) :]:
            axis.set_visible(False)
        for (backbone, objective), seeds in curves.items():
            axis, colour = axes.flat[backbones.index(backbone)], SERIES[objectives.index(objective) % len(SERIES)]
            dashes = "-" if objectives.index(objective) < len(SERIES) else "--"
            for curve in seeds if len(seeds) > 1 else []:
                axis.plot(*_columns(curve), color=colour, linewidth=0.7, alpha=0.45)
            few = "o" if max(map(len, seeds)) < 12 else ""
            axis.plot(
                *_columns(smooth(mean_curve(seeds))),
                dashes,
                color=colour,
                linewidth=1.8,
                marker=few,
                markersize=4,
                label=objective,
            )
        for axis, backbone in zip(axes.flat, backbones, strict=False):
            axis.set_title(shown_backbone(backbone))
        for place, axis in enumerate(axes.flat[: len(backbones)]):
            if place + across >= len(backbones):
                axis.set_xlabel("step")
                axis.xaxis.set_tick_params(labelbottom=True)
        figure.supylabel(shown_measure(label), fontsize=10)
        handles = {
            one.get_label(): one for axis in axes.flat for one in axis.lines if not one.get_label().startswith("_")
        }
        figure.legend(
            list(handles.values()), [shown_objective(one) for one in handles], loc="outside lower center", ncols=4
        )
        return save(figure, folder, name)


def mean_curve(seeds: Sequence[Curve]) -> Curve:
    """Return the mean over seeds at the steps that every seed with values has."""
    known = [dict(curve) for curve in seeds if curve]
    steps = sorted(set.intersection(*(set(one) for one in known))) if known else []
    return [(step, float(np.mean([one[step] for one in known]))) for step in steps]


def smooth(curve: Curve, among: int = 24) -> Curve:
    """Return a curve of more than ``among`` points as running means, so that its trend is seen through its noise."""
    width = len(curve) // among
    if width < 1:
        return curve
    values = [value for _, value in curve]
    windows = (values[max(0, place - width) : place + width + 1] for place in range(len(values)))
    return [(step, float(np.mean(window))) for (step, _), window in zip(curve, windows, strict=True)]


def _columns(curve: Curve) -> tuple[list[float], list[float]]:
    return [step for step, _ in curve], [value for _, value in curve]
