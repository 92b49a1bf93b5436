"""The command line: one thin function per command. What takes time to import is imported inside its command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cedistill.errors import InputError, unknown

_UsageError: Any = typer.BadParameter.__base__  # typer has no public name for it

_INTERRUPTED = 130

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train and benchmark distilled cross-encoders.",
)
data_app = typer.Typer(help="Data that comes with the package.")
app.add_typer(data_app, name="data")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
Dataset = Annotated[
    str, typer.Option(help="A folder in BEIR layout as PATH or PATH:SPLIT, an ir_datasets id, or demo.")
]
Precision = Annotated[str, typer.Option(help="float32, bf16, or auto: whichever this machine is faster with.")]
Depth = Annotated[int | None, typer.Option(min=1, help="Candidates of a query that are re-ranked.")]
Measures = Annotated[list[str] | None, typer.Option("--measure", help="For example ndcg@10, ap, rr(rel=2)@10.")]


@app.callback(invoke_without_command=True)
def cedistill(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more on stderr.")] = False,
) -> None:
    """Train and benchmark distilled cross-encoders."""
    from cedistill import __version__
    from cedistill.console import set_up_logging

    set_up_logging(verbose)
    if version:
        typer.echo(f"cedistill {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("ls")
def ls(
    what: Annotated[str, typer.Argument(help="losses, objectives, backbones, benchmarks, sources or studies.")],
    as_json: AsJson = False,
) -> None:
    """Show what there is, one line each."""
    from cedistill.listing import KINDS, listing

    if what not in KINDS:
        raise InputError(unknown("kind", what, KINDS))
    rows = listing(what)
    if as_json:
        _print_json({what: rows})
        return
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        typer.echo(f"{row['name']:{width}}  {row['about']}".rstrip())


@app.command()
def train(
    backbone: Annotated[str, typer.Option(help="A name of `cedistill ls backbones`, a Hub id or a folder.")],
    objective: Annotated[str, typer.Option(help="A name of `cedistill ls objectives` or a TOML file.")],
    output: Annotated[Path, typer.Option(help="Folder of the model, new or empty.")],
    source: Annotated[str | None, typer.Option(help="A name of `cedistill ls sources`; else the objective's.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Own data set: PATH or PATH:SPLIT, or demo:train.")] = None,
    candidates: Annotated[
        str | None, typer.Option(help="Run or first stage (bm25, ...) that the lists are drawn from.")
    ] = None,
    teacher: Annotated[
        list[str] | None, typer.Option(help="Run with a teacher's scores; several are averaged.")
    ] = None,
    pairs: Annotated[str | None, typer.Option(help="File of scored pairs, or id triples or pairs.")] = None,
    lists: Annotated[str | None, typer.Option(help="JSONL file of lists with their texts.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimisation steps.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Queries (lists) per step.")] = None,
    list_size: Annotated[int | None, typer.Option(min=2, help="Documents of a list.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the head, dropout and the lists.")] = 12,
    validate: Annotated[
        str | None, typer.Option(help="Labelled data set on which the best checkpoint is chosen.")
    ] = None,
    validate_candidates: Annotated[str, typer.Option(help="Run to re-rank there, or a first stage.")] = "bm25",
    set_: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE in place of the objective's.")] = None,
    workers: Annotated[int | None, typer.Option(min=0, help="Processes that read and tokenise ahead.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train one cross-encoder."""
    from cedistill.config.train_data import TrainData
    from cedistill.console import phases
    from cedistill.training.train import train as run

    given = {
        "training.steps": steps,
        "training.queries": batch_size,
        "lists.size": list_size,
        "training.learning_rate": learning_rate,
    }
    settings = [f"{key}={value}" for key, value in given.items() if value is not None] + (set_ or [])
    teachers = tuple(teacher or ())
    data = TrainData(source=source, dataset=dataset, candidates=candidates, teachers=teachers, pairs=pairs, lists=lists)
    with phases() as phase:
        done = run(
            backbone,
            objective,
            output,
            data=data,
            seed=seed,
            validate=validate,
            validate_candidates=validate_candidates,
            settings=settings,
            resume=resume,
            workers=workers,
            command=_command(),
            progress=phase("training"),
            report=phase,
        )
    if as_json:
        _print_json(done)
    else:
        typer.echo(str(output))


@app.command()
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
        done = rerank_run(reranker.score, collection, run, depth, lambda now, total: advance(now, total, ""))
    write_run(output, done, "cedistill")
    typer.echo(str(output), err=True)


