"""Losses by name."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from torch import Tensor

from cedistill.losses.arguments import did_you_mean

Function = TypeVar("Function", bound=Callable[..., Any])
ARGUMENTS = ("scores", "targets", "mask")


class Loss(Protocol):
    """A loss with its parameters bound: ``(scores [B, N], targets [B, N], mask [B, N] bool or None) -> scalar``."""

    def __call__(self, scores: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the loss of a batch."""
        ...


class _Entry(NamedTuple):
    function: Callable[..., Any]
    check: Callable[..., None] | None


_REGISTRY: dict[str, _Entry] = {}


def register(name: str, *, check: Callable[..., None] | None = None) -> Callable[[Function], Function]:
    """Give a loss function a name, as a decorator.

    Args:
        name: what ``get_loss`` and objective files call it; no colon.
        check: called as ``check(**parameters)`` by ``get_loss``; raises ValueError for a parameter out of range.

    Returns:
        A decorator that returns the function as it is.

    Raises:
        ValueError: the name is empty, has a colon or is taken.
    """
    if not name or ":" in name:
        raise ValueError(f"a loss name must be non-empty and without a colon, found {name!r}")

    def add(function: Function) -> Function:
        if name in _REGISTRY:
            taken = _REGISTRY[name].function
            raise ValueError(f"loss {name!r} is registered already, as {taken.__module__}:{taken.__qualname__}")
        _REGISTRY[name] = _Entry(function, check)
        return function

    return add


def loss_names() -> tuple[str, ...]:
    """Return the names of all registered losses, sorted.

    ``mixture_kl`` is not among them: it takes other arguments, and is called by its own name.
    """
    return tuple(sorted(_REGISTRY))


def loss_function(name: str) -> Callable[..., Any]:
    """Return the function registered under a name.

    Raises:
        ValueError: no loss has that name.
    """
    if name not in _REGISTRY:
        raise ValueError(f"unknown loss {name!r}; {did_you_mean(name, loss_names())}")
    return _REGISTRY[name].function


def get_loss(name: str, **parameters: Any) -> Loss:
    """Return a loss by name, with its parameters bound.

    Args:
        name: one of ``loss_names()``, or ``module:function`` for a loss of the user's own, taken from the import path
            or the working directory.
        **parameters: the loss's own parameters, as ``margin=0.5`` for ``hinge``.

    Returns:
        A callable of (scores, targets, mask=None).

    Raises:
        ValueError: the loss or a parameter is unknown, a parameter is out of range, or the user's module or function
            cannot be had.
    """
    function = _imported(name) if ":" in name else loss_function(name)
    _check_signature(name, function, parameters)
    check = None if ":" in name else _REGISTRY[name].check
    if check is not None:
        check(**parameters)
    return functools.partial(function, **parameters)


def _check_signature(name: str, function: Callable[..., Any], parameters: dict[str, Any]) -> None:
    """Refuse parameters that the function does not take, and a function that is no loss."""
    signature = inspect.signature(function)
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.parameters.values())
    if not open_ended:
        known = [parameter for parameter in signature.parameters if parameter not in ARGUMENTS]
        for parameter in parameters:
            if parameter not in known:
                hint = did_you_mean(parameter, known)
                raise ValueError(f"unknown parameter {parameter!r} of loss {name!r}; {hint}")
    try:
        signature.bind(*ARGUMENTS, **parameters)
    except TypeError as error:
        raise ValueError(f"loss {name!r} cannot be called as (scores, targets, mask, **parameters): {error}") from error


@contextmanager
def _working_directory_importable() -> Iterator[None]:
    """Let imports find modules of the working directory, after all others, as an installed command would not."""
    folder = str(Path.cwd())
    added = folder not in sys.path
    if added:
        sys.path.append(folder)
    try:
        yield
    finally:
        if added and folder in sys.path:
            sys.path.remove(folder)


def _imported(reference: str) -> Callable[..., Any]:
    """Return the function that ``module:function`` names."""
    module_name, _, attribute = reference.partition(":")
    importlib.invalidate_caches()
    try:
        with _working_directory_importable():
            module = importlib.import_module(module_name)
    except Exception as error:  # whatever the user's module raises while it loads
        reason = " ".join(str(error).split()) or type(error).__name__
        cure = "put its folder on PYTHONPATH or correct the module"
        raise ValueError(f"loss {reference!r}: cannot import module {module_name!r}: {reason}; {cure}") from error
    function = getattr(module, attribute, None)
    if function is None:
        public = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        hint = did_you_mean(attribute, public)
        raise ValueError(f"loss {reference!r}: module {module_name!r} has no function {attribute!r}; {hint}")
    if not callable(function) or isinstance(function, type):
        found = "a class" if isinstance(function, type) else repr(function)
        raise ValueError(f"loss {reference!r}: expected a function of (scores, targets, mask), found {found}")
    return function
