"""What benchmarks and studies need of public data sets: listed, or fetched ahead of the work."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from cedistill.config.benchmark import UnknownError, load_benchmark
from cedistill.config.shipped import shipped_folder, shipped_names
from cedistill.config.sources import Source as TrainingSource
from cedistill.data.collections import fetch, is_public
from cedistill.data.downloads import NoConnectionError
from cedistill.data.public_files import PARTS, Source, sources
from cedistill.errors import InputError, unknown


def wanted(name: str) -> list[tuple[str, str]]:
    """Return the data set references that a benchmark, a study or an id means, each with its candidates.

    Raises:
        InputError: it is none of these, or its file is malformed.
    """
    study = _study(name)
    if study is not None:
        from cedistill.study.plan import references
        from cedistill.study.reading import load_study

        return references(load_study(study)[0])
    try:
        return [(one.dataset, one.candidates) for one in load_benchmark(name).datasets]
    except UnknownError:
        if is_public(name):  # some ids begin as a benchmark is called: beir/scifact/test
            return [(name, "")]
        known = shipped_names("benchmarks")
        raise InputError(
            f"{unknown('benchmark', name, known)}; or give a study's folder or an ir_datasets id"
        ) from None


def training_sources_of(name: str) -> list[TrainingSource]:
    """Return the training sources that a study needs, none for a benchmark or an id. Raises InputError."""
    study = _study(name)
    if study is None:
        return []
    from cedistill.study.plan import training_sources
    from cedistill.study.reading import load_study

    return training_sources(load_study(study)[0])


def listed(names: Sequence[str]) -> dict[str, Any]:
    """List the files that ``names`` need, as :func:`files_of` does. Raises InputError as :func:`wanted` does."""
    return files_of(_public(names), _training_sources(names))


def files_of(references: Sequence[tuple[str, str]], training_sources: Sequence[TrainingSource]) -> dict[str, Any]:
    """List the files of public data sets (each with its candidates) and of training sources; nothing is fetched.

    Returns:
        ``files``: path, ``state`` (``here``, ``fetch``, or ``by hand`` for a collection under licence), address, bytes
        and MD5 where they are known, the data sets that need it, and its terms; ``home``, ``bytes_to_fetch`` (of the
        known sizes), ``files_of_unknown_size`` and ``bytes_free``.
    """
    from ir_datasets.util import home_path

    files: dict[Path, dict[str, Any]] = {}
    for reference, candidates in references:
        if is_public(reference):
            name = reference.partition(":")[0]
            for source in sources(name, _parts(candidates)):
                row = files.setdefault(source.path, _row(source))
                row["datasets"] += [name] if name not in row["datasets"] else []
    for one in training_sources:
        for source in _files(one):
            row = files.setdefault(source.path, _row(source))
            row["datasets"].append(one.name)
    rows = list(files.values())
    to_fetch = [row for row in rows if row["state"] == "fetch"]
    return {
        "home": str(home_path()),
        "files": rows,
        "bytes_to_fetch": sum(row["bytes"] or 0 for row in to_fetch),
        "files_of_unknown_size": sum(row["bytes"] is None for row in to_fetch),
        "bytes_free": shutil.disk_usage(home_path()).free,
    }


def prefetch(names: Sequence[str]) -> dict[str, Any]:
    """Fetch what ``names`` need and is not there, and return the list as it is then.

    Raises:
        NoConnectionError: a host cannot be reached; nothing more is tried.
        InputError: as :func:`wanted`; or collections under licence or damaged files, after all others are fetched.
    """
    from cedistill.console import lines
    from cedistill.data.source_pools import source_file

    failed: list[InputError] = []
    steps: list[Callable[[], Any]] = [partial(fetch, [one]) for one in _public(names)]
    steps += [partial(source_file, one, lines) for one in _training_sources(names)]
    for step in steps:
        try:
            step()
        except NoConnectionError:
            raise
        except InputError as error:
            failed.append(error)
    if failed:
        more = f" (and {len(failed) - 1} more data sets)" if len(failed) > 1 else ""
        raise InputError(f"{failed[0]}{more}")
    return listed(names)


def listing_text(result: dict[str, Any]) -> str:
    """Return the list as lines: state, size, address and path of each file, then the total and the terms."""
    lines = []
    for row in result["files"]:
        source = f"{row['url']} -> " if row["url"] and row["state"] == "fetch" else ""
        lines.append(f"{row['state']:8} {shown_bytes(row['bytes']):>9}  {source}{row['path']}")
    if not result["files"]:
        return "no public data set is needed"
    count = sum(row["state"] == "fetch" for row in result["files"])
    unknown_sizes = f" and {result['files_of_unknown_size']} of unknown size" if result["files_of_unknown_size"] else ""
    lines.append(
        f"\n{count} files to fetch, {shown_bytes(result['bytes_to_fetch'])}{unknown_sizes}, into {result['home']} "
        f"({shown_bytes(result['bytes_free'])} free; unpacked, data sets take more)"
    )
    notes = [row[key] for row in result["files"] for key in ("terms", "instructions") if row["state"] != "here"]
    return "\n".join([*lines, *(" ".join(note.split()) for note in dict.fromkeys(notes) if note)])


def shown_bytes(count: int | None) -> str:
    """Return a number of bytes in the unit that suits it, ``?`` for None."""
    if count is None:
        return "?"
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _study(name: str) -> Path | None:
    if name in shipped_names("benchmarks"):  # a study may have the same name; it is then meant by its path
        return None
    for path in (Path(name), shipped_folder("results") / name):
        if (path / "study.toml").is_file() or path.name == "study.toml":
            return path
    return None


def _public(names: Sequence[str]) -> list[tuple[str, str]]:
    return [one for one in dict.fromkeys(one for name in names for one in wanted(name)) if is_public(one[0])]


def _training_sources(names: Sequence[str]) -> list[TrainingSource]:
    return list(dict.fromkeys(one for name in names for one in training_sources_of(name)))


def _files(source: TrainingSource) -> list[Source]:
    from cedistill.data.fetch import sources_folder

    if source.file is None:
        return sources(source.docpairs or "", ("docpairs",))
    path = sources_folder() / source.file.name
    return [Source(path, path.is_file(), source.file.url, source.file.size, source.file.md5)]


def _parts(candidates: str) -> tuple[str, ...]:
    return (*PARTS, "scoreddocs") if candidates == "scoreddocs" else PARTS


def _row(source: Source) -> dict[str, Any]:
    return {
        "path": str(source.path),
        "state": "here" if source.present else "fetch" if source.url else "by hand",
        "url": source.url,
        "bytes": source.path.stat().st_size if source.present and source.path.is_file() else source.size,
        "md5": source.md5,
        "datasets": [],
        "terms": source.terms,
        "instructions": source.instructions,
    }
