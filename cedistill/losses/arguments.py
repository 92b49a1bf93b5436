"""What a loss accepts: the shapes of its tensors and the ranges of its parameters."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

_TRUSTED: ContextVar[bool] = ContextVar("targets_checked", default=False)

SCHEMES = ("none", "ndcg-loss1", "ndcg-loss2", "lambdarank", "ndcg-loss2++")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``did you mean 'nearest'? known: …`` for a name that is none of ``known``."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}known: {', '.join(names) or 'none'}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_positive(value: Any) -> bool:
    return _is_number(value) and value > 0


def _is_cutoff(value: Any) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1)


POSITIVE = (_is_positive, "a finite number > 0")
RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "margin": POSITIVE,
    "temperature": POSITIVE,
    "tau": POSITIVE,
    "sigma": POSITIVE,
    "mu": (lambda value: _is_number(value) and value >= 0, "a finite number >= 0"),
    "k": (_is_cutoff, "a whole number >= 1, or None for the whole list"),
    "scheme": (lambda value: value in SCHEMES, f"one of {', '.join(SCHEMES)}"),
}


def check_parameters(**parameters: Any) -> None:
    """Refuse a parameter out of its range.

    Args:
        **parameters: parameters of the losses of this package, each named in ``RANGES``.

    Raises:
        ValueError: names the parameter, its range and the value found.
    """
    for name, value in parameters.items():
        accepts, expected = RANGES[name]
        if not accepts(value):
            raise ValueError(f"{name} must be {expected}, found {value!r}")


def check_shape(name: str, tensor: Tensor, expected: Iterable[int], like: str) -> None:
    """Refuse a tensor whose shape is not the expected one.

    Args:
        name: the argument's name.
        tensor: the argument.
        expected: the shape it must have.
        like: what that shape is, as ``scores [B, N]``.

    Raises:
        ValueError: states both shapes.
    """
    if tuple(tensor.shape) != tuple(expected):
        raise ValueError(f"{name} must have the shape of {like}, {list(expected)}, found {list(tensor.shape)}")


def check_mask(mask: Tensor) -> None:
    """Refuse a mask that is not of type bool (an additive mask, say, would be read the wrong way round)."""
    if mask.dtype != torch.bool:
        raise ValueError(f"mask must be of type bool, True for a real document, found {mask.dtype}")


@contextmanager
def targets_checked() -> Iterator[None]:
    """Within, losses take targets as finite: the caller has looked at them where that does not wait for a GPU."""
    token = _TRUSTED.set(True)
    try:
        yield
    finally:
        _TRUSTED.reset(token)


def check_finite(name: str, values: Tensor) -> None:
    """Refuse NaN and infinity, which comparisons of targets would pass over in silence."""
    if not _TRUSTED.get() and not bool(torch.isfinite(values).all()):
        raise ValueError(f"{name} of real documents must be finite, found NaN or infinity; mask those documents")


def working_type(*tensors: Tensor) -> torch.dtype:
    """Return the type to compute in: float64 if any tensor is float64, else float32."""
    return torch.float64 if any(tensor.dtype == torch.float64 for tensor in tensors) else torch.float32


def checked(scores: Tensor, targets: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return scores, targets and mask ready for arithmetic.

    Masked places hold 0, so that whatever stood there (NaN and infinity included) reaches neither value nor gradient.

    Args:
        scores: the student's raw scores, [B, N]; B lists of N documents.
        targets: what they are to become, [B, N].
        mask: [B, N] bool, True for a real document; None when all are real.

    Returns:
        Scores and targets as float32 (float64 when one of them is float64) and the mask, each [B, N].

    Raises:
        ValueError: a shape or type is wrong, or a real document's target is not finite.
    """
    if scores.dim() != 2:
        cure = "; for one list use scores.unsqueeze(0)" if scores.dim() == 1 else ""
        raise ValueError(f"scores must be [lists, documents], found shape {list(scores.shape)}{cure}")
    check_shape("targets", targets, scores.shape, "scores [B, N]")
    if mask is None:
        mask = torch.ones_like(scores, dtype=torch.bool)
    check_shape("mask", mask, scores.shape, "scores [B, N]")
    check_mask(mask)
    dtype = working_type(scores, targets)
    scores = scores.to(dtype).masked_fill(~mask, 0)
    targets = targets.to(dtype).masked_fill(~mask, 0)
    check_finite("targets", targets)
    return scores, targets, mask
