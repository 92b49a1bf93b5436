"""The two text files of BEIR's layout: a JSON object a line, with ``_id``, ``text`` and perhaps ``title``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cedistill.data.files import read_rows
from cedistill.errors import bad_line, shown


def beir_texts(path: Path, kind: str) -> Iterator[tuple[str, str]]:
    """Yield ids and texts of a file in BEIR layout, ``kind`` being ``document`` (then with titles) or ``query``.

    Raises:
        InputError: a line that is no such record, an id twice, an empty file.
    """
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
