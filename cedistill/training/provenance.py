"""What a model folder says of its origin: cedistill.json, and a card for readers."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from cedistill.config.objective import Objective, Schedule
from cedistill.config.train_data import TrainData
from cedistill.data.files import sha256, writing
from cedistill.data.pools import Input
from cedistill.errors import InputError, shown

_FILE = "cedistill.json"
_RUN = "run.json"
_PACKAGES = ("cedistill", "torch", "transformers", "accelerate", "sentence-transformers", "datasets", "numpy")


def describe_run(
    backbone: str,
    objective: Objective,
    plan: Schedule,
    data: TrainData,
    inputs: Sequence[Input],
    seed: int,
    validate: Sequence[tuple[str, str]],
    start: str | Path | None,
) -> dict[str, Any]:
    """Return everything that determines a training run, as JSON values."""
    return {
        "backbone": backbone,
        "objective": objective.model_dump(mode="json", exclude_none=True),
        "schedule": plan._asdict(),
        "data": data.model_dump(mode="json", exclude_none=True),
        "inputs": [one._asdict() for one in inputs],
        "seed": seed,
        "validate": [list(one) for one in validate],
        "start": _start(start),
    }


def _start(folder: str | Path | None) -> dict[str, Any] | None:
    if folder is None:
        return None
    weights = Path(folder) / "model.safetensors"
    return {"model": str(folder), "sha256": sha256(weights) if weights.is_file() else None}


def check_same_run(checkpoints: Path, run: dict[str, Any]) -> None:
    """Leave a note of ``run`` beside its checkpoints, or refuse those of another run. Raises InputError."""
    note = checkpoints / _RUN
    if note.is_file():
        before = json.loads(note.read_text())
        for key in run:
            if before.get(key) != run[key]:
                raise InputError(
                    f"{checkpoints}: expected the same {key} as when training was interrupted, found "
                    f"{shown(json.dumps(run[key]))} in place of {shown(json.dumps(before.get(key)))}; "
                    "repeat the first command with --resume, or give another --output"
                )
        return
    with writing(note) as file:
        json.dump(run, file, indent=2)


def read_finished(folder: Path) -> dict[str, Any] | None:
    """Return the ``cedistill.json`` of a finished model, None when there is none."""
    path = folder / _FILE
    return json.loads(path.read_text()) if path.is_file() else None


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that figures depend on."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in _PACKAGES}}


def git_commit() -> str | None:
    """Return the commit of the checkout that this package runs from, None for an installed copy."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        answer = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()


def write_model_folder(
    folder: Path, model: Any, tokenizer: Any, run: dict[str, Any], figures: dict[str, Any], command: str
) -> dict[str, Any]:
    """Save the model, its card and ``cedistill.json``; the latter is written last and marks the folder as finished."""
    from cedistill.model.card import CARD, card
    from cedistill.model.saving import save_model

    training = run["objective"]["training"]
    limits = {name: training[name] for name in ("query_tokens", "document_tokens")}
    save_model(folder, model, tokenizer, max_length=sum(limits.values()))
    content = {
        **run,
        **limits,
        "figures": figures,
        "versions": versions(),
        "git_commit": git_commit(),
        "command": command,
    }
    with writing(folder / CARD) as file:
        file.write(card(content))
    with writing(folder / _FILE) as file:
        json.dump(content, file, indent=2)
    return content
