"""The candidates that are re-ranked: a run file, or BM25 made on the spot and kept."""

from __future__ import annotations

import hashlib

from cedistill.cache import cache_folder
from cedistill.data.collections import Collection, check_texts
from cedistill.data.files import sha256
from cedistill.data.references import run_path
from cedistill.data.runs import Run, read_run, top, write_run
from cedistill.errors import InputError

BM25_DEPTH = 100


def candidates_of(collection: Collection, reference: str, depth: int | None) -> Run:
    """Return the candidates of a collection's queries to ``depth``.

    Args:
        collection: queries and documents; of a labelled one, only the judged queries are taken.
        reference: a run (see ``run_path``), or ``bm25``.
        depth: most candidates of a query; None takes all of a run, and BM25's first 100.

    Raises:
        InputError: malformed run, or ids without texts.
    """
    if reference == "bm25":
        return _bm25(collection, depth or BM25_DEPTH)
    path = run_path(reference)
    run = read_run(path)
    check_texts(run, path, collection)
    if collection.qrels is not None:
        run = {query_id: scores for query_id, scores in run.items() if query_id in collection.qrels}
    return top(run, depth) if depth else run


def first_stage_name(reference: str) -> str:
    """Return the name of a first stage: ``bm25``, or a run file's name without its endings."""
    if reference == "bm25":
        return reference
    return run_path(reference).name.removesuffix(".gz").removesuffix(".trec")


def _bm25(collection: Collection, depth: int) -> Run:
    from cedistill.retrieval.bm25 import SETTINGS, retrieve

    parts = [str(SETTINGS), str(depth), *(sha256(path) for path in collection.files)]
    path = cache_folder() / "first-stage" / f"bm25-{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:32]}.trec"
    if path.exists():
        return read_run(path)
    wanted = collection.queries.keys() if collection.qrels is None else collection.qrels.keys()
    queries = {query_id: collection.queries[query_id] for query_id in wanted if query_id in collection.queries}
    run = retrieve(queries, collection.documents, depth)
    if not run:
        raise InputError(
            f"{collection.name}: expected queries that share words with the documents, found none; give a run"
        )
    write_run(path, run, "bm25")
    return run
