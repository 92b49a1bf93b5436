"""Options that several commands share, and what they print."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
Dataset = Annotated[
    str, typer.Option(help="A folder in BEIR layout as PATH or PATH:SPLIT, an ir_datasets id, or demo.")
]
Precision = Annotated[str, typer.Option(help="float32, bf16, or auto: whichever this machine is faster with.")]
Depth = Annotated[int | None, typer.Option(min=1, help="Candidates of a query that are re-ranked.")]
Measures = Annotated[list[str] | None, typer.Option("--measure", help="For example ndcg@10, ap, rr(rel=2)@10.")]

ReportTo = Annotated[
    list[str] | None,
    typer.Option(help="Tracker of the training: tensorboard, wandb, mlflow, ... or all; may be given again."),
]


def command_line() -> str:
    """Return the command as the user gave it."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def print_json(content: Any) -> None:
    """Print one JSON object on stdout."""
    typer.echo(json.dumps(content, allow_nan=False))
