"""Bad input: one clear line that says what was expected, what was found and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class InputError(ValueError):
    """Bad input or usage. Its text is one line; the command line prints it and ends with status 2."""


def bad_line(path: str | Path, line: int, expected: str, found: str, cure: str) -> InputError:
    """Return the error for line ``line`` (counted from 1) of a file, ``FILE:LINE: expected …, found …; cure``."""
    return InputError(f"{path}:{line}: expected {expected}, found {found}; {cure}")


def shown(text: str, limit: int = 60) -> str:
    """Return ``text`` as one quoted line of at most ``limit`` characters, for use in an error."""
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Return ``unknown KIND 'name'; did you mean 'nearest'? known: …``."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown {kind} {name!r}; {hint}known: {', '.join(names)}"
