"""Pairs per second of Reranker.score beside sentence-transformers' CrossEncoder.predict, in turns, on the same pairs.

MiniLM-L6 with a new head (speed does not depend on its weights), on passages of CEDISTILL_DATA if set, else of the
demo. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import torch
from sentence_transformers import CrossEncoder

from cedistill import Reranker
from cedistill.data.collections import open_collection
from cedistill.model.backbones import load_backbone
from cedistill.model.saving import save_model

Pairs = list[tuple[str, str]]


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pairs", type=int, default=256)
    options.add_argument("--repetitions", type=int, default=5)
    given = options.parse_args()
    source, pairs = _pairs(given.pairs)
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder) / "model", *load_backbone("minilm-l6", 12), max_length=288)
        contenders = _contenders(str(Path(folder) / "model"))
        speeds = _in_turns(contenders, pairs, given.repetitions)
    _print(speeds, source, given)


def _pairs(count: int) -> tuple[str, Pairs]:
    data = os.environ.get("CEDISTILL_DATA")
    collection = open_collection(f"{data}/msmarco-v1:dl19" if data else "demo")
    query = next(iter(collection.queries.values()))
    return collection.name, [(query, text) for text in islice(collection.documents.values(), count)]


def _contenders(model: str) -> dict[str, Callable[[Pairs], object]]:
    theirs = {name: CrossEncoder(model, model_kwargs={"dtype": kind}) for name, kind in _TYPES.items()}
    ours = {name: Reranker(model, precision=name) for name in _TYPES}
    return {
        **{f"cedistill {name}": one.score for name, one in ours.items()},
        **{f"sentence-transformers {name}": one.predict for name, one in theirs.items()},
    }


_TYPES = {"float32": torch.float32, "bf16": torch.bfloat16}


def _in_turns(contenders: dict[str, Callable[[Pairs], object]], pairs: Pairs, times: int) -> dict[str, list[float]]:
    speeds: dict[str, list[float]] = {name: [] for name in contenders}
    for repetition in range(times + 1):
        for name, score in contenders.items():
            start = time.perf_counter()
            score(pairs)
            if repetition:  # the first is warm-up
                speeds[name].append(len(pairs) / (time.perf_counter() - start))
    return speeds


def _print(speeds: dict[str, list[float]], source: str, given: argparse.Namespace) -> None:
    base = statistics.median(speeds["sentence-transformers float32"])
    machine = (
        torch.cuda.get_device_name() if torch.cuda.is_available() else f"{platform.machine()}, {os.cpu_count()} cores"
    )
    lines = [
        f"{given.pairs} pairs of {source}, {given.repetitions} repetitions in turns",
        f"({machine}, torch {torch.__version__})",
        "",
        "| scorer | pairs/s (median) | min | max | ratio to sentence-transformers float32 |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, values in speeds.items():
        median = statistics.median(values)
        lines.append(f"| {name} | {median:.0f} | {min(values):.0f} | {max(values):.0f} | {median / base:.2f} |")
    print("\n".join(lines))  # noqa: T201


if __name__ == "__main__":
    main()
