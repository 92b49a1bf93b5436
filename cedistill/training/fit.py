"""The optimisation itself: AdamW, warm-up and linear decay over the lists of a run, with checkpoints."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import EarlyStoppingCallback, PrinterCallback, ProgressCallback, TrainingArguments
from transformers.utils.logging import disable_progress_bar

from cedistill import processes
from cedistill.config.objective import Objective, Schedule
from cedistill.data.lists import TrainingLists
from cedistill.model.encode import make_encoder, max_positions
from cedistill.model.precision import autocast, choose_precision
from cedistill.model.reranker import default_device
from cedistill.training.collate import make_collator
from cedistill.training.exchange import same_weights
from cedistill.training.loss import objective_loss, weighted_loss
from cedistill.training.memory import graph_tokens
from cedistill.training.record import Progress, Record
from cedistill.training.trained_loss import TrainedLoss
from cedistill.training.trainer import ListTrainer, Step, set_random_state
from cedistill.training.validation import MEASURE, Validation
from cedistill.training.waiting import Waiting


class Fit(NamedTuple):
    """What is trained, and how; ``loss`` stands in place of the objective's where it has parameters of its own."""

    model: Any
    tokenizer: Any
    objective: Objective
    plan: Schedule
    seed: int
    validation: Validation | None
    workers: int
    report_to: tuple[str, ...] = ()
    loss: TrainedLoss | None = None


def fit(job: Fit, lists: TrainingLists, checkpoints: Path, log: Path, progress: Progress | None) -> dict[str, Any]:
    """Train ``job.model`` in place, from the last whole checkpoint in ``checkpoints`` if there is one.

    Returns:
        Figures of the run: steps done, last loss, pairs, and with a validation the best value and its step.
    """
    training = job.objective.training
    arguments = _arguments(job, checkpoints)
    asked, width = training.precision, job.model.config.hidden_size
    precision = processes.answer_of_first(lambda: choose_precision(asked, arguments.device, width))
    encoder = make_encoder(
        job.tokenizer, training.query_tokens, training.document_tokens, max_positions(job.model.config)
    )
    job.model.to(arguments.device)
    tokens = training.graph_tokens or graph_tokens(job.model, encoder, autocast(precision, arguments.device))
    lanes = 1 if training.compile else None
    collator = make_collator(encoder, job.model, arguments.device, precision, tokens, lanes)
    compiled = torch.compile(job.model, dynamic=True) if training.compile else None
    validate = job.validation
    plain, weighted = objective_loss(job.objective), lists.pools.weighted
    trainer = ListTrainer(
        loss=job.loss if job.loss is not None else weighted_loss(plain) if weighted else plain,
        precision=precision,
        compiled=compiled,
        step=Step(job.plan.lists_per_step, job.objective.lists.size, tokens, weighted, collator.lanes),
        validation=(lambda: validate(job.model, encoder, precision)) if validate else None,
        model=job.model,
        args=arguments,
        train_dataset=lists,
        eval_dataset=lists if validate else None,  # Trainer asks for one; validation brings its own
        data_collator=collator,
    )
    record = Record(log if processes.is_first() else None, lambda: processes.total(trainer.pairs_seen), progress)
    trainer.add_callback(Waiting())  # before the record, which writes what it adds
    trainer.add_callback(record)
    for console in (ProgressCallback, PrinterCallback):
        trainer.remove_callback(console)
    if validate and training.patience:
        trainer.add_callback(EarlyStoppingCallback(training.patience))
    disable_progress_bar()  # of the files of checkpoints
    same_weights(job.model)
    set_random_state(job.seed)
    trainer.train(resume_from_checkpoint=processes.answer_of_first(lambda: _last_whole(checkpoints)))
    job.model.eval()
    state = trainer.state
    figures: dict[str, Any] = {"steps": state.global_step, "loss": _last_loss(state.log_history)}
    figures["precision"] = precision
    if validate:
        figures["validation"] = {MEASURE: state.best_metric, "step": state.best_global_step}
    return figures


def _arguments(job: Fit, checkpoints: Path) -> TrainingArguments:
    training, plan = job.objective.training, job.plan
    every = _every(training.validate_every, plan.steps)
    return TrainingArguments(
        output_dir=str(checkpoints),
        max_steps=plan.steps,
        per_device_train_batch_size=plan.lists_per_step,
        learning_rate=plan.learning_rate,
        warmup_steps=plan.warmup_steps,
        lr_scheduler_type="linear",
        weight_decay=training.weight_decay,
        adam_epsilon=training.adam_epsilon,
        max_grad_norm=training.max_grad_norm,
        seed=job.seed,
        use_cpu=not torch.cuda.is_available() and (processes.count() > 1 or default_device().type == "cpu"),
        eval_strategy="steps" if job.validation else "no",
        eval_steps=every,
        save_steps=every,
        save_total_limit=1,
        load_best_model_at_end=job.validation is not None,
        metric_for_best_model=MEASURE if job.validation else None,
        greater_is_better=True if job.validation else None,
        logging_steps=_divisor(every, plan.steps // 50),
        logging_nan_inf_filter=False,
        dataloader_num_workers=job.workers,
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,
        report_to=list(job.report_to) or "none",
        run_name=str(checkpoints.parent),
        disable_tqdm=True,
        log_level="error",
    )


def _every(asked: int, steps: int) -> int:
    """Return the steps between checkpoints and validations: as asked, or four times in a shorter run."""
    return min(asked, max(1, math.ceil(steps / 4)))


def _divisor(every: int, most: int) -> int:
    """Return the largest divisor of ``every`` that is at most ``most``, or 1: each line of the log waits for a GPU."""
    return next(one for one in range(max(1, min(every, most)), 0, -1) if every % one == 0)


def _last_whole(checkpoints: Path) -> str | None:
    """Return the newest checkpoint that was written to its end; the trainer's state is the last file of one."""
    folders = sorted(checkpoints.glob("checkpoint-*"), key=lambda folder: int(folder.name.rpartition("-")[2]))
    for folder in reversed(folders):
        try:
            json.loads((folder / "trainer_state.json").read_text())
        except (OSError, ValueError):
            shutil.rmtree(folder)
        else:
            return str(folder)
    return None


def _last_loss(history: list[dict[str, Any]]) -> float | None:
    return next((entry["loss"] for entry in reversed(history) if "loss" in entry), None)
