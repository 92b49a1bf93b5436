"""A BM25 index on disk, built block by block in bounded memory, in the layout that bm25s loads and maps.

Blocks of documents become runs of postings sorted by word; the runs are then merged, a range of words at a time, into
the columns of bm25s (Lù 2024, arXiv 2407.03618): for each word the documents that hold it and its weight in each.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from cedistill.retrieval.document_ids import write_ids
from cedistill.retrieval.words import STEMMER, words_of

SETTINGS: dict[str, Any] = {"method": "lucene", "k1": 0.9, "b": 0.4, "stopwords": "english", "stemmer": STEMMER}
"""What the index depends on besides the texts."""

BLOCK_CHARACTERS = 1 << 23
"""Characters of text that are tokenised at once."""

RANGE_POSTINGS = 1 << 21
"""Postings (a word in a document) that are merged at once."""

VOCABULARY = "vocabulary.txt"
"""The words, one a line; a word's number is its line's, counted from 0."""

_POSTING = np.dtype([("word", np.uint32), ("document", np.uint32), ("count", np.uint32)])

Progress = Callable[[int, int], None]
"""Called with documents done and documents in all."""


def build_index(
    documents: Mapping[str, str],
    folder: Path,
    progress: Progress | None = None,
    *,
    characters: int = BLOCK_CHARACTERS,
    postings: int = RANGE_POSTINGS,
) -> None:
    """Write the index of a corpus into an empty folder.

    Memory holds the vocabulary, the ids twice, 30 bytes a document, and one block; the texts are read once, in order.

    Args:
        documents: id → text.
        folder: exists and is empty; it also needs room for 12 bytes a posting until the end.
        progress: called after each block.
        characters: of the texts of a block.
        postings: that are merged at once.
    """
    runs = folder / "runs"
    runs.mkdir()
    vocabulary: dict[str, int] = {}
    lengths = [np.zeros(0, dtype=np.int64)]
    done = 0

    def indexed() -> Iterator[str]:
        nonlocal done
        for block in _blocks(documents.items(), characters):
            lengths.append(_write_run(runs / f"{len(lengths):06}", [text for _, text in block], done, vocabulary))
            done += len(block)
            if progress is not None:
                progress(done, max(done, len(documents)))
            yield from (one for one, _ in block)

    write_ids(folder, indexed())
    (folder / VOCABULARY).write_text("".join(f"{word}\n" for word in vocabulary), encoding="utf-8")
    _merge(sorted(runs.iterdir()), len(vocabulary), np.concatenate(lengths), folder, postings)
    shutil.rmtree(runs)
    settings = {key: SETTINGS[key] for key in ("method", "k1", "b")}
    parameters = {**settings, "dtype": "float32", "int_dtype": "int64", "backend": "numpy", "num_docs": done}
    (folder / "params.index.json").write_text(json.dumps(parameters))


def _blocks(rows: Iterable[tuple[str, str]], characters: int) -> Iterator[list[tuple[str, str]]]:
    block: list[tuple[str, str]] = []
    size = 0
    for row in rows:
        block.append(row)
        # Even an empty document takes some memory.
        size += len(row[1]) + 64
        if size >= characters:
            yield block
            block, size = [], 0
    if block:
        yield block


def _write_run(path: Path, texts: list[str], first: int, vocabulary: dict[str, int]) -> np.ndarray:
    """Write the postings of a block, sorted by word, then document. Return the documents' lengths in words."""
    words = words_of(texts)
    present = np.unique(words.numbers)
    numbers = np.zeros(len(words.stems), dtype=np.int64)
    for number in present.tolist():
        numbers[number] = vocabulary.setdefault(words.stems[number], len(vocabulary))
    lengths = words.lengths
    places = np.repeat(np.arange(len(texts)), lengths)
    found, counts = np.unique(numbers[words.numbers] * len(texts) + places, return_counts=True)
    postings = np.empty(len(found), dtype=_POSTING)
    postings["word"], postings["document"] = np.divmod(found, len(texts))
    postings["document"] += first
    postings["count"] = counts
    postings.tofile(path)
    return lengths


def _merge(runs: list[Path], vocabulary: int, lengths: np.ndarray, folder: Path, size: int) -> None:
    containing = np.zeros(vocabulary, dtype=np.int64)
    for run in runs:
        containing += np.bincount(np.fromfile(run, dtype=_POSTING)["word"], minlength=vocabulary)
    starts = np.concatenate([[0], np.cumsum(containing)])
    np.save(folder / "indptr.csc.index.npy", starts)
    rarity = _rarity(containing, len(lengths))
    # Term by term as bm25s computes it, so that weights are the same to the bit.
    b, mean = SETTINGS["b"], lengths.mean() if len(lengths) else 1.0
    damping = SETTINGS["k1"] * ((1 - b) + b * lengths / (mean or 1.0))
    edges = np.array(list(_edges(starts, size)), dtype=np.uint32)
    cuts = [np.searchsorted(np.fromfile(run, dtype=_POSTING)["word"], edges) for run in runs]
    total = int(starts[-1])
    with (
        _array_file(folder / "data.csc.index.npy", "<f4", total) as weights_file,
        _array_file(folder / "indices.csc.index.npy", "<i4", total) as documents_file,
    ):
        for low, high in pairwise(range(len(edges))):
            parts = [_part(run, int(cut[low]), int(cut[high])) for run, cut in zip(runs, cuts, strict=True)]
            postings = np.concatenate(parts)
            postings = postings[np.argsort(postings["word"], kind="stable")]  # runs are in the order of documents
            counts = postings["count"].astype(np.float32)
            weights = rarity[postings["word"]] * (counts / (damping[postings["document"]] + counts))
            weights_file.write(weights.astype("<f4").data)
            documents_file.write(postings["document"].astype("<i4").data)


def _rarity(containing: np.ndarray, documents: int) -> np.ndarray:
    weights = [math.log(1 + (documents - n + 0.5) / (n + 0.5)) for n in containing.tolist()]
    return np.array(weights, dtype=np.float32)


def _edges(starts: np.ndarray, size: int) -> Iterator[int]:
    """Yield the edges of ranges of words that have ``size`` postings at most, or are one word that has more."""
    edge, words = 0, len(starts) - 1
    yield edge
    while edge < words:
        after = int(np.searchsorted(starts, starts[edge] + size, side="right")) - 1
        edge = min(max(after, edge + 1), words)
        yield edge


def _part(run: Path, start: int, end: int) -> np.ndarray:
    return np.fromfile(run, dtype=_POSTING, count=end - start, offset=start * _POSTING.itemsize)


@contextmanager
def _array_file(path: Path, kind: str, length: int) -> Iterator[BinaryIO]:
    """Open a file for the bytes of a .npy array [length]. Mapped, a full disk would be a bus error, not an error."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": (length,)})
        yield file
