"""The files that come with the package: objectives, benchmarks and studies."""

from __future__ import annotations

from pathlib import Path

from cedistill.errors import InputError, unknown

_PACKAGE = Path(__file__).resolve().parent.parent


def shipped_folder(kind: str) -> Path:
    """Return the folder of ``objectives`` or ``benchmarks``: inside an installed package, beside it in a checkout."""
    inside = _PACKAGE / kind
    return inside if inside.is_dir() else _PACKAGE.parent / kind


def shipped_names(kind: str) -> list[str]:
    """Return the names of the shipped files of ``kind``, sorted."""
    return sorted(path.stem for path in shipped_folder(kind).glob("*.toml"))


def find_shipped(kind: str, name_or_path: str) -> Path:
    """Return the TOML file that ``name_or_path`` means: a shipped name, or a file. Raises InputError."""
    if name_or_path in shipped_names(kind):
        return shipped_folder(kind) / f"{name_or_path}.toml"
    path = Path(name_or_path)
    if path.suffix == ".toml" or path.is_file():
        return path
    singular = kind.removesuffix("s")
    raise InputError(f"{unknown(singular, name_or_path, shipped_names(kind))}; or give a TOML file")
