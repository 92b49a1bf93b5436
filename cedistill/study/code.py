"""The version of the code that computes a result: a hash of the modules that its computation reaches by imports."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cedistill.data.digests import file_digest

_PACKAGE = Path(__file__).resolve().parents[1]

# They say, record or place things: no figure depends on them, or what they make is hashed itself.
SILENT = (
    "cedistill.cache",
    "cedistill.console",
    "cedistill.demo",
    "cedistill.errors",
    "cedistill.model.card",
    "cedistill.training.provenance",
    "cedistill.training.record",
    "cedistill.training.tracking",
)
_VALIDATION = "cedistill.training.validation"

Source = tuple[Path, int, int]
"""A file with its size and time of change: what its reading is remembered under."""


def training_code(validated: bool) -> str:
    """Return the version of what trains a model; ``validated``: with the choice of the best checkpoint."""
    return code_version(("cedistill.training.train",), () if validated else (_VALIDATION,))


def backbone_code() -> str:
    """Return the version of what makes a backbone with its new head."""
    return code_version(("cedistill.model.backbones",))


def figures_code() -> str:
    """Return the version of what scores, re-ranks and measures."""
    return code_version(("cedistill.evaluation.evaluate", "cedistill.model.reranker"))


def loss_code(loss: str) -> str:
    """Return the hash of the file of a user's own loss ``module:function``, "" for a loss by name."""
    module, colon, _ = loss.partition(":")
    if not colon:
        return ""
    beside = Path(module.replace(".", "/") + ".py")  # losses are found in the working directory, too
    spec = None if beside.is_file() else find_spec(module)
    path = Path(spec.origin) if spec and spec.origin else beside
    return file_digest(path) if path.is_file() else ""


@lru_cache(maxsize=16)
def code_version(roots: tuple[str, ...], without: tuple[str, ...] = (), package: Path = _PACKAGE) -> str:
    """Return a hash of modules and of all modules of the package that they import, directly or not.

    Comments, docstrings and layout do not count, nor do the modules of ``SILENT`` and ``without`` and what only these
    import. A copy of the package that was installed without its sources has the same version always.

    Args:
        roots: names of modules, such as ``cedistill.training.train``.
        without: names of modules, or of packages, that are left out.
        package: the folder of the package, in which its modules lie.
    """
    names = reached(roots, (*SILENT, *without), package)
    sources = {name: _source(package, name) for name in names}
    parts = [f"{name} {_meaning(*_stamped(path))}" for name, path in sources.items() if path]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def reached(roots: Iterable[str], without: tuple[str, ...], package: Path) -> list[str]:
    """Return the modules of a package that ``roots`` import, directly or not, with the roots themselves, sorted."""
    waiting, found = list(roots), set()
    while waiting:
        name = waiting.pop()
        path = _source(package, name)
        if path is None or name in found or any(f"{name}.".startswith(f"{one}.") for one in without):
            continue
        found.add(name)
        waiting += _imports(*_stamped(path), package.name)
    return sorted(found)


def _source(package: Path, name: str) -> Path | None:
    head, *rest = name.split(".")
    if head != package.name or not rest:  # the package's own __init__ only hands names on
        return None
    place = package.joinpath(*rest)
    found = (one for one in (place.with_suffix(".py"), place / "__init__.py") if one.is_file())
    return next(found, None)


def _stamped(path: Path) -> Source:
    stat = path.stat()
    return path, stat.st_size, stat.st_mtime_ns


@lru_cache(maxsize=1024)
def _parsed(path: Path, size: int, changed: int) -> ast.Module:
    return ast.parse(path.read_bytes())


@lru_cache(maxsize=1024)
def _imports(path: Path, size: int, changed: int, package: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_imported(_parsed(path, size, changed), package)))


def _imported(tree: ast.Module, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{one.name}" for one in node.names)]  # the latter may be modules
        else:
            continue
        yield from (one for name in names if name.partition(".")[0] == package for one in _with_parents(name))


def _with_parents(name: str) -> Iterator[str]:
    """Yield a module and the packages that it lies in, whose ``__init__`` runs as it is imported."""
    parts = name.split(".")
    yield from (".".join(parts[: end + 1]) for end in range(1, len(parts)))


@lru_cache(maxsize=1024)
def _meaning(path: Path, size: int, changed: int) -> str:
    return hashlib.sha256("".join(_told(_parsed(path, size, changed))).encode()).hexdigest()


def _told(node: Any) -> Iterator[str]:
    """Yield a syntax tree as text that is the same for every version of Python, without docstrings."""
    if isinstance(node, list):
        for one in node:
            yield from _told(one)
    elif isinstance(node, ast.AST):
        yield f"({type(node).__name__}"
        for name, value in ast.iter_fields(node):
            if value is None or value == []:
                continue  # newer versions have fields that older ones lack
            yield f" {name}="
            yield from _told(_without_docstring(value) if name == "body" else value)
        yield ")"
    else:
        yield repr(node)


def _without_docstring(body: Any) -> Any:
    first = body[0] if isinstance(body, list) else None
    is_text = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return body[1:] if is_text else body
