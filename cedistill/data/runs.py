"""Runs in TREC format: six columns, and trec_eval's order of a query's documents."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from cedistill.data.files import read_lines, writing
from cedistill.errors import InputError, bad_line, shown

Run = dict[str, dict[str, float]]
"""Query id → document id → score."""

LARGEST_SCORE = math.nextafter(2.0**128 - 2.0**103, 0.0)
"""The largest number that is finite as float32."""

_COLUMNS = "six columns (query Q0 document rank score tag)"


def read_run(path: str | Path) -> Run:
    """Read a TREC run of six columns, separated by spaces or tabs, optionally gzip-compressed.

    The rank column is not read: a run's order is that of its scores (:func:`ranked`).

    Args:
        path: the file.

    Returns:
        Query id → document id → score, in the file's order.

    Raises:
        InputError: wrong number of columns, a score that is no finite float32 number, a document twice for one query,
            an empty or unreadable file.
    """
    run: Run = {}
    scores: dict[str, float] = {}
    current = None
    for number, line in read_lines(path):
        fields = line.split()
        if len(fields) != 6:
            if not fields:
                continue
            found = f"{len(fields)}: {shown(line)}"
            raise bad_line(path, number, _COLUMNS, found, "give a run in TREC format")
        query_id, _, document_id, _, text, _ = fields
        try:
            score = float(text)
        except ValueError:
            raise bad_line(path, number, "a number as score", shown(text), "give a run in TREC format") from None
        if not -LARGEST_SCORE <= score <= LARGEST_SCORE:
            raise bad_line(path, number, "a finite score", shown(text), "repair or drop the line")
        if query_id != current:
            scores = run.setdefault(query_id, {})
            current = query_id
        if document_id in scores:
            found = f"document {shown(document_id)} of query {shown(query_id)} a second time"
            raise bad_line(path, number, "each document once per query", found, "drop one of the two lines")
        scores[document_id] = score
    if not run:
        raise bad_line(path, 1, _COLUMNS, "an empty file", "check what wrote it")
    return run


def write_run(path: str | Path, run: Mapping[str, Mapping[str, float]], tag: str) -> None:
    """Write a run in TREC format, whole or not at all; a name that ends in ``.gz`` is compressed.

    Documents stand in the order of :func:`ranked`, ranks count from 1, and scores have the fewest digits that give
    the same float32 when read again.

    Args:
        path: the file to write.
        run: query id → document id → score; queries are written in its order, those without documents not at all.
        tag: the last column.

    Raises:
        InputError: an id or the tag is empty or holds white space, or a score is not finite as float32.
    """
    if len(tag.split()) != 1:
        raise InputError(f"expected a run tag without white space, found {shown(tag)}; choose another")
    with writing(path) as stream:
        for query_id, scores in run.items():
            if not all(-LARGEST_SCORE <= score <= LARGEST_SCORE for score in scores.values()):
                raise InputError(f"{path}: expected finite scores to write, found others for query {shown(query_id)}")
            order = ranked(scores)
            _check_ids(path, [query_id, *order])
            values = np.array([scores[document_id] for document_id in order], dtype=np.float32)
            stream.writelines(
                f"{query_id} Q0 {document_id} {rank} {value!s} {tag}\n"
                for rank, (document_id, value) in enumerate(zip(order, values, strict=True), 1)
            )


def ranked(scores: Mapping[str, float]) -> list[str]:
    """Return a query's document ids in trec_eval's order: score as float32 descending, then id descending.

    Args:
        scores: document id → score.

    Returns:
        The ids, best first.
    """
    values = np.fromiter(scores.values(), dtype=np.float64, count=len(scores)).astype(np.float32).tolist()
    # Code points sort as UTF-8 bytes do, so this is strcmp's order.
    return [document_id for _, document_id in sorted(zip(values, scores, strict=True), reverse=True)]


def top(run: Mapping[str, Mapping[str, float]], depth: int) -> Run:
    """Return the first ``depth`` documents of every query, in the order of :func:`ranked`."""
    return {query_id: {d: scores[d] for d in ranked(scores)[:depth]} for query_id, scores in run.items()}


def locate(path: str | Path, query_id: str | None = None, document_id: str | None = None) -> int:
    """Return the number of the first line of a run or qrels file that names a query, a document or both.

    Args:
        path: a run or qrels file.
        query_id: the query, or None for any.
        document_id: the document, or None for any.

    Returns:
        The line's number, counted from 1; 1 if there is none.
    """
    for number, line in read_lines(path):
        fields = line.split()
        document = fields[1] if len(fields) == 3 else fields[2] if len(fields) > 3 else None
        if document is None or (query_id is not None and fields[0] != query_id):
            continue
        if document_id is None or document == document_id:
            return number
    return 1


def _check_ids(path: str | Path, ids: Iterable[str]) -> None:
    ids = list(ids)
    if len(" ".join(ids).split()) != len(ids) or "" in ids:
        wrong = next((i for i in ids if len(i.split()) != 1), "")
        raise InputError(f"{path}: expected ids without white space, found {shown(wrong)}; a run cannot hold it")
