"""The forward pass of a batch of pairs, chunk by chunk: packed (laid end to end, without padding), or padded.

Both give the same scores; which one a model takes, and where it is the faster one, is decided in ``packing``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor

from cedistill.model.encode import EncodedPair
from cedistill.model.lanes import LEAST_TOKENS
from cedistill.model.packing import Packing, packing_of

OVERHEAD_SHARE = 32
"""Starting a chunk costs about as much as this part of ``max_tokens``: what likes large chunks loses by many."""

Chunk = dict[str, Any]
"""Keyword arguments of the model, tensors and numbers.

Padded: ``input_ids``, ``attention_mask`` and perhaps ``token_type_ids``, [rows, longest]. Packed: ``input_ids``,
``position_ids`` and perhaps ``token_type_ids``, [1, T], with the lengths as transformers names them for sequences laid
end to end: ``cu_seq_lens_q`` and ``cu_seq_lens_k``, int32 [rows + 1], ``max_length_q`` and ``max_length_k``.
"""


class Batch(TypedDict):
    """Pairs ready for the model, as chunks that can be scored on their own, in any order, by ``chunk_logits``.

    ``order[k]`` is the place in the batch of row k of the chunks laid end to end.
    """

    chunks: list[Chunk]
    order: Tensor


def chunk_limits(device: torch.device | str) -> tuple[int, int]:
    """Return the default (max_tokens, max_rows) of a chunk on a device; a processor's caches prefer small ones."""
    return (2048, 32) if torch.device(device).type == "cpu" else (32768, 512)


def packed_tokens(device: torch.device | str) -> int:
    """Return the default most tokens of a packed chunk.

    A step of the study fits, so that its weights are read and their gradients written once.
    """
    return 8192 if torch.device(device).type == "cpu" else 32768


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


