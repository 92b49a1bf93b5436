"""What running a study would do and cost, said before anything starts and without network."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cedistill.data.prefetch import files_of, shown_bytes
from cedistill.model.backbones import BACKBONES
from cedistill.model.shapes import parameters, shape_of
from cedistill.study.estimate import CellWork, Work, cell_work, first_stage_work
from cedistill.study.plan import Cell, Study, references, training_sources
from cedistill.study.reading import load_study
from cedistill.study.run import plan_study
from cedistill.study.throughput import throughput

_KEEP = "keep"
_UNPACKED = 2.5  # a data set unpacked and with its document store, in terms of its download


def dry_run(reference: str | Path, only: str | None = None) -> dict[str, Any]:
    """Say what ``run_study`` would do; nothing is fetched, written or started.

    Returns:
        ``cells``: name, ``state`` (``keep``, ``go on`` or ``run``) and, of those that run, ``steps``, ``pairs``,
        ``tokens`` and ``flops`` of training, validation and evaluation together, None where the backbone's shape is
        unknown. ``work``: the sums by phase over the cells that run. ``downloads`` and ``disk`` in bytes, ``hours``
        of one GPU by phase, with the ``measurement`` that they are computed from. All are upper bounds.

    Raises:
        InputError: a study, data or an objective that cannot work.
    """
    study, folder = load_study(reference)
    states = plan_study(reference, only)
    found = {cell: cell_work(study, cell) for cell, state in states if state != _KEEP}
    works = [one for one in found.values() if one is not None]
    phases = _phases(study, works)
    rates = throughput(folder.parent)
    downloads = _downloads(study, [cell for cell, state in states if state != _KEEP])
    return {
        "cells": [_row(cell, state, found.get(cell)) for cell, state in states],
        "unknown_backbones": sorted({cell.backbone for cell, one in found.items() if one is None}),
        "work": {name: one._asdict() for name, one in phases.items()},
        "downloads": downloads,
        "disk": _disk(works, downloads["bytes"] - downloads["backbone_bytes"], downloads["free"]),
        "hours": {
            name: one.flops / (rates.training if name == "training" else rates.scoring) / 3600
            for name, one in phases.items()
        },
        "measurement": rates.measurement,
    }


def dry_run_text(result: dict[str, Any]) -> str:
    """Return the result of :func:`dry_run` as text: a line per cell, then the sums."""
    lines = [f"{one['state']:6} {one['cell']}" for one in result["cells"]]
    count = sum(one["state"] != _KEEP for one in result["cells"])
    lines += ["", f"{count} of {len(result['cells'])} cells would run, at most:", ""]
    lines.append(f"{'':14} {'steps':>12} {'pairs':>12} {'tokens':>12} {'FLOPs':>10} {'GPU hours':>10}")
    total, hours = Work(), 0.0
    for name, work in result["work"].items():
        lines.append(_work_line(name, Work(**work), result["hours"][name]))
        total, hours = total.plus(Work(**work)), hours + result["hours"][name]
    lines.append(_work_line("in all", total, hours))
    downloads, disk = result["downloads"], result["disk"]
    more = (
        f" and {downloads['files_of_unknown_size']} files of unknown size" if downloads["files_of_unknown_size"] else ""
    )
    lines += [
        "",
        f"GPU hours      from: {result['measurement']}",
        f"downloads      {shown_bytes(downloads['bytes'])}{more}: {downloads['files']} files of data, "
        f"{len(downloads['backbones'])} backbones ({shown_bytes(downloads['backbone_bytes'])})",
        f"disk           {shown_bytes(disk['models'])} of models, {shown_bytes(disk['runs'])} of runs, about "
        f"{shown_bytes(disk['data'])} of data unpacked; {shown_bytes(disk['free'])} free",
    ]
    if downloads["by_hand"]:
        lines.append(f"under licence  to be put in place by hand: {', '.join(downloads['by_hand'])}")
    if result["unknown_backbones"]:
        lines.append(f"not counted    {', '.join(result['unknown_backbones'])}: of unknown shape until downloaded")
    lines.append(
        "a pair counts its mean length where it is known and the token limit elsewhere; the list of files: "
        "cedistill data prefetch STUDY --dry-run"
    )
    return "\n".join(lines)


def _phases(study: Study, works: Sequence[CellWork]) -> dict[str, Work]:
    sums = {}
    for name in ("training", "validation", "evaluation"):
        total = Work()
        for one in works:
            total = total.plus(getattr(one, name))
        sums[name] = total
    sums["first stages"] = first_stage_work(study.evaluate) if works else Work()
    return sums


def _row(cell: Cell, state: str, work: CellWork | None) -> dict[str, Any]:
    row: dict[str, Any] = {"cell": cell.name, "state": state}
    if state == _KEEP:
        return row
    if work is None:
        return row | dict.fromkeys(Work._fields)
    return row | work.training.plus(work.validation).plus(work.evaluation)._asdict()


def _downloads(study: Study, waiting: Sequence[Cell]) -> dict[str, Any]:
    data = files_of(references(study, waiting), training_sources(study, waiting)) if waiting else files_of([], [])
    files = [row for row in data["files"] if row["state"] == "fetch"]
    backbones = [name for name in dict.fromkeys(cell.backbone for cell in waiting) if _to_download(name)]
    sizes = [4 * parameters(shape) for shape in map(shape_of, backbones) if shape is not None]
    return {
        "files": len(files),
        "bytes": data["bytes_to_fetch"] + sum(sizes),
        "files_of_unknown_size": data["files_of_unknown_size"],
        "by_hand": [row["path"] for row in data["files"] if row["state"] == "by hand"],
        "backbones": backbones,
        "backbone_bytes": sum(sizes),
        "free": data["bytes_free"],
    }


def _to_download(backbone: str) -> bool:
    """Return whether a backbone comes from the Hub and is not in its cache."""
    known = BACKBONES.get(backbone)
    if known is not None and (known.build or (known.package and find_spec(known.package))):
        return False
    repository = known.hub_id if known is not None else backbone
    if repository is None or Path(backbone).is_dir():
        return False
    from huggingface_hub import try_to_load_from_cache

    return not isinstance(try_to_load_from_cache(repository, "config.json"), str)


def _disk(works: Sequence[CellWork], downloads: float, free: int) -> dict[str, float]:
    return {
        "models": sum(one.weights for one in works),
        "runs": sum(one.runs for one in works),
        "data": _UNPACKED * downloads,
        "free": free,
    }


def _work_line(name: str, work: Work, hours: float) -> str:
    steps = f"{work.steps:,}".replace(",", " ") if work.steps else ""
    return f"{name:14} {steps:>12} {work.pairs:12.3g} {work.tokens:12.3g} {work.flops:10.3g} {hours:10.1f}"
