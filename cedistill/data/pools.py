"""Pools: for each training query its documents, labels and teacher scores, as a memory-mapped table.

A pool names documents by id; texts stay in the collection. Training lists are drawn from pools
(`cedistill.data.lists`).
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import datasets
import pyarrow as pa

from cedistill.cache import cache_folder
from cedistill.config.train_data import TrainData
from cedistill.data.collections import check_texts, open_collection, require_labels
from cedistill.data.files import sha256
from cedistill.data.pairs import read_pairs
from cedistill.data.qrels import Qrels
from cedistill.data.references import run_path
from cedistill.data.runs import Run, ranked, read_run
from cedistill.data.text_lists import read_text_lists
from cedistill.errors import InputError

logger = logging.getLogger(__name__)

_SCHEMA = pa.schema(
    {
        "query_id": pa.string(),
        "document_ids": pa.list_(pa.string()),
        "labels": pa.list_(pa.float32()),
        "scores": pa.list_(pa.list_(pa.float32())),
    }
)
_FORMAT = "pools-1"
_ROWS_PER_BATCH = 10_000
NAN = math.nan


class Pool(NamedTuple):
    """The documents of one query.

    ``labels`` [N] are grades, NaN where nobody judged. ``scores`` [K][N] are the teachers' scores, NaN where a teacher
    gave none.
    """

    query_id: str
    document_ids: list[str]
    labels: list[float]
    scores: list[list[float]]


class Input(NamedTuple):
    """A file that was read: what it served as, its name and the hash of its content."""

    role: str
    file: str
    sha256: str


@dataclass(frozen=True)
class Pools:
    """A memory-mapped table of pools, with the texts they name and the files they came from."""

    table: datasets.Dataset
    queries: Mapping[str, str]
    documents: Mapping[str, str]
    inputs: list[Input]


def load_pools(data: TrainData, *, labels: bool) -> Pools:
    """Read training data into pools, or map the table made of the same files before.

    Args:
        data: references to the data.
        labels: whether the labels of the data set are needed; then only its judged queries are taken, and their
        relevant
            documents join the candidates.

    Raises:
        InputError: malformed files, ids without texts, data that give no pool.
    """
    if data.lists is not None:
        return _from_text_lists(Path(data.lists))
    collection = open_collection(data.dataset or "")
    if labels and data.pairs is None:
        require_labels(collection)
    files = [("dataset", path) for path in collection.files]
    files += [("candidates", run_path(data.candidates))] if data.candidates else []
    files += [("pairs", Path(data.pairs))] if data.pairs else [("teacher", run_path(one)) for one in data.teachers]
    inputs = [Input(role, path.name, sha256(path)) for role, path in files]
    candidates_path = run_path(data.candidates) if data.candidates else None
    candidates = read_run(candidates_path) if candidates_path else None
    if candidates is not None and candidates_path is not None:
        check_texts(candidates, candidates_path, collection)
    if data.pairs is not None:
        pools = _from_pairs(Path(data.pairs), collection.queries, collection.documents, candidates)
    else:
        teachers = [read_run(run_path(one)) for one in data.teachers]
        if candidates is None:
            for one, teacher in zip(data.teachers, teachers, strict=True):
                check_texts(teacher, run_path(one), collection)
        pools = _from_runs(candidates, teachers, collection.qrels, labels, collection.documents)
    return Pools(_mapped(_key(labels, inputs), pools), collection.queries, collection.documents, inputs)


def _from_runs(
    candidates: Run | None, teachers: list[Run], qrels: Qrels | None, labels: bool, documents: Mapping[str, str]
) -> Iterator[Pool]:
    offered = [candidates] if candidates is not None else teachers
    query_ids = list(dict.fromkeys(query_id for run in offered for query_id in run)) or list(qrels or {})
    lost = 0
    for query_id in query_ids:
        judged = (qrels or {}).get(query_id, {})
        if qrels is not None and not judged:
            continue  # a query of another split: learning from it would leak
        ids = ranked(candidates.get(query_id, {})) if candidates is not None else _by_mean_rank(teachers, query_id)
        if labels:
            present = set(ids)
            more = [one for one, grade in judged.items() if one not in present and (grade > 0 or not offered)]
            ids += [one for one in more if one in documents]
            lost += sum(one not in documents for one in more)
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
    path: Path, queries: Mapping[str, str], documents: Mapping[str, str], candidates: Run | None
) -> Iterator[Pool]:
    for line, pair in enumerate(read_pairs(path), start=1):
        if pair.negative_id is None:
            others = [one for one in ranked((candidates or {}).get(pair.query_id, {})) if one != pair.positive_id]
        else:
            others = [pair.negative_id]
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
        both = pair.positive_score, pair.negative_score
        scores = [[score for score in both if score is not None]] if pair.positive_score is not None else []
        yield Pool(pair.query_id, ids, [1.0] + [0.0] * len(others), scores)


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
        pools.append((str(line), ids, one.labels or [], one.scores))
    rows = (
        Pool(query, ids, labels, [scores.get(name, [NAN] * len(ids)) for name in teachers])
        for query, ids, labels, scores in pools
    )
    inputs = [Input("lists", path.name, sha256(path))]
    return Pools(_mapped(_key(True, inputs), rows), queries, documents, inputs)


def _key(labels: bool, inputs: list[Input]) -> str:
    parts = [_FORMAT, str(labels), *(f"{one.role} {one.sha256}" for one in inputs)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _mapped(key: str, pools: Iterable[Pool]) -> datasets.Dataset:
    path = cache_folder() / "pools" / f"{key}.arrow"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        try:
            _write(partial, pools)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    return datasets.Dataset.from_file(str(path))


def _write(path: Path, pools: Iterable[Pool]) -> None:
    rows: list[Pool] = []
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, _SCHEMA) as writer:
        for pool in pools:
            rows.append(pool)
            if len(rows) == _ROWS_PER_BATCH:
                writer.write_batch(_batch(rows))
                rows = []
        writer.write_batch(_batch(rows))


def _batch(rows: list[Pool]) -> pa.RecordBatch:
    columns = [[row[place] for row in rows] for place in range(len(_SCHEMA))]
    return pa.RecordBatch.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, _SCHEMA, strict=True)], schema=_SCHEMA
    )
