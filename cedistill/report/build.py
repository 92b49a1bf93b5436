"""Everything that is made of a study's figures: its tables, and its report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cedistill.data.files import writing
from cedistill.errors import InputError
from cedistill.report.columns import is_complete
from cedistill.report.table import collect, write_tables
from cedistill.study.plan import Cell, Study, cells
from cedistill.study.reading import load_study


def report_study(reference: str | Path, command: str = "", *, page: bool = False, texts: bool = True) -> dict[str, Any]:
    """Write and return the table of a study's cells that have figures.

    Args:
        reference: the study's folder or file.
        command: stands beside what is written.
        page: also write ``report/index.html`` with its figures, and the figures into the cards of the models.
        texts: show queries and documents in it; without, it may be passed on where the collection may not.

    Raises:
        InputError: no cell has figures of what the study evaluates, or ``published.csv`` is malformed.
    """
    study, folder = load_study(reference)
    figures = [(cell, _read(folder, cell)) for cell in cells(study)]
    if not any(one and is_complete(study, one) for _, one in figures):
        found = "only figures of another evaluation" if any(one for _, one in figures) else "none"
        raise InputError(
            f"{folder}: expected a cell with figures, found {found}; run it first: cedistill run {reference}"
        )
    table = collect(study, figures, folder)
    write_tables(folder, table, command)
    if page:
        from cedistill.report.page import write_report

        path = Path(reference)
        study_file = path / "study.toml" if path.is_dir() else path
        _refresh_cards(folder, figures)
        write_report(study, folder, study_file, table, _groups(study, figures), command, texts=texts)
    return table


def _refresh_cards(folder: Path, figures: Sequence[tuple[Cell, Mapping[str, Any]]]) -> None:
    """Write the cards of the models that are there anew, with their figures."""
    from cedistill.model.card import CARD, card

    for cell, one in figures:
        model = folder / cell.name / "model"
        if one and (model / "cedistill.json").is_file():
            content = json.loads((model / "cedistill.json").read_text(encoding="utf-8"))
            with writing(model / CARD) as file:
                file.write(card(content, one))


def _groups(
    study: Study, figures: Sequence[tuple[Cell, Mapping[str, Any]]]
) -> list[list[tuple[Cell, Mapping[str, Any]]]]:
    groups: dict[tuple[str, str], list[tuple[Cell, Mapping[str, Any]]]] = {}
    for cell, one in figures:
        if one and is_complete(study, one):
            groups.setdefault((cell.backbone, cell.objective), []).append((cell, one))
    return list(groups.values())


def _read(folder: Path, cell: Cell) -> dict[str, Any]:
    path = folder / cell.name / "metrics.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
