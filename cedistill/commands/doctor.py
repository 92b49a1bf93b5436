"""What this machine has: `doctor`."""

from __future__ import annotations

import typer

from cedistill.commands.options import AsJson, print_json


def doctor(as_json: AsJson = False) -> None:
    """Say what this machine has, what it lacks, and the cure."""
    from cedistill.doctor.examine import examination_text, examine

    findings = examine()
    if as_json:
        print_json({"findings": [one._asdict() for one in findings]})
    else:
        typer.echo(examination_text(findings))
