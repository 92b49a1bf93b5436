"""Attention over pairs laid end to end, registered with transformers under the name ``cedistill_packed``.

A model that runs with it takes packed chunks (``cu_seq_lens_q`` is given) as well as padded ones (it is not; they go to
transformers' own SDPA function).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from cedistill.model.dropout import dropped
from cedistill.model.stretches import by_stretch

NAME = "cedistill_packed"
RUN_TOKENS = 512
"""On a processor, most tokens of the pairs that attend at once: their weights then stay in its cache."""


class Rows(NamedTuple):
    """Keys and values of all T tokens, [T, heads, width]; queries of all of them, or of one token a pair."""

    query: Tensor
    key: Tensor
    value: Tensor


def packed_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    cu_seq_lens_q: Tensor | None = None,
    max_length_q: int | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Return the attention's output [1, T, heads, width] for packed queries, keys and values [1, heads, T, width].

    Args:
        module: the layer that asks.
        query: of T tokens, pairs one after the other; of padded chunks [rows, heads, longest, width].
        key: as ``query``.
        value: as ``query``.
        attention_mask: of padded chunks.
        dropout: share of the attention's weights that is dropped.
        scaling: factor of the products, by default 1 / sqrt(width).
        sliding_window: as transformers gives it: a token sees those fewer than this many places away; None for all.
        cu_seq_lens_q: where pairs start, and where the last one ends, int32 [pairs + 1]; None for padded chunks.
        max_length_q: tokens of the longest pair.
        others: ignored.
    """
    if cu_seq_lens_q is None:
        if attention_mask is None and sliding_window is not None:
            attention_mask = _band(query.shape[2], sliding_window, query.device)
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, is_causal=False)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    rows = Rows(*(tensor[0].transpose(0, 1) for tensor in (query, key, value)))
    output = attend(rows, cu_seq_lens_q, max_length_q, scale, dropout, sliding_window)
    return output.unsqueeze(0), None


def attend(
    rows: Rows,
    starts: Tensor,
    longest: int | None,
    scale: float,
    dropout: float = 0.0,
    window: int | None = None,
) -> Tensor:
    """Return attention within each pair, [queries, heads, width], by the way that suits the device.

    Args:
        rows: of T tokens, pairs one after the other.
        starts: where pairs start, and where the last one ends, int32 [pairs + 1].
        longest: tokens of the longest pair; None to find out, for which a GPU is waited.
        scale: factor of the products.
        dropout: share of the attention's weights that is dropped.
        window: a token sees those fewer than this many places away; None for all.
    """
    kind = rows.query.device.type
    if kind == "cuda":
        most = int(starts.diff().max()) if longest is None else longest
        if dropout == 0.0 and rows.query.dtype in (torch.bfloat16, torch.float16):
            return by_flash(rows, starts, most, scale, window)
        return by_jagged(rows, starts, most, scale, dropout, window)
    if torch.compiler.is_compiling():
        # It would compile the loop anew for each combination of lengths.
        if torch.is_grad_enabled():
            return _uncompiled(rows, starts, scale, dropout, window)
        return _opaque(*rows, starts, scale, window)
    if rows.query.dtype == torch.bfloat16:
        return by_stretch(*rows, starts, scale, dropout, window)
    return by_segment(rows, starts, scale, dropout, window)


def by_flash(rows: Rows, starts: Tensor, longest: int, scale: float, window: int | None = None) -> Tensor:
    """Return attention [T, heads, width] by torch's variable-length FlashAttention; 16-bit numbers on a GPU."""
    from torch.nn.attention.varlen import varlen_attn

    reach = -1 if window is None else window - 1
    own, most = _of_queries(rows, starts, longest)
    output = varlen_attn(*rows, own, starts, most, longest, scale=scale, window_size=(reach, reach))
    return cast(Tensor, output)


