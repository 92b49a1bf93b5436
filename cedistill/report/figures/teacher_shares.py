"""Which teachers an objective listened to: each teacher's share of the weights by step, a panel for each objective."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from cedistill.report.figures.curves import Curve, Logs, mean_curve, smooth
from cedistill.report.figures.style import PAPER, SERIES, canvas, save
from cedistill.report.names import shown_objective

_ACROSS = 3


def shares_of(logs: Logs) -> dict[str, dict[str, Curve]]:
    """Return objective → teacher → share by step, the mean over backbones and seeds; of objectives with two or more."""
    lines: dict[str, list[list[tuple[float, dict[str, float]]]]] = {}
    for (_, objective), ones in logs.items():
        routed = [[(one["step"], one["routing_share"]) for one in log if "routing_share" in one] for log in ones]
        lines.setdefault(objective, []).extend(log for log in routed if log)
    found = {}
    for objective, runs in lines.items():
        teachers = list(dict.fromkeys(name for log in runs for _, share in log for name in share))
        if len(teachers) > 1:
            found[objective] = {
                name: mean_curve([[(step, share.get(name, 0.0)) for step, share in log] for log in runs])
                for name in teachers
            }
    return found


def draw(shares: Mapping[str, Mapping[str, Curve]], folder: Path, name: str) -> str | None:
    """Draw the shares as areas that add up to 1; return them for the page, None without any."""
    if not shares:
        return None
    teachers = list(dict.fromkeys(teacher for one in shares.values() for teacher in one))
    across = min(_ACROSS, len(shares))
    down = math.ceil(len(shares) / across)
    size = (7.2 if across > 1 else 5.4, 1.0 + 1.8 * down)
    with canvas(*size, name, nrows=down, ncols=across, sharex=True, sharey=True, squeeze=False) as (figure, axes):
        for axis in axes.flat[len(shares) :]:
            axis.set_visible(False)
        for place, (axis, (objective, curves)) in enumerate(zip(axes.flat, shares.items(), strict=False)):
            smoothed = {teacher: smooth(curve) for teacher, curve in curves.items()}
            axis.stackplot(
                [step for step, _ in next(iter(smoothed.values()))],
                [[value for _, value in curve] for curve in smoothed.values()],
                labels=list(smoothed),
                colors=[SERIES[teachers.index(teacher) % len(SERIES)] for teacher in smoothed],
                edgecolor=PAPER,
                linewidth=0.8,
            )
            axis.set_title(shown_objective(objective))
            axis.set_ylim(0, 1)
            axis.margins(x=0)
            if place + across >= len(shares):
                axis.set_xlabel("step")
                axis.xaxis.set_tick_params(labelbottom=True)
        figure.supylabel("share of the weights", fontsize=10)
        handles = {one.get_label(): one for axis in axes.flat for one in axis.collections}
        figure.legend([handles[one] for one in teachers], teachers, loc="outside lower center", ncols=3)
        return save(figure, folder, name)
