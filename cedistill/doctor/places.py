"""Caches and data: where they are, what is in them, and whether there is room."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from cedistill.doctor.finding import BROKEN, LACKS, OK, Finding, guarded

_SMALL = 20 * 2**30
_SHOWN = 6


def caches() -> Iterator[Finding]:
    """Yield the folders that files which can be made or fetched again are kept in."""
    from huggingface_hub.constants import HF_HUB_CACHE
    from ir_datasets.util import home_path

    from cedistill.cache import cache_folder

    yield _folder("cedistill", cache_folder(), "CEDISTILL_CACHE")
    yield _folder("Hub", Path(HF_HUB_CACHE), "HF_HUB_CACHE")
    yield _folder("ir_datasets", Path(home_path()), "IR_DATASETS_HOME")


def data() -> Iterator[Finding]:
    """Yield which data of the shipped benchmarks and training sources are here, and the user's own data folder."""
    yield _own_data()
    from cedistill.config.shipped import shipped_names

    for name in shipped_names("benchmarks"):
        yield from guarded("data", name, partial(_benchmark, name))
    yield from guarded("data", "training sources", _sources)


def _folder(name: str, place: Path, variable: str) -> Finding:
    there = next(one for one in (place, *place.parents) if one.exists())
    if not os.access(there, os.W_OK):
        cure = f"make it writable, or set {variable} to a folder that is"
        return Finding("caches", name, BROKEN, f"{place} cannot be written to", cure)
    free = shutil.disk_usage(there).free
    found = f"{place}{'' if place.exists() else ' (not made yet)'}, {free / 2**30:.0f} GiB free"
    if free < _SMALL:
        return Finding("caches", name, LACKS, found, f"set {variable} to a folder on a larger disk for large data sets")
    return Finding("caches", name, OK, found)


def _own_data() -> Finding:
    place = os.environ.get("CEDISTILL_DATA")
    if not place:
        cure = "set it to a folder of data sets in BEIR layout for the studies that ask for it"
        return Finding("data", "CEDISTILL_DATA", LACKS, "not set", cure)
    if not Path(place).is_dir():
        return Finding("data", "CEDISTILL_DATA", BROKEN, f"{place} is no folder", "set it to the folder of your data")
    names = sorted(one.parent.name for one in Path(place).glob("*/corpus.jsonl*"))
    return Finding("data", "CEDISTILL_DATA", OK, f"{place}: {', '.join(names) or 'no data set in BEIR layout'}")


def _benchmark(name: str) -> list[Finding]:
    from cedistill.config.benchmark import load_benchmark
    from cedistill.data.collections import DEMO, is_public
    from cedistill.data.public_files import PARTS, sources
    from cedistill.errors import InputError

    try:
        datasets = load_benchmark(name).datasets
    except InputError as error:  # a variable of it is not set
        return [Finding("data", name, LACKS, str(error), "set what it names")]
    lacking, by_hand = [], False
    for one in datasets:
        if is_public(one.dataset):
            rows = sources(one.dataset.partition(":")[0], PARTS)
            absent = [row for row in rows if not row.present]
            lacking += [one.label] if absent else []
            by_hand = by_hand or any(not row.url for row in absent)
        elif one.dataset.partition(":")[0] != DEMO and not Path(one.dataset.rpartition(":")[0] or one.dataset).exists():
            lacking.append(one.label)
    if not lacking:
        return [Finding("data", name, OK, f"all {len(datasets)} data sets are here")]
    more = f" and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
    found = (
        f"{len(datasets) - len(lacking)} of {len(datasets)} data sets are here; not {', '.join(lacking[:_SHOWN])}{more}"
    )
    cure = f"cedistill data prefetch {name}" + (" (says how to get what is under licence)" if by_hand else "")
    return [Finding("data", name, LACKS, found, cure)]


def _sources() -> list[Finding]:
    from cedistill.config.sources import SOURCES
    from cedistill.data.fetch import sources_folder

    here = [one.name for one in SOURCES.values() if one.file and (sources_folder() / one.file.name).exists()]
    found = f"{len(here)} of {len(SOURCES)} are here" + (f": {', '.join(here)}" if here else "")
    if len(here) == len(SOURCES):
        return [Finding("data", "training sources", OK, found)]
    cure = "each is fetched by the first training that names it, or ahead by cedistill data prefetch STUDY"
    return [Finding("data", "training sources", LACKS, found, cure)]
