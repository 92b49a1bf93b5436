"""How much each query's lists count in training, for example a teacher's confidence."""

from __future__ import annotations

import math
from pathlib import Path

from cedistill.data.files import read_lines
from cedistill.errors import bad_line, shown

_QUERY, _WEIGHT = "query-id", "weight"


def read_list_weights(path: str | Path) -> dict[str, float]:
    """Read the weights of queries: tab-separated, under a header that names ``query-id`` and ``weight``.

    Other columns are left alone, so that ``OUTPUT.confidence.tsv`` of ``cedistill teach --shuffle`` is one.

    Returns:
        Query id → weight of at least 0, in the file's order. In training a query without one counts 1.

    Raises:
        InputError: another header, a weight that is no number of at least 0, a query twice, no weight above 0.
    """
    weights: dict[str, float] = {}
    columns: list[str] = []
    for number, line in read_lines(path):
        fields = line.rstrip("\n").split("\t")
        if not columns:
            columns = fields
            if not {_QUERY, _WEIGHT} <= set(columns):
                expected = f"a header with {_QUERY} and {_WEIGHT}, tab-separated"
                raise bad_line(path, number, expected, shown(line), "add it, or give the file of teach --shuffle")
            continue
        if len(fields) != len(columns):
            raise bad_line(path, number, f"{len(columns)} columns as in the header", f"{len(fields)}", "mend the line")
        query, text = fields[columns.index(_QUERY)], fields[columns.index(_WEIGHT)]
        weight = _number(text)
        if not (math.isfinite(weight) and weight >= 0):
            raise bad_line(path, number, "a weight of at least 0", shown(text), "mend it")
        if query in weights:
            raise bad_line(path, number, "each query once", f"{shown(query)} again", "drop one of the two lines")
        weights[query] = weight
    if not any(weights.values()):
        raise bad_line(path, 1, "a weight above 0", "none", "check what wrote the file")
    return weights


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
