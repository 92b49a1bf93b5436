"""Pools out of training data of every kind: runs with labels and teachers, pairs, text lists, sources of the study.

Training lists are drawn from pools (`cedistill.data.lists`).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from cedistill.config.train_data import TrainData
from cedistill.data.collections import Collection, check_texts, open_collection, require_labels
from cedistill.data.digests import file_digest
from cedistill.data.fetch import Advance
from cedistill.data.list_weights import read_list_weights
from cedistill.data.pair_table import check_pair_texts, pair_table
from cedistill.data.pairs import read_pairs
from cedistill.data.pool import Input, Pool, Pools, mapped_pools, pools_key
from cedistill.data.references import is_retriever, run_path
from cedistill.data.runs import Run, ranked, read_run
from cedistill.data.source_pools import source_pools
from cedistill.data.text_lists import read_text_lists
from cedistill.errors import InputError

logger = logging.getLogger(__name__)

__all__ = ["Input", "Pool", "Pools", "load_pools"]

NAN = math.nan


def load_pools(
    data: TrainData,
    *,
    labels: bool,
    positives: str = "judged",
    report: Callable[[str], Advance] | None = None,
) -> Pools:
    """Read training data into pools, or map the table made of the same files before.

    Args:
        data: references to the data.
        labels: whether the labels of the data set are needed; then only its judged queries are taken.
        positives: ``judged``: with ``labels``, relevant documents outside the candidates join them; ``retrieved``: they
            do not.
        report: given the name of a phase (a download, the reading of a large file), returns what is called as it
            advances.

    Raises:
        InputError: malformed files, ids without texts, data that give no pool, a download that fails.
    """
    if data.source is not None:
        return source_pools(data.source, data.dataset, labels=labels, join=positives == "judged", report=report)
    if data.lists is not None:
        return _from_text_lists(Path(data.lists))
    collection = open_collection(data.dataset or "")
    if data.pairs is None:
        return _drawn_from_runs(data, collection, labels, positives)
    path = Path(data.pairs)
    if next(read_pairs(path)).negative_id is None:
        return _drawn_for_pairs(path, data.candidates, collection)
    table = pair_table(path, report(f"reading {path.name}") if report else None)
    texts = _inputs("dataset", collection.files)
    check_pair_texts(table, path, collection, [one.sha256 for one in texts])
    inputs = [*texts, *_inputs("pairs", [path])]
    return Pools(table, collection.queries, collection.documents, inputs, pools_key(inputs))


def _drawn_from_runs(data: TrainData, collection: Collection, labels: bool, positives: str) -> Pools:
    if labels:
        require_labels(collection)
    teacher_paths = [run_path(one) for one in data.teachers]
    weight_paths = [Path(data.list_weights)] if data.list_weights else []
    candidates_paths = _candidates(data.candidates, collection)
    inputs = [*_inputs("dataset", collection.files), *_inputs("candidates", candidates_paths)]
    inputs += [*_inputs("teacher", teacher_paths), *_inputs("list weights", weight_paths)]
    weights = read_list_weights(weight_paths[0]) if weight_paths else {}
    runs = [_with_texts(path, collection) for path in candidates_paths]
    teachers = [read_run(path) if runs else _with_texts(path, collection) for path in teacher_paths]
    join = labels and positives == "judged"
    pools = _from_runs(runs[0] if runs else None, teachers, collection, labels, join)
    pools = (one._replace(weight=weights.get(one.query_id, 1.0)) for one in pools)
    key = pools_key(inputs, str(labels), positives)
    table = mapped_pools(key, pools)
    return Pools(table, collection.queries, collection.documents, inputs, key, weighted=bool(weights))


def _drawn_for_pairs(path: Path, candidates: str | None, collection: Collection) -> Pools:
    paths = _candidates(candidates, collection)
    inputs = [*_inputs("dataset", collection.files), *_inputs("candidates", paths), *_inputs("pairs", [path])]
    runs = [_with_texts(one, collection) for one in paths]
    pools = _from_pairs(path, collection.queries, collection.documents, runs[0] if runs else {})
    key = pools_key(inputs)
    return Pools(mapped_pools(key, pools), collection.queries, collection.documents, inputs, key, first_rank=0)


def _candidates(reference: str | None, collection: Collection) -> list[Path]:
    if reference is None:
        return []
    if not is_retriever(reference):
        return [run_path(reference)]
    from cedistill.retrieval.first_stage import retrieved_path

    return [retrieved_path(collection, reference)]


def _with_texts(path: Path, collection: Collection) -> Run:
    run = read_run(path)
    check_texts(run, path, collection)
    return run


def _inputs(role: str, paths: Iterable[Path]) -> list[Input]:
    try:
        return [Input(role, path.name, file_digest(path)) for path in paths]
    except OSError as error:
        raise InputError(f"{error.filename}: expected a file, found: {error.strerror}; check the path") from None


def _from_runs(
    candidates: Run | None, teachers: list[Run], collection: Collection, labels: bool, join: bool
) -> Iterator[Pool]:
    offered = [candidates] if candidates is not None else teachers
    qrels = collection.qrels
    query_ids = list(dict.fromkeys(query_id for run in offered for query_id in run)) or list(qrels or {})
    lost = 0
    for query_id in query_ids:
        judged = (qrels or {}).get(query_id, {})
        if qrels is not None and not judged:
            continue  # a query of another split: learning from it would leak
        ids = ranked(candidates.get(query_id, {})) if candidates is not None else _by_mean_rank(teachers, query_id)
        if join or (labels and not offered):
            present = set(ids)
            more = [one for one, grade in judged.items() if one not in present and (grade > 0 or not offered)]
            ids += [one for one in more if one in collection.documents]
            lost += sum(one not in collection.documents for one in more)
        grades = [float(judged.get(one, NAN)) for one in ids] if qrels is not None else []
        yield Pool(query_id, ids, grades, [[run.get(query_id, {}).get(one, NAN) for one in ids] for run in teachers])
    if lost:
        logger.warning("%d relevant documents outside the candidates have no text and are left out", lost)


def _by_mean_rank(teachers: list[Run], query_id: str) -> list[str]:
    places: dict[str, list[int]] = {}
    for run in teachers:
        for place, document_id in enumerate(ranked(run.get(query_id, {}))):
            places.setdefault(document_id, []).append(place)
    return sorted(places, key=lambda one: (sum(places[one]) / len(places[one]), one))


def _from_pairs(
    path: Path, queries: Mapping[str, str], documents: Mapping[str, str], candidates: Run
) -> Iterator[Pool]:
    """Yield the pools of a file of two columns: the relevant document, then the candidates but for it."""
    for line, pair in enumerate(read_pairs(path), start=1):
        others = [one for one in ranked(candidates.get(pair.query_id, {})) if one != pair.positive_id]
        ids = [pair.positive_id, *others]
        if pair.query_id not in queries:
            raise InputError(
                f"{path}:{line}: expected a query of the data set, found id {pair.query_id!r} without a text; remove it"
            )
        for one in ids:
            if one not in documents:
                raise InputError(
                    f"{path}:{line}: expected a document of the data set, found id {one!r} without a text; remove it"
                )
        yield Pool(pair.query_id, ids, [1.0] + [0.0] * len(others), [])


def _from_text_lists(path: Path) -> Pools:
    queries: dict[str, str] = {}
    documents: dict[str, str] = {}
    known: dict[str, str] = {}
    teachers: list[str] = []
    pools = []
    for line, one in enumerate(read_text_lists(path), start=1):
        queries[str(line)] = one.query
        teachers += [name for name in one.scores if name not in teachers]
        ids = [known.setdefault(text, str(len(known))) for text in one.documents]
        documents.update(zip(ids, one.documents, strict=True))
        pools.append((str(line), ids, one.labels or [], one.scores, one.weight))
    rows = (
        Pool(query, ids, labels, [scores.get(name, [NAN] * len(ids)) for name in teachers], weight)
        for query, ids, labels, scores, weight in pools
    )
    inputs = _inputs("lists", [path])
    key = pools_key(inputs)
    weighted = any(one[-1] != 1 for one in pools)
    return Pools(mapped_pools(key, rows), queries, documents, inputs, key, weighted=weighted)
