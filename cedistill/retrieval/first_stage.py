"""First stages made on the spot and kept in the cache: the run, BM25's index, the vectors of an encoder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any

from cedistill.cache import built_once, cache_folder, locked
from cedistill.data.collections import Collection
from cedistill.data.files import sha256
from cedistill.data.references import BM25, parse_retriever
from cedistill.data.runs import Run, read_run, write_run
from cedistill.errors import InputError

RETRIEVED_DEPTH = 100
"""Candidates of a query that a first stage gives when no depth is asked for."""

_SAMPLE = 100

Progress = Callable[[int, int], None]
"""Called with documents done and documents in all."""


def retriever_name(reference: str) -> str:
    """Return the name of a first stage: ``bm25``, or its model's without folders."""
    kind, model = parse_retriever(reference)
    return "-".join(Path(model).name.split()) if model else kind


def retrieved(collection: Collection, reference: str, depth: int, progress: Progress | None = None) -> Run:
    """Return the run that a first stage gives for a collection: what ``retrieved_path`` keeps."""
    return read_run(retrieved_path(collection, reference, depth, progress))


def retrieved_path(
    collection: Collection, reference: str, depth: int = RETRIEVED_DEPTH, progress: Progress | None = None
) -> Path:
    """Return the kept file of what a first stage finds for a collection's queries (of a labelled one, the judged ones).

    Args:
        collection: queries and documents.
        reference: ``bm25``, ``bi-encoder:M`` or ``sparse:M``.
        depth: candidates of a query.
        progress: called while documents are read; by default a line on stderr now and then.

    Raises:
        InputError: no such model, or not a single candidate.
    """
    wanted = collection.queries.keys() if collection.qrels is None else collection.qrels.keys()
    queries = {query_id: collection.queries[query_id] for query_id in wanted if query_id in collection.queries}
    corpus = _corpus(collection)
    kind, model = parse_retriever(reference)
    search, identity = _bm25(corpus) if kind == BM25 else _encoder(corpus, kind, model)
    name = retriever_name(reference)
    path = cache_folder() / "first-stage" / f"{name}-{_hash(corpus, identity, depth, queries)}.trec"
    with locked(path):
        if not path.exists():
            run = search(queries, collection.documents, depth, progress or _lines(f"{collection.name} {name}"))
            if not run:
                raise InputError(
                    f"{collection.name}: expected queries that share words with the documents, found none; give a run"
                )
            write_run(path, run, name)
    return path


Search = Callable[[Mapping[str, str], Mapping[str, str], int, Progress], Run]


def bm25_index(collection: Collection, progress: Progress | None = None) -> Path:
    """Return the folder of the kept BM25 index of a collection's documents, made where it is missing.

    Args:
        collection: whose documents.
        progress: called while it is made; by default a line on stderr now and then.
    """
    return _bm25_folder(_corpus(collection), collection.documents, progress or _lines(f"{collection.name} {BM25}"))


def _bm25(corpus: str) -> tuple[Search, Any]:
    from cedistill.retrieval.bm25 import search

    def retrieve(queries: Mapping[str, str], documents: Mapping[str, str], depth: int, progress: Progress) -> Run:
        return search(_bm25_folder(corpus, documents, progress), queries, depth)

    return retrieve, _bm25_identity()


def _bm25_identity() -> list[Any]:
    from cedistill.retrieval.bm25_index import SETTINGS

    return [SETTINGS, metadata.version("bm25s"), metadata.version("PyStemmer")]


def _bm25_folder(corpus: str, documents: Mapping[str, str], progress: Progress) -> Path:
    from cedistill.retrieval.bm25_index import build_index

    folder = cache_folder() / "indexes" / _hash(corpus, _bm25_identity())
    return built_once(folder, lambda empty: build_index(documents, empty, progress))


def _encoder(corpus: str, kind: str, model: str) -> tuple[Search, Any]:
    from cedistill.retrieval.encoders import encoder_identity, encoder_source, load_encoder
    from cedistill.retrieval.exact import BLOCK, search

    source = encoder_source(kind, model)
    if encoder_identity(source) is None:
        load_encoder(kind, model)  # downloads it
    identity = [kind, encoder_identity(source)]

    def retrieve(queries: Mapping[str, str], documents: Mapping[str, str], depth: int, progress: Progress) -> Run:
        folder = cache_folder() / "vectors" / _hash(corpus, identity, BLOCK)
        return search(load_encoder(kind, model), queries, documents, depth, folder, progress)

    return retrieve, identity


def _corpus(collection: Collection) -> str:
    """Return what tells the documents of a collection from others: all splits and query sets of a corpus have the same.

    For a folder it is the hash of its documents' file; for a public data set the id of its corpus, with the number and
    a sample of the documents, since hashing all would take minutes each time.
    """
    public = collection.public
    if not public:
        return sha256(collection.files[0])
    from ir_datasets import docs_parent_id

    documents = collection.documents
    return _hash(docs_parent_id(public), len(documents), list(islice(documents.items(), _SAMPLE)))


def _hash(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _lines(name: str) -> Progress:
    from cedistill.console import lines

    advance = lines(f"{name}: documents")

    def progress(done: int, total: int) -> None:
        if done < total:  # what takes no time needs no line
            advance(done, total, "")

    return progress
