"""Data sets: `data export` and `data prefetch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cedistill.commands.options import AsJson, print_json
from cedistill.errors import InputError, unknown


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
        print_json(result)
    else:
        typer.echo(listing_text(result))
