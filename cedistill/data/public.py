"""Public data sets by their ir_datasets id (MacAvaney et al. 2021, arXiv 2103.02280).

A reference is ``ID`` or ``ID:FIELD``, where FIELD is the field of the topics that serves as query: for example
``beir/scifact/test``, ``disks45/nocr/trec-robust-2004:description``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from functools import lru_cache
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from cedistill.cache import cache_folder
from cedistill.data.docstore import DocumentStore
from cedistill.data.downloads import prepare
from cedistill.data.files import writing
from cedistill.data.public_files import load, readable
from cedistill.data.qrels import Qrels
from cedistill.data.runs import Run
from cedistill.data.texts import Texts
from cedistill.errors import InputError, unknown

_ID = re.compile(r"[a-z][\w.+-]*(/[\w.+-]+)*")
_SAMPLE = 100


class PublicSet(NamedTuple):
    """Queries, judgements (None where there are none), documents, and the file that identifies all three."""

    queries: Texts
    qrels: Qrels | None
    documents: DocumentStore
    identity: Path


def public_id(reference: str) -> tuple[str, str] | None:
    """Return the ir_datasets id and the query field ("" for the usual one) of a reference, None if it is no such id."""
    name, _, field = reference.partition(":")
    if not _ID.fullmatch(name):
        return None
    return (name, field) if _known(name) else None


def nearest_id(reference: str) -> str:
    """Return a hint for a reference that resembles an ir_datasets id, or ""."""
    name = reference.partition(":")[0]
    if not _ID.fullmatch(name) or not name.startswith(_families()):
        return ""
    import difflib

    from ir_datasets import registry

    family = [one for one in registry if one.partition("/")[0] == name.partition("/")[0]]
    near = difflib.get_close_matches(name, family, n=3)
    return f" (did you mean {' or '.join(near)}?)" if near else ""


def has_public_labels(name: str) -> bool:
    """Return whether a data set comes with judgements; nothing is read or fetched."""
    return bool(load(name).has_qrels())


def open_public(name: str, field: str) -> PublicSet:
    """Open a data set, fetching first what is missing of it; documents stay on disk.

    Raises:
        InputError: no queries, no such query field, a file that cannot be fetched or read, a collection under licence
            that is not there.
    """
    _check_queries(name, field)
    prepare([name])
    dataset = load(name)
    with readable(name):
        queries = Texts((one.query_id, _query_text(one, field)) for one in dataset.queries_iter())
    qrels = read_public_qrels(name) if dataset.has_qrels() else None
    documents = DocumentStore(name)
    return PublicSet(queries, qrels, documents, _identity_file(name, field, queries, qrels, documents))


def read_public_qrels(name: str) -> Qrels:
    """Return the judgements, fetching only them if they are not there. Grades may be negative. Raises InputError."""
    prepare([name], ("qrels",))
    qrels: Qrels = {}
    with readable(name):
        for one in load(name).qrels_iter():
            qrels.setdefault(one.query_id, {})[one.doc_id] = int(one.relevance)
    return qrels


def public_candidates(name: str) -> Run:
    """Return the candidates that a data set comes with (``scoreddocs``), as a run.

    Raises:
        InputError: it has none, or they cannot be fetched or read.
    """
    if not load(name).has_scoreddocs():
        raise InputError(
            f"{name}: expected candidates that come with the data set, found none; give a run or bm25 as candidates"
        )
    prepare([name], ("scoreddocs",))
    run: Run = {}
    with readable(name):
        for one in load(name).scoreddocs_iter():
            run.setdefault(one.query_id, {})[one.doc_id] = float(one.score)
    return run


def public_identity(name: str, field: str) -> Path:
    """Return the small file that identifies a data set's queries, judgements and documents. Raises InputError."""
    from ir_datasets.util import home_path

    return _identity_of(name, field, str(home_path()))


@lru_cache(maxsize=256)
def _identity_of(name: str, field: str, home: str) -> Path:
    return open_public(name, field).identity


@lru_cache(maxsize=1024)
def _known(name: str) -> bool:
    if not name.startswith(_families()):
        return False
    try:
        load(name)
    except KeyError:
        return False
    return True


@lru_cache(maxsize=1)
def _families() -> tuple[str, ...]:
    """How ids begin, without importing ir_datasets, which takes time and makes folders."""
    package = find_spec("ir_datasets")
    places = package.submodule_search_locations if package else None
    return tuple(path.stem for place in places or () for path in (Path(place) / "docs").glob("*.yaml"))


def _check_queries(name: str, field: str) -> None:
    dataset = load(name)
    if not dataset.has_queries() or not dataset.has_docs():
        from ir_datasets import registry

        below = [one for one in registry if one.startswith(f"{name}/")]
        raise InputError(
            f"{name}: expected a data set with queries and documents, found one without; "
            f"name one below it: {', '.join(below[:8]) or 'none'}"
        )
    fields = [one for one in dataset.queries_cls()._fields if one != "query_id"]
    if field and field not in fields:
        raise InputError(f"{name}: {unknown('query field', field, fields)}")


def _query_text(query: Any, field: str) -> str:
    if field:
        return " ".join(str(getattr(query, field)).split())
    return str(query.default_text())


def _identity_file(name: str, field: str, queries: Texts, qrels: Qrels | None, documents: DocumentStore) -> Path:
    judged = sorted({one for grades in (qrels or {}).values() for one in grades})
    sample = judged[:: max(1, len(judged) // _SAMPLE)] or list(islice(documents, _SAMPLE))
    content = {
        "dataset": name,
        "query_field": field,
        "queries": _hash(f"{one}\t{text}" for one, text in queries.items()),
        "judgements": _hash(f"{q}\t{d}\t{grade}" for q, grades in (qrels or {}).items() for d, grade in grades.items()),
        "documents": len(documents),
        "sample_of_documents": _hash(f"{one}\t{text}" for one, text in sorted(documents.look_up(sample).items())),
    }
    text = json.dumps(content, indent=1) + "\n"
    folder = cache_folder() / "collections" / hashlib.sha256(text.encode()).hexdigest()[:16]
    path = folder / f"{name.replace('/', '-')}{'-' + field if field else ''}.json"
    if not path.exists():
        with writing(path) as file:
            file.write(text)
    return path


def _hash(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(f"{line}\n".encode(errors="surrogatepass"))
    return digest.hexdigest()
