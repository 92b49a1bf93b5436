"""The ids of a corpus on disk: by rank, so that ties fall as trec_eval has them, and memory-mapped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_IDS = "ids.arrow"
_RANKS = "ranks.npy"
_BLOCK = 1 << 16


class DocumentIds(NamedTuple):
    """Ids of ``len(ranks)`` documents.

    ``rising`` holds the ids in rising order; ``ranks`` [N] int32 is the place of each document of the corpus in it, so
    that of equal scores the higher rank comes first (see :func:`cedistill.data.runs.ranked`).
    """

    rising: pa.ChunkedArray
    ranks: np.ndarray

    def at(self, ranks: np.ndarray | Sequence[int]) -> list[str]:
        """Return the ids of these ranks."""
        return self.rising.take(pa.array(ranks)).to_pylist()

    def ranks_of(self, ids: Sequence[str]) -> np.ndarray:
        """Return the ranks of these ids, all of them of the corpus."""
        return pc.index_in(pa.array(ids, self.rising.type), self.rising).to_numpy()


def write_ids(folder: Path, ids: Iterable[str]) -> None:
    """Write the ids of a corpus, given in its order, into ``folder``; needs twice the memory of the ids."""
    chunks: list[pa.LargeStringArray] = []
    block: list[str] = []
    for one in ids:
        block.append(one)
        if len(block) == _BLOCK:
            chunks.append(pa.array(block, pa.large_string()))
            block = []
    column = pa.chunked_array([*chunks, pa.array(block, pa.large_string())])
    # Arrow compares UTF-8 bytes, which sort as code points do.
    order = pc.sort_indices(column)
    ranks = np.empty(len(column), dtype=np.int32)
    ranks[order.to_numpy()] = np.arange(len(column), dtype=np.int32)
    np.save(folder / _RANKS, ranks)
    table = pa.table({"id": column.take(order)})
    with pa.OSFile(str(folder / _IDS), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=_BLOCK)


def open_ids(folder: Path) -> DocumentIds:
    """Map the ids that :func:`write_ids` wrote."""
    with pa.memory_map(str(folder / _IDS)) as source:
        rising = pa.ipc.open_file(source).read_all().column("id")
    ranks = np.load(folder / _RANKS, mmap_mode="r" if len(rising) else None)  # nothing cannot be mapped
    return DocumentIds(rising, ranks)
