"""A study, and the cells it asks for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field, PrivateAttr

from cedistill.config.benchmark import Benchmark, Evaluation
from cedistill.config.objective import Objective, load_objective
from cedistill.config.sources import TEXTS, Source, find_source
from cedistill.config.toml import Strict, validated
from cedistill.config.train_data import TrainData, bound
from cedistill.errors import InputError

UNTRAINED = "untrained"


class Validate(Strict):
    """The labelled data sets on whose mean the best checkpoint is chosen: one, or those of a benchmark.

    ``candidates`` are BM25's, or a benchmark's own, where nothing is said.
    """

    dataset: str | None = None
    benchmark: str | None = None
    candidates: str | None = None


class Own(Strict):
    """What a study says of one objective alone.

    ``base`` is the objective that goes by this name in the study, where it is another one. ``start`` names the
    objective of the study from whose model (same backbone, same seed) training starts in place of the backbone's
    weights. The tables stand in place of the study's and of the objective's.
    """

    base: str | None = None
    start: str | None = None
    train: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    lists: dict[str, Any] = Field(default_factory=dict)
    parameters: dict[str, Any] = Field(default_factory=dict)
    mixture: dict[str, Any] = Field(default_factory=dict)


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
    objective: dict[str, Own] = Field(default_factory=dict, description="by objective, settings of that one alone")
    validate_on: Validate | None = Field(None, alias="validate")
    evaluate: tuple[Evaluation, ...] = Field(min_length=1)
    _benchmarks: dict[str, Benchmark] = PrivateAttr(default_factory=dict)
    _validation: tuple[Evaluation, ...] = PrivateAttr(default=())

    @property
    def benchmarks(self) -> dict[str, Benchmark]:
        """The benchmarks among ``evaluate`` by name, with their data sets as the study evaluates them."""
        return self._benchmarks

    @property
    def validation(self) -> tuple[Evaluation, ...]:
        """The data sets on whose mean the best checkpoint is chosen."""
        return self._validation


class Cell(NamedTuple):
    """One backbone under one objective with one seed."""

    backbone: str
    objective: str
    seed: int

    @property
    def name(self) -> str:
        """The cell's folder below the study's: ``backbone/objective/seed-n``."""
        return f"{slug(self.backbone)}/{slug(Path(self.objective).stem)}/seed-{self.seed}"


def cells(study: Study, only: str | None = None) -> list[Cell]:
    """Return the cells of a study, or those whose name matches ``only`` with those they start from.

    A cell comes after the one it starts from.

    Raises:
        InputError: none matches, or cells start from one another in a circle.
    """
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
    return list(dict.fromkeys(cell for one in chosen for cell in (*_starts(study, one), one)))


def start_of(study: Study, cell: Cell) -> Cell | None:
    """Return the cell from whose model a cell starts, None for one that starts from its backbone."""
    own = study.objective.get(cell.objective)
    return cell._replace(objective=own.start) if own and own.start else None


def objective_of(study: Study, cell: Cell) -> Objective:
    """Return a cell's objective with the study's settings in place. Raises InputError."""
    own = study.objective.get(cell.objective, Own())
    settings = [*_settings("training", study.training), *_settings("lists", study.lists)]
    for table in ("training", "lists", "parameters", "mixture"):
        settings += _settings(table, getattr(own, table))
    return load_objective(own.base or cell.objective, settings)


def train_data_of(study: Study, cell: Cell) -> TrainData:
    """Return what a cell's lists are made of: the study's ``[train]``, and in its place ``[objective.NAME.train]``."""
    own = study.objective.get(cell.objective, Own()).train
    return validated(TrainData, study.train.model_dump() | own, f"[objective.{cell.objective}.train]")


def references(study: Study, chosen: Sequence[Cell] | None = None) -> list[tuple[str, str]]:
    """Return the data sets that cells need, each with its candidates: those evaluated, validated and trained on.

    ``chosen`` are the cells, by default all of the study.
    """
    found = [(one.dataset, one.candidates) for one in (*study.evaluate, *study.validation)]
    for one in _trained_on(study, chosen):
        if one.dataset or one.source:
            found.append((one.dataset or TEXTS, one.candidates or ""))
    return list(dict.fromkeys(found))


def training_sources(study: Study, chosen: Sequence[Cell] | None = None) -> list[Source]:
    """Return the training sources by name that cells (by default all) learn from, each once."""
    return [find_source(name) for name in dict.fromkeys(one.source for one in _trained_on(study, chosen)) if name]


def slug(name: str) -> str:
    """Return ``name`` as a folder's name: slashes of Hub ids and paths become two hyphens."""
    return re.sub(r"[^\w.+-]+", "--", name.strip("/."))


def _starts(study: Study, cell: Cell) -> list[Cell]:
    chain: list[Cell] = []
    start = start_of(study, cell)
    while start is not None:
        if start in chain or start == cell:
            raise InputError(
                f"[objective.{cell.objective}]: expected a start that leads back to a backbone, found a circle by way "
                f"of {start.objective!r}; change one start"
            )
        chain.append(start)
        start = start_of(study, start)
    return chain[::-1]


def _trained_on(study: Study, chosen: Sequence[Cell] | None) -> list[TrainData]:
    of_objectives = {cell.objective: cell for cell in chosen or cells(study) if cell.objective != UNTRAINED}
    return [bound(objective_of(study, one), train_data_of(study, one))[1] for one in of_objectives.values()]


def _settings(prefix: str, table: Any) -> list[str]:
    if isinstance(table, Mapping):
        return [setting for key, value in table.items() for setting in _settings(f"{prefix}.{key}", value)]
    return [f"{prefix}={json.dumps(table)}"]
