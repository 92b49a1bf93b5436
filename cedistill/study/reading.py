"""Reading a study file: its paths, its environment variables, and the benchmarks that it names."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import Field, PositiveInt, ValidationError

from cedistill.config.benchmark import (
    DEFAULT_MEASURES,
    Evaluation,
    Suite,
    changed,
    check_run_for_each,
    distinct,
    load_benchmark,
)
from cedistill.config.toml import Strict, fill_in, read_toml, validated
from cedistill.data.references import is_retriever, retriever_beside
from cedistill.errors import InputError, unknown
from cedistill.study.plan import UNTRAINED, Study, Validate, cells
from cedistill.study.teachers import is_made, teacher_beside

logger = logging.getLogger(__name__)

_REFERENCES = ("dataset", "candidates", "teachers", "pairs", "lists", "list_weights", "benchmark")


class _OfBenchmark(Strict):
    benchmark: str
    name: str | None = None
    candidates: str | None = None
    depth: PositiveInt | None = None
    measures: tuple[str, ...] | None = Field(None, min_length=1)


def load_study(reference: str | Path) -> tuple[Study, Path]:
    """Load a study from its folder or its file; return it with its folder.

    Environment variables in references are filled in; other relative paths start at the study's folder. An
    ``[[evaluate]]`` that names a ``benchmark`` stands for its data sets, with the ``candidates``, ``depth`` and
    ``measures`` given there in place of the benchmark's, under the ``name`` given there.

    Raises:
        InputError: unknown keys or names, values out of range, unset variables, data sets of the same name, or cells
            that start from one another in a circle.
    """
    path = Path(reference)
    path = path / "study.toml" if path.is_dir() else path
    if not path.is_file():
        raise InputError(
            f"{reference}: expected a study's folder (with study.toml) or file, found none; check the path"
        )
    table = _resolved(read_toml(path), path)
    suites = _suites(table, str(path))
    study = validated(Study, _expanded(table, suites), str(path), path.read_text(encoding="utf-8"))
    labels = [one.label for one in study.evaluate]
    if len(set(labels)) < len(labels):
        raise InputError(
            f"{path}: expected a different name for each [[evaluate]], found {', '.join(labels)}; give each a name"
        )
    study._benchmarks = {suite.name: suite.benchmark for suite in suites}
    study._validation = _validation(study.validate_on, str(path))
    _check_objectives(study, str(path))
    return study, path.parent


def _suites(table: dict[str, Any], origin: str) -> list[Suite]:
    suites, others = [], []
    for entry in _listed(table.get("evaluate")):
        if not _names_benchmark(entry):
            with suppress(ValidationError):  # what is wrong with it is told with its line, as the study is validated
                others.append(Evaluation.model_validate(entry).label)
            continue
        if "dataset" in entry:
            raise InputError(
                f"{origin}: expected 'dataset' or 'benchmark' in an [[evaluate]], found both; drop one of them"
            )
        asked = validated(_OfBenchmark, entry, f"{origin}: [[evaluate]] {entry['benchmark']}")
        loaded = load_benchmark(asked.benchmark)
        check_run_for_each(asked.candidates, loaded.datasets)
        suite = Suite(asked.name or Path(asked.benchmark).stem, loaded)
        suites.append(changed(suite, asked.candidates, asked.depth, asked.measures))
    names = [suite.name for suite in suites]
    if len(set(names)) < len(names):
        raise InputError(f"{origin}: expected each benchmark once, found {', '.join(names)}; give each a name")
    return distinct(suites, others)


def _expanded(table: dict[str, Any], suites: list[Suite]) -> dict[str, Any]:
    """Return the table with the data sets of ``suites`` in place of the entries that name benchmarks, in order."""
    if not isinstance(table.get("evaluate"), list):
        return table
    waiting = iter(suites)
    evaluate = [
        one
        for entry in table["evaluate"]
        for one in (next(waiting).benchmark.datasets if _names_benchmark(entry) else [entry])
    ]
    return table | {"evaluate": evaluate}


def _names_benchmark(entry: Any) -> bool:
    return isinstance(entry, dict) and "benchmark" in entry


def _validation(asked: Validate | None, origin: str) -> tuple[Evaluation, ...]:
    if asked is None:
        return ()
    if (asked.dataset is None) == (asked.benchmark is None):
        raise InputError(f"{origin}: [validate]: expected exactly one of 'dataset' and 'benchmark'; give one")
    if asked.dataset is not None:
        return (Evaluation(dataset=asked.dataset, candidates=asked.candidates or "bm25", measures=DEFAULT_MEASURES),)
    loaded = load_benchmark(asked.benchmark or "")
    check_run_for_each(asked.candidates, loaded.datasets)
    return changed(Suite(asked.benchmark or "", loaded), asked.candidates).benchmark.datasets


def _check_objectives(study: Study, origin: str) -> None:
    for name, own in study.objective.items():
        if name not in study.objectives:
            logger.warning("%s: [objective.%s] is of no objective of the study", origin, name)
        if own.start is not None and own.start not in study.objectives:
            raise InputError(
                f"{origin}: [objective.{name}]: start: {unknown('objective', own.start, study.objectives)}"
            )
        if own.start == UNTRAINED:
            raise InputError(f"{origin}: [objective.{name}]: start: expected a trained objective, found {UNTRAINED!r}")
    cells(study)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _resolved(table: dict[str, Any], path: Path) -> dict[str, Any]:
    resolved = dict(table)
    for name in ("train", "validate"):
        if isinstance(table.get(name), dict):
            resolved[name] = _filled(table[name], path)
    if isinstance(table.get("objective"), dict):
        resolved["objective"] = {name: _own(own, path) for name, own in table["objective"].items()}
    if isinstance(table.get("evaluate"), list):
        resolved["evaluate"] = [_filled(one, path) if isinstance(one, dict) else one for one in table["evaluate"]]
    for name in ("objectives", "backbones"):
        if isinstance(table.get(name), list):
            resolved[name] = [_beside(one, path) if _is_path(one) else one for one in table[name]]
    return resolved


def _own(own: Any, path: Path) -> Any:
    if not isinstance(own, dict):
        return own
    filled: dict[str, Any] = {"train": _filled(own["train"], path)} if isinstance(own.get("train"), dict) else {}
    if _is_path(own.get("base")):
        filled["base"] = _beside(own["base"], path)
    return own | filled


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and (value.startswith(("./", "../")) or value.endswith(".toml"))


def _filled(table: dict[str, Any], path: Path) -> dict[str, Any]:
    return {key: _reference(key, value, path) if key in _REFERENCES else value for key, value in table.items()}


def _reference(key: str, value: Any, path: Path) -> Any:
    if isinstance(value, list):
        return [_reference(key, one, path) for one in value]
    if not isinstance(value, str):
        return value
    if "${" in value:
        return fill_in(value, str(path))
    if key == "benchmark":
        return _beside(value, path) if _is_path(value) else value
    if key == "candidates" and is_retriever(value):
        return retriever_beside(value, path.parent)
    if key == "teachers" and is_made(value):
        return teacher_beside(value, path.parent)
    if key == "candidates" and "{dataset}" in value:
        return str(path.parent / value)
    return _beside(value, path)


def _beside(value: str, path: Path) -> str:
    """Return the path beside the study's file that ``value`` means, or ``value`` where it is a name."""
    place = path.parent / value.partition(":")[0]
    return str(path.parent / value) if place.exists() and value.partition(":")[0] else value
