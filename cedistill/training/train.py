"""Train one cell: a backbone under an objective, on lists of the study's or the user's own data."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cedistill import processes
from cedistill.config.objective import Objective, load_objective, schedule
from cedistill.config.train_data import TrainData, bound, check_provides, needed
from cedistill.errors import InputError
from cedistill.training.record import Progress
from cedistill.training.tracking import trackers, tracking

logger = logging.getLogger(__name__)


def train(
    backbone: str,
    objective: str | Objective,
    output: str | Path,
    *,
    data: TrainData | None = None,
    seed: int = 12,
    validate: str | Sequence[tuple[str, str]] | None = None,
    validate_candidates: str | None = None,
    start: str | Path | None = None,
    settings: Sequence[str] = (),
    resume: bool = False,
    workers: int | None = None,
    log: str | Path | None = None,
    command: str = "",
    progress: Progress | None = None,
    report: Callable[[str], Progress] | None = None,
    report_to: Sequence[str] = (),
) -> dict[str, Any]:
    """Train a cross-encoder and save it.

    Started in several processes by torchrun or accelerate, it trains the same model from the same steps as one process
    would (up to rounding; dropout differs): each takes its share of a step's lists, the first one writes. All return
    the same. The output folder must be the same for all.

    Args:
        backbone: a name of ``cedistill ls backbones``, a Hub id or a folder.
        objective: a name of ``cedistill ls objectives``, a TOML file, or a loaded objective.
        output: folder of the model; must be new or empty unless ``resume``.
        data: what training lists are made of; without any, the objective's own source (see ``cedistill ls sources``).
        seed: of the classification head, of dropout and of the lists.
        validate: data set reference, or a benchmark's name for the mean over its data sets, or data set references with
            their candidates; the checkpoint with the best nDCG@10 is kept.
        validate_candidates: run or first stage to re-rank there; by default the benchmark's, or BM25's first 100.
        start: folder of a trained model whose weights training starts from, in place of the backbone's.
        settings: ``KEY=VALUE`` in place of values of the objective.
        resume: go on from the last checkpoint in ``output``, or start when there is none.
        workers: processes that read and tokenise ahead; by default half the processors, at least 1 and at most 4.
        log: file of the training log; by default ``log.jsonl`` in ``output``.
        command: recorded in ``cedistill.json``.
        progress: called after each step.
        report: given the name of a phase before training (a download, the reading of a large file), returns what is
            called as it advances.
        report_to: trackers that are told of the training: names that transformers knows (``tensorboard``, ``wandb``).

    Returns:
        The content of ``cedistill.json``: resolved configuration, versions, seed, hashes of the inputs, figures.

    Raises:
        InputError: bad input; nothing is written then.
        DivergedError: the loss is no finite number.
    """
    output, data, told = Path(output), data or TrainData(), trackers(report_to)
    if isinstance(objective, Objective) and settings:
        raise InputError(
            "expected settings with an objective's name or file, found them with a loaded one; load it with them"
        )
    loaded = objective if isinstance(objective, Objective) else load_objective(objective, settings)
    check_provides(loaded, data)
    loaded, data = bound(loaded, data)
    data = needed(loaded, data)
    processes.start()
    finished = processes.answer_of_first(lambda: _state_of(output, resume))
    if finished:
        return finished

    from cedistill.data.lists import TrainingLists
    from cedistill.data.pools import load_pools
    from cedistill.model.backbones import group_of, load_backbone
    from cedistill.training.fit import Fit, fit
    from cedistill.training.provenance import check_same_run, describe_run, write_model_folder
    from cedistill.training.stages import Job, prepare
    from cedistill.training.trained_loss import save_loss
    from cedistill.training.validation import make_validation, validation_sets

    labels = "labels" in loaded.lists.needs
    sets = validation_sets(validate, validate_candidates) if isinstance(validate, str) else list(validate or ())
    with processes.first_goes_first():
        pools = load_pools(data, labels=labels, positives=loaded.lists.positives or "judged", report=report)
        validation = make_validation(sets) if sets else None
        model, tokenizer = load_backbone(str(start) if start else backbone, seed)
        plan = schedule(loaded, group_of(backbone, model.config))
        _check_shares(plan.lists_per_step)
        lists = TrainingLists(pools, loaded.lists, seed, plan.steps * plan.lists_per_step)
    run = describe_run(backbone, loaded, plan, data, pools.inputs, seed, sets, start)
    checkpoints = output / "checkpoints"
    processes.answer_of_first(lambda: check_same_run(checkpoints, run))
    started = time.monotonic()
    own_loss = None
    if loaded.mixture is not None:
        stages = Job(loaded, data, pools, plan, seed, model, tokenizer)
        pools, own_loss = prepare(stages, checkpoints / "stages", report)
        lists = TrainingLists(pools, loaded.lists, seed, plan.steps * plan.lists_per_step)
    log = Path(log) if log else output / "log.jsonl"
    job = Fit(model, tokenizer, loaded, plan, seed, validation, _workers(workers), told, own_loss)
    with tracking(told, log.parent):
        figures = fit(job, lists, checkpoints, log, progress)
    figures["seconds"] = round(time.monotonic() - started, 1)

    def finish() -> dict[str, Any]:
        if own_loss is not None:
            save_loss(own_loss, log.parent, "mixture.safetensors")
        content = write_model_folder(output, model, tokenizer, run, figures, command)
        shutil.rmtree(checkpoints)
        return content

    return processes.answer_of_first(finish)


def _state_of(output: Path, resume: bool) -> dict[str, Any] | None:
    from cedistill.training.provenance import read_finished

    finished = read_finished(output)
    if resume:
        if finished:
            logger.warning("%s: training is finished, nothing to resume", output)
        return finished
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        found = (
            "a finished model" if finished else "an interrupted run" if (output / "checkpoints").exists() else "files"
        )
        raise InputError(
            f"{output}: expected a new or empty folder, found {found}; give another --output, or --resume to go on"
        )
    return None


def _check_shares(lists: int) -> None:
    if lists < processes.count():
        raise InputError(
            f"expected at least one list per step for each of {processes.count()} processes, found {lists}; "
            "give a larger --batch-size, or start fewer processes"
        )


def _workers(asked: int | None) -> int:
    return asked if asked is not None else max(1, min(4, (os.cpu_count() or 1) // 2))
