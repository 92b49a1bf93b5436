"""What a person sees while a command works: progress on stderr, a bar on a terminal and lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from cedistill import processes

Advance = Callable[[int, int, str], None]
"""Called with steps done, steps in all, and a few words."""

_SECONDS_BETWEEN_LINES = 10.0


def set_up_logging(verbose: bool) -> None:
    """Send warnings (everything of ours when ``verbose``) to stderr as plain lines."""
    quiet = logging.WARNING if processes.is_first() else logging.ERROR
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s: %(message)s", level=quiet, force=True)
    logging.getLogger("cedistill").setLevel(logging.INFO if verbose else quiet)


@contextmanager
def phases() -> Iterator[Callable[[str], Advance]]:
    """Yield a function that starts a phase of work by name and returns what reports its progress."""
    if not processes.is_first():
        yield _silence
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lines
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[words]}"),
    )
    with Progress(*columns, console=console) as bars:
        yield lambda name: _bar(bars, name)


def _silence(name: str) -> Advance:
    def advance(done: int, total: int, words: str = "") -> None:
        pass

    return advance


def _bar(bars: Progress, name: str) -> Advance:
    task: TaskID | None = None

    def advance(done: int, total: int, words: str = "") -> None:
        nonlocal task
        if task is None:
            task = bars.add_task(name, total=total, words=words)
        bars.update(task, completed=done, total=total, words=words)

    return advance


def lines(name: str) -> Advance:
    """Return what writes the progress of a phase as lines on stderr, one in ten seconds and one at the end."""
    started = last = time.monotonic()

    def advance(done: int, total: int, words: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < _SECONDS_BETWEEN_LINES and done < total:
            return
        last = now
        left = (now - started) / max(done, 1) * (total - done)
        sys.stderr.write(f"{name}: {done}/{total}, {clock(left)} left{', ' if words else ''}{words}\n")

    return advance


def clock(seconds: float) -> str:
    """Return a duration as ``m:ss`` or ``h:mm:ss``."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
