"""Train and benchmark distilled cross-encoders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cedistill.config.benchmark import load_benchmark
    from cedistill.config.objective import load_objective
    from cedistill.evaluation.evaluate import evaluate
    from cedistill.model.reranker import Reranker
    from cedistill.training.train import train

__version__ = "0.1.0"
__all__ = ["Reranker", "evaluate", "load_benchmark", "load_objective", "train"]

# Loaded when asked for: `cedistill --help` must not wait for torch.
_HOMES = {
    "Reranker": "cedistill.model.reranker",
    "evaluate": "cedistill.evaluation.evaluate",
    "load_benchmark": "cedistill.config.benchmark",
    "load_objective": "cedistill.config.objective",
    "train": "cedistill.training.train",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'cedistill' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
