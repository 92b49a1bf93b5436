"""Which rows of a table are compared with each other, and which are significantly above which."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from cedistill.evaluation.compare import holm
from cedistill.evaluation.models import compare_models
from cedistill.evaluation.significance import t_tests
from cedistill.evaluation.strata import Strata

FIRST_STAGE = "first stage"

Rows = Sequence[Mapping[str, Any]]
Values = Mapping[str, np.ndarray]
"""Row's name → [S, Q] per-query values of its seeds."""


def row_name(row: Mapping[str, Any]) -> str:
    """Return the name of a row in comparisons: ``backbone/objective``, or ``first stage``."""
    return f"{row['backbone']}/{row['objective']}" if row["backbone"] else FIRST_STAGE


def give_letters(rows: Sequence[dict[str, Any]]) -> None:
    """Give the rows of a group letters, none where it has a single row or more than there are letters.

    The objectives of a backbone are a group; where there is one objective, all rows are.
    """
    several = len({row["objective"] for row in rows}) > 1
    for row in rows:
        row["group"] = row["backbone"] if several else ""
    for _, of_group in _groups(rows):
        count = len(of_group)
        letters = string.ascii_lowercase[:count] if 1 < count <= len(string.ascii_lowercase) else [""] * count
        for row, letter in zip(of_group, letters, strict=True):
            row["letter"] = letter


def better_than(rows: Rows, values: Values, strata: Strata, alpha: float) -> dict[str, str]:
    """Return for each row the letters of the rows of its group that it is significantly above.

    Student's paired t-test on means over seeds; all pairs of a group are a family for Holm's correction.
    """
    better = {row_name(row): "" for row in rows}
    for _, of_group in _groups(rows):
        pairs = list(combinations(of_group, 2))
        if not pairs:
            continue
        means = {row_name(row): values[row_name(row)].mean(axis=0) for row in of_group}
        differences = np.stack([means[row_name(one)] - means[row_name(other)] for one, other in pairs])
        corrected = holm(t_tests(differences, strata).tolist())
        for (one, other), above, p in zip(pairs, differences @ strata.weights > 0, corrected, strict=True):
            winner, loser = (one, other) if above else (other, one)
            better[row_name(winner)] += loser["letter"] if p < alpha else ""
    return {name: "".join(sorted(letters)) for name, letters in better.items()}


def comparisons(rows: Rows, values: Values, strata: Strata) -> list[dict[str, Any]]:
    """Return the tests of all rows against the first stage, then of every two rows of a group, each with its family."""
    models = [row_name(row) for row in rows]
    families: list[tuple[str, Values, list[tuple[str, str]] | None]] = [
        (FIRST_STAGE, values, [(name, FIRST_STAGE) for name in models])
    ]
    for group, of_group in _groups(rows):
        families.append((group, {row_name(row): values[row_name(row)] for row in of_group}, None))
    return [{"family": name, **one} for name, among, pairs in families for one in compare_models(among, strata, pairs)]


def _groups(rows: Sequence[Any]) -> Iterator[tuple[str, list[Any]]]:
    for group in dict.fromkeys(row["group"] for row in rows):
        yield group, [row for row in rows if row["group"] == group]
