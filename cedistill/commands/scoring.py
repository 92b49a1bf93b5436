"""Candidates and their scores: `rerank` and `retrieve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cedistill.commands.options import Dataset, Depth, Precision


def rerank(
    model: Annotated[str, typer.Argument(help="A trained model's folder or Hub id.")],
    dataset: Dataset,
    candidates: Annotated[str, typer.Option(help="Run to re-rank, or first stage: bm25, bi-encoder:M, sparse:M.")],
    output: Annotated[Path, typer.Option(help="Run to write; a name that ends in .gz is compressed.")],
    depth: Depth = None,
    precision: Precision = "float32",
) -> None:
    """Score the candidates of queries with a model."""
    from cedistill.data.collections import check_texts, open_collection
    from cedistill.data.references import is_retriever, run_path
    from cedistill.data.runs import read_run, write_run

    path = run_path(candidates)
    run = None if is_retriever(candidates) else read_run(path)
    collection = open_collection(dataset)
    if run is not None:
        check_texts(run, path, collection)

    from cedistill.console import phases
    from cedistill.evaluation.first_stage import candidates_of
    from cedistill.evaluation.rerank import rerank as rerank_run
    from cedistill.model.reranker import Reranker

    with phases() as phase:
        reranker = Reranker(model, precision=precision)
        if run is None:
            run = candidates_of(collection, candidates, depth)
        advance = phase("re-ranking pairs")
        done = rerank_run(reranker, collection, run, depth, lambda now, total: advance(now, total, ""))
    write_run(output, done, "cedistill")
    typer.echo(str(output), err=True)


def retrieve(
    dataset: Dataset,
    output: Annotated[Path, typer.Option(help="Run to write; a name that ends in .gz is compressed.")],
    retriever: Annotated[
        str, typer.Option(help="bm25, bi-encoder:M or sparse:M; M is a name, a Hub id or a folder.")
    ] = "bm25",
    depth: Annotated[int, typer.Option(min=1, help="Candidates of a query.")] = 1000,
) -> None:
    """Make first-stage candidates."""
    from cedistill.data.collections import open_collection
    from cedistill.data.references import parse_retriever
    from cedistill.data.runs import write_run

    parse_retriever(retriever)
    collection = open_collection(dataset)

    from cedistill.console import phases
    from cedistill.evaluation.first_stage import candidates_of, first_stage_name

    with phases() as phase:
        advance = phase("documents")
        found = candidates_of(collection, retriever, depth, lambda now, total: advance(now, total, ""))
    write_run(output, found, first_stage_name(retriever))
    typer.echo(str(output), err=True)
