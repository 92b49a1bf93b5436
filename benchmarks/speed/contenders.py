"""Our trainer and re-ranker beside sentence-transformers': same model, loss, lists, batch and precision, in turns."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from machine import TYPES, choose_clock, device, matrix_rate, now, workers
from texts import scored_pairs, training_lists
from torch.utils.data import BatchSampler, SequentialSampler

MODEL = "minilm-l6"
WARM_UP = 1
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


def in_turns(contenders: dict[str, Callable[[], float]], repetitions: int, clock: str) -> dict[str, Seconds]:
    """Run all contenders one after the other, then all again: A B A B; each returns its seconds.

    Each side has a process of its own, so that no setting of one reaches the other.
    """
    times = {name: Seconds() for name in contenders}
    context = get_context("spawn")
    with ExitStack() as stack:
        side = {
            name: stack.enter_context(ProcessPoolExecutor(1, context, choose_clock, (clock,)))
            for name in dict.fromkeys(map(side_of, contenders))
        }
        for repetition in range(repetitions):
            for name, run in contenders.items():
                times[name].append(side[side_of(name)].submit(run).result())
                print(f"  {repetition + 1}/{repetitions} {name}: {times[name][-1]:.3f} s", flush=True)  # noqa: T201
    return times


def side_of(contender: str) -> str:
    """Return the library of a contender, its name's first word."""
    return contender.split()[0]


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


def train_ours(setting: Setting, precision: str) -> float:
    """Return our seconds a step, by ``fit`` as ``cedistill train`` runs it."""
    from cedistill.config.objective import Schedule, load_objective
    from cedistill.model.backbones import load_backbone
    from cedistill.training.fit import Fit, fit

    model, tokenizer = load_backbone(MODEL, SEED)
    lists = lists_of(setting)
    objective = load_objective(
        setting.objective, [f"training.precision={precision}", "training.validate_every=1000000"]
    )
    plan = Schedule(setting.steps, 0, 7e-6, setting.lists)
    clock = StepClock(setting.steps)
    with tempfile.TemporaryDirectory() as folder:
        fit(
            Fit(model, tokenizer, objective, plan, SEED, None, workers()),
            lists,
            Path(folder) / "checkpoints",
            Path(folder) / "log.jsonl",
            lambda step, total, words: clock.tick(step),
        )
    return clock.mean


def _in_order(dataset: Any, batch_size: int, drop_last: bool, **others: Any) -> BatchSampler:
    return BatchSampler(SequentialSampler(dataset), batch_size, drop_last)


def train_theirs(folder: str, setting: Setting, precision: str, mini_batch: int | None) -> float:
    """Return sentence-transformers' seconds a step, on the same lists in the same order."""
    from datasets import Dataset
    from sentence_transformers.cross_encoder import CrossEncoder, CrossEncoderTrainer, CrossEncoderTrainingArguments
    from sentence_transformers.cross_encoder.losses import MarginMSELoss, RankNetLoss
    from transformers import TrainerCallback

    model = CrossEncoder(folder, max_length=288)
    lists = lists_of(setting)
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
            use_cpu=device().type == "cpu",
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


@lru_cache(1)
def lists_of(setting: Setting) -> Any:
    """Return the lists of a training comparison."""
    return training_lists(setting.objective, setting.size, setting.steps * setting.lists)


def training_contenders(
    folder: str, setting: Setting, precisions: Iterable[str] | None = None
) -> dict[str, Callable[[], float]]:
    """Return both sides in both precisions; RankNet of sentence-transformers also with a step's pairs in one pass."""
    found: dict[str, Callable[[], float]] = {}
    for precision in precisions or TYPES:
        found[f"cedistill {precision}"] = partial(train_ours, setting, precision)
        found[f"sentence-transformers {precision}"] = partial(train_theirs, folder, setting, precision, None)
        if setting.objective != "margin-mse":
            found[f"sentence-transformers {precision}, one pass"] = partial(
                train_theirs, folder, setting, precision, -1
            )
    return found


def scoring_contenders(folder: str, pairs: int) -> dict[str, Callable[[], float]]:
    """Return ``Reranker.score`` and ``CrossEncoder.predict``, each in both precisions."""
    return {
        f"{library} {precision}": partial(run, folder, pairs, precision)
        for precision in TYPES
        for library, run in (("cedistill", score_ours), ("sentence-transformers", score_theirs))
    }


def score_ours(folder: str, pairs: int, precision: str) -> float:
    """Return our seconds for the pairs."""
    return _timed(_reranker(folder, precision).score, pairs)


def score_theirs(folder: str, pairs: int, precision: str) -> float:
    """Return sentence-transformers' seconds for the pairs; its weights are of the precision."""
    return _timed(partial(_cross_encoder(folder, precision).predict, show_progress_bar=False), pairs)


@lru_cache
def _reranker(folder: str, precision: str) -> Any:
    from cedistill import Reranker

    return Reranker(folder, precision=precision)


@lru_cache
def _cross_encoder(folder: str, precision: str) -> Any:
    from sentence_transformers import CrossEncoder

    return CrossEncoder(folder, model_kwargs={"dtype": TYPES[precision]}, max_length=288)


def _timed(score: Callable[[Any], Any], count: int) -> float:
    pairs = _pairs(count)
    score(pairs[:64])  # warm-up
    start = now()
    score(pairs)
    return now() - start


@lru_cache(1)
def _pairs(count: int) -> list[tuple[str, str]]:
    return scored_pairs(count)[1]


def lengths_of(tokenizer: Any, pairs: Iterable[tuple[str, str]]) -> list[int]:
    """Return the tokens of each pair as our encoder makes them."""
    from cedistill.model.encode import make_encoder

    return [len(pair.input_ids) for pair in make_encoder(tokenizer, max_positions=512).encode(list(pairs))]
