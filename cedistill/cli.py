"""The command line: what it is made of, and how it ends. What takes time to import is imported inside its command."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from cedistill import processes
from cedistill.commands import (
    consensus,
    data,
    doctor,
    evaluation,
    listing,
    scoring,
    sharing,
    study,
    teacher_quality,
    teaching,
    training,
)
from cedistill.errors import InputError

_UsageError: Any = typer.BadParameter.__base__  # typer has no public name for it

_INTERRUPTED = 130
TOGETHER = ("train", "evaluate")
"""Commands that torchrun and accelerate may start in several processes."""

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train and benchmark distilled cross-encoders.",
)
for _command in (
    listing.ls,
    training.train,
    scoring.rerank,
    evaluation.metrics,
    evaluation.evaluate,
    scoring.retrieve,
    teaching.teach,
    teacher_quality.teachers,
    study.run,
    study.report,
    consensus.consensus,
    sharing.push,
    doctor.doctor,
):
    app.command()(_command)
_data = typer.Typer(help="Data sets: write out, fetch.")
_data.command()(data.export)
_data.command()(data.prefetch)
app.add_typer(_data, name="data")


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
    command = context.invoked_subcommand
    if processes.count() > 1 and command not in (*TOGETHER, None):
        raise InputError(
            f"expected one process for {command}, found {processes.count()}; start it without a launcher "
            f"(only {' and '.join(TOGETHER)} work in several processes)"
        )
    if version:
        typer.echo(f"cedistill {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Run the command line; every error becomes one line on stderr and the exit status of its kind."""
    import os

    # Threads that spin long while they wait starve the loader's workers and whatever else runs on a small machine.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    processes.silence_others()
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
    else:
        if status != _INTERRUPTED:
            processes.stop()
    if status == _INTERRUPTED:  # typer turns Ctrl-C into this value
        _fail("interrupted; run the same command again to go on (`train` with --resume)", status)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str, status: int) -> None:
    message = " ".join(message.split())
    first, status = processes.failing(status, message)
    if first:
        sys.stderr.write(f"error: {message}\n")
    sys.exit(status)


if __name__ == "__main__":
    main()
