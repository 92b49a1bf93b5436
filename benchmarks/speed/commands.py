"""Whole commands: start-up, BM25 as first stage, and measures of 6 980 queries with 1 000 results each."""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from machine import whole_process
from texts import source

QUERIES, RESULTS = 6980, 1000
_CEDISTILL = [sys.executable, "-m", "cedistill"]


def start_up(repetitions: int = 5) -> dict[str, Any]:
    """Return the median of ``cedistill --help``."""
    runs = [whole_process([*_CEDISTILL, "--help"]) for _ in range(repetitions + 1)][1:]
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def first_stage() -> dict[str, Any]:
    """Return BM25 over the source's documents: the first start, which indexes, and the next."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*_CEDISTILL, "retrieve", "--dataset", source()["dataset"], "--retriever", "bm25"]
        command += ["--depth", "1000", "--output", f"{folder}/run.trec.gz"]
        return {name: whole_process(command, CEDISTILL_CACHE=f"{folder}/cache") for name in ("first", "next")}


def metrics(queries: int = QUERIES, results: int = RESULTS) -> dict[str, Any]:
    """Return `cedistill metrics` on a generated run of the size of MS MARCO's development set: the first, and the next.

    ``seconds`` are those of the whole command; reading the run's file is most of it.
    """
    with tempfile.TemporaryDirectory() as folder:
        run, qrels = Path(folder, "run.trec"), Path(folder, "qrels.txt")
        _write(run, qrels, queries, results)
        command = [*_CEDISTILL, "metrics", str(run), "--qrels", str(qrels), "--json"]
        command += [word for name in ("ndcg@10", "rr@10", "recall@1000") for word in ("--measure", name)]
        return {name: whole_process(command, CEDISTILL_CACHE=f"{folder}/cache") for name in ("first", "next")}


def _write(run: Path, qrels: Path, queries: int, results: int) -> None:
    random = np.random.default_rng(1)
    with run.open("w") as lines, qrels.open("w") as judged:
        for query in range(queries):
            start = int(random.integers(0, 8_000_000))
            lines.write(
                "".join(f"{query} Q0 {start + 17 * k} {k + 1} {40 - k / 32:.4f} bench\n" for k in range(results))
            )
            judged.write(f"{query} 0 {start + 17 * int(random.integers(0, 100))} 1\n")
