"""Dropout whose random numbers a processor draws four at a time; torch draws them one by one, on one core."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DRAWS = 2**16
"""An element is dropped by comparing 16 random bits: the rate is exact to 1 / 65536, and four elements take a draw."""
_of_thread = threading.local()


@contextmanager
def drawn_from(seed: int) -> Iterator[None]:
    """Within this context a processor's dropout in this thread is that of a seed, whatever other threads draw."""
    _of_thread.generator = torch.Generator().manual_seed(seed)
    try:
        yield
    finally:
        _of_thread.generator = None


class Dropout(nn.Dropout):
    """torch's, with the draws of this module."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the values, in training with a share of them dropped."""
        return dropped(input, self.p, self.training)


def draw_so(model: nn.Module) -> None:
    """Make the dropout of a model's modules draw as this module does."""
    for module in model.modules():
        if type(module) is nn.Dropout and not module.inplace:
            module.__class__ = Dropout


def kept(like: Tensor, rate: float) -> Tensor:
    """Return what dropout keeps of a tensor of this shape, int16: 1 with the probability 1 − ``rate``, else 0.

    Comparing in place and converting 16 bits takes a tenth of the time of bool, which processors have no vectors of.
    """
    draws = torch.empty((like.numel() + 3) // 4, dtype=torch.int64, device=like.device)
    generator = getattr(_of_thread, "generator", None) if like.device.type == "cpu" else None
    bits = draws.random_(-(2**63), None, generator=generator).view(torch.int16)[: like.numel()].view(like.shape)
    return bits.ge_(round(rate * DRAWS) - DRAWS // 2)


def dropped(values: Tensor, rate: float, training: bool) -> Tensor:
    """Return the values with a share of ``rate`` set to 0 and the others divided by 1 − ``rate``, when training."""
    if not training or rate == 0:
        return values
    if values.device.type != "cpu" or torch.compiler.is_compiling():
        return F.dropout(values, rate)
    return _Dropped.apply(values, rate)


class _Dropped(torch.autograd.Function):
    """Values times a mask of two bytes each, which is all that is kept for the backward pass."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, rate: float) -> Tensor:
        mask = kept(values, rate)
        ctx.save_for_backward(mask)
        ctx.factor = 1 / (1 - rate)
        return (values * mask.to(values.dtype)).mul_(ctx.factor)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (mask,) = ctx.saved_tensors
        return (gradients[0] * mask.to(gradients[0].dtype)).mul_(ctx.factor), None
