"""What the written forms of a table share: which columns and rows stand in it, and what is best in a column."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from cedistill.report.columns import MAIN


class Part(NamedTuple):
    """One printed table: the study's own (``name`` is "") or that of a benchmark's data sets; ``places`` of columns."""

    name: str
    places: list[int]


def parts(table: Mapping[str, Any]) -> list[Part]:
    """Return the printed tables of a study: its main columns, then each benchmark's data sets."""
    names = list(dict.fromkeys(one["table"] for one in table["columns"])) or [MAIN]
    names.sort(key=lambda name: name != MAIN)
    return [Part(name, [at for at, one in enumerate(table["columns"]) if one["table"] == name]) for name in names]


def best(table: Mapping[str, Any], place: int, digits: int = 4) -> float:
    """Return the best mean of a column among the models as it is printed, NaN where there is none."""
    return round(max((row["values"][place]["mean"] for row in table["rows"][1:]), default=math.nan), digits)


def is_best(table: Mapping[str, Any], row: Mapping[str, Any], place: int, digits: int = 4) -> bool:
    """Return whether a row is (among) the best of a column, as printed; the first stage never is."""
    return bool(row["backbone"]) and round(row["values"][place]["mean"], digits) == best(table, place, digits)


def mark(value: Mapping[str, Any], alpha: float) -> str:
    """Return ``*`` for a value significantly above the first stage, ``▾`` below it, else ""."""
    if value.get("p", 1.0) >= alpha:
        return ""
    return "*" if value["difference"] > 0 else "▾"


def has_letters(table: Mapping[str, Any]) -> bool:
    """Return whether rows have letters by which others name them."""
    return any(row.get("letter") for row in table["rows"])


def has_seeds(table: Mapping[str, Any]) -> bool:
    """Return whether any row has several seeds."""
    return any(len(row["seeds"]) > 1 for row in table["rows"])


def first_stages(columns: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return for each data set its first stage, depth and number of queries, in words."""
    shown = {}
    for one in columns:
        depth = f" to depth {one['depth']}" if one["depth"] else ""
        missing = f", {one['missing']} without candidates" if one["missing"] else ""
        shown[one["dataset"]] = f"{one['dataset']} {one['first_stage']}{depth}, {one['judged']} queries{missing}"
    return list(shown.values())


def published_cells(
    table: Mapping[str, Any],
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]]:
    """Yield row, column and value of each figure that has a published one beside it."""
    for row in table["rows"]:
        for column, value in zip(table["columns"], row["values"], strict=True):
            if "published" in value:
                yield row, column, value


def costs_of(table: Mapping[str, Any]) -> list[str]:
    """Return the kinds of cost that at least one row knows."""
    from cedistill.report.cost import COSTS

    return [name for name in COSTS if any(name in row.get("cost", {}) for row in table["rows"])]
