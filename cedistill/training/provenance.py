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
    with writing(folder / "README.md") as file:
        file.write(card(content))
    with writing(folder / _FILE) as file:
        json.dump(content, file, indent=2)
    return content


def card(content: dict[str, Any]) -> str:
    """Return the model card: what the model is, how to use it, what it was trained on."""
    objective, plan, figures = content["objective"], content["schedule"], content["figures"]
    inputs = "\n".join(f"| {one['role']} | {one['file']} | `{one['sha256'][:16]}…` |" for one in content["inputs"])
    validation = figures.get("validation")
    validated = (
        f"\nBest validation nDCG@10 {validation['ndcg@10']:.4f} at step {validation['step']}.\n" if validation else ""
    )
    return f"""---
library_name: sentence-transformers
pipeline_tag: text-ranking
tags: [cross-encoder, reranker, cedistill]
---
# {content["backbone"]} trained with {objective["title"]}

A cross-encoder: it reads a query and a document together and gives one raw logit, higher for more relevant.

```python
from sentence_transformers import CrossEncoder
scores = CrossEncoder("PATH").predict([("query", "document")])
```

## Training
{objective["title"]} ({objective["paper"] or "own objective"}), {figures["steps"]} steps of {plan["lists_per_step"]}
lists, learning rate {plan["learning_rate"]:g}, seed {content["seed"]}, {figures["precision"]}; at most
{content["query_tokens"]} tokens of a query, {content["query_tokens"] + content["document_tokens"]} of a pair.
{validated}
| input | file | sha256 |
|---|---|---|
{inputs}

Everything that determines the run is in `cedistill.json`.
"""
