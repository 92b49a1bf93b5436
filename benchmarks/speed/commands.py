"""Whole commands: start-up, BM25 as first stage, and measures of 6 980 queries with 1 000 results each."""

from __future__ import annotations

import itertools
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import whole_process
from texts import source

QUERIES, RESULTS = 6980, 1000
MEASURES = ("ndcg@10", "rr@10", "recall@1000")
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

    ``seconds`` are those of the whole command; reading the run's file is most of it. ``measures alone`` are those of
    the measures once the run is read and their code compiled.
    """
    with tempfile.TemporaryDirectory() as folder:
        run, qrels = Path(folder, "run.trec"), Path(folder, "qrels.txt")
        _write(run, qrels, queries, results)
        command = [*_CEDISTILL, "metrics", str(run), "--qrels", str(qrels), "--json"]
        command += [word for name in MEASURES for word in ("--measure", name)]
        found = {name: whole_process(command, CEDISTILL_CACHE=f"{folder}/cache") for name in ("first", "next")}
        return found | {"measures alone": _alone(run, qrels)}


def _alone(run_file: Path, qrels_file: Path) -> dict[str, Any]:
    from cedistill.data.qrels import read_qrels
    from cedistill.data.runs import read_run
    from cedistill.evaluation.measures import per_query

    run, qrels = read_run(run_file), read_qrels(qrels_file)
    per_query(run, dict(itertools.islice(qrels.items(), 10)), MEASURES)  # warm-up
    wall, own = time.perf_counter(), time.process_time()
    per_query(run, qrels, MEASURES)
    wall, own = time.perf_counter() - wall, time.process_time() - own
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {"seconds": wall, "cpu_seconds": own, "peak_mb": peak}


def _write(run: Path, qrels: Path, queries: int, results: int) -> None:
    random = np.random.default_rng(1)
    with run.open("w") as lines, qrels.open("w") as judged:
        for query in range(queries):
            start = int(random.integers(0, 8_000_000))
            lines.write(
                "".join(f"{query} Q0 {start + 17 * k} {k + 1} {40 - k / 32:.4f} bench\n" for k in range(results))
            )
            judged.write(f"{query} 0 {start + 17 * int(random.integers(0, 100))} 1\n")
