"""Consensus over generations: `consensus`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cedistill.commands.options import AsJson, print_json


def consensus(
    study: Annotated[Path, typer.Argument(help="A folder with consensus.toml, or such a file.")],
    as_json: AsJson = False,
) -> None:
    """Train generations on what several rankers agree on for queries without labels; go on where one stopped."""
    from cedistill.consensus.generations import consensus_table, run_consensus
    from cedistill.console import phases

    with phases() as phase:
        result = run_consensus(study, phase)
    if as_json:
        print_json(result)
    else:
        typer.echo(consensus_table(result))
