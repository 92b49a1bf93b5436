"""A long run as a memory-mapped table of ranked queries, for training: hundreds of millions of lines, read once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cedistill.data.arrow_tables import (
    UnfitError,
    check_plain,
    compact,
    csv_blocks,
    made_once,
    mapped,
    table_path,
    write_batches,
)
from cedistill.data.fetch import Advance
from cedistill.data.parquet import is_parquet, parquet_blocks
from cedistill.data.qrels import Qrels
from cedistill.data.runs import ranked, read_run
from cedistill.errors import InputError

_VERSION = 1
_COLUMNS = ["query", "iteration", "document", "rank", "score", "tag"]


class RunTable:
    """The queries of a run as pools (``cedistill.data.pools.Pool``), best document first; by number, in its order.

    ``labels`` are looked up in the judgements as a row is read; with ``join``, relevant documents that the run lacks
    come after its own. With judgements, queries that have none are left out.
    """

    def __init__(self, path: Path, qrels: Qrels | None, join: bool, documents: Mapping[str, str] | None) -> None:
        """Map a table that :func:`run_table_path` has made; ``documents`` says which documents have a text."""
        self.path, self.qrels, self.join, self.documents = path, qrels, join, documents
        table = mapped(path)
        self.columns = {name: table[name] for name in table.column_names}
        names = self.columns["query"].to_pylist()
        judged = [row for row, name in enumerate(names) if qrels is None or qrels.get(name)]
        self.rows = np.array(judged, np.int64)

    def __reduce__(self) -> tuple[Any, ...]:
        return RunTable, (self.path, self.qrels, self.join, self.documents)

    @property
    def num_rows(self) -> int:
        """The number of queries."""
        return len(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> dict[str, Any]:
        if not 0 <= row < len(self.rows):
            raise IndexError(row)
        place = int(self.rows[row])
        query = self.columns["query"][place].as_py()
        ids = [str(one) for one in self.columns["documents"][place].values.to_pylist()]
        scores = self.columns["scores"][place].values.to_numpy(zero_copy_only=False).tolist()
        judged = (self.qrels or {}).get(query, {})
        if self.join:
            there = set(ids)
            more = [one for one, grade in judged.items() if grade > 0 and one not in there and self._has_text(one)]
            ids += more
            scores += [np.nan] * len(more)
        labels = [float(judged.get(one, np.nan)) for one in ids] if self.qrels is not None else []
        return {"query_id": query, "document_ids": ids, "labels": labels, "scores": [scores]}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[row] for row in range(len(self.rows)))

    def _has_text(self, document_id: str) -> bool:
        return self.documents is None or document_id in self.documents


def run_table_path(path: Path, progress: Advance | None = None) -> Path:
    """Return the table of a run file, or of parquet files, made once per content.

    Args:
        path: a TREC run, optionally gzip-compressed; or a parquet file, or a folder of them.
        progress: told of the MiB that were read.

    Raises:
        InputError: as ``cedistill.data.runs.read_run`` does, with the file's line; no room for the table.
    """
    return made_once(table_path("runs", _VERSION, path), lambda target: _write(path, target, progress))


def distinct_documents(path: Path) -> Iterator[str]:
    """Yield every document id of a table once."""
    known = pc.unique(pc.list_flatten(mapped(path)["documents"]))
    for start in range(0, len(known), 100_000):
        yield from map(str, known[start : start + 100_000].to_pylist())


def _write(path: Path, target: Path, progress: Advance | None) -> None:
    for numbered in (True, False):
        try:
            write_batches(target, (_stored(block, numbered) for block in _whole_queries(_rows(path, progress))))
        except UnfitError:
            continue
        return
    if is_parquet(path):
        raise InputError(
            f"{path}: expected the rows of a query together, each document once, and ids without white space, found "
            "others; sort it by query and drop what is double"
        )
    write_batches(target, _slow_blocks(path))


def _rows(path: Path, progress: Advance | None) -> Iterator[pa.Table]:
    if is_parquet(path):
        yield from parquet_blocks(path, progress)
        return
    for batch in csv_blocks(path, _COLUMNS, {"score"}, progress):
        yield pa.Table.from_batches([batch]).select(["query", "document", "score"])


def _whole_queries(blocks: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Move rows between blocks so that no query is cut; a query that comes back later is not of the plain shape."""
    seen: set[str] = set()
    rest: pa.Table | None = None
    for block in blocks:
        rows = (pa.concat_tables([rest, block]) if rest is not None else block).combine_chunks()
        starts = _starts(rows["query"])
        cut = int(starts[-1])
        rest = rows.slice(cut)
        if cut:
            yield _new_queries(rows.slice(0, cut), seen)
    if rest is not None:
        yield _new_queries(rest.combine_chunks(), seen)


