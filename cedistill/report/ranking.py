"""Rankings of a study's objectives and backbones over blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cedistill.errors import InputError
from cedistill.evaluation.ranks import rank_over_blocks

Figure = Callable[[str, str, int], float | None]
"""Given a backbone, an objective and a column's place, returns the mean over seeds, None where there is none."""


def rankings(
    backbones: Sequence[str], objectives: Sequence[str], columns: Sequence[int], figure: Figure
) -> dict[str, dict[str, Any]]:
    """Rank objectives within each backbone and column, and backbones within each objective and column.

    Blocks with a gap are left out; their number is told. Returns ``objectives`` and ``backbones``, each as
    :meth:`cedistill.evaluation.ranks.Ranking.as_json` gives it with ``left_out``, or with ``none``, the reason why
    there is no ranking.
    """
    of_objectives = [[[figure(b, o, c) for o in objectives] for c in columns] for b in backbones]
    of_backbones = [[[figure(b, o, c) for b in backbones] for c in columns] for o in objectives]
    return {
        "objectives": _ranking(objectives, of_objectives),
        "backbones": _ranking(backbones, of_backbones),
    }


def _ranking(names: Sequence[str], nested: Sequence[Sequence[Sequence[float | None]]]) -> dict[str, Any]:
    blocks = [block for outer in nested for block in outer]
    whole = [block for block in blocks if all(one is not None for one in block)]
    try:
        ranking = rank_over_blocks(np.array(whole, dtype=float).reshape(-1, len(names)), names)
    except InputError as error:
        return {"none": str(error)}
    return ranking.as_json() | {"left_out": len(blocks) - len(whole)}


def ranked_pairs(ranking: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return names with their average ranks, best first; none where there is no ranking."""
    return list(zip(ranking.get("names", ()), ranking.get("average_ranks", ()), strict=True))
