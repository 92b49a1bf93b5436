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

NAME = "cedistill_packed"
RUN_TOKENS = 512
"""On a processor, most tokens of the pairs that attend at once: their weights then stay in its cache."""
DRAWS = 2**16
"""A weight is dropped by comparing 16 random bits: the rate is exact to 1 / 65536, and four weights take one draw."""


class Rows(NamedTuple):
    """Queries, keys and values of all tokens, [T, heads, width] each."""

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
        cu_seq_lens_q: where pairs start, and T, int32 [pairs + 1]; None for padded chunks.
        max_length_q: tokens of the longest pair.
        others: ignored.
    """
    if cu_seq_lens_q is None:
        if attention_mask is None and sliding_window is not None:
            attention_mask = _band(query.shape[2], sliding_window, query.device)
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, is_causal=False)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    rows = Rows(*(tensor[0].transpose(0, 1) for tensor in (query, key, value)))
    if torch.compiler.is_compiling() and query.device.type != "cuda":
        output = _opaque(*rows, cu_seq_lens_q, scale, sliding_window)
    elif query.device.type != "cuda":
        output = by_segment(rows, cu_seq_lens_q, scale, dropout, sliding_window)
    elif dropout == 0.0 and query.dtype in (torch.bfloat16, torch.float16):
        output = by_flash(rows, cu_seq_lens_q, _longest(max_length_q, cu_seq_lens_q), scale, sliding_window)
    else:
        output = by_jagged(rows, cu_seq_lens_q, _longest(max_length_q, cu_seq_lens_q), scale, dropout, sliding_window)
    return output.unsqueeze(0), None


def by_flash(rows: Rows, starts: Tensor, longest: int, scale: float, window: int | None = None) -> Tensor:
    """Return attention [T, heads, width] by torch's variable-length FlashAttention; 16-bit numbers on a GPU."""
    from torch.nn.attention.varlen import varlen_attn

    reach = -1 if window is None else window - 1
    output = varlen_attn(*rows, starts, starts, longest, longest, scale=scale, window_size=(reach, reach))
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
    offsets = starts.long()  # one for all three, as jagged tensors of one shape have
    query, key, value = (
        torch.nested.nested_tensor_from_jagged(one, offsets=offsets, min_seqlen=1, max_seqlen=longest).transpose(1, 2)
        for one in rows
    )
    output = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, scale=scale)
    return output.transpose(1, 2).values()


def by_segment(rows: Rows, starts: Tensor, scale: float, dropout: float = 0.0, window: int | None = None) -> Tensor:
    """Return attention [T, heads, width], for each run of pairs of one length: exact everywhere, fast on a processor.

    Pairs that are sorted by length make the longest runs.
    """
    runs = list(_runs(starts.diff().tolist()))
    sizes = [count * length for count, length in runs]
    outputs = []
    for run, *tensors in zip(runs, *(tensor.split(sizes) for tensor in rows), strict=True):
        mask = None if window is None or run[1] <= window else _band(run[1], window, tensors[0].device)
        query, key, value = (tensor.unflatten(0, run).transpose(1, 2) for tensor in tensors)
        outputs.append(_attention(query, key, value, mask, scale, dropout).transpose(1, 2).flatten(0, 1))
    return torch.cat(outputs)


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
    if dropout:
        weights = weights * _kept(weights, dropout) * (1 / (1 - dropout))
    return weights @ value


@torch.library.custom_op("cedistill::by_segment", mutates_args=())
def _opaque(
    query: Tensor, key: Tensor, value: Tensor, starts: Tensor, scale: float, window: int | None = None
) -> Tensor:
    # What torch.compile does not look into: it would compile the loop anew for each combination of lengths.
    return by_segment(Rows(query, key, value), starts, scale, window=window)


@_opaque.register_fake
def _(query: Tensor, key: Tensor, value: Tensor, starts: Tensor, scale: float, window: int | None = None) -> Tensor:
    return torch.empty_like(query, memory_format=torch.contiguous_format)


def _kept(like: Tensor, dropout: float) -> Tensor:
    draws = torch.empty((like.numel() + 3) // 4, dtype=torch.int64, device=like.device)
    bits = draws.random_(-(2**63), None).view(torch.int16)[: like.numel()].view_as(like)
    return bits >= round(dropout * DRAWS) - DRAWS // 2


def _band(length: int, window: int, device: torch.device) -> Tensor:
    places = torch.arange(length, device=device)
    return (places[:, None] - places).abs() < window


def _longest(given: int | None, starts: Tensor) -> int:
    return int(starts.diff().max()) if given is None else given


def packed_mask(attention_mask: Tensor | None = None, **keywords: Any) -> Tensor | None:
    """Return the mask of a padded chunk, None without padding: packed chunks have none, and T x T would not fit."""
    return None if attention_mask is None else sdpa_mask(attention_mask=attention_mask, **keywords)


AttentionInterface.register(NAME, packed_attention)
AttentionMaskInterface.register(NAME, packed_mask)
