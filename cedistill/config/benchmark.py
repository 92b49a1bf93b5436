"""A benchmark: data sets, their measures, first stage, depth and published figures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field, PositiveInt, model_validator

from cedistill.config.shipped import find_shipped, shipped_names
from cedistill.config.toml import Strict, fill_in, read_toml, validated
from cedistill.data.references import is_retriever
from cedistill.errors import InputError, unknown

DEFAULT_MEASURES = ("ndcg@10", "rr@10")
_FOR_ALL = ("candidates", "depth", "measures")

Published = dict[str, dict[str, float]]
"""Figures by source, then by measure, as their authors report them."""


class Evaluation(Strict):
    """A data set to re-rank: its reference, its candidates, how deep, and what to measure.

    Candidates are a run, a first stage (``bm25``, ``bi-encoder:M``, ``sparse:M``), or ``scoreddocs`` for those that
    come with the data set. ``group`` names data sets that count as one in a benchmark's mean; ``folds`` are references
    to the parts of a cross-validation. ``words`` of a document on average, as the collection's authors report them,
    serve to estimate cost. ``benchmark`` is the name of the one that the data set was taken from.
    """

    dataset: str
    name: str = ""
    candidates: str = "bm25"
    depth: PositiveInt | None = None
    measures: tuple[str, ...] = Field(DEFAULT_MEASURES, min_length=1)
    published: Published = Field(default_factory=dict)
    group: str = ""
    folds: tuple[str, ...] = ()
    words: PositiveInt | None = None
    benchmark: str = ""

    @property
    def label(self) -> str:
        """Name in tables and file names: the given one, else the folder's, with the split unless that is ``test``.

        Of a public data set it is the id with hyphens for slashes.
        """
        if self.name:
            return self.name
        if _is_id(self.dataset):
            return re.sub(r"[/:]", "-", self.dataset)
        folder, colon, split = self.dataset.rpartition(":")
        folder, split = (folder, split) if colon else (self.dataset, "test")
        stem = folder.rstrip("/").rpartition("/")[2]
        return stem if split == "test" else f"{stem}-{split}"


class Benchmark(Strict):
    """One benchmark file.

    ``candidates``, ``depth`` and ``measures`` hold for every data set that has none of its own; ``{dataset}`` in
    candidates stands for its name. ``mean`` says whether the mean over the data sets is a figure of the benchmark;
    ``published`` are such means.
    """

    title: str
    source: str = ""
    candidates: str | None = None
    depth: PositiveInt | None = None
    measures: tuple[str, ...] | None = None
    mean: bool = True
    published: Published = Field(default_factory=dict)
    datasets: tuple[Evaluation, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> Benchmark:
        labels = [one.label for one in self.datasets]
        if len(set(labels)) < len(labels):
            raise ValueError(
                f"datasets: expected a different name for each, found {', '.join(labels)}; give each a name"
            )
        return self

    @property
    def groups(self) -> list[list[str]]:
        """The labels of the data sets that count as one in the mean, in their order."""
        groups: dict[str, list[str]] = {}
        for one in self.datasets:
            groups.setdefault(f"group {one.group}" if one.group else one.label, []).append(one.label)
        return list(groups.values())


class UnknownError(InputError):
    """No benchmark, or no data set of one, has the name."""


class Suite(NamedTuple):
    """A benchmark under the name that the user gave."""

    name: str
    benchmark: Benchmark


def load_benchmark(name_or_path: str) -> Benchmark:
    """Load a benchmark by its shipped name or from a TOML file; ``NAME/DATASET`` takes one of its data sets.

    Raises InputError for unknown names, keys or values.
    """
    name, dataset = _split(name_or_path)
    try:
        path = find_shipped("benchmarks", name)
    except InputError as error:
        raise UnknownError(str(error)) from None
    table = read_toml(path)
    filled = [_filled(one, table, path) if isinstance(one, dict) else one for one in _listed(table.get("datasets"))]
    benchmark = validated(Benchmark, table | {"datasets": filled}, str(path), path.read_text(encoding="utf-8"))
    if not dataset:
        return benchmark
    chosen = [one for one in benchmark.datasets if one.label == dataset]
    if not chosen:
        known = [one.label for one in benchmark.datasets]
        raise UnknownError(f"{path}: {unknown('data set', dataset, known)}")
    return benchmark.model_copy(update={"datasets": tuple(chosen), "published": {}})


def load_suites(
    names: Sequence[str],
    candidates: str | None = None,
    depth: int | None = None,
    measures: Sequence[str] | None = None,
) -> list[Suite]:
    """Load benchmarks to be run together, with other candidates, depth or measures in place of theirs.

    Args:
        names: as ``load_benchmark`` takes them.
        candidates: for all data sets; ``{dataset}`` in it stands for the name of each.
        depth: for all data sets.
        measures: for all data sets.

    Returns:
        The benchmarks; a data set whose name occurs in several carries its benchmark's before it.

    Raises:
        InputError: unknown names, keys or values; one run for several data sets.
    """
    loaded = [Suite(name, load_benchmark(name)) for name in dict.fromkeys(names)]
    check_run_for_each(candidates, [one for suite in loaded for one in suite.benchmark.datasets])
    return distinct([changed(suite, candidates, depth, measures) for suite in loaded])


def check_run_for_each(candidates: str | None, datasets: Sequence[Evaluation]) -> None:
    """Refuse one run as the candidates of several data sets. Raises InputError."""
    is_run = candidates not in (None, "scoreddocs") and not is_retriever(str(candidates))
    if is_run and len(datasets) > 1 and "{dataset}" not in str(candidates):
        raise InputError(
            f"expected a run for each of {len(datasets)} data sets, found the one {candidates}; "
            "write {dataset} where the data set's name stands, or take one data set as BENCHMARK/DATASET"
        )


def changed(
    suite: Suite, candidates: str | None = None, depth: int | None = None, measures: Sequence[str] | None = None
) -> Suite:
    """Return a suite with other candidates, depth or measures for all its data sets, each of them marked as its own."""
    datasets = []
    for one in suite.benchmark.datasets:
        given: dict[str, Any] = {"depth": depth, "measures": tuple(measures) if measures else None}
        given |= {"candidates": candidates and candidates.replace("{dataset}", one.label), "benchmark": suite.name}
        given["name"] = one.label
        datasets.append(one.model_copy(update={key: value for key, value in given.items() if value is not None}))
    return Suite(suite.name, suite.benchmark.model_copy(update={"datasets": tuple(datasets)}))


def distinct(suites: Sequence[Suite], others: Sequence[str] = ()) -> list[Suite]:
    """Return the suites; a data set whose name occurs again, or among ``others``, carries its benchmark's before it."""
    labels = [*others, *(one.label for suite in suites for one in suite.benchmark.datasets)]
    renamed = []
    for suite in suites:
        stem = Path(suite.name).stem
        datasets = tuple(
            one.model_copy(update={"name": f"{stem}-{one.label}"}) if labels.count(one.label) > 1 else one
            for one in suite.benchmark.datasets
        )
        renamed.append(Suite(suite.name, suite.benchmark.model_copy(update={"datasets": datasets})))
    return renamed


def _filled(one: dict[str, Any], table: dict[str, Any], path: Path) -> dict[str, Any]:
    whole = {key: table[key] for key in _FOR_ALL if key in table} | one
    texts = {key: value for key, value in whole.items() if key in ("dataset", "candidates") and isinstance(value, str)}
    filled = {key: fill_in(value, str(path)).replace("{dataset}", one.get("name", "")) for key, value in texts.items()}
    return whole | filled


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _split(name: str) -> tuple[str, str]:
    """Return the benchmark and the data set that ``BENCHMARK/DATASET`` names, the latter "" where there is none."""
    if name in shipped_names("benchmarks") or Path(name).is_file() or "/" not in name:
        return name, ""
    before, _, dataset = name.rpartition("/")
    is_one = before in shipped_names("benchmarks") or Path(before).is_file()
    return (before, dataset) if is_one else (name, "")


def _is_id(reference: str) -> bool:
    name = reference.partition(":")[0]
    if "/" not in name or name.startswith((".", "/", "~")):
        return False
    from cedistill.data.collections import is_public

    return is_public(reference)
