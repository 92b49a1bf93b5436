"""How things are called in tables and figures."""

from __future__ import annotations

import re
from pathlib import Path

from cedistill.errors import InputError

_MEASURES = {"ndcg": "nDCG", "rr": "RR", "ap": "AP", "p": "P", "recall": "Recall", "success": "Success"}


def shown_measure(name: str) -> str:
    """Return a measure's name as papers print it: ``ndcg@10`` as nDCG@10, ``rr(rel=2)@10`` as RR(rel=2)@10."""
    stem = name.partition("(")[0].partition("@")[0]
    return _MEASURES.get(stem, stem) + name[len(stem) :]


def shown_backbone(name: str) -> str:
    """Return a backbone's label in the literature: ``electra-base`` as ELECTRA; of a folder, its own name."""
    from cedistill.model.backbones import BACKBONES

    for one in BACKBONES.values():
        if name in (one.name, one.hub_id):
            return one.label
    return Path(name).name if "/" in name else name


def shown_objective(name: str) -> str:
    """Return an objective's title, ``margin-mse`` as MarginMSE; its name where it has no file of that name."""
    from cedistill.config.objective import read_objective

    try:
        return read_objective(name).title
    except InputError:
        return Path(name).stem


def key(text: str) -> str:
    """Return a text without case and signs, by which names from different sources are matched."""
    return re.sub(r"[^a-z0-9]+", "", text.lower())
