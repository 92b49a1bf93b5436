"""Where generated files that can always be made again are kept between runs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_folder() -> Path:
    """Return the cache: the folder that ``CEDISTILL_CACHE`` names, else the user's cache folder."""
    own = os.environ.get("CEDISTILL_CACHE")
    if own:
        return Path(own)
    from platformdirs import user_cache_path

    return user_cache_path("cedistill")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time make ``path``; the others wait. A process that dies lets go of it."""
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def built_once(folder: Path, build: Callable[[Path], None]) -> Path:
    """Return ``folder``, which ``build`` fills first where it is missing.

    Args:
        folder: appears under its name only when it is whole.
        build: called with an empty folder, in one process at a time.
    """
    if folder.is_dir():
        return folder
    with locked(folder):
        if not folder.is_dir():
            partial = folder.with_name(f"{folder.name}.partial")
            # Of a build that was killed: the lock says that nobody is at it.
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            try:
                build(partial)
                partial.replace(folder)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
    return folder
