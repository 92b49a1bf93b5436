"""A benchmark: data sets, their measures, first stage, depth and published figures."""

from __future__ import annotations

from pydantic import Field, PositiveInt, model_validator

from cedistill.config.shipped import find_shipped
from cedistill.config.toml import Strict, fill_in, read_toml, validated

DEFAULT_MEASURES = ("ndcg@10", "rr@10")


class Evaluation(Strict):
    """A data set to re-rank: its reference, its candidates (a run or a first stage), how deep, and what to measure."""

    dataset: str
    name: str = ""
    candidates: str = "bm25"
    depth: PositiveInt | None = None
    measures: tuple[str, ...] = Field(DEFAULT_MEASURES, min_length=1)
    published: dict[str, dict[str, float]] = Field(
        default_factory=dict, description="figures by source, then by measure, as their authors report them"
    )

    @property
    def label(self) -> str:
        """Name in tables and file names: the given one, else the folder's, with the split unless that is ``test``."""
        if self.name:
            return self.name
        folder, colon, split = self.dataset.rpartition(":")
        folder, split = (folder, split) if colon else (self.dataset, "test")
        stem = folder.rstrip("/").rpartition("/")[2]
        return stem if split == "test" else f"{stem}-{split}"


class Benchmark(Strict):
    """One benchmark file."""

    title: str
    source: str = ""
    datasets: tuple[Evaluation, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> Benchmark:
        labels = [one.label for one in self.datasets]
        if len(set(labels)) < len(labels):
            raise ValueError(
                f"datasets: expected a different name for each, found {', '.join(labels)}; give each a name"
            )
        return self


def load_benchmark(name_or_path: str) -> Benchmark:
    """Load a benchmark by its shipped name or from a TOML file. Raises InputError for unknown names, keys or values."""
    path = find_shipped("benchmarks", name_or_path)
    table = read_toml(path)
    filled = [
        {key: fill_in(value, str(path)) if key in ("dataset", "candidates") else value for key, value in one.items()}
        for one in table.get("datasets", [])
    ]
    return validated(Benchmark, table | {"datasets": filled}, str(path), path.read_text(encoding="utf-8"))
