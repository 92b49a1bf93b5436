"""Pairwise: every two passages against each other, in both orders."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

from cedistill.teachers.llm.answers import parse_preference
from cedistill.teachers.llm.prompts import Template, passage_text, preference_messages
from cedistill.teachers.llm.questions import Ask, Faults, Question


@dataclass(frozen=True)
class Pairwise:
    """How preferences are asked for."""

    template: Template
    parameters: Mapping[str, Any]
    words: int = 300


async def score(
    how: Pairwise,
    query: tuple[str, str],
    documents: Sequence[str],
    texts: Mapping[str, str],
    ask: Ask,
    faults: Faults,
) -> dict[str, float]:
    """Return the wins of each document of a query over the others, ties half.

    Each pair is asked in both orders: who is preferred in both has won; a model that changes its mind, or whose answer
    is unclear, has given half a win to each in that order.

    Args:
        how: template and parameters.
        query: its id and text.
        documents: ids; n of them take n·(n-1) questions.
        texts: document id → text.
        ask: what answers a question.
        faults: where malformed answers are counted.

    Returns:
        Document id → wins, 0 to n-1.
    """
    passages = {document: passage_text(texts[document], how.words) for document in documents}
    pairs = list(permutations(documents, 2))
    answers = await asyncio.gather(*(ask(_question(how, query, passages[a], passages[b])) for a, b in pairs))
    wins = dict.fromkeys(documents, 0.0)
    for (a, b), answer in zip(pairs, answers, strict=True):
        preferred, wrong = parse_preference(answer.text)
        faults.note(wrong)
        for document, letter in ((a, "A"), (b, "B")):
            wins[document] += 0.25 if preferred is None else 0.5 * (preferred == letter)
    return wins


def _question(how: Pairwise, query: tuple[str, str], a: str, b: str) -> Question:
    return Question(preference_messages(how.template, query[1], a, b), how.parameters, 2, query[0])
