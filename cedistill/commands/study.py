"""Whole studies: `run` and `report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cedistill.commands.options import AsJson, command_line, print_json
from cedistill.errors import InputError, unknown


def run(
    study: Annotated[Path, typer.Argument(help="A study's folder or file.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would run.")] = False,
    only: Annotated[str | None, typer.Option(help="Pattern of cells, for example 'bert-*/margin-mse/*'.")] = None,
    engine: Annotated[str, typer.Option(help="local.")] = "local",
    as_json: AsJson = False,
) -> None:
    """Run a study; finished cells are kept, unfinished ones go on."""
    if engine != "local":
        raise InputError(unknown("engine", engine, ["local"]))
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
    from cedistill.study.run import run_study
    from cedistill.study.status import status_lines

    with status_lines() as status:
        table = run_study(study, status, only, command_line())
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
