"""Measures by name, computed per query by ranx on rankings in trec_eval's order."""

from __future__ import annotations

import atexit
import math
import os
import re
import shutil
import tempfile
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from cedistill.cache import cache_folder
from cedistill.data.runs import ranked
from cedistill.errors import InputError, unknown

DEFAULT_MEASURES = ("ndcg@10", "rr@10", "ap", "recall@100")

# name -> (ranx's function, whether a cut-off must be given, whether a threshold may be)
_FUNCTIONS = {
    "ndcg": ("ndcg", False, False),
    "rr": ("reciprocal_rank", False, True),
    "ap": ("average_precision", False, True),
    "recall": ("recall", True, True),
    "success": ("hit_rate", True, True),
    "p": ("precision", True, True),
}
_FORM = re.compile(r"(?P<name>[a-z_\-]+)(\(rel=(?P<threshold>[1-9]\d*)\))?(@(?P<cutoff>[1-9]\d*))?", re.ASCII)
_EXAMPLES = ["ndcg@10", "rr@10", "ap", "recall@100", "success@5", "p@10"]
# The numba layer in use allows one computation at a time.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Measure:
    """A measure; ``str`` gives its name, which :func:`parse_measure` reads.

    ``cutoff`` is the number of documents looked at (None: all), ``threshold`` the lowest grade that is relevant.
    """

    name: str
    cutoff: int | None = None
    threshold: int = 1

    def __str__(self) -> str:
        threshold = "" if self.threshold == 1 else f"(rel={self.threshold})"
        return f"{self.name}{threshold}" + ("" if self.cutoff is None else f"@{self.cutoff}")


def parse_measure(name: str) -> Measure:
    """Return the measure of a name such as ``ndcg@10``, ``ap``, ``rr(rel=2)@10``; case does not matter.

    Raises:
        InputError: no such measure, or a part that is missing or does not belong.
    """
    match = _FORM.fullmatch(name.strip().lower())
    if match is None or match["name"] not in _FUNCTIONS:
        wrong = re.split(r"[@(]", name.strip().lower())[0]
        if wrong in _FUNCTIONS:
            threshold = f" or {wrong}(rel=2)@10" if _FUNCTIONS[wrong][2] else ""
            form = "a measure as NAME@CUTOFF or NAME(rel=GRADE)@CUTOFF, both from 1"
            raise InputError(f"expected {form}, found {name!r}; write {wrong}@10{threshold}")
        raise InputError(f"{unknown('measure', name, _EXAMPLES)}; a relevance threshold is written rr(rel=2)@10")
    _, needs_cutoff, takes_threshold = _FUNCTIONS[match["name"]]
    if needs_cutoff and match["cutoff"] is None:
        raise InputError(f"measure {name!r}: expected a cut-off, found none; write {match['name']}@10")
    if match["threshold"] is not None and not takes_threshold:
        raise InputError(f"measure {name!r}: expected no relevance threshold, found one; its gains are the grades")
    cutoff = None if match["cutoff"] is None else int(match["cutoff"])
    return Measure(match["name"], cutoff, int(match["threshold"] or 1))


def per_query(
    run: Mapping[str, Mapping[str, float]],
    qrels: Mapping[str, Mapping[str, int]],
    measures: Sequence[str | Measure],
) -> dict[str, dict[str, float]]:
    """Compute measures for every judged query.

    Documents are ranked by score as float32 descending, then id descending. Gains of nDCG are the grades; grades
    below 1 (or below the measure's threshold) count as not relevant. A judged query that the run lacks, or that has
    no relevant document, counts 0; queries of the run that nobody judged are left out. The figures are trec_eval's.

    Args:
        run: query id → document id → score.
        qrels: query id → document id → grade.
        measures: names or parsed measures.

    Returns:
        Name of the measure → query id → value in [0, 1], queries in the order of ``qrels``.

    Raises:
        InputError: a name is no measure's.
    """
    chosen = [parse_measure(one) if isinstance(one, str) else one for one in measures]
    if not qrels or not chosen:
        return {str(measure): {} for measure in chosen}
    judged, retrieved = [], []
    for query_id, grades in qrels.items():
        # Own numbers for documents, by falling grade: ranx takes the judgements' order for the ideal one.
        order = sorted(grades, key=grades.__getitem__, reverse=True)
        numbers = {document_id: float(number) for number, document_id in enumerate(order, 1)}
        judged.append(np.array([[numbers[one], grades[one]] for one in order], dtype=np.float64).reshape(-1, 2))
        ranking = ranked(run.get(query_id, {}))
        rows = np.zeros((len(ranking), 2))
        rows[:, 0] = [numbers.get(one, 0.0) for one in ranking]
        rows[:, 1] = np.arange(len(ranking), 0, -1)
        retrieved.append(rows)
    values = _computed(judged, retrieved, chosen)
    return {
        str(measure): dict(zip(qrels, row.tolist(), strict=True)) for measure, row in zip(chosen, values, strict=True)
    }


def mean(values: Mapping[str, float]) -> float:
    """Return the mean over queries of one measure's values; 0 if there are none.

    Args:
        values: query id → value.
    """
    return math.fsum(values.values()) / len(values) if values else 0.0


def _computed(judged: list[np.ndarray], retrieved: list[np.ndarray], measures: list[Measure]) -> list[np.ndarray]:
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        functions = _ranx()
        import numba
        from numba.typed import List as TypedList

        threads = numba.get_num_threads()
        numba.set_num_threads(1)
        try:
            left, right = TypedList(judged), TypedList(retrieved)
            return [_one(functions, left, right, measure) for measure in measures]
        finally:
            numba.set_num_threads(threads)


def _one(functions: ModuleType, judged: Any, retrieved: Any, measure: Measure) -> np.ndarray:
    # Not ranx.evaluate: for a single measure with a threshold it looks its own result up under another name.
    function = getattr(functions, _FUNCTIONS[measure.name][0])
    return function(judged, retrieved, measure.cutoff or 0, measure.threshold)


def _ranx() -> ModuleType:
    if "NUMBA_CACHE_DIR" not in os.environ:
        os.environ["NUMBA_CACHE_DIR"] = _compiled_folder()
    # Unlike the OpenMP layer this one lets a process fork after it has computed something.
    os.environ.setdefault("NUMBA_THREADING_LAYER", "workqueue")
    import ranx.metrics

    return ranx.metrics


def _compiled_folder() -> str:
    folder = cache_folder() / "numba"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return str(folder)
    except OSError:
        folder = Path(tempfile.mkdtemp(prefix="cedistill-numba-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return str(folder)
