"""The forward pass of a batch of pairs: chunks of about equal length, each padded to its own longest pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor

from cedistill.model.encode import EncodedPair

OVERHEAD_SHARE = 32
"""Starting a chunk costs about as much as this part of ``max_tokens``: what likes large chunks loses by many."""

Chunk = dict[str, Tensor]
"""Keyword arguments of the model: ``input_ids``, ``attention_mask`` and perhaps ``token_type_ids``, [rows, longest]."""


class Batch(TypedDict):
    """Pairs ready for the model; ``order[k]`` is the place in the batch of row k of the chunks laid end to end."""

    chunks: list[Chunk]
    order: Tensor


def chunk_limits(device: torch.device | str) -> tuple[int, int]:
    """Return the default (max_tokens, max_rows) of a chunk on a device; a processor's caches prefer small ones."""
    return (2048, 32) if torch.device(device).type == "cpu" else (32768, 512)


def cut_into_chunks(
    lengths: Sequence[int] | np.ndarray, max_tokens: int, max_rows: int, overhead: int | None = None
) -> list[np.ndarray]:
    """Return index arrays that cover all pairs once, longest first, with the least work.

    The work of a chunk is its padded tokens, rows times longest, plus ``overhead``; the cut is the best of all cuts of
    the pairs sorted by length.

    Args:
        lengths: tokens of each pair.
        max_tokens: most padded tokens of a chunk; a pair longer than that is a chunk alone.
        max_rows: most pairs of a chunk.
        overhead: what starting a chunk costs, in tokens; by default ``max_tokens / 32``.
    """
    overhead = max_tokens // OVERHEAD_SHARE if overhead is None else overhead
    values = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(-values, kind="stable")
    longest = values[order]
    count = len(order)
    work = np.zeros(count + 1)
    rows = np.zeros(count, dtype=np.int64)
    choices = np.arange(1, max_rows + 1)
    for start in range(count - 1, -1, -1):
        most = max(1, min(max_rows, count - start, max_tokens // max(1, int(longest[start]))))
        works = choices[:most] * longest[start] + work[start + 1 : start + most + 1]
        best = int(works.argmin())
        work[start], rows[start] = works[best] + overhead, best + 1
    chunks, start = [], 0
    while start < count:
        chunks.append(order[start : start + rows[start]])
        start += rows[start]
    return chunks


def pad_chunk(pairs: Sequence[EncodedPair], pad_id: int) -> Chunk:
    """Return the pairs as tensors [rows, longest], int64, padded on the right."""
    lengths = [len(pair.input_ids) for pair in pairs]
    shape = (len(pairs), max(lengths))
    ids = np.full(shape, pad_id, dtype=np.int64)
    mask = np.zeros(shape, dtype=np.int64)
    types = np.zeros(shape, dtype=np.int64)
    for row, (pair, length) in enumerate(zip(pairs, lengths, strict=True)):
        ids[row, :length] = pair.input_ids
        mask[row, :length] = 1
        if pair.token_type_ids is not None:
            types[row, :length] = pair.token_type_ids
    chunk = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
    return chunk if pairs[0].token_type_ids is None else chunk | {"token_type_ids": torch.from_numpy(types)}


def make_batch(pairs: Sequence[EncodedPair], pad_id: int, max_tokens: int, max_rows: int) -> Batch:
    """Return the pairs cut into padded chunks, with their order."""
    chunks = cut_into_chunks([len(pair.input_ids) for pair in pairs], max_tokens, max_rows)
    order = np.concatenate(chunks) if chunks else np.zeros(0, dtype=np.int64)
    return Batch(
        chunks=[pad_chunk([pairs[place] for place in chunk], pad_id) for chunk in chunks],
        order=torch.from_numpy(order),
    )


def chunk_logits(model: Any, chunk: Chunk) -> Tensor:
    """Return the raw logits of one chunk, float32 [rows], on the model's device."""
    device = device_of(model)
    inputs = {name: tensor.to(device, non_blocking=True) for name, tensor in chunk.items()}
    # Low-precision scores make ties and coarse losses, so that nothing after the model sees them.
    return model(**inputs).logits.squeeze(-1).float()


def logits(model: Any, batch: Batch) -> Tensor:
    """Return the raw logits of a batch in the order of its pairs, float32 [pairs], differentiable."""
    if not batch["chunks"]:
        return torch.zeros(0, device=device_of(model))
    scores = torch.cat([chunk_logits(model, chunk) for chunk in batch["chunks"]])
    return scores[torch.argsort(batch["order"]).to(scores.device)]


def device_of(model: Any) -> torch.device:
    """Return the device of a model's weights, also of one wrapped for several processes."""
    return next(model.parameters()).device
