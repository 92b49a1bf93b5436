"""The files of public data sets as ir_datasets reads them: where they lie, what is there, and where to get the rest.

ir_datasets has no listing of what a data set still lacks; it is read off the chain of objects (download, archive,
extracted file, cache) that each part of a data set is made of.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from cedistill.errors import InputError

PARTS = ("docs", "queries", "qrels")
"""What re-ranking needs of a data set; ``scoreddocs`` (candidates that come with it) are fetched when asked for."""


class Source(NamedTuple):
    """A file that a data set is made of.

    ``path`` is where it, or what is made of it, has to lie. ``url`` is None for a collection under licence, which
    ``instructions`` say how to get. ``size`` in bytes and ``md5`` are those of the download, where they are known.
    """

    path: Path
    present: bool
    url: str | None = None
    size: int | None = None
    md5: str | None = None
    instructions: str = ""
    terms: str = ""


def load(name: str) -> Any:
    """Return ir_datasets' data set of an id. Raises KeyError when there is none."""
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_MININTERVAL", "10")  # seconds between the lines of its bars in a log
    import ir_datasets

    # Its messages (files opened, terms, each failed attempt) would drown ours; progress bars are not among them.
    ir_datasets.log.easy().logger().setLevel(logging.ERROR)
    return ir_datasets.load(name)


def sources(name: str, parts: Iterable[str] = PARTS) -> list[Source]:
    """Return the files that the parts of a data set are made of; nothing is fetched."""
    dataset = load(name)
    with readable(name):
        _check_kept(name, dataset)
        found: list[Source] = []
        for part in parts:
            if not dataset.has(part):
                continue
            if part == "docs" and dataset.docs_store().built():
                found.append(Source(_store_path(dataset), present=True))
            else:
                found += _sources(getattr(dataset, f"{part}_handler")())
    without_sizes = name.startswith("nano-beir/")  # ir_datasets gives numbers of records there
    return [one._replace(size=None) if without_sizes else one for one in dict.fromkeys(found)]


def is_ready(name: str, parts: Iterable[str]) -> bool:
    """Return whether the parts of a data set can be read as they are, with nothing to fetch, unpack or build."""
    dataset = load(name)
    with readable(name):
        _check_kept(name, dataset)
        for part in parts:
            if not dataset.has(part):
                continue
            if part == "docs":
                if not dataset.docs_store().built():
                    return False
            elif not all(_there(place) for place in _outermost(getattr(dataset, f"{part}_handler")())):
                return False
    return True


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Turn whatever ir_datasets raises over files into one line that names the data set."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        raise _explained(name, error) from error


def extracted_folders(name: str, parts: Iterable[str]) -> list[Path]:
    """Return the folders into which ir_datasets unpacks archives of a data set and that are not there yet."""
    dataset = load(name)
    handlers = [getattr(dataset, f"{part}_handler")() for part in parts if dataset.has(part)]
    folders = {
        Path(one._extract_path) for handler in handlers for one in _objects(handler) if "_extract_path" in vars(one)
    }
    return [folder for folder in sorted(folders) if not _there(folder)]


def unfinished(folder: Path) -> Path:
    """Return the file that marks a folder as not wholly unpacked."""
    return folder.with_name(f"{folder.name}.unfinished")


def _explained(name: str, error: Exception) -> Exception:
    cause: BaseException = error
    if isinstance(error, RuntimeError) and len(error.args) == 2 and isinstance(error.args[1], list):
        cause = error.args[1][-1][1]  # "All download sources failed", with each mirror's error
    text = " ".join(str(cause).split()) or type(cause).__name__
    if getattr(cause, "errno", None) == errno.ENOSPC or text.startswith("Insufficient disk space"):
        return OSError(f"{name}: no space left for the data set: {text}; free some, or set IR_DATASETS_HOME elsewhere")
    kind = type(cause).__name__
    if kind == "HashVerificationError":
        return InputError(f"{name}: expected the published file, found another ({text}); fetch it again")
    return InputError(
        f"{name}: expected whole files of the data set in {_places(name)}, found {kind}: {text[:300]}; "
        f"put the right ones there, or remove them and run cedistill data prefetch {name}"
    )


def _places(name: str) -> str:
    from ir_datasets.util import home_path

    dataset = load(name)
    handlers = [getattr(dataset, f"{part}_handler")() for part in PARTS if dataset.has(part)]
    paths = dict.fromkeys(str(one.path) for handler in handlers for one in _sources(handler) if one.present)
    return ", ".join(list(paths)[:3]) or str(home_path())


def _check_kept(name: str, dataset: Any) -> None:
    """Refuse to let ir_datasets delete files that were put in place without its note of their version."""
    for one in _objects(dataset):
        if type(one).__name__ == "Migrator" and not Path(one._version_file).exists():
            for path in map(Path, one._affected_files):
                if path.exists():
                    raise InputError(
                        f"{name}: expected {one._version_file} with {one._version!r} beside {path}, found none, and "
                        "ir_datasets deletes what is of an older version; write it, or put the original download there"
                    )


def _sources(part: Any, place: Path | None = None) -> Iterator[Source]:
    from ir_datasets.util import Download

    own = _place(part) or place
    if own is not None and _there(own):
        yield Source(own, present=True)
    elif isinstance(part, Download):
        yield _source(part, own)
    else:
        for child in _children(part):
            yield from _sources(child, own)


def _source(download: Any, place: Path | None) -> Source:
    from ir_datasets.util import LocalDownload, home_path

    local = [one for one in download.mirrors if isinstance(one, LocalDownload)]
    urls = [getattr(one, "url", None) for one in download.mirrors if not isinstance(one, LocalDownload)]
    copy = next((one._path for one in local if one._path.exists()), None)
    path = place or copy or home_path() / "downloads" / str(download.expected_md5)
    return Source(
        Path(copy or path),
        present=copy is not None,
        url=urls[0] if urls else None,
        size=download._size_hint,
        md5=download.expected_md5,
        instructions=(local[0]._message or "") if local and not urls else "",
        terms=download.dua or "",
    )


def _outermost(part: Any) -> Iterator[Path]:
    place = _place(part)
    if place is not None:
        yield place
    else:
        for child in _children(part):
            yield from _outermost(child)


def _place(part: Any) -> Path | None:
    """Return the path that has to be there for ``part`` to be readable without what it is made of."""
    names = ("_extract_path", "extract_path", "_output_file", "_cache_path")
    kind = type(part).__name__
    found = part._path if kind == "Cache" else next((getattr(part, n) for n in names if n in vars(part)), None)
    return Path(found) if found is not None else None


def _there(path: Path) -> bool:
    return path.exists() and not unfinished(path).exists()


def _objects(part: Any) -> Iterator[Any]:
    waiting, seen = [part], set()
    while waiting:
        one = waiting.pop()
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += _children(one)


def _children(part: Any) -> list[Any]:
    values = [one for value in vars(part).values() for one in (value if isinstance(value, list | tuple) else [value])]
    return [one for one in values if type(one).__module__.startswith("ir_datasets.") and hasattr(one, "__dict__")]


def _store_path(dataset: Any) -> Path:
    store = dataset.docs_store()
    return Path(getattr(store, "path", None) or store.base_path)
