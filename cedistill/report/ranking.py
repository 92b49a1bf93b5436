"""Rankings of a study's objectives and backbones over blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

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
        "objectives": _ranking("objectives", objectives, of_objectives),
        "backbones": _ranking("backbones", backbones, of_backbones),
    }


def _ranking(kind: str, names: Sequence[str], nested: Sequence[Sequence[Sequence[float | None]]]) -> dict[str, Any]:
    blocks = [block for outer in nested for block in outer]
    whole = [block for block in blocks if all(one is not None for one in block)]
    if len(names) < 3 or len(whole) < 2:
        return {"none": f"it takes at least 3 {kind} in 2 complete blocks, here are {len(names)} in {len(whole)}"}
    ranking = rank_over_blocks(np.array(whole, dtype=float), names)
    return ranking.as_json() | {"left_out": len(blocks) - len(whole)}
