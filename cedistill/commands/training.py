"""Training one model: `train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cedistill.commands.options import AsJson, ReportTo, command_line, print_json


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
    list_weights: Annotated[
        str | None, typer.Option(help="File of how much each query counts, such as teach --shuffle's confidence.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimisation steps.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Queries (lists) per step.")] = None,
    list_size: Annotated[int | None, typer.Option(min=2, help="Documents of a list.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the head, dropout and the lists.")] = 12,
    validate: Annotated[
        str | None, typer.Option(help="Labelled data set, or benchmark, on which the best checkpoint is chosen.")
    ] = None,
    validate_candidates: Annotated[
        str | None, typer.Option(help="Run or first stage to re-rank there; else BM25, or the benchmark's.")
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE in place of the objective's.")] = None,
    workers: Annotated[int | None, typer.Option(min=0, help="Processes that read and tokenise ahead.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    report_to: ReportTo = None,
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
    data = TrainData(
        source=source,
        dataset=dataset,
        candidates=candidates,
        teachers=teachers,
        pairs=pairs,
        lists=lists,
        list_weights=list_weights,
    )
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
            command=command_line(),
            progress=phase("training"),
            report=phase,
            report_to=report_to or (),
        )
    if as_json:
        print_json(done)
    else:
        typer.echo(str(output))