def cut_by_tokens(lengths: Sequence[int] | np.ndarray, max_tokens: int, lanes: int = 1) -> list[np.ndarray]:
    """Return index arrays that cover all pairs once, longest first, each of at most ``max_tokens`` tokens.

    Chunks are about equal, and a multiple of ``lanes`` where that leaves them ``LEAST_TOKENS``; a pair longer than the
    limit is a chunk alone.
    """
    values = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(-values, kind="stable")
    total = int(values.sum())
    turns = -(-total // (max_tokens * lanes))
    share = total / max(1, min(turns * lanes, max(total // LEAST_TOKENS, -(-total // max_tokens))))
    chunks, start, tokens = [], 0, 0
    for place, length in enumerate(values[order]):
        if place > start and (tokens + length > max_tokens or tokens >= share):
            chunks.append(order[start:place])
            start, tokens = place, 0
        tokens += length
    return [*chunks, order[start:]] if len(order) else []


def pack_chunk(pairs: Sequence[EncodedPair], packing: Packing) -> Chunk:
    """Return the pairs laid end to end, their position ids starting anew with each, and filled up as ``packing`` says.

    What fills belongs to no pair: its ids are 0, and the lengths know nothing of it.
    """
    lengths = np.array([len(pair.input_ids) for pair in pairs])
    ids = np.concatenate([np.array(pair.input_ids, np.int64) for pair in pairs])
    starts = np.zeros(len(pairs) + 1, np.int32)
    np.cumsum(lengths, out=starts[1:])
    lines = {"input_ids": ids, "position_ids": _positions(ids, starts, lengths, packing.padding_id)}
    if pairs[0].token_type_ids is not None:
        lines["token_type_ids"] = np.concatenate([np.array(pair.token_type_ids, np.int64) for pair in pairs])
    lines = {name: np.pad(line, (0, -len(ids) % packing.multiple)) for name, line in lines.items()}
    cumulated, longest = torch.from_numpy(starts), int(lengths.max())
    return {name: torch.from_numpy(line).unsqueeze(0) for name, line in lines.items()} | {
        "cu_seq_lens_q": cumulated,
        "cu_seq_lens_k": cumulated,
        "max_length_q": longest,
        "max_length_k": longest,
    }


def _positions(ids: np.ndarray, starts: np.ndarray, lengths: np.ndarray, padding_id: int | None) -> np.ndarray:
    if padding_id is None:
        return np.arange(len(ids)) - np.repeat(starts[:-1], lengths)
    real = ids != padding_id
    counts = np.cumsum(real)
    before = (counts - real)[starts[:-1]]
    return (counts - np.repeat(before, lengths)) * real + padding_id


def make_batch(
    pairs: Sequence[EncodedPair],
    pad_id: int,
    max_tokens: int,
    max_rows: int,
    packing: Packing | None = None,
    lanes: int = 1,
) -> Batch:
    """Return the pairs cut into chunks, with their order.

    Args:
        pairs: as ids.
        pad_id: fills padded chunks.
        max_tokens: most tokens of a chunk, padding counted.
        max_rows: most pairs of a padded chunk.
        packing: how pairs are laid end to end; None for padded chunks.
        lanes: how many packed chunks will run at once.
    """
    lengths = [len(pair.input_ids) for pair in pairs]
    cuts = (
        cut_into_chunks(lengths, max_tokens, max_rows) if packing is None else cut_by_tokens(lengths, max_tokens, lanes)
    )
    rows = [[pairs[place] for place in cut] for cut in cuts]
    chunks = [pad_chunk(some, pad_id) if packing is None else pack_chunk(some, packing) for some in rows]
    order = np.concatenate(cuts) if cuts else np.zeros(0, dtype=np.int64)
    return Batch(chunks=chunks, order=torch.from_numpy(order))


def batch_maker(
    model: Any,
    pad_id: int,
    device: torch.device | str,
    precision: str = "float32",
    max_tokens: int | None = None,
    lanes: int = 1,
) -> Callable[[Sequence[EncodedPair]], Batch]:
    """Return what makes batches for a model, packed where that is the faster way; it can be pickled.

    Args:
        model: a sequence classifier; is prepared for packed chunks (see ``packing_of``).
        pad_id: fills padded chunks.
        device: where the model will run.
        precision: ``float32`` or ``bf16``.
        max_tokens: most tokens of a chunk, padding counted; by default what suits the device.
        lanes: how many packed chunks will run at once.
    """
    packing = packing_of(model, device, precision)
    tokens, rows = chunk_limits(device)
    tokens = max_tokens or (tokens if packing is None else packed_tokens(device))
    return partial(make_batch, pad_id=pad_id, max_tokens=tokens, max_rows=rows, packing=packing, lanes=lanes)


def chunk_logits(model: Any, chunk: Chunk) -> Tensor:
    """Return the raw logits of one chunk, float32 [rows], on the model's device, differentiable.

    A chunk needs no other: passes over them may be repeated, left out, or each followed by its backward pass.
    """
    device = device_of(model)
    inputs = {
        name: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value
        for name, value in chunk.items()
    }
    # Low-precision scores make ties and coarse losses, so that nothing after the model sees them.
    return model(**inputs).logits.squeeze(-1).float()


def logits(model: Any, batch: Batch) -> Tensor:
    """Return the raw logits of a batch in the order of its pairs, float32 [pairs], differentiable."""
    if not batch["chunks"]:
        return torch.zeros(0, device=device_of(model))
    return in_order([chunk_logits(model, chunk) for chunk in batch["chunks"]], batch["order"])


def in_order(scores: Sequence[Tensor], order: Tensor) -> Tensor:
    """Return the scores of all chunks in the order of the batch's pairs, [pairs]; ``order`` is the batch's."""
    flat = torch.cat(list(scores))
    # Sorted on the device: nothing waits for it.
    return flat[torch.argsort(order.to(flat.device, non_blocking=True))]


def device_of(model: Any) -> torch.device:
    """Return the device of a model's weights, also of one wrapped for several processes."""
    return next(model.parameters()).device
