"""References to run files, as options and study files give them."""

from __future__ import annotations

from pathlib import Path


def run_path(reference: str) -> Path:
    """Return the run file that ``reference`` means: a path, or ``demo:NAME`` for a run that comes with the demo."""
    if reference.startswith("demo:"):
        from cedistill.demo import demo_run

        return demo_run(reference.removeprefix("demo:"))
    return Path(reference)
