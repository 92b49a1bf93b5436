"""The critical-difference diagram (Demšar 2006): average ranks on a line, bars over what cannot be told apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cedistill.report.figures.style import INK, LINE, MUTED, SERIES, canvas, save


def draw(ranking: Mapping[str, Any], shown: Callable[[str], str], folder: Path, name: str) -> str:
    """Draw a ranking as ``Ranking.as_json`` gives it; ``shown`` gives the names. Returns it for the page."""
    names, ranks, difference = ranking["names"], ranking["average_ranks"], ranking["critical_difference"]
    count, cliques = len(names), ranking["cliques"]
    left = math.ceil(count / 2)
    bars = 0.34 * len(cliques)
    below = bars + 0.62 * max(left, count - left) + 0.4
    with canvas(7.2, 0.9 + 0.42 * below / 0.62, name) as (figure, axes):
        # Names stand outside the scale, where no line from a rank passes.
        beyond, room = 0.03 * (count - 1), 0.3 * (count - 1)
        axes.set(xlim=(count + room, 1 - room), ylim=(-below, 1.35))
        axes.axis("off")
        axes.plot([1, count], [0, 0], color=INK, linewidth=1.2)
        for rank in range(1, count + 1):
            axes.plot([rank, rank], [0, 0.14], color=INK, linewidth=1.2)
            axes.text(rank, 0.24, str(rank), ha="center", va="bottom", color=MUTED, fontsize=9)
        width = min(difference, count - 1 + room)
        axes.plot([1, 1 + width], [0.98, 0.98], color=INK, linewidth=1.6, marker="|", markersize=8)
        axes.text(1 + width / 2, 1.06, f"critical difference {difference:.2f}", ha="center", va="bottom", fontsize=9)
        for place, (one, rank) in enumerate(zip(names, ranks, strict=True)):
            best = place < left
            depth = -bars - 0.62 * ((place if best else count - 1 - place) + 1)
            edge = 1 - beyond if best else count + beyond
            axes.plot([rank, rank, edge], [0, depth, depth], color=LINE, linewidth=1.1, zorder=0)
            axes.plot([rank], [0], marker="o", color=SERIES[0], markersize=5)
            text = f" {rank:.2f}  {shown(one)}" if best else f"{shown(one)}  {rank:.2f} "
            axes.text(edge, depth, text, ha="left" if best else "right", va="center")
        for place, clique in enumerate(cliques):
            ends = [ranks[names.index(clique[0])] - 0.05, ranks[names.index(clique[-1])] + 0.05]
            axes.plot(ends, [-0.22 - 0.34 * place] * 2, color=SERIES[1], linewidth=3.5, solid_capstyle="round")
        return save(figure, folder, name)
