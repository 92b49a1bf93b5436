"""Quality of teachers: `teachers`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cedistill.commands.options import AsJson, print_json
from cedistill.errors import InputError


def teachers(
    runs: Annotated[list[str], typer.Argument(help="Runs of teachers.")],
    dataset: Annotated[str | None, typer.Option(help="Labelled data set: PATH or PATH:SPLIT, or demo.")] = None,
    qrels: Annotated[Path | None, typer.Option(help="Judgements: TREC four columns or BEIR three.")] = None,
    candidates: Annotated[str | None, typer.Option(help="Run; only its documents count, and coverage is told.")] = None,
    measure: Annotated[str, typer.Option(help="Measure of the teachers, where there are labels.")] = "ndcg@10",
    as_json: AsJson = False,
) -> None:
    """Compare teachers before training: figures, agreement, common errors, coverage."""
    from cedistill.data.collections import require_labels
    from cedistill.data.qrels import read_qrels
    from cedistill.data.references import run_path
    from cedistill.data.runs import read_run
    from cedistill.evaluation.measures import parse_measure
    from cedistill.evaluation.metrics import run_names

    if dataset is not None and qrels is not None:
        raise InputError("expected one of --dataset and --qrels, found both; drop one")
    measure = str(parse_measure(measure))
    paths = [run_path(one) for one in runs]
    names = run_names(paths)
    read = {name: read_run(path) for name, path in zip(names, paths, strict=True)}
    wanted = read_run(run_path(candidates)) if candidates is not None else None
    judgements = read_qrels(qrels) if qrels is not None else require_labels(dataset) if dataset is not None else None

    from cedistill.teachers.accounts import read_account
    from cedistill.teachers.quality import quality, quality_table

    accounts = {name: read_account(path) for name, path in zip(names, paths, strict=True)}
    report = quality(read, judgements, wanted, accounts, measure)
    if as_json:
        print_json(report)
        return
    typer.echo(quality_table(report))
