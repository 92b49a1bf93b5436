"""The demo without its texts: what every document is about, what every query asks for, and how well they fit."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from cedistill.demo.draws import Draws
from cedistill.demo.words import FACETS, Concept, Domain, Words

DOCUMENTS = 4_000
QUERIES = {"train": 3_000, "dev": 100, "test": 200, "unlabelled": 400}
_FACETS_PER_TOPIC = 3


@dataclass(frozen=True)
class Document:
    """A document's topic and facets (kind -> concept; the task always, two or three of the other kinds)."""

    id: str
    domain: Domain
    topic: Concept
    facets: Mapping[str, Concept]


@dataclass(frozen=True)
class Query:
    """A query's topic and the three facets it asks for, and the split it belongs to."""

    id: str
    split: str
    topic: Concept
    facets: Mapping[str, Concept]


@dataclass(frozen=True)
class World:
    """All documents and queries; ``pools`` are the facets that occur with a topic."""

    documents: tuple[Document, ...]
    queries: tuple[Query, ...]
    pools: Mapping[Concept, Mapping[str, tuple[Concept, ...]]]

    @cached_property
    def of_topic(self) -> dict[Concept, list[Document]]:
        """The documents of each topic."""
        grouped: dict[Concept, list[Document]] = {}
        for document in self.documents:
            grouped.setdefault(document.topic, []).append(document)
        return grouped

    def split(self, name: str) -> list[Query]:
        """Return the queries of a split."""
        return [query for query in self.queries if query.split == name]


def facets_met(query: Query, document: Document) -> int:
    """Return how many of the query's facets the document has, whatever its topic."""
    return sum(document.facets.get(kind) == facet for kind, facet in query.facets.items())


def grade(query: Query, document: Document) -> int:
    """Return the relevance, 0 to 3: the number of facets met; 0 for a document about another topic."""
    return facets_met(query, document) if document.topic == query.topic else 0


def make_world(words: Words, draws: Draws) -> World:
    """Draw the documents, then the queries.

    Every query has at least one document of grade 3, and no two queries, of whichever splits, ask for the same three
    facets of the same topic: a test query combines known concepts in a new way.
    """
    topics = [(domain, topic) for domain in words.domains for topic in domain.topics]
    pools = {topic: _pool(words, domain, draws) for domain, topic in topics}
    documents = tuple(
        Document(f"d{number:04d}", domain, topic, _facets(pools[topic], draws))
        for number, (domain, topic) in enumerate(draws.shuffled([topics[i % len(topics)] for i in range(DOCUMENTS)]))
    )
    return World(documents, _queries(documents, draws), pools)


def _pool(words: Words, domain: Domain, draws: Draws) -> dict[str, tuple[Concept, ...]]:
    offered = {**words.facets, "task": domain.tasks, "concern": domain.concerns}
    return {kind: tuple(draws.some(offered[kind], _FACETS_PER_TOPIC)) for kind in FACETS}


def _facets(pool: Mapping[str, tuple[Concept, ...]], draws: Draws) -> dict[str, Concept]:
    others = draws.some(FACETS[1:], 2 + draws.below(2))
    return {kind: draws.pick(pool[kind]) for kind in FACETS if kind == "task" or kind in others}


def _queries(documents: tuple[Document, ...], draws: Draws) -> tuple[Query, ...]:
    wanted = dict.fromkeys(
        (document.topic, chosen)
        for document in documents
        for chosen in itertools.combinations(document.facets.items(), 3)
    )
    splits = [split for split, count in QUERIES.items() for _ in range(count)]
    return tuple(
        Query(f"q{number:04d}", split, topic, dict(facets))
        for number, (split, (topic, facets)) in enumerate(zip(splits, draws.shuffled(list(wanted)), strict=False))
    )
