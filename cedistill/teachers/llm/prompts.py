"""Prompt templates: TOML files with the messages of a conversation, filled in with a query and passages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from cedistill.config.toml import Strict, read_toml, validated
from cedistill.errors import InputError, unknown

Messages = list[dict[str, str]]
"""A conversation: ``role`` and ``content`` of each message."""

RANKING, YES_NO, GRADE, PREFERENCE = "ranking", "yes-no", "grade", "preference"

_FOLDER = Path(__file__).resolve().parent / "templates"
_NAMES: Mapping[str, frozenset[str]] = {
    RANKING: frozenset({"query", "count", "passages"}),
    YES_NO: frozenset({"query", "passage"}),
    GRADE: frozenset({"query", "passage"}),
    PREFERENCE: frozenset({"query", "a", "b"}),
}
_OF_A_PASSAGE = frozenset({"number", "passage"})
_PLACE = re.compile(r"\{([a-z]+)\}")
_BRACKETED_NUMBER = re.compile(r"\[([0-9]+)\]")


class Message(Strict):
    """One message of a conversation. ``each`` repeats it for every passage, with {number} and {passage}."""

    role: Literal["system", "user", "assistant"]
    text: str = Field(min_length=1)
    each: bool = False


class Template(Strict):
    """What is asked, and what the answer is: a ``ranking``, a ``yes-no``, a ``grade`` or a ``preference``.

    ``passage`` is how one passage of {passages} is written; passages stand one below the other.
    """

    title: str
    answer: Literal["ranking", "yes-no", "grade", "preference"]
    passage: str = "[{number}] {passage}"
    messages: tuple[Message, ...] = Field(min_length=1)


def load_template(answer: str, path: str | Path | None = None) -> Template:
    """Return the user's template or, without one, the shipped template for that kind of answer.

    Raises:
        InputError: no such file, a malformed one, one for another kind of answer, an unknown or absent {placeholder}.
    """
    file = Path(path) if path is not None else _FOLDER / f"{answer}.toml"
    table = read_toml(file)
    template = validated(Template, table, str(file), file.read_text(encoding="utf-8"))
    if template.answer != answer:
        raise InputError(
            f"{file}: expected a template whose answer is a {answer}, found a {template.answer}; "
            "give another file or another --method"
        )
    _check_places(template, str(file))
    return template


def passage_text(text: str, words: int) -> str:
    """Return the first ``words`` words of a text, one space between two, with "[7]" as "(7)".

    A number in brackets would look like a passage's own number.
    """
    return _BRACKETED_NUMBER.sub(r"(\1)", " ".join(text.split()[:words]))


def ranking_messages(template: Template, query: str, passages: Sequence[str]) -> Messages:
    """Return the conversation that asks for a ranking of ``passages``, numbered from 1."""
    numbered = [{"number": str(number), "passage": text} for number, text in enumerate(passages, 1)]
    whole = "\n".join(_filled(template.passage, one) for one in numbered)
    values = {"query": query, "count": str(len(passages)), "passages": whole}
    return _messages(template, values, numbered)


def passage_messages(template: Template, query: str, passage: str) -> Messages:
    """Return the conversation that asks about one passage."""
    return _messages(template, {"query": query, "passage": passage})


def preference_messages(template: Template, query: str, a: str, b: str) -> Messages:
    """Return the conversation that asks which of two passages, A or B, is better."""
    return _messages(template, {"query": query, "a": a, "b": b})


def _messages(template: Template, values: Mapping[str, str], passages: Iterable[Mapping[str, str]] = ()) -> Messages:
    asked: Messages = []
    passages = list(passages)
    for message in template.messages:
        for one in passages if message.each else [{}]:
            asked.append({"role": message.role, "content": _filled(message.text, {**values, **one})})
    return asked


def _filled(text: str, values: Mapping[str, str]) -> str:
    # In one go: what looks like a placeholder inside a passage stays as it is.
    return _PLACE.sub(lambda match: values.get(match[1], match[0]), text)


def _check_places(template: Template, origin: str) -> None:
    known, used = _NAMES[template.answer], set()
    if template.answer != RANKING and any(message.each for message in template.messages):
        raise InputError(f"{origin}: expected `each` in a template for rankings only, found it here; drop it")
    for text, each in [(template.passage, True), *((one.text, one.each) for one in template.messages)]:
        allowed = known | _OF_A_PASSAGE if each else known
        for name in _PLACE.findall(text):
            if name not in allowed:
                raise InputError(f"{origin}: {unknown('placeholder', name, sorted(allowed))}")
            used.add(name)
    shows = any(message.each and "{passage}" in message.text for message in template.messages)
    needed = known - {"count"} - ({"passages"} if shows else set())
    for name in sorted(needed):
        if not any(f"{{{name}}}" in message.text for message in template.messages):
            raise InputError(
                f"{origin}: expected {{{name}}} in the messages, found it nowhere; put it where it belongs"
            )
