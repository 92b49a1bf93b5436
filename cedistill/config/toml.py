"""Read TOML files into pydantic models; every mistake becomes one line with file, line and cure."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from cedistill.errors import InputError, shown, unknown

M = TypeVar("M", bound=BaseModel)


class Strict(BaseModel):
    """A table of a configuration file: unknown keys are errors, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file. Raises InputError when it is missing or malformed."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(f"{path}: expected a TOML file, found none; check the path") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: expected UTF-8 text, found byte {error.start} that is not; save it as UTF-8"
        ) from None
    except tomllib.TOMLDecodeError as error:
        where = re.search(r"line (\d+)", str(error))
        line = f":{where[1]}" if where else ""
        message = re.sub(r" \(at .*\)$", "", str(error))
        raise InputError(f"{path}{line}: expected valid TOML, found: {message}; mend that line") from None


def override(table: Mapping[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """Return ``table`` with each ``KEY.SUBKEY=VALUE`` put in; values are TOML, or else plain strings."""
    changed = _copy(table)
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key.strip():
            raise InputError(
                f"expected --set KEY=VALUE, found {shown(setting)}; for example training.learning_rate=2e-5"
            )
        *parents, last = key.strip().split(".")
        place = changed
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise InputError(f"--set {setting}: {parent!r} is a value, not a table; name the key of a table")
        place[last] = _value(text.strip())
    return changed


def validated(model: type[M], table: Mapping[str, Any], origin: str, text: str = "") -> M:
    """Return ``table`` as a ``model``; the first mistake is raised as an InputError that starts with ``origin``.

    ``text`` is the file's content, in which the line of the mistake is looked up.
    """
    try:
        return model.model_validate(table)
    except ValidationError as error:
        first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        names = [str(part) for part in first["loc"]]
        line = _line_of(text, names)
        where = f"{origin}:{line}" if line else origin
        raise InputError(f"{where}: {_sentence(model, names, first)}") from None


def fill_in(text: str, origin: str) -> str:
    """Return ``text`` with each ``${NAME}`` replaced by that variable. Raises InputError when it is unset."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in os.environ:
            raise InputError(
                f"{origin}: expected the environment variable {name} to be set, found it unset; run {name}=FOLDER …"
            )
        return os.environ[name]

    return re.sub(r"\$\{(\w+)\}", value, text)


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _copy(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copy(value) if isinstance(value, Mapping) else value for key, value in table.items()}


def _sentence(model: type[BaseModel], names: list[str], error: Any) -> str:
    key = ".".join(names)
    if error["type"] == "extra_forbidden":
        return unknown("key", key, [".".join([*names[:-1], field]) for field in _fields_at(model, names[:-1])])
    if error["type"] == "missing":
        return f"expected the key {key!r}, found none; add it"
    if error["type"] == "value_error":
        message = str(error["ctx"]["error"])
        return f"{key}: {message}" if key else message
    requirement = error["msg"][0].lower() + error["msg"][1:].removeprefix("Input ")
    return (
        f"{key}: {requirement.replace('input should', 'expected to', 1)}, found {shown(str(error['input']))}; change it"
    )


def _fields_at(model: type[BaseModel], names: list[str]) -> list[str]:
    for name in names:
        if name.isdigit():
            continue
        field = next((one for key, one in model.model_fields.items() if name in (key, one.alias)), None)
        candidates = [] if field is None else [field.annotation, *_nested(field.annotation)]
        inner = [one for one in candidates if isinstance(one, type) and issubclass(one, BaseModel)]
        if not inner:
            return []
        model = inner[0]
    return [field.alias or name for name, field in model.model_fields.items()]


def _nested(annotation: Any) -> list[Any]:
    return [one for argument in get_args(annotation) for one in (argument, *_nested(argument))]


def _line_of(text: str, names: list[str]) -> int | None:
    keys = [name for name in names if not name.isdigit()]
    section: list[str] = []
    best = None
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line)
        if header:
            section = [part.strip().strip("\"'") for part in header[1].split(".")]
            here = section
        else:
            assignment = re.match(r"\s*([\w.\"'-]+)\s*=", line)
            if not assignment:
                continue
            here = section + [part.strip().strip("\"'") for part in assignment[1].split(".")]
        if here == keys:
            return number
        if here == keys[: len(here)] and header:
            best = number
    return best
