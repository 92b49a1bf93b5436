"""The teachers of the demo. The truth is known, so their quality is set, not estimated.

Scores are integers, in thousandths of a logit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cedistill.demo.draws import Draws
from cedistill.demo.words import FACETS, Concept, Words
from cedistill.demo.world import Document, Query, facets_met

MEMBERS = 3
LLM_DEPTH = 50

Judge = Callable[[Query, Document], int]


def logit(on_topic: bool, facets: int) -> int:
    """Return the score without noise: −4 to −1 for another topic, 0 to 6 for the right one, by facets met."""
    return 2_000 * facets if on_topic else -4_000 + 1_000 * facets


def accurate(draws: Draws) -> Judge:
    """Return a teacher that sees every facet; its noise has a standard deviation of 0.3."""
    return _judge(lambda facet: False, 300, draws)


def member(number: int, words: Words, draws: Draws) -> Judge:
    """Return one of three teachers. Every third facet is weak for it: there it guesses.

    Its noise has a standard deviation of 0.8. A facet is weak for exactly one of the three, so that their mean is
    better than each of them.
    """
    weak = {facet for kind in FACETS for place, facet in enumerate(words.facets[kind]) if place % MEMBERS == number}
    return _judge(weak.__contains__, 800, draws)


def _judge(weak: Callable[[Concept], bool], deviation: int, draws: Draws) -> Judge:
    def score(query: Query, document: Document) -> int:
        seen = 0
        for kind, facet in query.facets.items():
            met = document.facets.get(kind) == facet
            seen += draws.chance(50) if weak(facet) else met
        return logit(document.topic == query.topic, seen) + draws.noise(deviation)

    return score


def listwise(query: Query, candidates: Sequence[Document], draws: Draws) -> list[str]:
    """Return the ids of the candidates as an LLM orders them that answers with a permutation of the first 50.

    It judges with noise of a standard deviation of 1. Then it slips: every entry of its answer is left out in 4 % of
    the cases, and followed in 3 % by an entry named elsewhere too. The answer is repaired, and candidates after the
    50th keep their order.
    """
    first = candidates[:LLM_DEPTH]
    scores = {one.id: logit(one.topic == query.topic, facets_met(query, one)) + draws.noise(1_000) for one in first}
    answer = sorted(scores, key=lambda one: (scores[one], one), reverse=True)
    return repaired(_with_slips(answer, draws), [one.id for one in candidates])


def repaired(answer: Sequence[str], candidates: Sequence[str]) -> list[str]:
    """Return a permutation of the candidates: of equal entries the first stays, missing ones follow in input order."""
    return list(dict.fromkeys([*answer, *candidates]))


def _with_slips(answer: Sequence[str], draws: Draws) -> list[str]:
    slipped: list[str] = []
    for document_id in answer:
        if not draws.chance(4):
            slipped.append(document_id)
        if draws.chance(3):
            slipped.append(draws.pick(answer))
    return slipped
