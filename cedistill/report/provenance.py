"""Where a report's figures come from: command, versions, hashes of the study file, of inputs and of figures."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from cedistill.data.files import sha256
from cedistill.study.plan import Cell

_PACKAGES = ("cedistill", "torch", "transformers", "ranx", "numpy", "scipy", "scikit-posthocs", "matplotlib")


def provenance(folder: Path, study_file: Path, cells: Sequence[Cell], command: str) -> dict[str, Any]:
    """Return where figures come from.

    Returns:
        ``command``, ``versions`` (of this machine, which made the report), ``study`` (text and SHA-256 of the file),
        ``cells`` (name, SHA-256 of ``metrics.json``, identity, precision; and as the model's ``cedistill.json`` says,
        where it is there, git commit, and versions that differ from this machine's), ``inputs`` (role, file, SHA-256).
    """
    here = versions()
    described = []
    inputs: dict[tuple[str, str, str], None] = {}
    for cell in cells:
        metrics = folder / cell.name / "metrics.json"
        figures = json.loads(metrics.read_text(encoding="utf-8"))
        model = folder / cell.name / "model" / "cedistill.json"
        trained = json.loads(model.read_text(encoding="utf-8")) if model.is_file() else {}
        for one in trained.get("inputs", []):
            inputs[(one["role"], Path(one["file"]).name, one["sha256"])] = None
        others = {name: one for name, one in trained.get("versions", {}).items() if here.get(name, one) != one}
        described.append(
            {
                "name": cell.name,
                "sha256": sha256(metrics),
                "identity": figures.get("identity", ""),
                "precision": figures.get("precision", ""),
                "commit": trained.get("git_commit") or "",
                "versions": others,
            }
        )
    return {
        "command": command,
        "versions": here,
        "study": {"text": study_file.read_text(encoding="utf-8"), "sha256": sha256(study_file)},
        "cells": described,
        "inputs": [dict(zip(("role", "file", "sha256"), one, strict=True)) for one in inputs],
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of what figures and statistics are computed with."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in _PACKAGES}}
