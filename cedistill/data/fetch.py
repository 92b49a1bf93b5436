"""Downloads: checked against an MD5, gone on with after an interruption, done by one process at a time."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cedistill.cache import cache_folder
from cedistill.config.sources import SourceFile
from cedistill.data.digests import file_digest
from cedistill.errors import InputError

Advance = Callable[[int, int, str], None]
"""Called with what is done, what there is in all, and a few words."""

_CHUNK = 1 << 16
_SECONDS = 30  # without a byte


def sources_folder() -> Path:
    """Return the folder of downloaded sources: ``CEDISTILL_SOURCES``, else ``sources`` in the cache."""
    own = os.environ.get("CEDISTILL_SOURCES")
    return Path(own) if own else cache_folder() / "sources"


def fetch(file: SourceFile, progress: Advance | None = None) -> Path:
    """Return a file of a source, downloaded to :func:`sources_folder` if it is not there yet.

    A half download lies beside in the folder ``NAME.part`` and is gone on with where the server allows it.

    Args:
        file: its address and MD5.
        progress: told of each MiB.

    Raises:
        InputError: no network, no room, another checksum, in one line with the cure.
    """
    folder = sources_folder()
    path = folder / file.name
    if not path.is_file():
        by_hand = f"download it elsewhere and put it at {path}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with alone(path):
                if not path.is_file():
                    _download(file, path, by_hand, progress)
        except OSError as error:
            raise InputError(
                f"{file.url} (md5 {file.md5}): expected room and leave to write in {folder}, found: "
                f"{error.strerror or error}; free some, set CEDISTILL_SOURCES to another folder, or {by_hand}"
            ) from None
    found = file_digest(path, "md5")
    if found != file.md5:
        raise InputError(
            f"{path}: expected the file of {file.url} with md5 {file.md5}, found md5 {found}; remove it to download "
            "it again, or put the whole file in its place"
        )
    return path


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the lock ``PATH.lock``: other processes that ask for it wait."""
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _download(file: SourceFile, path: Path, by_hand: str, progress: Advance | None) -> None:
    import pooch
    import requests

    folder = path.with_name(f"{path.name}.part")
    partial = _left(folder)

    def download(url: str, output_file: str, _: Any) -> None:
        _receive(url, partial, progress)
        partial.replace(output_file)

    pooch.get_logger().setLevel(logging.WARNING)
    try:
        pooch.retrieve(file.url, f"md5:{file.md5}", fname=path.name, path=folder, downloader=download)
    except requests.RequestException as error:
        raise InputError(
            f"{file.url}: expected to download it (md5 {file.md5}), found: {cause_of(error)}; check the network and "
            f"try again (what has come is kept), or {by_hand}"
        ) from None
    except ValueError as error:
        found = re.search(r"got ([0-9a-f]{32})", str(error))
        if not found:
            raise
        shutil.rmtree(folder)
        raise InputError(
            f"{file.url}: expected md5 {file.md5}, found md5 {found[1]}; the download is removed: try again, "
            f"or {by_hand}"
        ) from None
    (folder / path.name).replace(path)
    shutil.rmtree(folder)


def _left(folder: Path) -> Path:
    """Return where the half download lies: all in ``folder`` are leftovers, and the longest has come the furthest."""
    folder.mkdir(exist_ok=True)
    partial = folder / "partial"
    files = sorted(folder.iterdir(), key=lambda one: one.stat().st_size)
    for one in files[:-1]:
        one.unlink()
    for one in files[-1:]:
        one.replace(partial)
    return partial


def _receive(url: str, partial: Path, progress: Advance | None) -> None:
    import requests

    have = partial.stat().st_size if partial.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=_SECONDS) as answer:
        if answer.status_code == requests.codes.requested_range_not_satisfiable:
            return  # nothing is left to come; the checksum tells whether it is the file
        answer.raise_for_status()
        if answer.status_code != requests.codes.partial_content:
            have = 0
        total = have + int(answer.headers.get("content-length", 0))
        with partial.open("ab" if have else "wb") as sink:
            for chunk in answer.iter_content(_CHUNK):
                sink.write(chunk)
                before, have = have, have + len(chunk)
                if progress and (before >> 20 < have >> 20 or have == total):
                    progress(have >> 20, max(have, total) >> 20, "MiB")
    if have < total:
        raise requests.ConnectionError(f"the connection ended after {have} of {total} bytes")


def cause_of(error: Exception) -> str:
    """Return what went wrong at the bottom of a chain of wrapped errors, as one line."""
    text = str(error)
    bottom = re.search(r"(\[Errno -?\d+\] [^'\")]+|(?:[\w ]+ )?timed out)", text)
    return " ".join((bottom[0] if bottom else text or type(error).__name__).split())
