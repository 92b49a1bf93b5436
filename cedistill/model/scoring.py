"""Scores of pairs by a model as it stands: windows are tokenised ahead, cut into chunks and scored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np
import torch

from cedistill.errors import InputError, shown
from cedistill.model.encode import Encoder
from cedistill.model.forward import Batch, Chunk, batch_maker, chunk_logits, device_of, in_order
from cedistill.model.lanes import in_lanes, lanes_of
from cedistill.model.memory import keep_freed_memory
from cedistill.model.precision import autocast

WINDOW = 1024
"""Pairs that a processor sorts by length and scores together; an accelerator, which is asked less often, takes more."""
ACCELERATOR_WINDOW = 8192

Pair = tuple[str, str]
Progress = Callable[[int, int], None]
"""Called with pairs done and pairs in all."""


def score_stream(
    model: Any,
    encoder: Encoder,
    pairs: Iterable[Pair],
    *,
    precision: str = "float32",
    max_tokens: int | None = None,
    compiled: Callable[..., Any] | None = None,
) -> Iterator[np.ndarray]:
    """Yield the raw logits of (query, document) pairs, float32, window by window in the order given.

    Memory does not grow with the number of pairs. The next window is tokenised while the model runs, which it does in
    evaluation mode; between windows it is in the mode it came in.

    Args:
        model: a one-logit sequence classifier, on any device.
        encoder: of its tokenizer.
        pairs: the texts; any may be empty.
        precision: ``float32`` or ``bf16``.
        max_tokens: most tokens of a chunk that runs at once, padding counted; by default the device's.
        compiled: what is called in place of ``model``.

    Raises:
        InputError: something that is no pair of texts.
    """
    device = device_of(model)
    on_processor = device.type == "cpu"
    if on_processor:
        keep_freed_memory()
    lanes = lanes_of(model, device) if compiled is None else 1
    make = batch_maker(model, encoder.pad_id, device, precision, max_tokens, lanes)
    size = WINDOW if on_processor else ACCELERATOR_WINDOW

    def prepare(window: list[Pair]) -> Batch:
        return make(encoder.encode(window))

    with ThreadPoolExecutor(1) as worker:
        windows = _windows(pairs, size)
        first = next(windows, None)
        pending = None if first is None else worker.submit(prepare, first)
        while pending is not None:
            batch = pending.result()
            following = next(windows, None)
            pending = None if following is None else worker.submit(prepare, following)
            with _evaluating(model):
                scores = batch_scores(model if compiled is None else compiled, batch, precision, lanes)
            yield scores.cpu().numpy()


def score_pairs(
    model: Any,
    encoder: Encoder,
    pairs: Sequence[Pair],
    *,
    precision: str = "float32",
    max_tokens: int | None = None,
    compiled: Callable[..., Any] | None = None,
    progress: Progress | None = None,
) -> np.ndarray:
    """Return the raw logits of (query, document) pairs, float32 [pairs]; arguments are those of ``score_stream``.

    Args:
        model: a one-logit sequence classifier, on any device.
        encoder: of its tokenizer.
        pairs: the texts; any may be empty.
        precision: ``float32`` or ``bf16``.
        max_tokens: most tokens of a chunk that runs at once.
        compiled: what is called in place of ``model``.
        progress: called after each window of pairs.

    Raises:
        InputError: something that is no pair of texts; nothing is scored then.
    """
    pairs = list(checked(pairs))
    scores = np.zeros(len(pairs), dtype=np.float32)
    done = 0
    for window in score_stream(model, encoder, pairs, precision=precision, max_tokens=max_tokens, compiled=compiled):
        scores[done : done + len(window)] = window
        done += len(window)
        if progress is not None:
            progress(done, len(pairs))
    return scores


def batch_scores(model: Any, batch: Batch, precision: str = "float32", lanes: int = 1) -> torch.Tensor:
    """Return the raw logits of a batch in the order of its pairs, float32 [pairs], without a graph.

    Args:
        model: a one-logit sequence classifier, in evaluation mode.
        batch: of at least one pair.
        precision: ``float32`` or ``bf16``.
        lanes: how many chunks run at once.
    """
    device = device_of(model)

    def score(chunk: Chunk) -> torch.Tensor:
        with torch.inference_mode(), autocast(precision, device):
            return chunk_logits(model, chunk)

    with autocast(precision, device):  # so that one lane converts weights once
        return in_order(in_lanes(score, batch["chunks"], lanes), batch["order"])


def checked(pairs: Iterable[Any]) -> Iterator[Pair]:
    """Yield the pairs. Raises InputError at the first that is none."""
    for number, pair in enumerate(pairs):
        # A string of two characters would unpack into a pair.
        if isinstance(pair, str) or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
            raise InputError(
                f"expected (query, document) pairs of texts, found {shown(repr(pair))} at index {number}; "
                "give a list of pairs"
            )
        yield pair[0], pair[1]


def _windows(pairs: Iterable[Any], size: int) -> Iterator[list[Pair]]:
    source = checked(pairs)
    while window := list(islice(source, size)):
        yield window


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
