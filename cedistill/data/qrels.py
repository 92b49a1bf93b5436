"""Relevance judgements: TREC qrels of four columns, BEIR qrels of three."""

from __future__ import annotations

from pathlib import Path

from cedistill.data.files import read_lines
from cedistill.errors import InputError, bad_line, shown

Qrels = dict[str, dict[str, int]]
"""Query id → document id → grade."""

_HEADER = ["query-id", "corpus-id", "score"]
_COLUMNS = "four columns (query iteration document grade) or three (query-id corpus-id score)"


def read_qrels(path: str | Path) -> Qrels:
    """Read judgements in TREC's or BEIR's layout, told apart by content; optionally gzip-compressed.

    Args:
        path: the file: four columns without a header, or three with or without ``query-id corpus-id score``.

    Returns:
        Query id → document id → grade, in the file's order. Grades may be negative.

    Raises:
        InputError: wrong or changing number of columns, a grade that is no whole number, two different grades of one
            document for one query, an empty or unreadable file.
    """
    qrels: Qrels = {}
    width = 0
    for number, line in read_lines(path):
        fields = line.split()
        if not fields:
            continue
        if not width:
            width = len(fields)
            if [field.lower() for field in fields] == _HEADER:
                continue
        if len(fields) != width or width not in (3, 4):
            expected = _COLUMNS if width not in (3, 4) else f"{width} columns as in the first line"
            raise bad_line(path, number, expected, f"{len(fields)}: {shown(line)}", "give qrels in one of the layouts")
        query_id, document_id, grade = fields[0], fields[-2], _grade(path, number, fields[-1])
        grades = qrels.setdefault(query_id, {})
        if grades.setdefault(document_id, grade) != grade:
            found = f"{grade} after {grades[document_id]} for document {shown(document_id)} of query {shown(query_id)}"
            raise bad_line(path, number, "one grade per query and document", found, "drop one of the two lines")
    if not qrels:
        raise bad_line(path, 1, _COLUMNS, "no judgement", "check what wrote the file")
    return qrels


def _grade(path: str | Path, number: int, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        error: InputError = bad_line(
            path, number, "a whole number as grade", shown(text), "round the grade, or give a qrels file"
        )
    raise error
