"""The file of a consensus study: what is labelled, what is not, the paths, the students and the generations."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveInt, model_validator

from cedistill.config.benchmark import Evaluation
from cedistill.config.toml import Strict, fill_in, read_toml, validated
from cedistill.config.train_data import TrainData
from cedistill.data.references import is_retriever, retriever_beside
from cedistill.errors import InputError

FILE = "consensus.toml"
_PATHS = ("dataset", "candidates", "teachers")


class Label(Strict):
    """How the paths' consensus becomes labels.

    ``drop`` is the share of queries, of the lowest confidence, that nobody learns from; with ``weigh`` the others count
    by their confidence.
    """

    how: Literal["agreement", "mean", "median", "rrf", "cshift"] = "agreement"
    anchor: str | None = None
    drop: float = Field(default=0.0, ge=0, lt=1)
    weigh: bool = True


class HeldOut(Strict):
    """The labelled queries that decide whether a generation is accepted, by nDCG@10."""

    dataset: str
    candidates: str = "bm25"


class ConsensusStudy(Strict):
    """One consensus study. ``training``, ``lists`` and ``mixture`` stand in place of the objective's keys.

    ``labelled`` gives a data set and candidates; ``unlabelled`` a data set, candidates and, as teachers, the runs of
    the fixed paths over these candidates. Each of ``students`` is a backbone; it is a path too.
    """

    title: str
    students: tuple[str, ...] = Field(min_length=1)
    seed: int = Field(default=12, ge=0)
    generations: PositiveInt = 2
    objective: str = "consensus"
    labelled: TrainData
    unlabelled: TrainData
    held_out: HeldOut
    label: Label = Label()
    training: dict[str, Any] = Field(default_factory=dict)
    lists: dict[str, Any] = Field(default_factory=dict)
    mixture: dict[str, Any] = Field(default_factory=dict)
    evaluate: tuple[Evaluation, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> ConsensusStudy:
        for name in ("labelled", "unlabelled"):
            given: TrainData = getattr(self, name)
            if given.dataset is None or given.candidates is None:
                raise ValueError(f"{name}: expected dataset and candidates, found one of them missing; give both")
        if len(self.unlabelled.teachers) < 2:
            raise ValueError(
                f"unlabelled.teachers: expected the runs of two paths or more, found {len(self.unlabelled.teachers)}; "
                "with a student's own path left out of its labels, two must remain to agree"
            )
        if self.label.how == "cshift" and self.label.anchor is None:
            raise ValueError("label.anchor: expected the name of a path for how = 'cshift', found none; give it")
        return self


def load_consensus(reference: str | Path) -> tuple[ConsensusStudy, Path]:
    """Load a consensus study from its folder (with consensus.toml) or its file; return it with its folder.

    Environment variables in references are filled in; other relative paths start at the study's folder.

    Raises:
        InputError: no such file, unknown keys, values out of range, unset variables.
    """
    path = Path(reference)
    path = path / FILE if path.is_dir() else path
    if not path.is_file():
        raise InputError(f"{reference}: expected a folder with {FILE}, or such a file, found none; check the path")
    table = read_toml(path)
    for name in ("labelled", "unlabelled", "held_out"):
        if isinstance(table.get(name), dict):
            table[name] = _filled(table[name], path)
    if isinstance(table.get("evaluate"), list):
        table["evaluate"] = [_filled(one, path) if isinstance(one, dict) else one for one in table["evaluate"]]
    return validated(ConsensusStudy, table, str(path), path.read_text(encoding="utf-8")), path.parent


def _filled(table: dict[str, Any], path: Path) -> dict[str, Any]:
    return {key: _reference(value, path) if key in _PATHS else value for key, value in table.items()}


def _reference(value: Any, path: Path) -> Any:
    if isinstance(value, list):
        return [_reference(one, path) for one in value]
    if not isinstance(value, str):
        return value
    if "${" in value:
        return fill_in(value, str(path))
    if is_retriever(value):
        return retriever_beside(value, path.parent)
    place = value.partition(":")[0]
    return str(path.parent / value) if place and (path.parent / place).exists() else value
