"""Fetching public data sets: what is missing, on one process only, and with clear words when it cannot be had."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from cedistill.data.public_files import PARTS, Source, extracted_folders, is_ready, load, readable, sources, unfinished
from cedistill.errors import InputError

logger = logging.getLogger(__name__)

_PROBE_SECONDS = 8


class NoConnectionError(InputError):
    """A file has to be fetched, and its host cannot be reached."""


def prepare(names: Iterable[str], parts: Sequence[str] = PARTS) -> None:
    """Fetch what is missing of data sets and build their document stores, one process at a time.

    A process that comes second waits for the first, and then finds everything there. A bar on stderr shows progress.

    Raises:
        NoConnectionError: a file is missing and its host cannot be reached.
        InputError: a collection under licence is missing, or a file is not what it should be.
    """
    for name in names:
        if is_ready(name, parts):
            continue
        with _one_process():
            if not is_ready(name, parts):
                _fetch(name, parts)


def _fetch(name: str, parts: Sequence[str]) -> None:
    dataset = load(name)
    missing = [one for one in sources(name, parts) if not one.present]
    for one in missing:
        if one.url is None:
            raise InputError(_by_hand(name, one))
    _check_connection(name, missing)
    for terms in {one.terms for one in missing if one.terms}:
        logger.warning("%s: %s", name, terms)
    with readable(name), _marked(extracted_folders(name, parts)):
        for part in ("queries", "qrels", "scoreddocs"):
            if part in parts and dataset.has(part):
                next(iter(getattr(dataset, f"{part}_iter")()), None)
        if "docs" in parts:
            store = dataset.docs_store()
            if not store.built():
                store.clear_cache()  # what an interrupted build left
                store.build()


@contextmanager
def _one_process() -> Iterator[None]:
    from filelock import FileLock, Timeout
    from ir_datasets.util import home_path

    lock = FileLock(str(home_path() / ".cedistill.lock"))
    with ExitStack() as stack:
        try:
            stack.enter_context(lock.acquire(timeout=0.2))
        except Timeout:
            logger.warning("waiting for another process that fetches data into %s", home_path())
            stack.enter_context(lock.acquire())
        yield


@contextmanager
def _marked(folders: Iterable[Path]) -> Iterator[None]:
    """Mark folders while they are extracted: ir_datasets would take one that a killed process left for whole."""
    markers = [unfinished(folder) for folder in folders]
    for folder, marker in zip(folders, markers, strict=True):
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        marker.touch()
    yield
    for marker in markers:
        marker.unlink()


def _check_connection(name: str, missing: Iterable[Source]) -> None:
    """Try each host once, so that a machine without network learns it in seconds. One that answers is enough."""
    import requests

    found: Exception | None = None
    source = None
    for source in {urlsplit(one.url or "").netloc: one for one in missing}.values():
        try:
            requests.head(str(source.url), timeout=_PROBE_SECONDS, allow_redirects=False)
            return
        except (requests.ConnectionError, requests.Timeout) as error:
            found = error
    if source is not None:
        raise NoConnectionError(
            f"{name}: expected to fetch {source.url}, found no connection ({type(found).__name__}); "
            f"connect and run cedistill data prefetch {name}, or put the file{_unpacked(source)} at {source.path}"
        )


def _unpacked(source: Source) -> str:
    return ", unpacked," if str(source.url).endswith(".gz") and source.path.suffix not in (".gz", "") else ""


def _by_hand(name: str, source: Source) -> str:
    where = " ".join(source.instructions.split())
    return f"{name}: expected the collection in {source.path}, found nothing there; {where or 'put it there'}"
