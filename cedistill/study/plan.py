"""A study file, and the cells it asks for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from cedistill.config.benchmark import Evaluation
from cedistill.config.objective import Objective, load_objective
from cedistill.config.toml import Strict, fill_in, read_toml, validated
from cedistill.config.train_data import TrainData
from cedistill.data.references import is_retriever, retriever_beside
from cedistill.errors import InputError

UNTRAINED = "untrained"


class Validate(Strict):
    """The labelled data set on which the best checkpoint is chosen."""

    dataset: str
    candidates: str = "bm25"


class Study(Strict):
    """One study file. ``training``, ``lists`` and ``parameters`` stand in place of the same keys of every objective.

    The objective ``untrained`` is the backbone with its new head, as it is before any step.
    """

    title: str
    backbones: tuple[str, ...] = Field(min_length=1)
    objectives: tuple[str, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = Field((12,), min_length=1)
    train: TrainData = TrainData()
    training: dict[str, Any] = Field(default_factory=dict)
    lists: dict[str, Any] = Field(default_factory=dict)
    objective: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="tables by objective, with settings (and `train`) of that one alone"
    )
    validate_on: Validate | None = Field(None, alias="validate")
    evaluate: tuple[Evaluation, ...] = Field(min_length=1)


class Cell(NamedTuple):
    """One backbone under one objective with one seed."""

    backbone: str
    objective: str
    seed: int

    @property
    def name(self) -> str:
        """The cell's folder below the study's: ``backbone/objective/seed-n``."""
        return f"{slug(self.backbone)}/{slug(Path(self.objective).stem)}/seed-{self.seed}"


def load_study(reference: str | Path) -> tuple[Study, Path]:
    """Load a study from its folder or its file; return it with its folder.

    Environment variables in references are filled in; other relative paths start at the study's folder.
    Raises InputError for unknown keys, values out of range, unset variables, and data sets of the same name.
    """
    path = Path(reference)
    path = path / "study.toml" if path.is_dir() else path
    if not path.is_file():
        raise InputError(
            f"{reference}: expected a study's folder (with study.toml) or file, found none; check the path"
        )
    text = path.read_text(encoding="utf-8")
    study = validated(Study, _resolved(read_toml(path), path), str(path), text)
    labels = [one.label for one in study.evaluate]
    if len(set(labels)) < len(labels):
        raise InputError(
            f"{path}: expected a different name for each [[evaluate]], found {', '.join(labels)}; give each a name"
        )
    return study, path.parent


def cells(study: Study, only: str | None = None) -> list[Cell]:
    """Return the cells of a study, or those whose name matches ``only``. Raises InputError when none does."""
    every = [
        Cell(backbone, objective, seed)
        for backbone in study.backbones
        for objective in study.objectives
        for seed in study.seeds
        if objective != UNTRAINED or seed == study.seeds[0]
    ]
    chosen = [one for one in every if only is None or fnmatchcase(one.name, only) or fnmatchcase(f"{one.name}/", only)]
    if not chosen:
        raise InputError(
            f"expected --only to match a cell such as {every[0].name}, found none for {only!r}; mind the slashes"
        )
    return chosen


def objective_of(study: Study, cell: Cell) -> Objective:
    """Return a cell's objective with the study's settings in place. Raises InputError."""
    own = study.objective.get(cell.objective, {})
    settings = [*_settings("training", study.training), *_settings("lists", study.lists)]
    settings += [setting for table, values in own.items() if table != "train" for setting in _settings(table, values)]
    return load_objective(cell.objective, settings)


def train_data_of(study: Study, cell: Cell) -> TrainData:
    """Return what a cell's lists are made of: the study's ``[train]``, and in its place ``[objective.NAME.train]``."""
    own = study.objective.get(cell.objective, {}).get("train", {})
    return validated(TrainData, study.train.model_dump() | own, f"[objective.{cell.objective}.train]")


def references(study: Study) -> list[tuple[str, str]]:
    """Return the data sets of a study, each with its candidates: those it evaluates, validates and trains on."""
    found = [(one.dataset, one.candidates) for one in study.evaluate]
    if study.validate_on:
        found.append((study.validate_on.dataset, study.validate_on.candidates))
    trained = [train_data_of(study, cell) for cell in cells(study) if cell.objective != UNTRAINED]
    found += [(one.dataset, one.candidates or "") for one in trained if one.dataset]
    return list(dict.fromkeys(found))


def slug(name: str) -> str:
    """Return ``name`` as a folder's name: slashes of Hub ids and paths become two hyphens."""
    return re.sub(r"[^\w.+-]+", "--", name.strip("/."))


def _settings(prefix: str, table: Any) -> list[str]:
    if isinstance(table, Mapping):
        return [setting for key, value in table.items() for setting in _settings(f"{prefix}.{key}", value)]
    return [f"{prefix}={json.dumps(table)}"]


def _resolved(table: dict[str, Any], path: Path) -> dict[str, Any]:
    resolved = dict(table)
    for name in ("train", "validate"):
        if isinstance(table.get(name), dict):
            resolved[name] = _filled(table[name], path)
    if isinstance(table.get("objective"), dict):
        resolved["objective"] = {
            name: own | {"train": _filled(own["train"], path)} if isinstance(own, dict) and "train" in own else own
            for name, own in table["objective"].items()
        }
    if isinstance(table.get("evaluate"), list):
        resolved["evaluate"] = [_filled(one, path) if isinstance(one, dict) else one for one in table["evaluate"]]
    for name in ("objectives", "backbones"):
        if isinstance(table.get(name), list):
            resolved[name] = [_beside(one, path) if _is_path(one) else one for one in table[name]]
    return resolved


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and (value.startswith(("./", "../")) or value.endswith(".toml"))


def _filled(table: dict[str, Any], path: Path) -> dict[str, Any]:
    references = ("dataset", "candidates", "teachers", "pairs", "lists")
    return {key: _reference(key, value, path) if key in references else value for key, value in table.items()}


def _reference(key: str, value: Any, path: Path) -> Any:
    if isinstance(value, list):
        return [_reference(key, one, path) for one in value]
    if not isinstance(value, str):
        return value
    if "${" in value:
        return fill_in(value, str(path))
    if key == "candidates" and is_retriever(value):
        return retriever_beside(value, path.parent)
    return _beside(value, path)


def _beside(value: str, path: Path) -> str:
    """Return the path beside the study's file that ``value`` means, or ``value`` where it is a name."""
    place = path.parent / value.partition(":")[0]
    return str(path.parent / value) if place.exists() and value.partition(":")[0] else value
