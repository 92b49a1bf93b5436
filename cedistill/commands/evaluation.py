"""Figures of runs and models: `metrics` and `evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cedistill.commands.options import AsJson, Depth, Measures, Precision, print_json
from cedistill.errors import InputError


def metrics(
    runs: Annotated[list[Path], typer.Argument(help="Run files.")],
    dataset: Annotated[str | None, typer.Option(help="Labelled data set: PATH or PATH:SPLIT, or demo.")] = None,
    qrels: Annotated[Path | None, typer.Option(help="Judgements: TREC four columns or BEIR three.")] = None,
    measure: Measures = None,
    per_query: Annotated[bool, typer.Option("--per-query", help="Print each query's values too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure runs; with several, test each against the first."""
    from cedistill.data.collections import require_labels
    from cedistill.data.qrels import read_qrels
    from cedistill.evaluation.measures import DEFAULT_MEASURES
    from cedistill.evaluation.metrics import metrics as measure_runs
    from cedistill.evaluation.metrics import metrics_table, per_query_table

    if (dataset is None) == (qrels is None):
        raise InputError("expected exactly one of --dataset and --qrels; give the one that holds the judgements")
    judgements = require_labels(dataset) if dataset is not None else read_qrels(qrels or "")
    result = measure_runs(runs, judgements, measure or DEFAULT_MEASURES)
    if as_json:
        print_json(result)
        return
    if per_query:
        typer.echo(per_query_table(result) + "\n")
    typer.echo(metrics_table(result))


def evaluate(
    model: Annotated[str, typer.Argument(help="A trained model's folder or Hub id.")],
    output: Annotated[Path, typer.Option(help="Folder for metrics.json and runs/.")],
    benchmark: Annotated[
        list[str] | None, typer.Option(help="A name of `cedistill ls benchmarks`, NAME/DATASET, or a TOML file.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Labelled data set in place of a benchmark.")] = None,
    candidates: Annotated[
        str | None,
        typer.Option(
            help="Run ({dataset} stands for a name), first stage (bm25, bi-encoder:M, sparse:M), or scoreddocs."
        ),
    ] = None,
    depth: Depth = None,
    measure: Measures = None,
    precision: Precision = "float32",
    as_json: AsJson = False,
) -> None:
    """Re-rank and measure a model beside the first stage."""
    from cedistill.config.benchmark import DEFAULT_MEASURES, Evaluation, load_suites
    from cedistill.console import phases
    from cedistill.evaluation.evaluate import evaluate as run

    if (dataset is None) == (not benchmark):
        raise InputError("expected exactly one of --dataset and --benchmark; give what to evaluate on")
    if dataset is not None:
        measures = tuple(measure or DEFAULT_MEASURES)
        wanted = [Evaluation(dataset=dataset, candidates=candidates or "bm25", depth=depth, measures=measures)]
    suites = load_suites(benchmark or [], candidates, depth, measure)
    several = [one for one in suites if len(one.benchmark.datasets) > 1]
    if suites:
        wanted = [one for suite in suites for one in suite.benchmark.datasets]
    with phases() as phase:
        advance = phase("re-ranking pairs")
        result = run(
            model,
            wanted,
            output,
            benchmarks={one.name: one.benchmark for one in several},
            precision=precision,
            progress=lambda done, total: advance(done, total, ""),
        )
    if as_json:
        print_json(result)
        return
    from cedistill.evaluation.means import summary_table
    from cedistill.evaluation.metrics import metrics_table

    for label, one in result["datasets"].items():
        typer.echo(f"{label}\n\n{metrics_table(one)}\n")
    for suite in several:
        typer.echo(f"{summary_table(suite.name, result, [one.label for one in suite.benchmark.datasets])}\n")
