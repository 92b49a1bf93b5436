"""Trained models on the Hub: `push`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cedistill.commands.options import AsJson, print_json


def push(
    model: Annotated[Path, typer.Argument(help="A trained model's folder.")],
    repo: Annotated[str, typer.Argument(help="OWNER/NAME on the Hub; made when it is missing.")],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository a private one.")] = False,
    licence: Annotated[str | None, typer.Option(help="Of the model, for its card: apache-2.0, mit, ...")] = None,
    metrics: Annotated[Path | None, typer.Option(help="metrics.json for the card, else the model's own.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be uploaded.")] = False,
    as_json: AsJson = False,
) -> None:
    """Upload a trained model with its card; the token is taken from HF_TOKEN."""
    from cedistill.model.sharing import push as upload

    result = upload(model, repo, private=private, licence=licence, metrics=metrics, dry_run=dry_run)
    if as_json:
        print_json(result)
        return
    for one in result["files"]:
        typer.echo(f"{one['bytes']:>12,}  {one['path']}")
    typer.echo(result["url"] or f"would go to {repo}")
