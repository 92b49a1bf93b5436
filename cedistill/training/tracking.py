"""Trackers of training runs (TensorBoard, Weights & Biases, ...), as transformers offers them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cedistill.errors import InputError, unknown

NONE, ALL = "none", "all"
_PACKAGES = {"comet_ml": "comet_ml", "azure_ml": "azureml-core"}
_TENSORBOARD_FOLDER = "TENSORBOARD_LOGGING_DIR"


def trackers(asked: Sequence[str]) -> tuple[str, ...]:
    """Return the trackers that ``--report-to`` means; ``all`` are those installed, ``none`` is none of them.

    Args:
        asked: names that transformers knows, one or several (``tensorboard,wandb``) in each.

    Raises:
        InputError: an unknown name, or a tracker that is not installed.
    """
    names = list(dict.fromkeys(name.strip() for one in asked for name in one.split(",") if name.strip()))
    if not names or names == [NONE]:
        return ()
    from transformers.integrations.integration_utils import (
        INTEGRATION_TO_CALLBACK,
        get_available_reporting_integrations,
    )

    installed = get_available_reporting_integrations()
    for name in names:
        if name not in (ALL, *INTEGRATION_TO_CALLBACK):
            raise InputError(unknown("tracker", name, [NONE, ALL, *sorted(INTEGRATION_TO_CALLBACK)]))
        if name != ALL and name not in installed:
            package = _PACKAGES.get(name, name)
            raise InputError(
                f"expected {name} to be installed for --report-to {name}, found none; pip install {package}"
            )
    return tuple(dict.fromkeys(one for name in names for one in (installed if name == ALL else [name])))


@contextmanager
def tracking(names: Sequence[str], folder: Path) -> Iterator[None]:
    """Let trackers write below ``folder`` while a training runs, and close what they opened at its end.

    A study trains many models in one process: what a tracker leaves open would take the next model's figures too.
    """
    before = os.environ.get(_TENSORBOARD_FOLDER)
    if "tensorboard" in names:
        own = Path(before) / "-".join(folder.resolve().parts[-3:]) if before else folder / "tensorboard"
        os.environ[_TENSORBOARD_FOLDER] = str(own)
    try:
        yield
    finally:
        if before is not None:
            os.environ[_TENSORBOARD_FOLDER] = before
        else:
            os.environ.pop(_TENSORBOARD_FOLDER, None)
        if "wandb" in names:
            import wandb

            wandb.finish()
