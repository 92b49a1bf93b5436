"""What there is: `ls`."""

from __future__ import annotations

from typing import Annotated

import typer

from cedistill.commands.options import AsJson, print_json
from cedistill.errors import InputError, unknown


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
        print_json({what: rows})
        return
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        typer.echo(f"{row['name']:{width}}  {row['about']}".rstrip())
