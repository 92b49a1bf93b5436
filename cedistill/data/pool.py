"""A pool is what the lists of one query are drawn from; pools lie in a memory-mapped table.

A pool names documents by id; texts stay in the collection.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import datasets
import pyarrow as pa

from cedistill.cache import cache_folder
from cedistill.data.arrow_tables import made_once
from cedistill.data.pair_table import PairTable
from cedistill.data.run_table import RunTable

_SCHEMA = pa.schema(
    {
        "query_id": pa.string(),
        "document_ids": pa.list_(pa.string()),
        "labels": pa.list_(pa.float32()),
        "scores": pa.list_(pa.list_(pa.float32())),
        "weight": pa.float32(),
    }
)
_FORMAT = "pools-2"
_ROWS_PER_BATCH = 10_000


class Pool(NamedTuple):
    """The documents of one query.

    ``labels`` [N] are grades, NaN where nobody judged. ``scores`` [K][N] are the teachers' scores, NaN where a teacher
    gave none. ``weight`` is how much the query's lists count (of an objective of several teachers, how much these do).
    """

    query_id: str
    document_ids: list[str]
    labels: list[float]
    scores: list[list[float]]
    weight: float = 1.0


class Input(NamedTuple):
    """A file that was read: what it served as, its name and the hash of its content."""

    role: str
    file: str
    sha256: str


@dataclass(frozen=True)
class Pools:
    """A memory-mapped table of pools, with the texts they name and the files they came from.

    The rows of ``table`` have the fields of ``Pool``. ``key`` names its content. ``first_rank`` is the rank of a pool's
    first document among the candidates: 1, or 0 where a relevant document was put before them. ``weighted`` says
    whether lists count differently.
    """

    table: datasets.Dataset | PairTable | RunTable
    queries: Mapping[str, str]
    documents: Mapping[str, str]
    inputs: list[Input]
    key: str
    first_rank: int = 1
    weighted: bool = False


def pools_key(inputs: Iterable[Input], *choices: str) -> str:
    """Return the name of the pools that are made of files under choices that matter."""
    parts = [_FORMAT, *choices, *(f"{one.role} {one.sha256}" for one in inputs)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def mapped_pools(key: str, pools: Iterable[Pool]) -> datasets.Dataset:
    """Return the table of that name, made of ``pools`` if it is not there yet; they are not read otherwise."""
    path = cache_folder() / "pools" / f"{key}.arrow"
    return datasets.Dataset.from_file(str(made_once(path, lambda target: _write(target, pools))))


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
