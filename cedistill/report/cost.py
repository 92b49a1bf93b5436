"""What a model costs: parameters, speed, time of training and memory, as far as it was recorded."""

from __future__ import annotations

import json
import math
import statistics
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

COSTS = {
    "parameters": "parameters",
    "pairs_per_second": "pairs/s, scoring",
    "ms_per_100_documents": "ms per 100 documents",
    "training_seconds": "training time",
    "training_pairs_per_second": "pairs/s, training",
    "peak_memory_bytes": "peak memory",
}
"""The kinds of cost by key, in words."""


def cell_cost(figures: Mapping[str, Any], folder: Path | None) -> dict[str, float]:
    """Return what is known of a cell's cost.

    ``metrics.json`` may hold ``cost`` (``parameters``, ``pairs_per_second``, ``ms_per_100_documents``,
    ``peak_memory_bytes``, measured while scoring) and ``training`` (``seconds``, ``peak_memory_bytes``). The speed of
    training is the median of what ``log.jsonl`` says; parameters are counted in the weights where they lie beside it.

    Args:
        figures: the cell's ``metrics.json``.
        folder: the cell's folder, None to read no file.
    """
    recorded, training = figures.get("cost") or {}, figures.get("training") or {}
    cost = {name: recorded.get(name) for name in ("parameters", "pairs_per_second", "ms_per_100_documents")}
    cost["training_seconds"] = training.get("seconds")
    cost["training_pairs_per_second"] = training.get("pairs_per_second")
    memory = [one["peak_memory_bytes"] for one in (recorded, training) if one.get("peak_memory_bytes")]
    cost["peak_memory_bytes"] = max(memory, default=None)
    if folder is not None:
        speeds = [one["pairs_per_second"] for one in read_log(folder) if one.get("pairs_per_second")]
        cost["training_pairs_per_second"] = cost["training_pairs_per_second"] or _median(speeds)
        cost["parameters"] = cost["parameters"] or _parameters(folder / "model" / "model.safetensors")
    if cost["pairs_per_second"] and not cost["ms_per_100_documents"]:
        cost["ms_per_100_documents"] = 100_000 / cost["pairs_per_second"]
    return {name: float(value) for name, value in cost.items() if value}


def mean_cost(costs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean cost over seeds; of memory the largest."""
    merged = {}
    for name in COSTS:
        known = [one[name] for one in costs if name in one]
        if known:
            merged[name] = max(known) if name == "peak_memory_bytes" else statistics.fmean(known)
    return merged


def shown_cost(name: str, value: float | None) -> str:
    """Return a cost for reading: 22.7 M, 309 s, 1.2 GiB; "" where it is not known."""
    if value is None:
        return ""
    if name == "parameters":
        return f"{value / 1e6:.1f} M"
    if name == "peak_memory_bytes":
        return f"{value / 2**30:.1f} GiB"
    if name == "training_seconds":
        minutes = value / 60
        return f"{value:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
    return f"{value:,.0f}".replace(",", " ") if value >= 100 else f"{value:.1f}"


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of a cell's ``log.jsonl``, without any that an interruption cut short."""
    path = folder / "log.jsonl"
    if not path.is_file():
        return []
    return list(_lines(path.read_text(encoding="utf-8").splitlines()))


def _lines(lines: Iterable[str]) -> Iterable[dict[str, Any]]:
    for line in lines:
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and "step" in found:
            yield found


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def _parameters(weights: Path) -> int | None:
    """Return the number of weights of a safetensors file, from its header alone."""
    try:
        with weights.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(size))
    except (OSError, ValueError, struct.error):
        return None
    return sum(math.prod(one["shape"]) for name, one in header.items() if name != "__metadata__")
