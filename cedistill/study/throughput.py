"""How fast a machine trains and scores: what the hours of a study are computed from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from cedistill.errors import InputError
from cedistill.model.shapes import SHAPES, forward_flops

_TOKENS = 95  # of an MS MARCO pair on average, which the published figure is taken for


class Throughput(NamedTuple):
    """Floating-point operations a second in training and in scoring, and the measurement they come from."""

    training: float
    scoring: float
    measurement: str


_PUBLISHED_RATE = 3237 * forward_flops(SHAPES["ettin-150m"], _TOKENS)
PUBLISHED = Throughput(
    _PUBLISHED_RATE,
    _PUBLISHED_RATE,
    "published, not measured here: Ettin-150M scores 3237 pairs/s on one H100 (Ettin reranker release notes, 2026; "
    f"taken as pairs of {_TOKENS} tokens, and training as fast per operation)",
)


def throughput(results: Path) -> Throughput:
    """Return the rates that hours are computed from.

    They are those of ``speed/*.json`` in the folder of studies' results, written by ``make bench`` on a GPU (the newest
    counts); without one, of a published figure.

    Raises:
        InputError: a malformed file.
    """
    files = sorted((results / "speed").glob("*.json"), key=lambda path: path.stat().st_mtime)
    for path in reversed(files):
        found = _measured(path)
        if found is not None:
            return found
    return PUBLISHED


def _measured(path: Path) -> Throughput | None:
    try:
        content = json.loads(path.read_text())
        rates = content.get("flops_per_second")
        if not rates or not content["machine"].get("gpu"):
            return None
        return Throughput(
            float(rates["training"]), float(rates["scoring"]), f"{path.name}: {content['machine']['gpu']}"
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: expected a measurement of make bench, found {error!r}; remove it or repeat it"
        ) from None
