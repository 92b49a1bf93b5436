"""Saving a re-ranker so that transformers and sentence-transformers load it with the same raw logits."""

from __future__ import annotations

import copy
import json
import os
import shutil
from importlib import metadata
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from cedistill.model.checkpoints import quiet
from cedistill.model.encode import max_positions

IDENTITY = "torch.nn.modules.linear.Identity"


def save_model(
    folder: str | Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, max_length: int
) -> None:
    """Write weights (safetensors), configuration and tokenizer into ``folder``.

    ``CrossEncoder(folder)`` then gives raw logits and cuts pairs at ``max_length``, ``Reranker(folder)`` the same.
    All files are first written beside the folder. A new folder appears at once and whole; in one that exists already
    each file is replaced by its new version, the configuration last, and other files stay.

    Args:
        folder: where to; parent folders are made.
        model: a one-logit sequence classifier.
        tokenizer: its tokenizer; is not changed.
        max_length: most tokens of a pair, special tokens counted; the model's positions are the upper limit.
    """
    folder = Path(folder).resolve()
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        positions = max_positions(model.config)
        limited = copy.deepcopy(tokenizer)
        limited.model_max_length = max_length if positions is None else min(max_length, positions)
        with quiet():
            model.save_pretrained(partial)
            limited.save_pretrained(partial)
        _make_identity_default(partial / "config.json")
        _move(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _make_identity_default(config: Path) -> None:
    # CrossEncoder's own default for one logit is a sigmoid, in which distilled logits saturate.
    content = json.loads(config.read_text())
    content["sentence_transformers"] = {
        "activation_fn": IDENTITY,
        "version": metadata.version("sentence-transformers"),
    }
    config.write_text(json.dumps(content, indent=2) + "\n")


def _move(partial: Path, folder: Path) -> None:
    if not folder.exists():
        partial.rename(folder)
        return
    for path in sorted(partial.iterdir(), key=lambda path: path.name == "config.json"):
        path.replace(folder / path.name)
