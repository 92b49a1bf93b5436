"""Listwise: windows of passages, ranked from the bottom of the candidates up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cedistill.teachers.llm.answers import parse_ranking
from cedistill.teachers.llm.prompts import Template, passage_text, ranking_messages
from cedistill.teachers.llm.questions import Ask, Faults, Question
from cedistill.teachers.llm.windows import windows

_TOKENS_OF_A_NUMBER = 5


@dataclass(frozen=True)
class Listwise:
    """How rankings are asked for: windows of ``size`` places, ``stride`` apart, in ``passes`` over the candidates."""

    template: Template
    parameters: Mapping[str, Any]
    size: int = 20
    stride: int = 10
    passes: int = 1
    words: int = 300


async def rank(
    how: Listwise,
    query: tuple[str, str],
    documents: Sequence[str],
    texts: Mapping[str, str],
    ask: Ask,
    faults: Faults,
) -> list[str]:
    """Return the documents of a query, best first: each window's places are filled in the order of its answer.

    Args:
        how: template, windows and parameters.
        query: its id and text.
        documents: ids in the order in which they are shown.
        texts: document id → text.
        ask: what answers a question.
        faults: where malformed answers are counted.
    """
    order = list(documents)
    for start, end in windows(len(order), how.size, how.stride) * how.passes:
        shown = order[start:end]
        passages = [passage_text(texts[document], how.words) for document in shown]
        messages = ranking_messages(how.template, query[1], passages)
        completion = await ask(Question(messages, how.parameters, _TOKENS_OF_A_NUMBER * len(shown), query[0]))
        ranking = parse_ranking(completion.text, len(shown))
        faults.note(ranking.faults)
        order[start:end] = [shown[place] for place in ranking.order]
    return order


def question_count(how: Listwise, documents: int) -> int:
    """Return how many questions a query of so many documents takes."""
    return len(windows(documents, how.size, how.stride)) * how.passes