@app.command()
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
        _print_json(result)
        return
    if per_query:
        typer.echo(per_query_table(result) + "\n")
    typer.echo(metrics_table(result))


@app.command()
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
        _print_json(result)
        return
    from cedistill.evaluation.means import summary_table
    from cedistill.evaluation.metrics import metrics_table

    for label, one in result["datasets"].items():
        typer.echo(f"{label}\n\n{metrics_table(one)}\n")
    for suite in several:
        typer.echo(f"{summary_table(suite.name, result, [one.label for one in suite.benchmark.datasets])}\n")


@app.command()
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


@app.command()
def run(
    study: Annotated[Path, typer.Argument(help="A study's folder or file.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would run.")] = False,
    only: Annotated[str | None, typer.Option(help="Pattern of cells, for example 'bert-*/margin-mse/*'.")] = None,
    engine: Annotated[str, typer.Option(help="local.")] = "local",
    as_json: AsJson = False,
) -> None:
    """Run a study; finished cells are kept, unfinished ones go on."""
    from cedistill.report.table import markdown
    from cedistill.study.run import plan_study, run_study

    if engine != "local":
        raise InputError(unknown("engine", engine, ["local"]))
    if dry_run:
        cells = [{"cell": cell.name, "state": state} for cell, state in plan_study(study, only)]
        if as_json:
            _print_json({"cells": cells})
        else:
            typer.echo("\n".join(f"{one['state']:6} {one['cell']}" for one in cells))
        return
    from cedistill.study.status import status_lines

    with status_lines() as status:
        table = run_study(study, status, only, _command())
    if as_json:
        _print_json(table)
    else:
        folder = study if study.is_dir() else study.parent
        typer.echo(f"{markdown(table)}\n\n{folder / 'table.md'}")


@app.command()
def report(study: Annotated[Path, typer.Argument(help="A study's folder or file.")], as_json: AsJson = False) -> None:
    """Write a study's tables from the figures that are there."""
    from cedistill.report.table import markdown
    from cedistill.study.run import report_study

    table = report_study(study, _command())
    if as_json:
        _print_json(table)
    else:
        typer.echo(markdown(table))


@data_app.command("export")
def export(
    name: Annotated[str, typer.Argument(help="demo.")],
    folder: Annotated[Path, typer.Argument(help="New or empty folder.")],
) -> None:
    """Write a collection of the package out as a folder in BEIR layout."""
    from cedistill.demo import write_demo

    if name != "demo":
        raise InputError(unknown("collection", name, ["demo"]))
    write_demo(folder)
    typer.echo(str(folder), err=True)


@data_app.command("prefetch")
def prefetch(
    names: Annotated[list[str], typer.Argument(help="Benchmarks, studies or ir_datasets ids.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the files, with sizes where known.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch the public data sets that benchmarks and studies need, into IR_DATASETS_HOME (~/.ir_datasets)."""
    from cedistill.data.prefetch import listed, listing_text
    from cedistill.data.prefetch import prefetch as fetch

    result = listed(names) if dry_run else fetch(names)
    if as_json:
        _print_json(result)
    else:
        typer.echo(listing_text(result))


def main() -> None:
    """Run the command line; every error becomes one line on stderr and the exit status of its kind."""
    import os

    # Threads that spin long while they wait starve the loader's workers and whatever else runs on a small machine.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        status = app(standalone_mode=False)
    except _UsageError as error:
        command = f"; see {error.ctx.command_path} --help" if error.ctx else ""
        _fail(f"{error.format_message().rstrip('.')}{command}", 2)
    except InputError as error:
        _fail(str(error), 2)
    except (KeyboardInterrupt, typer.Abort):
        status = _INTERRUPTED
    except BrokenPipeError:
        sys.exit(1)
    except (RuntimeError, OSError, MemoryError) as error:
        _fail(str(error) or type(error).__name__, 1)
    if status == _INTERRUPTED:  # typer turns Ctrl-C into this value
        _fail("interrupted; run the same command again to go on (`train` with --resume)", status)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str, status: int) -> None:
    sys.stderr.write(f"error: {' '.join(message.split())}\n")
    sys.exit(status)


def _command() -> str:
    import shlex

    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def _print_json(content: Any) -> None:
    import json

    typer.echo(json.dumps(content, allow_nan=False))


if __name__ == "__main__":
    main()
