"""Runs as parquet, in the layouts of the Hub: one row a document (as webis/rank-distillm), or one row a query."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cedistill.data.fetch import Advance
from cedistill.errors import InputError

_NAMES = {
    "query": ("query_id", "qid", "query-id"),
    "document": ("doc_id", "docid", "docno", "corpus-id", "doc_ids"),
    "score": ("score", "scores"),
    "rank": ("rank",),
}


def is_parquet(path: Path) -> bool:
    """Return whether a path is a parquet file, told by its content, or a folder of such files."""
    if path.is_dir():
        return any(path.glob("*.parquet"))
    with path.open("rb") as stream:
        return stream.read(4) == b"PAR1"


def parquet_blocks(path: Path, progress: Advance | None) -> Iterator[pa.Table]:
    """Yield the rows of parquet files in blocks as a table of query, document (strings) and score (float64).

    Without scores, documents get falling ones by their rank, or by their order in the file.

    Args:
        path: one file, or a folder of several, which are read in the order of their names.
        progress: told of the rows that were read.

    Raises:
        InputError: it has no column of query ids or none of document ids, or a score that is not finite.
    """
    for file in sorted(path.glob("*.parquet")) if path.is_dir() else [path]:
        yield from _file_blocks(file, progress)


def _file_blocks(path: Path, progress: Advance | None) -> Iterator[pa.Table]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        names = {
            what: next((one for one in known if one in file.schema_arrow.names), "") for what, known in _NAMES.items()
        }
        if not names["query"] or not names["document"]:
            raise InputError(
                f"{path}: expected the columns query_id, doc_id and score or rank, found "
                f"{', '.join(file.schema_arrow.names)}; rename them"
            )
        wanted = [one for one in names.values() if one]
        done = 0
        for batch in file.iter_batches(columns=wanted):
            table = _long(pa.Table.from_batches([batch]), names, done)
            if table["score"].null_count or not np.isfinite(table["score"].to_numpy()).all():
                raise InputError(f"{path}: expected finite scores, found others; repair or drop those rows")
            yield table
            done += batch.num_rows
            if progress:
                progress(done, file.metadata.num_rows, "rows")


def _long(table: pa.Table, names: dict[str, str], done: int) -> pa.Table:
    columns = {what: table[name] for what, name in names.items() if name}
    if pa.types.is_list(columns["document"].type) or pa.types.is_large_list(columns["document"].type):
        parents = pc.list_parent_indices(columns["document"])
        columns = {"query": columns["query"].take(parents)} | {
            what: pc.list_flatten(column) for what, column in columns.items() if what != "query"
        }
    count = len(columns["query"])
    if "score" not in columns:
        place = columns.get("rank", pa.chunked_array([np.arange(done, done + count)]))
        columns["score"] = pc.negate(pc.cast(place, pa.float64()))
    return pa.table(
        {
            "query": pc.cast(columns["query"], pa.string()),
            "document": pc.cast(columns["document"], pa.string()),
            "score": pc.cast(columns["score"], pa.float64()),
        }
    )
