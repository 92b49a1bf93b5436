"""The loader of a training run: each process's share of every step's lists, collated by workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from cedistill import processes
from cedistill.training.exchange import share


@dataclass(frozen=True)
class Shares:
    """The numbers of the lists of each step that one process takes; step k has lists k·size to (k + 1)·size - 1."""

    steps: int
    size: int
    number: int = 0
    count: int = 1

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[int]]:
        own = share(self.size, self.number, self.count)
        return ([step * self.size + place for place in own] for step in range(self.steps))


@dataclass(frozen=True)
class AsArrays:
    """A collator whose batch has arrays in place of tensors.

    Workers send arrays as bytes; each tensor would take a file descriptor and several messages, some milliseconds of a
    step.
    """

    collate: Callable[[Sequence[Any]], Any]

    def __call__(self, lists: Sequence[Any]) -> Any:
        """Return the batch of ``lists``."""
        return mapped(self.collate(lists), Tensor, Tensor.numpy)


def make_loader(lists: Any, lists_per_step: int, collate: Callable[[Sequence[Any]], Any], workers: int) -> DataLoader:
    """Return the loader of this process's share of the steps of a run; its batches go through :func:`as_tensors`."""
    shares = Shares(len(lists) // lists_per_step, lists_per_step, processes.number(), processes.count())
    return DataLoader(
        lists,
        batch_sampler=shares,
        collate_fn=AsArrays(collate),
        num_workers=workers,
        prefetch_factor=4 if workers else None,  # texts differ in length, so that batches do in time
    )


def as_tensors(batch: Any, *, pinned: bool) -> Any:
    """Return a batch of the loader with tensors again, in pinned memory where a device is to fetch them."""
    return mapped(
        batch, np.ndarray, lambda one: torch.from_numpy(one).pin_memory() if pinned else torch.from_numpy(one)
    )


def mapped(value: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    """Return nested dictionaries, lists and tuples with each leaf of a type changed."""
    if isinstance(value, kind):
        return change(value)
    if isinstance(value, dict):
        return {key: mapped(one, kind, change) for key, one in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(mapped(one, kind, change) for one in value))
    if isinstance(value, list | tuple):
        return type(value)(mapped(one, kind, change) for one in value)
    return value
