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
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import bm25s
import numpy as np
import Stemmer

from cedistill.retrieval.document_ids import write_ids

SETTINGS: dict[str, Any] = {"method": "lucene", "k1": 0.9, "b": 0.4, "stopwords": "english", "stemmer": "porter"}
"""What the index depends on besides the texts."""

BLOCK_CHARACTERS = 1 << 24
"""Characters of text that are tokenised at once."""

RANGE_POSTINGS = 1 << 22
"""Postings (a word in a document) that are merged at once."""

VOCABULARY = "vocabulary.txt"
"""The words, one a line; a word's number is its line's, counted from 0."""

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

    Memory holds the vocabulary, the ids, 12 bytes a document, and one block; the texts are read once, in order.

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


def tokenised(texts: list[str], *, numbered: bool) -> Any:
    """Return bm25s' tokens of texts: lower-cased words of two or more characters, less stop words, stemmed."""
    return bm25s.tokenize(
        texts,
        stopwords=SETTINGS["stopwords"],
        stemmer=Stemmer.Stemmer(SETTINGS["stemmer"]),
        return_ids=numbered,
        show_progress=False,
    )


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


def _write_run(folder: Path, texts: list[str], first: int, vocabulary: dict[str, int]) -> np.ndarray:
    """Write the postings of a block, sorted by word, then document. Return the documents' lengths in words."""
    tokens = tokenised(texts, numbered=True)
    # bm25s numbers words by the order of a set, which changes from one process to the next.
    for word in sorted(tokens.vocab):
        vocabulary.setdefault(word, len(vocabulary))
    numbers = np.zeros(len(tokens.vocab), dtype=np.int64)
    for word, number in tokens.vocab.items():
        numbers[number] = vocabulary[word]
    lengths = np.fromiter(map(len, tokens.ids), dtype=np.int64, count=len(texts))
    words = numbers[np.fromiter(chain.from_iterable(tokens.ids), dtype=np.int64, count=int(lengths.sum()))]
    places = np.repeat(np.arange(len(texts)), lengths)
    found, counts = np.unique(words * len(texts) + places, return_counts=True)
    if len(found):
        folder.mkdir()
        np.save(folder / "words.npy", (found // len(texts)).astype(np.uint32))
        np.save(folder / "documents.npy", (found % len(texts) + first).astype(np.int32))
        np.save(folder / "counts.npy", counts.astype(np.uint32))
    return lengths


def _merge(runs: list[Path], vocabulary: int, lengths: np.ndarray, folder: Path, postings: int) -> None:
    containing = np.zeros(vocabulary, dtype=np.int64)
    for run in runs:
        containing += np.bincount(np.load(run / "words.npy"), minlength=vocabulary)
    starts = np.concatenate([[0], np.cumsum(containing)])
    np.save(folder / "indptr.csc.index.npy", starts)
    rarity = _rarity(containing, len(lengths))
    # Term by term as bm25s computes it, so that weights are the same to the bit.
    b, mean = SETTINGS["b"], lengths.mean() if len(lengths) else 1.0
    damping = SETTINGS["k1"] * ((1 - b) + b * lengths / (mean or 1.0))
    total = int(starts[-1])
    with (
        _array_file(folder / "data.csc.index.npy", "<f4", total) as weights_file,
        _array_file(folder / "indices.csc.index.npy", "<i4", total) as documents_file,
    ):
        for low, high in _ranges(starts, postings):
            parts = [_slice(run, low, high) for run in runs]
            words, documents, counts = (np.concatenate(column) for column in zip(*parts, strict=True))
            order = np.argsort(words, kind="stable")  # runs are in the order of their documents
            words, documents, counts = words[order], documents[order], counts[order].astype(np.float32)
            weights = rarity[words] * (counts / (damping[documents] + counts))
            weights_file.write(weights.astype("<f4").data)
            documents_file.write(documents.astype("<i4", copy=False).data)


def _rarity(containing: np.ndarray, documents: int) -> np.ndarray:
    weights = [math.log(1 + (documents - n + 0.5) / (n + 0.5)) for n in containing.tolist()]
    return np.array(weights, dtype=np.float32)


def _ranges(starts: np.ndarray, postings: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of words of at most ``postings`` postings, or of one word that has more."""
    low, words = 0, len(starts) - 1
    while low < words:
        high = int(np.searchsorted(starts, starts[low] + postings, side="right")) - 1
        high = min(max(high, low + 1), words)
        yield low, high
        low = high


def _slice(run: Path, low: int, high: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    words = np.load(run / "words.npy", mmap_mode="r")
    start, end = np.searchsorted(words, np.array([low, high], dtype=words.dtype))
    columns = (np.load(run / f"{name}.npy", mmap_mode="r") for name in ("words", "documents", "counts"))
    first, second, third = (np.array(column[start:end]) for column in columns)
    return first, second, third


@contextmanager
def _array_file(path: Path, kind: str, length: int) -> Iterator[BinaryIO]:
    """Open a file for the bytes of a .npy array [length]. Mapped, a full disk would be a bus error, not an error."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": (length,)})
        yield file
