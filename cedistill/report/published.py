"""Published figures beside a study's own: from ``published.csv`` in its folder, and from its benchmarks."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cedistill.data.files import read_lines
from cedistill.errors import bad_line, shown
from cedistill.evaluation.ranks import Ranking, rank_over_blocks
from cedistill.report.columns import Column
from cedistill.report.names import key, shown_backbone, shown_measure, shown_objective

FILE = "published.csv"

_NAMES = {
    "msmdev": ("msmarcodev", "msmarco"),
    "beir13": ("beir",),
    "lottes": ("lottesearch",),
    "robust04": ("robust04title", "robust04"),
}
"""Data sets by their names in the study's own table, with what they are called here."""


class PublishedRow(NamedTuple):
    """One published model: its backbone's label, its objective's title and its figures by column."""

    backbone: str
    objective: str
    values: dict[str, float]


def read_published(path: Path) -> list[PublishedRow]:
    """Read a table of published figures.

    The header names ``backbone``, ``loss`` and then columns as ``DATASET_MEASURE`` or ``DATASET MEASURE``
    (``dl19 ndcg@10``, ``DL19_nDCG10``); an empty cell is a figure that was not reported.

    Raises:
        InputError: other columns first, a cell that is no number, a row of other length.
    """
    rows: list[PublishedRow] = []
    header: list[str] = []
    for number, line in read_lines(path):
        fields = next(csv.reader([line.rstrip("\r\n")]), [])
        if not header:
            header = fields
            if header[:2] != ["backbone", "loss"] or len(header) < 3:
                raise bad_line(path, number, "columns backbone, loss and figures", shown(line), "repair the header")
        elif fields:
            if len(fields) != len(header):
                raise bad_line(path, number, f"{len(header)} columns", str(len(fields)), "repair the line")
            try:
                values = {name: float(one) for name, one in zip(header[2:], fields[2:], strict=True) if one.strip()}
            except ValueError:
                raise bad_line(path, number, "numbers after backbone and loss", shown(line), "repair it") from None
            rows.append(PublishedRow(fields[0], fields[1], values))
    return rows


def published_value(
    rows: Sequence[PublishedRow], backbone: str, objective: str, column: Column
) -> tuple[float, str] | None:
    """Return what is published for a backbone under an objective in a column, and where; None where nothing is.

    The study's ``published.csv`` goes first, then sources of the benchmark whose name ends in the backbone's label and
    the objective's title (``… , ELECTRA, MarginMSE``).
    """
    backbones = {key(backbone), key(shown_backbone(backbone))}
    objectives = {key(objective), key(shown_objective(objective))}
    for row in rows:
        if key(row.backbone) in backbones and key(row.objective) in objectives:
            for name, value in row.values.items():
                if _is_column(name, column):
                    return value, FILE
    for source, figures in (column.published or {}).items():
        parts = [key(one) for one in source.split(",")]
        if len(parts) > 2 and parts[-2] in backbones and parts[-1] in objectives and column.measure in figures:
            return figures[column.measure], source
    return None


def published_rankings(rows: Sequence[PublishedRow], alpha: float = 0.05) -> tuple[Ranking, Ranking] | None:
    """Return the ranking of objectives and that of backbones by published figures, None for a table with gaps.

    Objectives are ranked within each backbone and column, backbones within each objective and column.
    """
    backbones = list(dict.fromkeys(row.backbone for row in rows))
    objectives = list(dict.fromkeys(row.objective for row in rows))
    by_cell = {(row.backbone, row.objective): list(row.values.values()) for row in rows}
    cells = [[by_cell.get((b, o), []) for o in objectives] for b in backbones]
    width = max((len(one) for row in cells for one in row), default=0)
    if min(len(backbones), len(objectives)) < 3 or any(len(one) < width for row in cells for one in row):
        return None
    figures = np.array(cells)  # backbones, objectives, columns
    return (
        rank_over_blocks(figures.transpose(0, 2, 1).reshape(-1, len(objectives)), objectives, alpha),
        rank_over_blocks(figures.transpose(1, 2, 0).reshape(-1, len(backbones)), backbones, alpha),
    )


def _is_column(name: str, column: Column) -> bool:
    wanted, measure = key(name), key(shown_measure(column.measure))
    if not wanted.endswith(measure):
        return False
    dataset = wanted.removesuffix(measure)
    own = {key(column.name), key(column.benchmark + column.labels[0]) if not column.is_mean else key(column.benchmark)}
    return not own.isdisjoint({dataset, *_NAMES.get(dataset, ())})
