"""What a training run says while it runs: log.jsonl, a progress line, and a stop when the loss is no number."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

Progress = Callable[[int, int, str], None]
"""Called with the step, the number of steps and a few words (loss, pairs per second)."""


class DivergedError(RuntimeError):
    """The loss or the gradient became infinite or no number."""


class Record(TrainerCallback):
    """Writes each logged line to a JSONL file and reports progress."""

    def __init__(self, path: Path | None, pairs_seen: Callable[[], int], progress: Progress | None) -> None:
        """Write to ``path``, if any; ``pairs_seen`` tells how many pairs went through the model so far."""
        self.path, self.pairs_seen, self.progress = path, pairs_seen, progress
        self.words = ""
        self._mark = (time.monotonic(), 0)

    def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Forget what an interrupted run logged after the checkpoint that this one starts from."""
        if self.path:
            lines = self.path.read_text().splitlines() if self.path.exists() and state.global_step else []
            kept = [line for line in lines if _step_of(line) <= state.global_step]
            self.path.write_text("".join(line + "\n" for line in kept))
        self._mark = (time.monotonic(), self.pairs_seen())

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Report progress."""
        if self.progress:
            self.progress(state.global_step, state.max_steps, self.words)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **others: Any) -> None:
        """Write one line. Raises DivergedError when the loss is not finite."""
        logs = logs or {}
        validation = {name.removeprefix("eval_"): value for name, value in logs.items() if name.startswith("eval_")}
        if validation:
            self._write({"step": state.global_step, "validation": validation})
            self._mark = (time.monotonic(), self.pairs_seen())
        elif "loss" in logs:
            if not math.isfinite(logs["loss"]) or not math.isfinite(logs.get("grad_norm", 0.0)):
                raise DivergedError(
                    f"the loss or its gradient is no finite number at step {state.global_step}; "
                    "lower training.learning_rate, or scale the teacher's scores"
                )
            then, pairs = self._mark
            self._mark = (time.monotonic(), self.pairs_seen())
            speed = (self._mark[1] - pairs) / max(self._mark[0] - then, 1e-9)
            self.words = f"loss {logs['loss']:.4f}, {speed:.0f} pairs/s"
            names: tuple[str, ...] = ("loss", "grad_norm", "learning_rate", "waiting")
            names += ("routing_entropy", "routing_share")
            figures = {name: logs[name] for name in names if name in logs}
            self._write({"step": state.global_step, **figures, "pairs_per_second": round(speed, 1)})

    def _write(self, line: dict[str, Any]) -> None:
        if self.path:
            with self.path.open("a") as file:
                file.write(json.dumps(line) + "\n")


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf  # a line cut short by an interruption
