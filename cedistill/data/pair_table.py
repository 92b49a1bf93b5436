"""Pairs of documents as a memory-mapped table: tens of millions of lines, read once, opened in no time afterwards."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cedistill.data.arrow_tables import (
    UnfitError,
    check_plain,
    checked_once,
    compact,
    csv_blocks,
    made_once,
    mapped,
    table_path,
    write_batches,
)
from cedistill.data.collections import Collection
from cedistill.data.fetch import Advance
from cedistill.data.pairs import Pair, read_pairs
from cedistill.errors import InputError, bad_line, shown

_VERSION = 1
_IDS = ["query", "positive", "negative"]
_SCORES = ["positive_score", "negative_score"]
_SLOW_BLOCK = 100_000


class PairTable:
    """The rows of a pairs file as pools of two documents, the relevant one first; by number, in the file's order.

    A row has the layout of ``cedistill.data.pools.Pool``. Another process that gets the table maps the same file.
    """

    def __init__(self, path: Path) -> None:
        """Map a table that :func:`pair_table` has made."""
        self.path = path
        table = mapped(path)
        self.columns = {name: table[name] for name in table.column_names}
        self.scored = _SCORES[0] in self.columns
        self.num_rows: int = table.num_rows

    def __reduce__(self) -> tuple[Any, ...]:
        return PairTable, (self.path,)

    def __len__(self) -> int:
        return self.num_rows

    def __getitem__(self, row: int) -> dict[str, Any]:
        if not 0 <= row < self.num_rows:
            raise IndexError(row)
        query, positive, negative = (str(self.columns[name][row].as_py()) for name in _IDS)
        scores = [[self.columns[name][row].as_py() for name in _SCORES]] if self.scored else []
        return {"query_id": query, "document_ids": [positive, negative], "labels": [1.0, 0.0], "scores": scores}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[row] for row in range(self.num_rows))


def pair_table(path: Path, progress: Advance | None = None) -> PairTable:
    """Return the table of a file of three or five columns (see ``cedistill.data.pairs.read_pairs``).

    It is made once per content of the file, in blocks, and mapped afterwards.

    Args:
        path: the file, optionally gzip-compressed.
        progress: told of the MiB that were read.

    Raises:
        InputError: as ``read_pairs`` does, with the file's line; no room for the table.
    """
    return PairTable(made_once(table_path("pairs", _VERSION, path), lambda target: _write(path, target, progress)))


def check_pair_texts(table: PairTable, path: Path, collection: Collection, inputs: Iterable[str]) -> None:
    """Make sure that a collection has a text for every id of a table; once for the same table and collection.

    Args:
        table: the pairs.
        path: the file they came from, for the error.
        collection: where the texts are to come from.
        inputs: hashes of the collection's files.

    Raises:
        InputError: an id has no text; the error names the first line with one.
    """
    checked_once(table.path, inputs, lambda: _check_texts(table, path, collection))


def _check_texts(table: PairTable, path: Path, collection: Collection) -> None:
    documents = itertools.chain.from_iterable(_distinct(table, name) for name in _IDS[1:])
    if not all(one in collection.queries for one in _distinct(table, "query")) or not all(
        one in collection.documents for one in documents
    ):
        raise _without_text(path, collection)


def _distinct(table: PairTable, name: str) -> Iterator[str]:
    known = pc.unique(table.columns[name])
    for start in range(0, len(known), _SLOW_BLOCK):
        yield from map(str, known[start : start + _SLOW_BLOCK].to_pylist())


def _without_text(path: Path, collection: Collection) -> InputError:
    for line, pair in enumerate(read_pairs(path), start=1):
        for one, kind, texts in (
            (pair.query_id, "query", collection.queries),
            (pair.positive_id, "document", collection.documents),
            (pair.negative_id, "document", collection.documents),
        ):
            if one is not None and one not in texts:
                found = f"id {shown(one)} without a text"
                return bad_line(path, line, f"a {kind} of {collection.name}", found, "drop the line or add the text")
    raise AssertionError(f"{path}: the table is not that of the file")


def _write(path: Path, target: Path, progress: Advance | None) -> None:
    first = next(read_pairs(path))  # refuses a header and wrong widths before anything is written
    names = [*(_SCORES if first.positive_score is not None else []), *_IDS]
    for keep in (_numbered, check_plain):
        try:
            blocks = csv_blocks(path, names, set(names) & set(_SCORES), progress)
            write_batches(target, (_stored(block, keep) for block in blocks))
        except UnfitError:
            continue
        return
    write_batches(target, (_stored(block, lambda ids: ids) for block in _slow_blocks(path, names)))


def _slow_blocks(path: Path, names: list[str]) -> Iterator[pa.RecordBatch]:
    places = {"query": 0, "positive": 1, "negative": 2, "positive_score": 3, "negative_score": 4}
    for block in _blocks(read_pairs(path)):
        columns = list(zip(*block, strict=True))
        yield pa.record_batch({name: pa.array(columns[places[name]]) for name in names})


def _blocks(pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
    rows = iter(pairs)
    while block := list(itertools.islice(rows, _SLOW_BLOCK)):
        yield block


def _stored(block: pa.RecordBatch, keep: Callable[[pa.Array], pa.Array]) -> pa.RecordBatch:
    columns = {
        name: block[name].cast(pa.float32()) if name in _SCORES else keep(block[name]) for name in block.schema.names
    }
    return pa.record_batch(columns)


def _numbered(ids: pa.Array) -> pa.Array:
    numbers = compact(ids)
    if numbers is None:
        raise UnfitError
    return numbers
