"""Pools out of the study's training sources: fetched by name, converted once, with MS MARCO's texts or one's own."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cedistill.config.sources import TEXTS, Source, find_source
from cedistill.data.arrow_tables import checked_once, mapped
from cedistill.data.collections import Collection, open_collection, require_labels
from cedistill.data.digests import file_digest
from cedistill.data.fetch import Advance, cause_of, fetch, sources_folder
from cedistill.data.pair_table import check_pair_texts, pair_table
from cedistill.data.parquet import is_parquet
from cedistill.data.pool import Input, Pools, pools_key
from cedistill.data.run_table import RunTable, distinct_documents, run_table_path
from cedistill.data.runs import locate
from cedistill.errors import InputError, bad_line, shown

Report = Callable[[str], Advance]


def source_pools(name: str, dataset: str | None, *, labels: bool, join: bool, report: Report | None = None) -> Pools:
    """Return the pools of a training source.

    Args:
        name: of the source.
        dataset: reference to the texts, and to the judgements where labels are needed; by default MS MARCO's.
        labels: whether labels are needed; then only judged queries are taken.
        join: whether relevant documents outside the source's candidates join them.
        report: given the name of a phase, returns what is called as it advances.

    Raises:
        InputError: a download that fails, a malformed file, ids without texts in ``dataset``.
    """
    source = find_source(name)
    collection = open_collection(dataset or TEXTS)
    path = source_file(source, report)
    advance = report(f"reading {path.name}") if report else None
    own = dataset is not None  # MS MARCO has every text of its own sources: to look for them again takes minutes
    inputs = [Input("source", path.name, file_digest(path))]
    texts = [Input("dataset", one.name, file_digest(one)) for one in collection.files]
    if source.kind == "run":
        qrels = require_labels(collection) if labels else collection.qrels
        table = run_table_path(path, advance)
        if own:
            hashes = [one.sha256 for one in texts]
            checked_once(table, hashes, lambda: _check_run_texts(table, path, collection))
        pools: Any = RunTable(table, qrels, labels and join, collection.documents)
    else:
        pools = pair_table(path, advance)
        if own:
            check_pair_texts(pools, path, collection, [one.sha256 for one in texts])
    key = pools_key([*inputs, *texts], str(labels), str(join))
    return Pools(pools, collection.queries, collection.documents, [*inputs, *texts], key)


def source_file(source: Source, report: Report | None = None) -> Path:
    """Return a source's file, downloaded where it is missing.

    In place of a run of Rank-DistiLLM, ``NAME.parquet`` in the folder of sources, a file or a folder of such files, is
    taken where it is there: the same data as the Hub has them (webis/rank-distillm).

    Raises:
        InputError: it cannot be downloaded, or is not what it should be.
    """
    parquet = sources_folder() / f"{source.name}.parquet"
    if source.kind == "run" and parquet.exists():
        return parquet
    if source.file is not None:
        return fetch(source.file, report(f"downloading {source.file.name}") if report else None)
    return _document_pairs(source)


def _document_pairs(source: Source) -> Path:
    import ir_datasets

    logging.getLogger("ir_datasets").setLevel(logging.ERROR)  # an error is told once, in one line
    handler = ir_datasets.load(source.docpairs).docpairs_handler()
    download = getattr(handler, "_dlc", None)
    try:
        return Path(handler.docpairs_path())
    except Exception as error:
        mirrors = getattr(download, "mirrors", [])
        url = next((one.url for one in mirrors if hasattr(one, "url")), source.record)
        place = download.path(force=False) if download is not None else "its place under IR_DATASETS_HOME"
        raise InputError(
            f"{url}: expected to download it (md5 {getattr(download, 'expected_md5', 'unknown')}), found: "
            f"{cause_of(error)}; check network and disk and try again, or "
            f"download it elsewhere and put it at {os.fspath(place)}"
        ) from None


def _check_run_texts(table: Path, path: Path, collection: Collection) -> None:
    queries = mapped(table)["query"].to_pylist()
    query = next((one for one in queries if one not in collection.queries), None)
    document = next((one for one in distinct_documents(table) if one not in collection.documents), None)
    if query is None and document is None:
        return
    found = (
        f"none for the {'document' if query is None else 'query'} {shown(document or '' if query is None else query)}"
    )
    cure = "give the data set that its ids come from"
    if is_parquet(path):
        raise InputError(f"{path}: expected a text in {collection.name} for each id, found {found}; {cure}")
    line = locate(path, query_id=query, document_id=document if query is None else None)
    raise bad_line(path, line, f"a text in {collection.name} for each id", found, cure)
