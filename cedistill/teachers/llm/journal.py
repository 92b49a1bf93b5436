"""The journal: every answer, appended as it arrives, so that no question is paid for twice."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from cedistill.errors import InputError, bad_line
from cedistill.teachers.llm.questions import Completion, Question

_FORM = "an answer of a journal (a JSON object with key, answer, usage)"


class Journal:
    """Answers by the identity of their question, and the open file that takes new ones."""

    def __init__(self, answers: dict[str, Completion], file: BinaryIO | None = None) -> None:
        """Take what was answered; without a file new answers are kept in memory alone."""
        self.answers = answers
        self._file = file

    def add(self, key: str, model: str, question: Question, completion: Completion) -> None:
        """Append one answer, whole, and hand it to the operating system before anything else happens."""
        self.answers[key] = completion
        if self._file is not None:
            line = json.dumps(_entry(key, model, question, completion), ensure_ascii=False)
            self._file.write(line.encode("utf-8", "backslashreplace") + b"\n")  # half an emoji stays JSON
            self._file.flush()


@contextlib.contextmanager
def open_journal(path: str | Path) -> Iterator[Journal]:
    """Open a journal to read and go on with; it is made when the first answer comes.

    A last line that was cut off by the end of a process is dropped. One process at a time may hold a journal.

    Raises:
        InputError: another process holds it, it cannot be written, or a line is damaged.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab+")
    except OSError as error:
        raise InputError(f"{path}: expected a journal that can be written, found: {error.strerror}; check it") from None
    with file:
        _lock(file, path)
        try:
            file.seek(0)
            content = file.read()
            whole = content.rfind(b"\n") + 1
            answers = _read(content[:whole], path)
            file.truncate(whole)
            yield Journal(answers, file)
        finally:
            file.flush()
            if file.seek(0, os.SEEK_END) == 0:
                path.unlink(missing_ok=True)


def read_journal(path: str | Path) -> Journal:
    """Read a journal without touching it; a missing one is empty, a cut off last line is left out.

    Raises:
        InputError: it cannot be read, or a line is damaged.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        content = b""
    except OSError as error:
        raise InputError(f"{path}: expected a journal, found: {error.strerror}; check the path") from None
    return Journal(_read(content[: content.rfind(b"\n") + 1], path))


def _entry(key: str, model: str, question: Question, completion: Completion) -> Mapping[str, Any]:
    return {
        "key": key,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "query": question.query_id,
        "model": model,
        "messages": question.messages,
        "parameters": dict(question.parameters),
        "answer": completion.text,
        "tokens": completion.tokens,
        "usage": {"prompt_tokens": completion.prompt_tokens, "completion_tokens": completion.completion_tokens},
    }


def _read(content: bytes, path: Path) -> dict[str, Completion]:
    answers: dict[str, Completion] = {}
    for number, line in enumerate(content.splitlines(), 1):
        try:
            entry = json.loads(line)
            usage = entry["usage"]
            answers[str(entry["key"])] = Completion(
                str(entry["answer"]), entry["tokens"], int(usage["prompt_tokens"]), int(usage["completion_tokens"])
            )
        except (ValueError, KeyError, TypeError):
            raise bad_line(path, number, _FORM, "something else", "drop the line; it is asked again") from None
    return answers


def _lock(file: BinaryIO, path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # not on Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(
            f"{path}: expected a journal that no other process writes, found one that does; wait for it to end"
        ) from None
