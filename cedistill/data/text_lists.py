"""Training lists that carry their texts: one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cedistill.data.files import read_rows
from cedistill.data.runs import LARGEST_SCORE
from cedistill.errors import bad_line, shown

_LAYOUT = '{"query", "docs", "labels"?, "scores"?} or {"query", "pos", "neg", "pos_scores"?, "neg_scores"?}'


@dataclass(frozen=True, slots=True)
class TextList:
    """A query and N documents; labels and every teacher's scores have N numbers.

    ``weight`` is how much the list counts (of an objective of several teachers, how much these do).
    """

    query: str
    documents: list[str]
    labels: list[float] | None = None
    scores: dict[str, list[float]] = field(default_factory=dict)
    weight: float = 1.0


def read_text_lists(path: str | Path) -> Iterator[TextList]:
    """Yield the lists of a JSONL file, in either layout.

    ``{"query": str, "docs": [str], "labels": [float]?, "scores": {teacher: [float]}?, "weight": float?}``, or
    ``{"query": str, "pos": str or [str], "neg": str or [str], "pos_scores": …?, "neg_scores": …?}``, whose positives
    come first with label 1, whose negatives follow with label 0, and whose scores are those of one teacher named
    ``scores``. Other keys are not read.

    Args:
        path: the file, optionally gzip-compressed.

    Yields:
        One list a line, in the file's order.

    Raises:
        InputError: malformed JSON, wrong types, blank texts, no document, numbers that are not finite or not one per
            document, an empty or unreadable file.
    """
    empty = True
    for number, line in read_rows(path):
        empty = False
        try:
            yield _parsed(line)
        except _WrongError as error:
            raise bad_line(path, number, error.expected, error.found, error.cure) from None
    if empty:
        raise bad_line(path, 1, f"a JSON object a line: {_LAYOUT}", "an empty file", "check what wrote it")


class _WrongError(Exception):
    def __init__(self, expected: str, found: str, cure: str = "repair or drop the line") -> None:
        super().__init__(expected)
        self.expected, self.found, self.cure = expected, found, cure


def _parsed(line: str) -> TextList:
    try:
        record = json.loads(line)
    except ValueError:
        raise _WrongError("a JSON object", shown(line)) from None
    if not isinstance(record, dict):
        raise _WrongError("a JSON object", shown(line))
    if "docs" in record:
        return _from_documents(record)
    if "pos" in record:
        return _from_positives(record)
    raise _WrongError(_LAYOUT, f"the keys {shown(', '.join(record))}")


def _from_documents(record: dict[str, Any]) -> TextList:
    documents = _texts(record, "docs")
    if not documents:
        raise _WrongError('at least one document in "docs"', "none")
    labels = None if record.get("labels") is None else _numbers("labels", record["labels"], len(documents))
    teachers = {} if record.get("scores") is None else record["scores"]
    if not isinstance(teachers, dict):
        raise _WrongError('"scores" as an object {teacher: [number, …]}', shown(json.dumps(teachers)))
    scores = {teacher: _numbers(f"scores.{teacher}", given, len(documents)) for teacher, given in teachers.items()}
    weight = 1.0 if record.get("weight") is None else _weight(record["weight"])
    return TextList(_query(record), documents, labels, scores, weight)


def _from_positives(record: dict[str, Any]) -> TextList:
    positives, negatives = _texts(record, "pos"), _texts(record, "neg") if "neg" in record else []
    if not positives:
        raise _WrongError('at least one document in "pos"', "none")
    labels = [1.0] * len(positives) + [0.0] * len(negatives)
    given = [record.get("pos_scores"), record.get("neg_scores")]
    scores = {}
    if given != [None, None]:
        numbers = _numbers("pos_scores", given[0], len(positives))
        if negatives or given[1] is not None:
            numbers += _numbers("neg_scores", given[1], len(negatives))
        scores["scores"] = numbers
    return TextList(_query(record), positives + negatives, labels, scores)


def _weight(given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= LARGEST_SCORE:
        raise _WrongError('a number of at least 0 as "weight"', shown(json.dumps(given)))
    return float(given)


def _query(record: dict[str, Any]) -> str:
    query = record.get("query")
    if not isinstance(query, str) or not query.strip():
        raise _WrongError('a text as "query"', shown(json.dumps(query)) if "query" in record else "no such key")
    return query


def _texts(record: dict[str, Any], key: str) -> list[str]:
    texts = [record[key]] if isinstance(record[key], str) and key != "docs" else record[key]
    if not isinstance(texts, list):
        raise _WrongError(f'a list of texts as "{key}"', shown(json.dumps(texts)))
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise _WrongError(f'texts in "{key}"', shown(json.dumps(text)))
    return texts


def _numbers(key: str, given: Any, count: int) -> list[float]:
    numbers = [given] if isinstance(given, int | float) and key.endswith("_scores") else given
    if not isinstance(numbers, list):
        raise _WrongError(f'a list of {count} numbers as "{key}"', shown(json.dumps(numbers)))
    if len(numbers) != count:
        raise _WrongError(f'as many numbers in "{key}" as documents ({count})', str(len(numbers)))
    for number in numbers:
        if not isinstance(number, int | float) or isinstance(number, bool):
            raise _WrongError(f'numbers in "{key}"', shown(json.dumps(number)))
        if not -LARGEST_SCORE <= number <= LARGEST_SCORE:
            raise _WrongError(f'finite numbers in "{key}"', shown(str(number)))
    return [float(number) for number in numbers]
