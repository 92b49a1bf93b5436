"""Sharing a trained model on the Hub: its files, with a card that has its figures."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cedistill.errors import InputError
from cedistill.model.card import CARD, card, find_results

TOKEN = "HF_TOKEN"
_ENDINGS = (".json", ".safetensors", ".txt", ".model", ".md", ".jsonl", ".jinja")
_LEFT_OUT = ("checkpoints", "evaluation")


def push(
    folder: str | Path,
    repository: str,
    *,
    private: bool = False,
    licence: str | None = None,
    metrics: str | Path | None = None,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Upload a trained model in one commit, into a repository that is made when it is missing.

    Args:
        folder: of the model.
        repository: ``OWNER/NAME`` on the Hub (the one that ``HF_ENDPOINT`` names, if it is set).
        private: make a new repository a private one.
        licence: of the model, for its card.
        metrics: ``metrics.json`` of an evaluation for the card; by default the study's or the model's own.
        dry_run: only say what would be uploaded.

    Returns:
        ``repository``, ``files`` (path and bytes of each), ``card``, and ``url`` of the commit (None in a dry run).

    Raises:
        InputError: no finished model, no such repository name or metrics, no token in ``HF_TOKEN``.
        RuntimeError: the Hub refused, or cannot be reached.
    """
    folder = Path(folder)
    files = model_files(folder)
    text = card(_read(folder / "cedistill.json"), _results(folder, metrics), licence)
    _check_name(repository)
    sizes = {name: path.stat().st_size for name, path in files.items()} | {CARD: len(text.encode())}
    listed = [{"path": name, "bytes": size} for name, size in sorted(sizes.items())]
    result = {"repository": repository, "files": listed, "card": text, "url": None}
    return result if dry_run else result | {"url": _upload(repository, files, text, private)}


def model_files(folder: Path) -> dict[str, Path]:
    """Return the files of a model by name: weights, tokenizer and records, no checkpoints, runs or hidden files.

    Raises InputError when the folder holds no finished model.
    """
    if not (folder / "cedistill.json").is_file():
        found = "an interrupted run" if (folder / "checkpoints").is_dir() else "none"
        cure = "finish it with --resume" if found != "none" else "give the folder that `cedistill train` wrote"
        raise InputError(f"{folder}: expected a finished model (with cedistill.json), found {found}; {cure}")
    found_files = {}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") for part in parts)
        if path.is_file() and path.suffix in _ENDINGS and parts[0] not in _LEFT_OUT and not hidden:
            found_files["/".join(parts)] = path
    return found_files


def _upload(repository: str, files: Mapping[str, Path], text: str, private: bool) -> str:
    token = os.environ.get(TOKEN)
    if not token:
        raise InputError(f"expected a token of the Hub with write access in {TOKEN}, found none; set it")
    from huggingface_hub import CommitOperationAdd, HfApi

    operations = [CommitOperationAdd(name, str(path)) for name, path in files.items() if name != CARD]
    operations.append(CommitOperationAdd(CARD, text.encode()))
    api = HfApi(token=token, library_name="cedistill")
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        commit = api.create_commit(repository, operations, commit_message="Model and card")
    except Exception as error:  # its HTTP library's errors are of no class of ours, nor of Python's
        raise RuntimeError(f"{repository}: expected the Hub to take the model, found: {error}") from error
    return str(commit.commit_url)


def _results(folder: Path, metrics: str | Path | None) -> dict[str, Any] | None:
    path = Path(metrics) if metrics else find_results(folder)
    if path is None:
        return None
    if not path.is_file():
        raise InputError(f"{path}: expected the metrics.json of an evaluation, found no such file; check the path")
    found = _read(path)
    if not isinstance(found.get("datasets"), dict):
        raise InputError(f"{path}: expected the metrics.json of an evaluation, found no 'datasets'; check the path")
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: expected JSON, found: {error}; write it again") from None
    return content if isinstance(content, dict) else {}


def _check_name(repository: str) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise InputError(f"expected a repository as OWNER/NAME, found {repository!r}: {error}") from None
    if repository.count("/") != 1:
        raise InputError(f"expected a repository as OWNER/NAME, found {repository!r}; add its owner")
