"""The candidates that are re-ranked: a run file, or a first stage made on the spot and kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any

from cedistill.cache import built_once, cache_folder, locked
from cedistill.data.collections import Collection, check_texts
from cedistill.data.files import sha256
from cedistill.data.references import BM25, is_retriever, parse_retriever, run_path
from cedistill.data.runs import Run, read_run, top, write_run
from cedistill.errors import InputError

RETRIEVED_DEPTH = 100
"""Candidates of a query that a first stage gives when no depth is asked for."""

_SAMPLE = 100

Progress = Callable[[int, int], None]
"""Called with documents done and documents in all."""


def candidates_of(collection: Collection, reference: str, depth: int | None, progress: Progress | None = None) -> Run:
    """Return the candidates of a collection's queries to ``depth``.

    Args:
        collection: queries and documents; of a labelled one, only the judged queries are taken.
        reference: a run (see ``run_path``), or a first stage: ``bm25``, ``bi-encoder:M`` or ``sparse:M``. What a first
            stage gives is kept in the cache, as are its index and its vectors of the documents.
        depth: most candidates of a query; None takes all of a run, and the first 100 of a first stage.
        progress: called while a first stage reads the documents; by default a line on stderr now and then.

    Raises:
        InputError: malformed run, ids without texts, or no such model.
    """
    if is_retriever(reference):
        return _retrieved(collection, reference, depth or RETRIEVED_DEPTH, progress)
    path = run_path(reference)
    run = read_run(path)
    check_texts(run, path, collection)
    if collection.qrels is not None:
        run = {query_id: scores for query_id, scores in run.items() if query_id in collection.qrels}
    return top(run, depth) if depth else run


def first_stage_name(reference: str) -> str:
    """Return the name of a first stage: ``bm25``, its model's, or a run file's, without folders and endings."""
    if is_retriever(reference):
        kind, model = parse_retriever(reference)
        return "-".join(Path(model).name.split()) if model else kind
    return run_path(reference).name.removesuffix(".gz").removesuffix(".trec")


def _retrieved(collection: Collection, reference: str, depth: int, progress: Progress | None) -> Run:
    wanted = collection.queries.keys() if collection.qrels is None else collection.qrels.keys()
    queries = {query_id: collection.queries[query_id] for query_id in wanted if query_id in collection.queries}
    corpus = _corpus(collection)
    kind, model = parse_retriever(reference)
    search, identity = _bm25(corpus) if kind == BM25 else _encoder(corpus, kind, model)
    name = first_stage_name(reference)
    path = cache_folder() / "first-stage" / f"{name}-{_hash(corpus, identity, depth, queries)}.trec"
    with locked(path):
        if not path.exists():
            run = search(queries, collection.documents, depth, progress or _lines(f"{collection.name} {name}"))
            if not run:
                raise InputError(
                    f"{collection.name}: expected queries that share words with the documents, found none; give a run"
                )
            write_run(path, run, name)
    return read_run(path)


Search = Callable[[Mapping[str, str], Mapping[str, str], int, Progress], Run]


def _bm25(corpus: str) -> tuple[Search, Any]:
    from cedistill.retrieval.bm25 import search
    from cedistill.retrieval.bm25_index import SETTINGS, build_index

    identity = [SETTINGS, metadata.version("bm25s"), metadata.version("PyStemmer")]

    def retrieve(queries: Mapping[str, str], documents: Mapping[str, str], depth: int, progress: Progress) -> Run:
        folder = cache_folder() / "indexes" / _hash(corpus, identity)
        return search(built_once(folder, lambda empty: build_index(documents, empty, progress)), queries, depth)

    return retrieve, identity


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
    public = getattr(collection, "public", "")
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
