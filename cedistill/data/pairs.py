"""Pairs and triples of ids, with or without a teacher's scores, as MS MARCO's training files have them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cedistill.data.files import read_rows
from cedistill.data.runs import LARGEST_SCORE
from cedistill.errors import bad_line, shown

_COLUMNS = (
    "two columns (query positive), three (query positive negative) "
    "or five (positive-score negative-score query positive negative)"
)


class Pair(NamedTuple):
    """A query, a relevant document and, where the file has them, a negative one and a teacher's scores of both."""

    query_id: str
    positive_id: str
    negative_id: str | None = None
    positive_score: float | None = None
    negative_score: float | None = None


def read_pairs(path: str | Path) -> Iterator[Pair]:
    """Yield the pairs of a file without a header, its layout told by the number of columns of its first line.

    The five columns are those of the teacher files of Hofstätter et al. 2020 (arXiv 2010.02666): ``pos_score
    neg_score query_id pos_id neg_id``.

    Args:
        path: two, three or five columns, separated by tabs or spaces, optionally gzip-compressed.

    Yields:
        One pair a line, in the file's order.

    Raises:
        InputError: wrong or changing number of columns, a score that is not finite, an empty or unreadable file.
    """
    width = 0
    for number, line in read_rows(path):
        fields = line.split()
        if len(fields) != width:
            if width or len(fields) not in (2, 3, 5):
                expected = f"{width} columns as in the first line" if width else _COLUMNS
                raise bad_line(path, number, expected, f"{len(fields)}: {shown(line)}", "repair or drop the line")
            width = len(fields)
            if fields[0] == "query-id":
                cure = "give qrels as the labels of a data set; pairs have no header"
                raise bad_line(path, number, _COLUMNS, f"the header {shown(line)}", cure)
        if width == 5:
            positive, negative = (_score(path, number, text) for text in fields[:2])
            yield Pair(fields[2], fields[3], fields[4], positive, negative)
        else:
            yield Pair(fields[0], fields[1], fields[2] if width == 3 else None)
    if not width:
        raise bad_line(path, 1, _COLUMNS, "an empty file", "check what wrote it")


def _score(path: str | Path, number: int, text: str) -> float:
    try:
        score = float(text)
    except ValueError:
        raise bad_line(path, number, "a number as score", shown(text), "five-column files start with scores") from None
    if not -LARGEST_SCORE <= score <= LARGEST_SCORE:
        raise bad_line(path, number, "a finite score", shown(text), "repair or drop the line")
    return score
