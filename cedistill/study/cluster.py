"""The engine `ray`: the cells of a study as tasks of a Ray cluster, which write into a folder that all nodes share."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from cedistill.errors import InputError
from cedistill.study.engine import Job
from cedistill.study.outcome import Outcome, attempt, failed, failed_start
from cedistill.study.plan import Cell, start_of

_SECONDS_BETWEEN_LINES = 60.0

# What a cell reads from the environment: the driver's values hold on every node.
_ENVIRONMENT = (
    "CEDISTILL_",
    "HF_",
    "IR_DATASETS_HOME",
    "NUMBA_CACHE_DIR",
    "OMP_NUM_THREADS",
    "TENSORBOARD_LOGGING_DIR",
    "WANDB_",
)


class Cluster(NamedTuple):
    """Where cells run, and what each asks for.

    ``address`` is that of a running cluster (``auto`` for the one of this machine); without it and without
    ``RAY_ADDRESS`` one is started on this machine, and ended with the study. ``gpus`` of a cell are 1 by default where
    the cluster has GPUs. A cell whose worker or node dies is tried ``retries`` times more, from its last checkpoint.
    """

    address: str | None = None
    gpus: float | None = None
    retries: int = 3


def run_on_ray(job: Job, cluster: Cluster) -> list[Outcome]:
    """Run the cells of a job as Ray tasks; one that starts from another's model waits for it.

    Raises:
        InputError: Ray is not installed, no cluster answers, or no node has the GPUs that a cell asks for.
    """
    ray = require_ray()
    with _connected(ray, cluster):
        gpus = _gpus_of_a_cell(ray, cluster.gpus)
        task = ray.remote(
            num_cpus=1,
            num_gpus=gpus,
            max_retries=cluster.retries,
            max_calls=1,  # a process for each cell: what one leaves in memory is no other's
            runtime_env={"env_vars": _environment()},
        )(_run_cell)
        settings = _Settings(str(job.reference.resolve()), str(Path.cwd()), tuple(sys.path), job.report_to)
        running: dict[Any, Cell] = {}
        tasks: dict[Cell, Any] = {}
        for number, cell in enumerate(job.waiting, start=1):
            job.status(number, len(job.waiting), cell)
            start = start_of(job.study, cell)
            tasks[cell] = task.remote(settings, tuple(cell), tasks.get(start) if start else None)
            running[tasks[cell]] = cell
        return _collected(ray, job, running)


def _collected(ray: Any, job: Job, running: dict[Any, Cell]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    began = time.monotonic()
    while running:
        done, _ = ray.wait(list(running), num_returns=1, timeout=_SECONDS_BETWEEN_LINES)
        if not done:
            sys.stderr.write(f"[{len(outcomes)}/{len(job.waiting)}] {at_work(running.values(), job.folder)}\n")
            continue
        cell = running.pop(done[0])
        try:
            seconds, cause = ray.get(done[0])
            outcome = Outcome(cell, seconds, cause)
        except ray.exceptions.RayError as error:  # of the cell itself, attempt() tells
            said = next(iter(str(error).strip().splitlines()), "")
            cause = failed_start(job.study, cell, [one for one in outcomes if one.cause])
            cause = cause or f"its worker died and retries did not help: {type(error).__name__}: {said}"
            outcome = failed(cell, job.folder, cause, str(error), time.monotonic() - began)
        outcomes.append(outcome)
        job.finished(outcome)
    return outcomes


def at_work(cells: Iterable[Cell], folder: Path) -> str:
    """Return in words how far cells are that run elsewhere, by their logs in the study's folder."""
    found = [f"{cell.name} ({_last_step(folder / cell.name / 'log.jsonl')})" for cell in cells if _begun(cell, folder)]
    return f"at work: {', '.join(found)}" if found else "waiting for a place on the cluster"


def _begun(cell: Cell, folder: Path) -> bool:
    return (folder / cell.name / "log.jsonl").is_file()


def _last_step(log: Path) -> str:
    lines = log.read_text().splitlines()
    with suppress(ValueError, KeyError, IndexError):  # the last line may be half written
        return f"step {json.loads(lines[-1])['step']}"
    return "starting"


class _Settings(NamedTuple):
    reference: str
    cwd: str
    path: tuple[str, ...]
    report_to: tuple[str, ...]


def _run_cell(settings: _Settings, names: tuple[str, str, int], start: tuple[float, str] | None) -> tuple[float, str]:
    """Run one cell on a node and return its seconds and the cause of its failure; ``start`` is that of its start."""
    if Path(settings.cwd).is_dir():  # paths that a study names start there, and a user's own losses lie there
        os.chdir(settings.cwd)
    sys.path[:] = dict.fromkeys([*sys.path, *settings.path])
    from cedistill.study.reading import load_study

    study, folder = load_study(settings.reference)
    cell = Cell(*names)
    if start is not None and start[1]:
        first = start_of(study, cell)
        cause = failed_start(study, cell, [Outcome(first, *start)] if first else [])
        return failed(cell, folder, cause, cause).seconds, cause
    outcome = attempt(study, cell, folder, lambda name: lambda done, total, words: None, settings.report_to)
    return outcome.seconds, outcome.cause


@contextmanager
def _connected(ray: Any, cluster: Cluster) -> Iterator[None]:
    address = cluster.address or os.environ.get("RAY_ADDRESS") or "local"
    options: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", **options)
    except (ConnectionError, ValueError) as error:
        said = " ".join(str(error).split())
        raise InputError(
            f"expected a Ray cluster at {address}, found none ({said}); start one with `ray start --head`, or leave "
            "--address and RAY_ADDRESS out to have one started here"
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


def _gpus_of_a_cell(ray: Any, asked: float | None) -> float:
    most = max((node["Resources"].get("GPU", 0.0) for node in ray.nodes() if node["Alive"]), default=0.0)
    if asked is None:
        return 1.0 if most else 0.0
    if asked > most:
        raise InputError(
            f"expected a node with {asked:g} GPUs for --gpus-per-cell, found at most {most:g}; give no more than that"
        )
    return asked


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(_ENVIRONMENT)}


def require_ray() -> Any:
    """Return Ray. Raises InputError where it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise InputError(
            "expected Ray to be installed for --engine ray, found none; pip install 'cedistill[cluster]'"
        ) from None
    return ray