def _new_queries(rows: pa.Table, seen: set[str]) -> pa.Table:
    names = rows["query"].take(pa.array(_starts(rows["query"]))).to_pylist()
    if len(set(names)) < len(names) or not seen.isdisjoint(names):
        raise UnfitError
    seen.update(names)
    return rows


def _starts(queries: pa.ChunkedArray) -> np.ndarray:
    """Return the rows at which another query begins, the first row among them."""
    changes = pc.not_equal(queries.slice(1), queries.slice(0, len(queries) - 1)).to_numpy()
    return np.concatenate([[0], np.flatnonzero(changes) + 1])


def _stored(rows: pa.Table, numbered: bool) -> pa.RecordBatch:
    rows = _ranked(rows)
    starts = _starts(rows["query"])
    queries, documents = (_one_chunk(rows[name]) for name in ("query", "document"))
    ids = compact(documents) if numbered else check_plain(documents)
    if ids is None:
        raise UnfitError
    offsets = pa.array(np.append(starts, rows.num_rows).astype(np.int32))
    scores = _one_chunk(rows["score"]).cast(pa.float32())
    return pa.record_batch(
        {
            "query": check_plain(queries.take(pa.array(starts))),
            "documents": pa.ListArray.from_arrays(offsets, ids),
            "scores": pa.ListArray.from_arrays(offsets, scores),
        }
    )


def _ranked(rows: pa.Table) -> pa.Table:
    """Return rows in trec_eval's order within each query; raise UnfitError for a document twice in one."""
    if rows.group_by(["query", "document"]).aggregate([]).num_rows < rows.num_rows:
        raise UnfitError
    starts = _starts(rows["query"])
    scores = rows["score"].to_numpy().astype(np.float32)
    inside = np.ones(len(scores), bool)
    inside[starts] = False
    wrong = np.flatnonzero(inside[1:] & (scores[1:] >= scores[:-1])) + 1
    if not len(wrong):
        return rows
    lengths = np.diff(np.append(starts, len(scores)))
    group = np.repeat(np.arange(len(starts)), lengths)
    affected = np.flatnonzero(np.isin(group, np.unique(group[wrong])))
    part = pa.table({"group": group[affected], "score": scores[affected], "document": rows["document"].take(affected)})
    keys = [("group", "ascending"), ("score", "descending"), ("document", "descending")]
    order = np.arange(len(scores))
    order[affected] = affected[pc.sort_indices(part, sort_keys=keys).to_numpy()]
    return rows.take(pa.array(order)).combine_chunks()


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks()
    return pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole


def _slow_blocks(path: Path) -> Iterator[pa.RecordBatch]:
    run = read_run(path)
    names = list(run)
    for start in range(0, len(names), 10_000):
        chosen = names[start : start + 10_000]
        orders = [ranked(run[name]) for name in chosen]
        scores = [[run[name][one] for one in order] for name, order in zip(chosen, orders, strict=True)]
        columns = {"query": pa.array(chosen), "documents": pa.array(orders, pa.list_(pa.string()))}
        yield pa.record_batch(columns | {"scores": pa.array(scores, pa.list_(pa.float32()))})
