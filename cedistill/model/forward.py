"""The forward pass of a batch of pairs: chunks of about equal length, each padded to its own longest pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor

from cedistill.model.encode import EncodedPair

Chunk = dict[str, Tensor]
"""Keyword arguments of the model: ``input_ids``, ``attention_mask`` and perhaps ``token_type_ids``, [rows, longest]."""


class Batch(TypedDict):
    """Pairs ready for the model; ``order[k]`` is the place in the batch of the k-th row of the chunks laid end to end."""

    chunks: list[Chunk]
    order: Tensor


def cut_into_chunks(lengths: Sequence[int] | np.ndarray, max_tokens: int, max_rows: int) -> list[np.ndarray]:
    """Return index arrays that cover all pairs once, longest first.

    Args:
        lengths: tokens of each pair.
        max_tokens: most tokens of a chunk once padded, rows times longest; a pair longer than that is a chunk alone.
        max_rows: most pairs of a chunk.
    """
    values = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(-values, kind="stable")
    chunks, start = [], 0
    while start < len(order):
        rows = min(max_rows, max_tokens // max(1, int(values[order[start]])))
        chunks.append(order[start : start + max(1, rows)])
        start += max(1, rows)
    return chunks


def pad_chunk(pairs: Sequence[EncodedPair], pad_id: int) -> Chunk:
    """Return the pairs as tensors [rows, longest], int64, padded on the right."""
    lengths = [len(pair.input_ids) for pair in pairs]
    shape = (len(pairs), max(lengths))
    ids = np.full(shape, pad_id, dtype=np.int64)
    mask = np.zeros(shape, dtype=np.int64)
    types = None if pairs[0].token_type_ids is None else np.zeros(shape, dtype=np.int64)
    for row, (pair, length) in enumerate(zip(pairs, lengths, strict=True)):
        ids[row, :length] = pair.input_ids
        mask[row, :length] = 1
        if types is not None:
            types[row, :length] = pair.token_type_ids
    chunk = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
    return chunk if types is None else chunk | {"token_type_ids": torch.from_numpy(types)}


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
    inputs = {name: tensor.to(model.device, non_blocking=True) for name, tensor in chunk.items()}
    # Low-precision scores make ties and coarse losses, so that nothing after the model sees them.
    return model(**inputs).logits.squeeze(-1).float()


def logits(model: Any, batch: Batch) -> Tensor:
    """Return the raw logits of a batch in the order of its pairs, float32 [pairs], differentiable."""
    if not batch["chunks"]:
        return torch.zeros(0, device=model.device)
    scores = torch.cat([chunk_logits(model, chunk) for chunk in batch["chunks"]])
    return scores[torch.argsort(batch["order"]).to(scores.device)]
