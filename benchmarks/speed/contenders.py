"""Our trainer and re-ranker beside sentence-transformers': same model, loss, lists, batch and precision, in turns."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from machine import TYPES, matrix_rate, now
from torch.utils.data import BatchSampler, SequentialSampler

WARM_UP = 2
SEED = 12


class Setting(NamedTuple):
    """What one training comparison runs: an objective, the lists of a step and documents of a list, steps timed."""

    objective: str
    lists: int
    size: int
    steps: int


class Seconds(list):  # type: ignore[type-arg]
    """Seconds of each repetition."""

    @property
    def median(self) -> float:
        """The median repetition."""
        return statistics.median(self)


def in_turns(contenders: dict[str, Callable[[], float]], repetitions: int) -> dict[str, Seconds]:
    """Run all contenders one after the other, then all again: A B A B; each returns its seconds."""
    times = {name: Seconds() for name in contenders}
    for repetition in range(repetitions):
        for name, run in contenders.items():
            times[name].append(run())
            print(f"  {repetition + 1}/{repetitions} {name}: {times[name][-1]:.3f} s", flush=True)  # noqa: T201
    return times


def rates() -> dict[str, float]:
    """Return the matrix-product rate of the moment, by precision."""
    return {precision: matrix_rate(precision) for precision in TYPES}


class StepClock:
    """Seconds of steps by number, taken at their ends; a step after a checkpoint is left out."""

    def __init__(self, steps: int) -> None:
        """Take the number of steps in all; checkpoints are written four times."""
        self.every, self.last, self.seconds = max(1, -(-steps // 4)), now(), 0.0
        self.counted = 0

    def tick(self, step: int) -> None:
        """Note the end of step ``step``, from 1."""
        end = now()
        if step > WARM_UP and (step - 1) % self.every:
            self.seconds += end - self.last
            self.counted += 1
        self.last = now()

    @property
    def mean(self) -> float:
        """Seconds of a step."""
        return self.seconds / self.counted


def train_ours(load: Callable[[], Any], lists: Any, setting: Setting, precision: str) -> float:
    """Return our seconds a step, by ``fit`` as ``cedistill train`` runs it."""
    from cedistill.config.objective import Schedule, load_objective
    from cedistill.training.fit import Fit, fit

    model, tokenizer = load()
    objective = load_objective(
        setting.objective, [f"training.precision={precision}", "training.validate_every=1000000"]
    )
    plan = Schedule(setting.steps, 0, 7e-6, setting.lists)
    clock = StepClock(setting.steps)
    with tempfile.TemporaryDirectory() as folder:
        fit(
            Fit(model, tokenizer, objective, plan, SEED, None, 1),
            lists,
            Path(folder) / "checkpoints",
            Path(folder) / "log.jsonl",
            lambda step, total, words: clock.tick(step),
        )
    return clock.mean


def _in_order(dataset: Any, batch_size: int, drop_last: bool, **others: Any) -> BatchSampler:
    return BatchSampler(SequentialSampler(dataset), batch_size, drop_last)


def train_theirs(folder: str, lists: Any, setting: Setting, precision: str, mini_batch: int | None) -> float:
    """Return sentence-transformers' seconds a step, on the same lists in the same order."""
    from datasets import Dataset
    from sentence_transformers.cross_encoder import CrossEncoder, CrossEncoderTrainer, CrossEncoderTrainingArguments
    from sentence_transformers.cross_encoder.losses import MarginMSELoss, RankNetLoss
    from transformers import TrainerCallback

    model = CrossEncoder(folder, max_length=288)
    some = [lists[place] for place in range(setting.steps * setting.lists)]
    if setting.objective == "margin-mse":
        rows: dict[str, Any] = {"query": [one.query for one in some]}
        rows |= {f"document_{k}": [one.documents[k] for one in some] for k in range(setting.size)}
        rows["label"] = [one.targets.tolist() for one in some]
        loss: Any = MarginMSELoss(model)
    else:
        rows = {"query": [one.query for one in some], "docs": [one.documents for one in some]}
        rows["labels"] = [one.targets.tolist() for one in some]
        loss = RankNetLoss(model, mini_batch_size=mini_batch)
    clock = StepClock(setting.steps)

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            clock.tick(state.global_step)

    with tempfile.TemporaryDirectory() as output:
        arguments = CrossEncoderTrainingArguments(
            output_dir=output,
            max_steps=setting.steps,
            per_device_train_batch_size=setting.lists,
            learning_rate=7e-6,
            bf16=precision == "bf16",
            batch_sampler=_in_order,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            seed=SEED,
        )
        CrossEncoderTrainer(
            model=model, args=arguments, train_dataset=Dataset.from_dict(rows), loss=loss, callbacks=[Clock()]
        ).train()
    return clock.mean


def training_contenders(
    folder: str, load: Callable[[], Any], lists: Any, setting: Setting
) -> dict[str, Callable[[], float]]:
    """Return both sides in both precisions; RankNet of sentence-transformers also with a step's pairs in one pass."""
    found: dict[str, Callable[[], float]] = {}
    for precision in TYPES:
        found[f"cedistill {precision}"] = partial(train_ours, load, lists, setting, precision)
        found[f"sentence-transformers {precision}"] = partial(train_theirs, folder, lists, setting, precision, None)
        if setting.objective != "margin-mse":
            found[f"sentence-transformers {precision}, one pass"] = partial(
                train_theirs, folder, lists, setting, precision, -1
            )
    return found


def scoring_contenders(folder: str, pairs: list[tuple[str, str]]) -> dict[str, Callable[[], float]]:
    """Return ``Reranker.score`` and ``CrossEncoder.predict``, each in both precisions, warmed up."""
    from sentence_transformers import CrossEncoder

    from cedistill import Reranker

    found: dict[str, Callable[[], Any]] = {}
    for name, kind in TYPES.items():
        ours = Reranker(folder, precision=name)
        theirs = CrossEncoder(folder, model_kwargs={"dtype": kind}, max_length=288)
        found[f"cedistill {name}"] = partial(ours.score, pairs)
        found[f"sentence-transformers {name}"] = partial(theirs.predict, pairs, show_progress_bar=False)
    for run in found.values():
        run()
    return {name: partial(_timed, run) for name, run in found.items()}


def _timed(run: Callable[[], Any]) -> float:
    start = now()
    run()
    return now() - start


def lengths_of(tokenizer: Any, pairs: Iterable[tuple[str, str]]) -> list[int]:
    """Return the tokens of each pair as our encoder makes them."""
    from cedistill.model.encode import make_encoder

    return [len(pair.input_ids) for pair in make_encoder(tokenizer, max_positions=512).encode(list(pairs))]
