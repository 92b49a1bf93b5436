"""The candidates that are re-ranked: a run file, those of a public data set, or a first stage made on the spot."""

from __future__ import annotations

from cedistill.data.collections import Collection, check_texts
from cedistill.data.references import is_retriever, run_path
from cedistill.data.runs import Run, read_run, top
from cedistill.errors import InputError
from cedistill.retrieval.first_stage import RETRIEVED_DEPTH, Progress, retrieved, retriever_name

OWN = "scoreddocs"
"""The candidates that come with a data set, by ir_datasets' word for them."""


def candidates_of(collection: Collection, reference: str, depth: int | None, progress: Progress | None = None) -> Run:
    """Return the candidates of a collection's queries to ``depth``.

    Args:
        collection: queries and documents; of a labelled one, only the judged queries are taken.
        reference: a run (see ``run_path``), a first stage (``bm25``, ``bi-encoder:M``, ``sparse:M``), or ``scoreddocs``
            for the candidates that come with a public data set.
        depth: most candidates of a query; None takes all of a run, and the first 100 of a first stage.
        progress: called while a first stage reads the documents; by default a line on stderr now and then.

    Returns:
        The candidates; where a query is itself a document (ArguAna, Quora), that document is none of its candidates.

    Raises:
        InputError: malformed run, ids without texts, or a depth to which candidates without scores cannot be cut.
    """
    if is_retriever(reference):
        depth = depth or RETRIEVED_DEPTH
        run = retrieved(collection, reference, depth + collection.without_query_document, progress)
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
    if reference != OWN and not is_retriever(reference) and not run_path(reference).is_file():
        raise InputError(
            f"{reference}: expected a run, {OWN!r}, 'bm25' or another first stage, found no such file; check the path"
        )


def first_stage_name(reference: str) -> str:
    """Return the name of candidates: a first stage's, ``scoreddocs``, or a run file's without folders and endings."""
    if is_retriever(reference):
        return retriever_name(reference)
    if reference == OWN:
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
