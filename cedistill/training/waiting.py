"""How much of training is waiting for the next batch: what loader workers are there to keep near 0."""

from __future__ import annotations

import time
from typing import Any

from transformers import TrainerCallback


class Waiting(TrainerCallback):
    """Adds ``waiting`` to what is logged: the share of the time since the last log that no batch was there.

    Added before the callback that writes the log. It counts from the end of all that follows a step (log, validation,
    checkpoint) to the start of the next step; the first step, which waits for the workers to start, is left out. On a
    GPU it is the most that the device can have stood still for text: it may still work off what it was given before.
    """

    def __init__(self) -> None:
        """Start with nothing counted."""
        self.waited = self.stepped = 0.0
        self._ended: float | None = None
        self._began: float | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Leave out what comes before the first step."""
        self._ended = self._began = None

    def on_step_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Count the time since the last step as waiting."""
        self._began = time.monotonic()
        if self._ended is not None:
            self.waited += self._began - self._ended

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Count the step."""
        self._ended = time.monotonic()
        if self._began is not None:
            self.stepped += self._ended - self._began

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **others: Any) -> None:
        """Put the share into the log of a training step, and start anew."""
        if logs is not None and "loss" in logs:
            logs["waiting"] = round(self.share(), 4)
            self.waited = self.stepped = 0.0
        self._ended = time.monotonic()

    def on_evaluate(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Leave out validation."""
        self._ended = time.monotonic()

    def on_save(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Leave out the checkpoint."""
        self._ended = time.monotonic()

    def share(self) -> float:
        """Return the share of waiting since the last log, from 0 to 1."""
        total = self.waited + self.stepped
        return self.waited / total if total else 0.0
