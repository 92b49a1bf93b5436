"""Four teachers of the demo that judge well in half of the domains and elsewhere follow a habit.

A habit is an error that repeats itself: a student can learn it, and averaging over queries does not remove it. Who is
right has to be told query by query. Scores are integers, in thousandths of a logit.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

from cedistill.demo.draws import Draws
from cedistill.demo.first_stage import Scores
from cedistill.demo.teachers import Judge, accurate, logit
from cedistill.demo.words import Concept, Words
from cedistill.demo.world import Document, Query, World

HABITS = ("word overlap", "long documents", "short documents", "mistaken facets")
"""What specialists 1 to 4 go by where they do not know."""

_NOISE = 300
_PAIRS = tuple(itertools.combinations(range(len(HABITS)), 2))


def knowing(words: Words) -> dict[Concept, tuple[int, int]]:
    """Return for each topic the numbers, from 0, of the two specialists that know its domain.

    The six pairs of specialists take the domains in turn, so that each knows half of them.
    """
    return {topic: _PAIRS[place % len(_PAIRS)] for place, domain in enumerate(words.domains) for topic in domain.topics}


def specialist(number: int, words: Words, habit: Judge, draws: Draws) -> Judge:
    """Return a teacher as good as the accurate one in the domains it knows, that elsewhere goes by its habit.

    Its noise has a standard deviation of 0.3 everywhere.
    """
    knows, known = knowing(words), accurate(draws)

    def score(query: Query, document: Document) -> int:
        if number in knows[query.topic]:
            return known(query, document)
        return habit(query, document) + draws.noise(_NOISE)

    return score


def habits(
    world: World, texts: Mapping[str, str], queries: Mapping[str, str], overlap: Callable[[str], Scores]
) -> tuple[Judge, ...]:
    """Return what the four go by where they do not know, in the order of ``HABITS``.

    The weight of the words that a query and a document share; the number of a document's words, and less that number;
    and the logit of one who sees the topic but takes every facet for the next of those that occur with the topic.

    Args:
        world: what documents and queries are about.
        texts: document id -> text.
        queries: query id -> text.
        overlap: gives the weight of shared words by document id, none where it is 0, for the text of a query.
    """
    words = {document_id: len(text.split()) for document_id, text in texts.items()}

    def mistaken(query: Query, document: Document) -> int:
        taken = {kind: _next(world.pools[query.topic][kind], facet) for kind, facet in query.facets.items()}
        met = sum(document.facets.get(kind) == facet for kind, facet in taken.items())
        return logit(document.topic == query.topic, met)

    return (
        lambda query, document: 1_000 * overlap(queries[query.id]).get(document.id, 0),
        lambda query, document: 1_000 * words[document.id],
        lambda query, document: -1_000 * words[document.id],
        mistaken,
    )


def _next(pool: tuple[Concept, ...], facet: Concept) -> Concept:
    return pool[(pool.index(facet) + 1) % len(pool)]
