"""Pointwise: each passage by itself, by the odds of "Yes" or by a grade from 0 to 3."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cedistill.teachers.llm.answers import UNCLEAR, parse_grade, yes_log_odds
from cedistill.teachers.llm.prompts import YES_NO, Template, passage_messages, passage_text
from cedistill.teachers.llm.questions import Ask, Completion, Faults, Question


@dataclass(frozen=True)
class Pointwise:
    """How passages are asked about; the template says whether for yes or no or for a grade."""

    template: Template
    parameters: Mapping[str, Any]
    words: int = 300


def question(how: Pointwise, query: tuple[str, str], text: str) -> Question:
    """Return the question about one passage."""
    messages = passage_messages(how.template, query[1], passage_text(text, how.words))
    return Question(messages, how.parameters, 2, query[0])


async def score(
    how: Pointwise,
    query: tuple[str, str],
    documents: Sequence[str],
    texts: Mapping[str, str],
    ask: Ask,
    faults: Faults,
) -> dict[str, float]:
    """Return a score for each document of a query whose answer is clear; the others are left out and counted.

    Args:
        how: template and parameters.
        query: its id and text.
        documents: ids.
        texts: document id → text.
        ask: what answers a question.
        faults: where malformed answers are counted.

    Returns:
        Document id → ln p(yes) - ln p(no), or grade, 0 to 3.
    """
    answers = await asyncio.gather(*(ask(question(how, query, texts[document])) for document in documents))
    scores: dict[str, float] = {}
    for document, answer in zip(documents, answers, strict=True):
        value, wrong = _read(how.template.answer, answer)
        faults.note(wrong)
        if value is not None:
            scores[document] = value
    return scores


def _read(kind: str, answer: Completion) -> tuple[float | None, Sequence[str]]:
    if kind != YES_NO:
        return parse_grade(answer.text)
    odds = yes_log_odds(answer.tokens or [])
    return odds, () if odds is not None else (UNCLEAR,)
