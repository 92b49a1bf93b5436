"""Exact retrieval by an encoder: the corpus streams by in blocks, and each query's best documents are kept.

Blocks of vectors stay on disk, so that an interrupted retrieval goes on where it stopped, and other queries of the same
corpus cost no encoding.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cedistill.cache import built_once, locked
from cedistill.data.runs import Run
from cedistill.retrieval.best import LOWEST, best, keys, unpacked
from cedistill.retrieval.document_ids import open_ids, write_ids
from cedistill.retrieval.encoders import Encoder

BLOCK = 2048
"""Documents that are encoded, kept and compared together."""

_SCORES = 1 << 24
"""Scores of a block that are held at once."""

Progress = Callable[[int, int], None]
"""Called with documents done and documents in all."""


def search(
    encoder: Encoder,
    queries: Mapping[str, str],
    documents: Mapping[str, str],
    depth: int,
    folder: Path,
    progress: Progress | None = None,
    *,
    block: int = BLOCK,
) -> Run:
    """Return the first ``depth`` documents of every query: those of the highest scores of all documents.

    Memory holds one block of documents, the vectors of the queries, and ``depth`` numbers a query. Equal scores fall in
    order of falling id, as in :func:`cedistill.data.runs.ranked`.

    Args:
        encoder: see :func:`cedistill.retrieval.encoders.load_encoder`.
        queries: id → text.
        documents: id → text; read in its order, and only where a block is not in ``folder`` yet.
        depth: at least 1.
        folder: keeps the vectors, of this corpus by this encoder in blocks of this size alone; made where missing.
        progress: called after each block.
        block: documents of a block.

    Returns:
        Query id → document id → score, best first; a query without any is left out.
    """
    if not queries or not documents:
        return {}
    ids = open_ids(built_once(folder / "ids", lambda empty: write_ids(empty, documents)))
    place = encoder.device if encoder.device.type == "cuda" else torch.device("cpu")
    ranks = torch.from_numpy(ids.ranks.astype(np.int64))
    vectors = encoder.queries(list(queries.values()))
    found = torch.full((len(queries), 0), LOWEST, dtype=torch.int64, device=place)
    for start in range(0, len(ranks), block):
        some = ids.ranks[start : start + block]
        part = _block(encoder, documents, ids.at(some), folder / f"{start // block:06}")
        found = _merged(encoder, vectors, part, ranks[start : start + block].to(place), found, depth)
        if progress is not None:
            progress(start + len(some), len(ranks))
    run: Run = {}
    for query_id, row in zip(queries, found.cpu(), strict=True):
        scores, order = unpacked(row)
        if len(scores):
            run[query_id] = dict(zip(ids.at(order), scores.tolist(), strict=True))
    return run


def _block(encoder: Encoder, documents: Mapping[str, str], ids: list[str], path: Path) -> Any:
    """Return the vectors of a block from its file, or encode the block and write the file."""
    block = _kept(encoder, path)
    if block is not None:
        return block
    with locked(path.with_name("blocks")):
        block = _kept(encoder, path)  # another process may have made it meanwhile
        if block is None:
            block = encoder.documents(_texts(documents, ids))
            partial = path.with_name(f"{path.name}.partial")
            with partial.open("wb") as file:
                file.write(encoder.packed(block))
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
    return block


def _texts(documents: Mapping[str, str], ids: list[str]) -> list[str]:
    look_up = getattr(documents, "look_up", None)  # of documents on disk, all in one go
    found = look_up(ids) if look_up else documents
    return [found[one] for one in ids]


def _kept(encoder: Encoder, path: Path) -> Any:
    """Return the block of a file; None for no file, or one that was damaged: it can be made again."""
    try:
        return encoder.unpacked(path)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def _merged(
    encoder: Encoder, vectors: Any, block: Any, ranks: torch.Tensor, found: torch.Tensor, depth: int
) -> torch.Tensor:
    some = max(1, _SCORES // len(ranks))
    parts = []
    for start in range(0, len(found), some):
        scores = encoder.scores(vectors[start : start + some], block).to(ranks.device)
        parts.append(best(found[start : start + some], keys(scores, ranks), depth))
    return torch.cat(parts)
