"""Members of an ensemble of teachers: each scores the candidates of queries, and its scores are a run."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from cedistill.data.collections import Collection
from cedistill.data.references import BI_ENCODER, BM25, run_path
from cedistill.data.runs import Run, read_run
from cedistill.errors import InputError, shown

logger = logging.getLogger(__name__)

CROSS_ENCODER = "cross-encoder"
LLM = "llm"
RUN = "run"
TEACHERS = (BM25, f"{BI_ENCODER}:M", f"{CROSS_ENCODER}:M", f"{LLM}:M", f"{RUN}:FILE")
"""Teachers by reference; M is a model: a name, a Hub id or a folder."""

Progress = Callable[[int, int], None]
"""Called with what is done and what there is in all."""


def parse_teacher(reference: str) -> tuple[str, str]:
    """Return the kind of a teacher and its name: of its model, of its run file, empty for BM25.

    Raises:
        InputError: it is none of ``bm25``, ``bi-encoder:M``, ``cross-encoder:M``, ``llm:M``, ``run:FILE``.
    """
    kind, _, name = reference.partition(":")
    if reference == BM25 or (name and kind in (BI_ENCODER, CROSS_ENCODER, LLM, RUN)):
        return kind, name
    forms = {form.partition(":")[0]: form for form in TEACHERS}
    near = difflib.get_close_matches(kind, forms, n=1)
    hint = f"did you mean {forms[near[0]]!r}? " if near else ""
    hint = hint or (f"did you mean '{RUN}:{reference}'? " if Path(reference).is_file() else "")
    raise InputError(f"unknown teacher {reference!r}; {hint}known: {', '.join(TEACHERS)}")


def member_run(
    reference: str,
    collection: Collection,
    candidates: Run,
    *,
    precision: str = "auto",
    progress: Progress | None = None,
) -> Run:
    """Return a teacher's scores of the candidates.

    ``cross-encoder:M`` gives raw logits, of a model of ours or any sequence classifier with one logit. ``bi-encoder:M``
    gives the model's own similarity of query and document. ``bm25`` gives scores by the statistics of the whole data
    set, 0 where query and document share no word. ``run:FILE`` gives that run's scores of the candidates;
    those it lacks stay without a score, and a warning says how many.

    Args:
        reference: see :func:`parse_teacher`; all kinds but ``llm``.
        collection: where the texts are.
        candidates: query id → document id → score of the first stage, which is not looked at.
        precision: of a cross-encoder: ``float32``, ``bf16``, or ``auto``, whichever is faster here.
        progress: called as the work advances: pairs of a cross-encoder, else documents.

    Returns:
        Query id → document id → score. All candidates are in it, but for ``run:FILE``.

    Raises:
        InputError: an unknown teacher, a model that cannot be had or has several logits, an id without a text, a run
            that scores no candidate.
    """
    kind, name = parse_teacher(reference)
    if kind == LLM:
        raise ValueError("an LLM is asked by cedistill.teachers.llm, found it here")
    if kind == RUN:
        kept = covered(read_run(run_path(name)), candidates, name)
        there, wanted = (sum(map(len, run.values())) for run in (kept, candidates))
        if there < wanted:
            logger.warning("%s: scores %d of %d candidates; the others stay without a score", name, there, wanted)
        return kept

    from cedistill.evaluation.rerank import check_texts_of

    check_texts_of(candidates, collection)
    if kind == CROSS_ENCODER:
        return _cross_encoder(name, collection, candidates, precision, progress)
    if kind == BI_ENCODER:
        from cedistill.retrieval.encoders import load_encoder
        from cedistill.teachers.similarity import similarities

        return similarities(load_encoder(kind, name), collection.queries, collection.documents, candidates, progress)

    from cedistill.retrieval.bm25 import score
    from cedistill.retrieval.first_stage import bm25_index

    return score(bm25_index(collection, progress), collection.queries, candidates)


def covered(run: Mapping[str, Mapping[str, float]], candidates: Run, name: str) -> Run:
    """Return a run restricted to the candidates. Raises InputError when it scores none of them."""
    kept = {
        query_id: {one: run[query_id][one] for one in documents if one in run[query_id]}
        for query_id, documents in candidates.items()
        if query_id in run
    }
    if not any(kept.values()):
        raise InputError(
            f"{name}: expected scores of the candidates, such as those of query {shown(next(iter(candidates), ''))}, "
            "found none; give a run of the same queries and documents"
        )
    return {query_id: scores for query_id, scores in kept.items() if scores}


def _cross_encoder(
    name: str, collection: Collection, candidates: Run, precision: str, progress: Progress | None
) -> Run:
    from cedistill.evaluation.rerank import rerank
    from cedistill.model.reranker import Reranker

    return rerank(Reranker(name, precision=precision), collection, candidates, progress=progress)
