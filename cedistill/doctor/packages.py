"""Python, the libraries that figures depend on, and the optional ones."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib import metadata

from cedistill.doctor.finding import BROKEN, LACKS, OK, Finding

_SHOWN = ("torch", "transformers", "accelerate", "sentence-transformers", "datasets", "ranx", "ir_datasets")
_OPTIONAL = {
    "ray": ("run --engine ray", "pip install 'cedistill[cluster]'"),
    "openai": ("teachers llm:M over a server", "pip install 'cedistill[llm]'"),
    "tensorboard": ("--report-to tensorboard", "pip install tensorboard"),
    "wandb": ("--report-to wandb", "pip install wandb"),
}


def required() -> Iterator[Finding]:
    """Yield this package, Python, and whether every required library is here in a version that is wanted."""
    from packaging.requirements import Requirement

    versions = [f"{name} {metadata.version(name)}" for name in _SHOWN if _version(name)]
    found = f"cedistill {metadata.version('cedistill')} on Python {platform.python_version()}; {', '.join(versions)}"
    asked = [Requirement(one) for one in metadata.requires("cedistill") or ()]
    needed = [one for one in asked if one.marker is None or one.marker.evaluate({"extra": ""})]
    wrong = [one for one in needed if not one.specifier.contains(_version(one.name) or "0", prereleases=True)]
    if not wrong:
        yield Finding("packages", "required", OK, found)
        return
    absent = ", ".join(f"{one.name}{one.specifier} ({_version(one.name) or 'missing'})" for one in wrong)
    cure = "pip install " + " ".join(f"'{one.name}{one.specifier}'" for one in wrong)
    yield Finding("packages", "required", BROKEN, f"{found}; not as wanted: {absent}", cure)


def optional() -> Iterator[Finding]:
    """Yield the libraries that some commands want."""
    for name, (purpose, cure) in _OPTIONAL.items():
        version = _version(name)
        if version:
            yield Finding("packages", name, OK, f"{version}, for {purpose}")
        else:
            yield Finding("packages", name, LACKS, f"not installed; only for {purpose}", cure)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
