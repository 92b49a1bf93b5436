"""The candidates that are re-ranked: a run file, those of a public data set, or BM25 made on the spot and kept."""

from __future__ import annotations

import hashlib

from cedistill.cache import cache_folder
from cedistill.data.collections import Collection, check_texts
from cedistill.data.files import sha256
from cedistill.data.references import run_path
from cedistill.data.runs import Run, read_run, top, write_run
from cedistill.errors import InputError

BM25_DEPTH = 100
OWN = "scoreddocs"
"""The candidates that come with a data set, by ir_datasets' word for them."""


def candidates_of(collection: Collection, reference: str, depth: int | None) -> Run:
    """Return the candidates of a collection's queries to ``depth``.

    Args:
        collection: queries and documents; of a labelled one, only the judged queries are taken.
        reference: a run (see ``run_path``), ``bm25``, or ``scoreddocs`` for the candidates that come with a public
            data set.
        depth: most candidates of a query; None takes all of a run, and BM25's first 100.

    Returns:
        The candidates; where a query is itself a document (ArguAna, Quora), that document is none of its candidates.

    Raises:
        InputError: malformed run, ids without texts, or a depth to which candidates without scores cannot be cut.
    """
    if reference == "bm25":
        depth = depth or BM25_DEPTH
        run = _bm25(collection, depth + collection.without_query_document)
    elif reference == OWN:
        run = _judged(_own(collection), collection)
    else:
        path = run_path(reference)
        run = read_run(path)
        check_texts(run, path, collection)
        run = _judged(run, collection)
    if collection.without_query_document:
        run = {query: {one: score for one, score in scores.items() if one != query} for query, scores in run.items()}
    if reference == OWN and depth:
        _check_can_be_cut(collection, run, depth)
    return top(run, depth) if depth else run


def check_candidates(reference: str) -> None:
    """Make sure that a run that is to be re-ranked is there. Raises InputError."""
    if reference not in ("bm25", OWN) and not run_path(reference).is_file():
        raise InputError(
            f"{reference}: expected a run, {OWN!r} or 'bm25' as candidates, found no such file; check the path"
        )


def first_stage_name(reference: str) -> str:
    """Return the name of a first stage: ``bm25``, ``scoreddocs``, or a run file's name without its endings."""
    if reference in ("bm25", OWN):
        return reference
    return run_path(reference).name.removesuffix(".gz").removesuffix(".trec")


def _judged(run: Run, collection: Collection) -> Run:
    if collection.qrels is None:
        return run
    return {query_id: scores for query_id, scores in run.items() if query_id in collection.qrels}


def _own(collection: Collection) -> Run:
    if not collection.public:
        raise InputError(
            f"{collection.name}: expected a public data set for candidates {OWN!r}, found a folder; give a run or bm25"
        )
    from cedistill.data.public import public_candidates

    return public_candidates(collection.public)


def _check_can_be_cut(collection: Collection, run: Run, depth: int) -> None:
    # MS MARCO's top-1000 files of version 1 have no scores: a cut would take documents by their ids.
    for query_id, scores in run.items():
        if len(scores) > depth and len(set(scores.values())) == 1:
            raise InputError(
                f"{collection.name}: expected candidates with scores to cut at depth {depth}, found one score for all "
                f"{len(scores)} of query {query_id}; leave the depth out, or give a run or bm25"
            )


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
