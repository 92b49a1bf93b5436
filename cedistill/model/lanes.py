"""Chunks side by side on a processor: each lane is a thread that runs its own chunks on its share of the cores.

Attention over short pairs, softmax and dropout are operations too small for several cores to share; chunks are not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch

MOST = 4
"""In training, each lane holds a gradient of every weight."""
LEAST_TOKENS = 256
"""A chunk with less is not worth a lane."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def lanes_of(model: Any, device: torch.device | str) -> int:
    """Return how many chunks of a model run at once on a device: 1 on an accelerator, which is filled by one.

    Code that a checkpoint brings along may keep something between passes; it gets one lane.
    """
    ours = type(model).__module__.startswith("transformers.")
    return min(MOST, torch.get_num_threads()) if ours and torch.device(device).type == "cpu" else 1


def in_lanes(function: Callable[[Item], Result], items: Iterable[Item], lanes: int) -> list[Result]:
    """Return the function of each item, in order; as many at once as there are lanes, each lane in turn takes the next.

    Modes that belong to a thread (gradients, autocast) are torch's defaults there, for the function to set.
    """
    items = list(items)
    lanes = min(lanes, len(items))
    if lanes <= 1:
        return [function(item) for item in items]
    threads = torch.get_num_threads()
    each = max(1, threads // lanes)
    try:
        # MKL's number is the whole process's: the lanes have the last word, until this thread has it again.
        with ThreadPoolExecutor(lanes, initializer=torch.set_num_threads, initargs=(each,)) as pool:
            return list(pool.map(function, items))
    finally:
        torch.set_num_threads(threads)
