"""Collections: documents, queries and judgements, from a folder in BEIR layout or a public data set."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cedistill.data.beir import beir_texts
from cedistill.data.files import find_file
from cedistill.data.qrels import Qrels, read_qrels
from cedistill.data.runs import locate
from cedistill.data.texts import Texts, absent
from cedistill.errors import InputError, bad_line, shown

logger = logging.getLogger(__name__)

DEFAULT_SPLIT = "test"
DEMO = "demo"


@dataclass(frozen=True)
class Collection:
    """Documents, queries and, where the split is labelled, its judgements.

    ``documents`` and ``queries`` map ids to texts in the order of their files; ``queries`` holds all queries of the
    collection, of every split. ``qrels`` is None where the split has no judgements. ``files`` are those that were
    read: documents, queries and, if there are any, judgements; of a public data set one small file that identifies
    all of these. ``public`` is the ir_datasets id, "" for a folder. Where ``without_query_document`` is True, a query
    is itself a document, of the same id, and is no candidate of its own.
    """

    name: str
    folder: Path
    split: str
    queries: Mapping[str, str]
    documents: Mapping[str, str]
    qrels: Qrels | None
    files: tuple[Path, ...]
    public: str = ""
    without_query_document: bool = False


def open_collection(reference: str) -> Collection:
    """Read a collection.

    Args:
        reference: a folder in BEIR layout as ``PATH`` or ``PATH:SPLIT``, ``demo`` or ``demo:SPLIT``, or an ir_datasets
            id as ``ID`` or ``ID:QUERY-FIELD``. The split is ``test`` when none is named. Missing files of a public
            data set are fetched first.

    Returns:
        The collection; without judgements, and with a warning when other splits have some, if there is no
        ``qrels/SPLIT.tsv``.

    Raises:
        InputError: no such folder or id, a file that is missing, empty or malformed, an id twice.
    """
    public = _public(reference)
    if public is not None:
        return _open_public(*public)
    folder, split = parse_reference(reference)
    corpus, questions = _needed(folder, "corpus.jsonl"), _needed(folder, "queries.jsonl")
    judgements = _qrels_file(folder, split)
    if judgements is None and splits(folder):
        others = ", ".join(splits(folder))
        logger.warning("%s has no qrels/%s.tsv and is unlabelled; splits with labels: %s", folder, split, others)
    qrels = None if judgements is None else read_qrels(judgements)
    queries = Texts(beir_texts(questions, "query"))
    documents = Texts(beir_texts(corpus, "document"))
    files = (corpus, questions) if judgements is None else (corpus, questions, judgements)
    stem = DEMO if reference.partition(":")[0] == DEMO else folder.resolve().name
    own = leaves_out_query_document(stem)
    return Collection(f"{stem}:{split}", folder, split, queries, documents, qrels, files, "", own)


def collection_files(reference: str) -> tuple[Path, ...]:
    """Return the files that a reference means: documents, queries and, if there are any, judgements; none is read.

    For a public data set it is one small file, made of its queries, judgements and a sample of its documents.

    Raises:
        InputError: no such folder or id, or one without documents or queries.
    """
    public = _public(reference)
    if public is not None:
        from cedistill.data.public import public_identity

        return (public_identity(*public),)
    folder, split = parse_reference(reference)
    judgements = _qrels_file(folder, split)
    files = (_needed(folder, "corpus.jsonl"), _needed(folder, "queries.jsonl"))
    return files if judgements is None else (*files, judgements)


def parse_reference(reference: str) -> tuple[Path, str]:
    """Return the folder and the split that a reference means.

    Args:
        reference: ``PATH``, ``PATH:SPLIT``, ``demo`` or ``demo:SPLIT``.

    Raises:
        InputError: it is none of these, or there is no such folder.
    """
    if Path(reference).is_dir() and reference not in ("", DEMO):
        return Path(reference), DEFAULT_SPLIT
    place, colon, split = reference.rpartition(":")
    if not colon:
        place, split = reference, DEFAULT_SPLIT
    if place == DEMO and split:
        from cedistill.demo import demo_folder

        return demo_folder(), split
    if place and split and Path(place).is_dir():
        return Path(place), split
    from cedistill.data.public import nearest_id

    found = f"the file {reference}" if Path(reference).is_file() else f"{shown(reference)}, which is no folder"
    raise InputError(
        "expected a folder in BEIR layout (corpus.jsonl, queries.jsonl), PATH:SPLIT, or demo; "
        f"found {found}; check the data set's path, or give an ir_datasets id{nearest_id(reference)}"
    )


def splits(folder: str | Path) -> list[str]:
    """Return the names of a folder's splits that have judgements, sorted."""
    names = (path.name.removesuffix(".gz") for path in (Path(folder) / "qrels").glob("*.tsv*"))
    return sorted({name.removesuffix(".tsv") for name in names if name.endswith(".tsv")})


def has_labels(reference: str) -> bool:
    """Return whether the split that a reference means has judgements; no text is read.

    Raises:
        InputError: there is no such folder or id.
    """
    public = _public(reference)
    if public is not None:
        from cedistill.data.public import has_public_labels

        return has_public_labels(public[0])
    return _qrels_file(*parse_reference(reference)) is not None


