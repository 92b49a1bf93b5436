"""Collections in BEIR layout: documents, queries and the judgements of one split."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cedistill.data.files import find_file, read_rows
from cedistill.data.qrels import Qrels, read_qrels
from cedistill.data.runs import locate
from cedistill.data.texts import Texts
from cedistill.errors import InputError, bad_line, shown

logger = logging.getLogger(__name__)

DEFAULT_SPLIT = "test"
DEMO = "demo"


@dataclass(frozen=True)
class Collection:
    """Documents, queries and, where the split is labelled, its judgements.

    ``documents`` and ``queries`` map ids to texts in the order of their files; ``queries`` holds all queries of the
    collection, of every split. ``qrels`` is None where the split has no judgements. ``files`` are those that were
    read: documents, queries and, if there are any, judgements.
    """

    name: str
    folder: Path
    split: str
    queries: Mapping[str, str]
    documents: Mapping[str, str]
    qrels: Qrels | None
    files: tuple[Path, ...]


def open_collection(reference: str) -> Collection:
    """Read a collection.

    Args:
        reference: a folder in BEIR layout as ``PATH`` or ``PATH:SPLIT``, or ``demo`` or ``demo:SPLIT``. The split is
            ``test`` when none is named.

    Returns:
        The collection; without judgements, and with a warning when other splits have some, if there is no
        ``qrels/SPLIT.tsv``.

    Raises:
        InputError: no such folder, a file that is missing, empty or malformed, an id twice.
    """
    folder, split = parse_reference(reference)
    corpus, questions = _needed(folder, "corpus.jsonl"), _needed(folder, "queries.jsonl")
    judgements = _qrels_file(folder, split)
    if judgements is None and splits(folder):
        others = ", ".join(splits(folder))
        logger.warning("%s has no qrels/%s.tsv and is unlabelled; splits with labels: %s", folder, split, others)
    qrels = None if judgements is None else read_qrels(judgements)
    queries = Texts(_texts(questions, "query"))
    documents = Texts(_texts(corpus, "document"))
    files = (corpus, questions) if judgements is None else (corpus, questions, judgements)
    name = f"{DEMO if reference.partition(':')[0] == DEMO else folder.resolve().name}:{split}"
    return Collection(name, folder, split, queries, documents, qrels, files)


def collection_files(reference: str) -> tuple[Path, ...]:
    """Return the files that a reference means: documents, queries and, if there are any, judgements; none is read.

    Raises:
        InputError: no such folder, or one without documents or queries.
    """
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
    # The one place where other kinds of references (ids of public data sets) are to be resolved to folders.
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
    found = f"the file {reference}" if Path(reference).is_file() else f"{shown(reference)}, which is no folder"
    raise InputError(
        "expected a folder in BEIR layout (corpus.jsonl, queries.jsonl), PATH:SPLIT, or demo; "
        f"found {found}; check the data set's path"
    )


def splits(folder: str | Path) -> list[str]:
    """Return the names of a folder's splits that have judgements, sorted."""
    names = (path.name.removesuffix(".gz") for path in (Path(folder) / "qrels").glob("*.tsv*"))
    return sorted({name.removesuffix(".tsv") for name in names if name.endswith(".tsv")})


def has_labels(reference: str) -> bool:
    """Return whether the split that a reference means has judgements; no text is read.

    Raises:
        InputError: there is no such folder.
    """
    return _qrels_file(*parse_reference(reference)) is not None


def require_labels(collection: Collection | str) -> Qrels:
    """Return the judgements of a collection, or of what a reference means (then without reading any text).

    Raises:
        InputError: it has none, or the file is malformed.
    """
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
            raise bad_line(
                path, line, f"a query of {collection.name}", found, "drop its lines or add it to queries.jsonl"
            )
        for document_id in scores:
            if document_id not in documents:
                found = f"id {shown(document_id)} without a text"
                line = locate(path, query_id=query_id, document_id=document_id)
                cure = "drop its lines or add it to corpus.jsonl"
                raise bad_line(path, line, f"a document of {collection.name}", found, cure)


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


def _texts(path: Path, kind: str) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for number, line in read_rows(path):
        try:
            record = json.loads(line)
        except ValueError:
            raise bad_line(path, number, "a JSON object", shown(line), "repair or drop the line") from None
        name, text = _row(path, number, record, kind)
        if name in seen:
            found = f"id {shown(name)} a second time"
            raise bad_line(path, number, f"each {kind} once", found, "drop one of the two lines")
        seen.add(name)
        if "\\u" in line:
            _check_characters(path, number, text)
        yield name, text
    if not seen:
        raise bad_line(path, 1, f"a {kind} as JSON object a line", "an empty file", "check what wrote it")


def _row(path: Path, number: int, record: Any, kind: str) -> tuple[str, str]:
    if not isinstance(record, dict):
        raise bad_line(path, number, "a JSON object", shown(json.dumps(record)), "repair or drop the line")
    if isinstance(record.get("_id"), int) and not isinstance(record["_id"], bool):
        record["_id"] = str(record["_id"])
    name, text = _string(path, number, record, "_id"), _string(path, number, record, "text")
    if not name:
        raise bad_line(path, number, 'an "_id" of at least one character', "an empty one", "repair or drop the line")
    if kind == "document" and record.get("title") is not None:
        title = _string(path, number, record, "title")
        text = f"{title} {text}" if title else text
    return name, text


def _string(path: Path, number: int, record: dict[str, Any], key: str) -> str:
    value = record.get(key)
    if isinstance(value, str):
        return value
    found = shown(json.dumps(value)) if key in record else f"the keys {shown(', '.join(record))}"
    raise bad_line(path, number, f'a string "{key}"', found, "repair or drop the line")


def _check_characters(path: Path, number: int, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        found = f"half a surrogate pair ({text[error.start]!a})"
        raise bad_line(path, number, "Unicode text", found, "repair the escape sequence") from None