def by_jagged(
    rows: Rows, starts: Tensor, longest: int, scale: float, dropout: float = 0.0, window: int | None = None
) -> Tensor:
    """Return attention [T, heads, width] by SDPA on jagged tensors: any number type, with dropout.

    Raises:
        ValueError: a window shorter than the longest pair, which SDPA does not have for jagged tensors.
    """
    if window is not None and longest > window:
        raise ValueError(f"expected full attention, or pairs within a window of {window}, found one of {longest}")
    # Keys and values share their offsets, as jagged tensors of one shape do; queries of all tokens do too.
    offsets = starts.long()
    own, most = _of_queries(rows, offsets, longest)
    query, key, value = (
        torch.nested.nested_tensor_from_jagged(one, offsets=places, min_seqlen=1, max_seqlen=top).transpose(1, 2)
        for one, places, top in zip(rows, (own, offsets, offsets), (most, longest, longest), strict=True)
    )
    output = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, scale=scale)
    return output.transpose(1, 2).values()


def _of_queries(rows: Rows, starts: Tensor, longest: int) -> tuple[Tensor, int]:
    """Return where the queries of each pair start, and the most of a pair."""
    if len(rows.query) == len(rows.key):
        return starts, longest
    return torch.arange(len(starts), dtype=starts.dtype, device=starts.device), 1


def by_segment(rows: Rows, starts: Tensor, scale: float, dropout: float = 0.0, window: int | None = None) -> Tensor:
    """Return attention [T, heads, width], for each run of pairs of one length: exact everywhere, fast on a processor.

    Pairs that are sorted by length make the longest runs.
    """
    runs = list(_runs(starts.diff().tolist()))
    every = len(rows.query) == len(rows.key)
    filled = len(rows.key) - int(starts[-1])
    if filled:
        rows = Rows(rows.query[:-filled] if every else rows.query, rows.key[:-filled], rows.value[:-filled])
    asked = [(count, length if every else 1) for count, length in runs]
    tokens, queries = ([count * length for count, length in shapes] for shapes in (runs, asked))
    cut = (rows.query.split(queries), rows.key.split(tokens), rows.value.split(tokens))
    outputs = []
    for run, of_queries, *tensors in zip(runs, asked, *cut, strict=True):
        shapes = (of_queries, run, run)
        query, key, value = (
            one.unflatten(0, shape).transpose(1, 2) for one, shape in zip(tensors, shapes, strict=True)
        )
        mask = None
        if window is not None and run[1] > window:
            mask = _band(run[1], window, query.device)[: of_queries[1]]
        outputs.append(_attention(query, key, value, mask, scale, dropout).transpose(1, 2).flatten(0, 1))
    output = torch.cat(outputs)
    return F.pad(output, (0, 0, 0, 0, 0, filled)) if filled and every else output


_uncompiled = torch.compiler.disable(by_segment)


def _runs(lengths: list[int]) -> Iterator[tuple[int, int]]:
    """Yield (pairs, length) of runs of equal lengths, cut where the weights of one would leave a processor's cache."""
    for length, equal in groupby(lengths):
        left, most = sum(1 for _ in equal), max(1, RUN_TOKENS // length)
        while left > 0:
            yield min(left, most), length
            left -= most


def _attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float, dropout: float) -> Tensor:
    # On a processor this takes about half the time of SDPA, whose backward pass is slower still, for texts of this
    # length; a softmax in float32 is both the exact and the fast one.
    products = ((query * scale) @ key.transpose(-1, -2)).float()
    if mask is not None:
        products = products.masked_fill(~mask, -torch.inf)
    weights = products.softmax(-1).to(value.dtype)
    return dropped(weights, dropout, training=True) @ value


@torch.library.custom_op("cedistill::by_segment", mutates_args=())
def _opaque(
    query: Tensor, key: Tensor, value: Tensor, starts: Tensor, scale: float, window: int | None = None
) -> Tensor:
    return by_segment(Rows(query, key, value), starts, scale, window=window)


@_opaque.register_fake
def _(query: Tensor, key: Tensor, value: Tensor, starts: Tensor, scale: float, window: int | None = None) -> Tensor:
    return torch.empty_like(query, memory_format=torch.contiguous_format)


def _band(length: int, window: int, device: torch.device) -> Tensor:
    places = torch.arange(length, device=device)
    return (places[:, None] - places).abs() < window


def packed_mask(attention_mask: Tensor | None = None, **keywords: Any) -> Tensor | None:
    """Return the mask of a padded chunk, None without padding: packed chunks have none, and T x T would not fit."""
    return None if attention_mask is None else sdpa_mask(attention_mask=attention_mask, **keywords)


AttentionInterface.register(NAME, packed_attention)
AttentionMaskInterface.register(NAME, packed_mask)