def fetch(wanted: Iterable[tuple[str, str]]) -> None:
    """Fetch what is missing of public data sets, before any work that needs it starts.

    Args:
        wanted: data set references, each with its candidates (those named ``scoreddocs`` are fetched too).

    Raises:
        InputError: a file cannot be fetched, or a collection under licence is not there.
    """
    for reference, candidates in wanted:
        public = _public(reference)
        if public is not None:
            from cedistill.data.downloads import prepare
            from cedistill.data.public_files import PARTS

            prepare([public[0]], (*PARTS, *(["scoreddocs"] if candidates == "scoreddocs" else [])))


def is_public(reference: str) -> bool:
    """Return whether a reference is an ir_datasets id rather than a folder."""
    return _public(reference) is not None


def check_labels(reference: str) -> None:
    """Refuse a reference without judgements; those of a folder are read, of a public data set nothing is fetched.

    Raises:
        InputError: it has none, or the file is malformed.
    """
    if _public(reference) is None or not has_labels(reference):
        require_labels(reference)


def require_labels(collection: Collection | str) -> Qrels:
    """Return the judgements of a collection, or of what a reference means (then without reading any text).

    Raises:
        InputError: it has none, or the file is malformed.
    """
    public = (collection.public, "") if isinstance(collection, Collection) else _public(collection)
    if public and public[0]:
        return _public_labels(collection, public[0])
    if isinstance(collection, Collection):
        folder, split, qrels = collection.folder, collection.split, collection.qrels
    else:
        folder, split = parse_reference(collection)
        judgements = _qrels_file(folder, split)
        qrels = None if judgements is None else read_qrels(judgements)
    if qrels is not None:
        return qrels
    there = f"the splits {', '.join(splits(folder))}" if splits(folder) else "no split with labels"
    raise InputError(f"{folder}: expected labels in qrels/{split}.tsv, found {there}; name a split as PATH:SPLIT")


def leaves_out_query_document(name: str) -> bool:
    """Return whether the data set's queries are documents of it, to be left out of their own candidates.

    So it is in ArguAna (a query is an argument, relevant is its counter-argument) and Quora (duplicate questions), in
    BEIR and in NanoBEIR; told by the name of the id or folder.
    """
    return not {"arguana", "quora"}.isdisjoint(name.lower().split("/"))


def check_texts(run: Mapping[str, Mapping[str, float]], path: str | Path, collection: Collection) -> None:
    """Make sure that a collection has a text for every query and document of a run (or of qrels).

    Args:
        run: query id → document id → score or grade.
        path: the file it was read from, for the error.
        collection: where the texts are to come from.

    Raises:
        InputError: an id has no text; the error names the first line with it.
    """
    queries, documents = collection.queries, collection.documents
    for query_id, scores in run.items():
        if query_id not in queries:
            found = f"id {shown(query_id)} without a text"
            line = locate(path, query_id=query_id)
            cure = "drop its lines" if collection.public else "drop its lines or add it to queries.jsonl"
            raise bad_line(path, line, f"a query of {collection.name}", found, cure)
        for document_id in absent(documents, scores):
            found = f"id {shown(document_id)} without a text"
            line = locate(path, query_id=query_id, document_id=document_id)
            cure = "drop its lines" if collection.public else "drop its lines or add it to corpus.jsonl"
            raise bad_line(path, line, f"a document of {collection.name}", found, cure)


def _public(reference: str) -> tuple[str, str] | None:
    """Return the ir_datasets id and query field of a reference; a folder of that name goes first."""
    place = reference.partition(":")[0]
    if place == DEMO or Path(reference).is_dir() or Path(place).is_dir():
        return None
    from cedistill.data.public import public_id

    return public_id(reference)


def _open_public(name: str, field: str) -> Collection:
    from cedistill.data.public import open_public

    found = open_public(name, field)
    return Collection(
        f"{name}:{field}" if field else name,
        Path(name),
        field,
        found.queries,
        found.documents,
        found.qrels,
        (found.identity,),
        name,
        leaves_out_query_document(name),
    )


def _public_labels(collection: Collection | str, name: str) -> Qrels:
    from cedistill.data.public import has_public_labels, read_public_qrels

    if not has_public_labels(name):
        raise InputError(f"{name}: expected a data set with labels, found none; name a labelled one of its kind")
    if isinstance(collection, Collection) and collection.qrels is not None:
        return collection.qrels
    return read_public_qrels(name)


def _qrels_file(folder: Path, split: str) -> Path | None:
    return find_file(folder / "qrels", f"{split}.tsv")


def _needed(folder: Path, name: str) -> Path:
    path = find_file(folder, name)
    if path is None:
        raise InputError(
            f"{folder}: expected a folder in BEIR layout (corpus.jsonl, queries.jsonl), PATH:SPLIT, or demo; "
            f"found a folder without {name} or {name}.gz; add the file"
        )
    return path
