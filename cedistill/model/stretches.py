"""Attention pair by pair in bfloat16 on a processor, over stretches of rows whose lengths are few.

oneDNN compiles a product anew for each shape, which takes longer than the product of a short pair, and keeps about a
thousand of them. A pair is therefore read with rows of its neighbours, up to a multiple of ``MULTIPLE``; as keys they
are masked, as queries left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from cedistill.model.dropout import kept

MULTIPLE = 32


class Stretch(NamedTuple):
    """Rows of T tokens that one pair is read with, and where it lies: in them, among the tokens, among the queries.

    Queries are of ``every`` token, or of one a pair.
    """

    rows: slice
    inner: slice
    tokens: slice
    queries: slice
    every: bool
    window: int | None

    def read(self, values: Tensor) -> Tensor:
        """Return the stretch's rows heads first, [heads, rows, width]."""
        return values[self.rows].transpose(0, 1)

    def asked(self, values: Tensor) -> Tensor:
        """Return its queries: all rows, or the one of the pair, [heads, rows or 1, width]."""
        return values[self.rows if self.every else self.queries].transpose(0, 1)

    def own(self, values: Tensor) -> Tensor:
        """Return the pair's own of what was made of the stretch's rows, [tokens, heads, width]."""
        return values.transpose(0, 1)[self.inner]

    def answer(self, values: Tensor) -> Tensor:
        """Return the pair's own of what was made of its queries, [tokens or 1, heads, width]."""
        return self.own(values) if self.every else values.transpose(0, 1)


def by_stretch(
    query: Tensor, key: Tensor, value: Tensor, starts: Tensor, scale: float, dropout: float, window: int | None
) -> Tensor:
    """Return attention within each pair, [queries, heads, width].

    Args:
        query: of T tokens, or of one a pair, [queries, heads, width].
        key: of T tokens, pairs one after the other and perhaps more that belong to none, [T, heads, width].
        value: as ``key``.
        starts: where pairs start, and where the last one ends, int32 [pairs + 1].
        scale: factor of the products.
        dropout: share of the attention's weights that is dropped.
        window: a token sees those fewer than this many places away; None for all.
    """
    stretches = list(_stretches(starts.tolist(), len(key), len(query) == len(key), window))
    with torch.autocast("cpu", enabled=False):
        output = _Attention.apply(query * scale, key, value, stretches, dropout)
        return output if dropout == 0 else output * (1 / (1 - dropout))


def _stretches(starts: list[int], whole: int, every: bool, window: int | None) -> Iterator[Stretch]:
    for pair, (start, end) in enumerate(pairwise(starts)):
        rows = min(whole, -(-(end - start) // MULTIPLE) * MULTIPLE)
        first = min(start, whole - rows)
        tokens = slice(start, end)
        queries = tokens if every else slice(pair, pair + 1)
        reach = window if window is not None and end - start > window else None
        yield Stretch(slice(first, first + rows), slice(start - first, end - first), tokens, queries, every, reach)


class _Attention(torch.autograd.Function):
    """Softmax of the products, dropped but not rescaled, times the values; gradients of queries, keys and values."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, stretches: list[Stretch], dropout: float
    ) -> Tensor:
        output = _made_like(query, stretches[-1].queries.stop)
        saved = []
        for one in stretches:
            weights = _weights(one.asked(query) @ one.read(key).transpose(1, 2), one)
            saved.append(weights)
            if dropout:
                saved.append(kept(weights, dropout))
                weights = weights * saved[-1].to(weights.dtype)
            output[one.queries] = one.answer(weights @ one.read(value))
        ctx.save_for_backward(query, key, value, *saved)
        ctx.stretches, ctx.each = stretches, 2 if dropout else 1
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, *saved = ctx.saved_tensors
        last = ctx.stretches[-1]
        ends = (last.queries.stop, last.tokens.stop, last.tokens.stop)
        found = [_made_like(one, end) for one, end in zip((query, key, value), ends, strict=True)]
        for place, one in enumerate(ctx.stretches):
            weights, *mask = saved[place * ctx.each : (place + 1) * ctx.each]
            mask = [kept_ones.to(weights.dtype) for kept_ones in mask]
            dropped = weights * mask[0] if mask else weights
            asked = one.asked(gradients[0])
            of_weights = asked @ one.read(value).transpose(1, 2)
            if mask:
                of_weights.mul_(mask[0])
            # Rows of neighbours have no weights, and thereby no gradient.
            of_products = torch._softmax_backward_data(of_weights, weights, -1, weights.dtype)
            found[0][one.queries] = one.answer(of_products @ one.read(key))
            found[1][one.tokens] = one.own(of_products.transpose(1, 2) @ one.asked(query))
            found[2][one.tokens] = one.own(dropped.transpose(1, 2) @ asked)
        return *found, None, None


def _made_like(values: Tensor, end: int) -> Tensor:
    """Return room for values up to ``end``, with zeros after it."""
    made = torch.empty_like(values)
    made[end:] = 0
    return made


def _weights(products: Tensor, one: Stretch) -> Tensor:
    """Return the softmax of the products over the pair's own keys; 0 for other keys, and in rows of others."""
    start, end = one.inner.start, one.inner.stop
    products[..., :start] = -math.inf
    products[..., end:] = -math.inf
    if one.window is not None:
        products.masked_fill_(_far(products, one), -math.inf)
    weights = products.softmax(-1)
    if one.every:
        weights[:, :start] = 0
        weights[:, end:] = 0
    return weights


def _far(products: Tensor, one: Stretch) -> Tensor:
    places = torch.arange(products.shape[-1], device=products.device)
    asked = places if one.every else places[one.inner.start : one.inner.start + 1]
    return (asked[:, None] - places).abs() >= (one.window or 0)
