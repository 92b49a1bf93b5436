"""Whole studies: `run` and `report`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from cedistill.commands.options import AsJson, ReportTo, command_line, print_json
from cedistill.errors import InputError, unknown

_ENGINES = ("local", "ray")


def run(
    study: Annotated[Path, typer.Argument(help="A study's folder or file.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would run.")] = False,
    only: Annotated[str | None, typer.Option(help="Pattern of cells, for example 'bert-*/margin-mse/*'.")] = None,
    engine: Annotated[str, typer.Option(help="local: one cell after the other; ray: as tasks of a cluster.")] = "local",
    address: Annotated[
        str | None, typer.Option(help="ray: a running cluster; else RAY_ADDRESS, or one started here.")
    ] = None,
    gpus_per_cell: Annotated[
        float | None, typer.Option(min=0, help="ray: GPUs of a cell; by default 1 where there are any.")
    ] = None,
    retries: Annotated[int, typer.Option(min=0, help="ray: times that a cell is tried again when its node dies.")] = 3,
    report_to: ReportTo = None,
    as_json: AsJson = False,
) -> None:
    """Run a study; finished cells are kept, unfinished ones go on."""
    if engine not in _ENGINES:
        raise InputError(unknown("engine", engine, _ENGINES))
    if engine == "local" and (address is not None or gpus_per_cell is not None):
        raise InputError(
            "expected --engine ray with --address or --gpus-per-cell, found the engine local; add it, or drop them"
        )
    if dry_run:
        from cedistill.study.dry_run import dry_run as say
        from cedistill.study.dry_run import dry_run_text

        result = say(study, only)
        if as_json:
            print_json(result)
        else:
            typer.echo(dry_run_text(result))
        return
    from cedistill.report.table import markdown
    from cedistill.study.cluster import Cluster, require_ray, run_on_ray
    from cedistill.study.engine import run_here
    from cedistill.study.run import CellsFailedError, run_study
    from cedistill.study.status import status_lines

    if engine == "ray":
        require_ray()
    cluster = Cluster(address, gpus_per_cell, retries)
    try:
        with status_lines() as shown:
            table = run_study(
                study,
                shown.status,
                only,
                command_line(),
                engine=run_here if engine == "local" else partial(run_on_ray, cluster=cluster),
                finished=shown.finished,
                report_to=report_to or (),
            )
    except CellsFailedError as error:
        typer.echo("".join(f"{line}\n" for line in ("failed:", *error.failures)), nl=False, err=True)
        raise
    if as_json:
        print_json(table)
    else:
        folder = study if study.is_dir() else study.parent
        typer.echo(f"{markdown(table)}\n\n{folder / 'table.md'}")


def report(
    study: Annotated[Path, typer.Argument(help="A study's folder or file.")],
    texts: Annotated[bool, typer.Option(help="Show queries and documents, not only their ids.")] = True,
    as_json: AsJson = False,
) -> None:
    """Write a study's tables, figures and report from the figures that are there."""
    from cedistill.report.build import report_study
    from cedistill.report.table import markdown

    table = report_study(study, command_line(), page=True, texts=texts)
    if as_json:
        print_json(table)
    else:
        folder = study if study.is_dir() else study.parent
        typer.echo(f"{markdown(table)}\n\n{folder / 'table.md'}\n{folder / 'report' / 'index.html'}")
