"""A small word-piece vocabulary made of the demo's own words."""

from __future__ import annotations

import re
import string

from cedistill.demo.words import doing, read_sentences, read_words


def word_pieces() -> list[str]:
    """Return the pieces, sorted, without special tokens.

    Whole words, except that a task is its stem and an ending (``acquir`` with ``##e`` or ``##ing``), so that a model
    need not learn the two forms apart; and every letter and digit, so that no English text is unknown.
    """
    pieces = set(string.ascii_lowercase + string.digits + string.punctuation)
    pieces |= {f"##{letter}" for letter in string.ascii_lowercase + string.digits}
    tasks: set[str] = set()
    for concept in read_words().concepts:
        for name in concept.names:
            first, *rest = _words(name)
            pieces |= set(rest)
            if concept.kind == "task":
                tasks |= {first, doing(first)}
                pieces |= _stem_and_endings(first)
            else:
                pieces.add(first)
    for group in read_sentences().values():
        for sentences in group.values():
            for sentence in sentences:
                pieces |= set(_words(re.sub(r"\{\w+\}", " ", sentence))) - tasks
    return sorted(pieces | {"a", "an"})


def _stem_and_endings(verb: str) -> set[str]:
    form = doing(verb)
    stem = next(verb[:end] for end in range(len(verb), 0, -1) if form.startswith(verb[:end]))
    return {stem, *(f"##{one.removeprefix(stem)}" for one in (verb, form) if one != stem)}


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())
