"""The texts of the demo: sentences of documents and wordings of queries, each naming concepts by one of their names."""

from __future__ import annotations

from collections.abc import Mapping

from cedistill.demo.draws import Draws
from cedistill.demo.words import FACETS, Concept, doing, read_sentences, with_article
from cedistill.demo.world import Document, Query, World

_MOST_SENTENCES = 5


def document_texts(document: Document, world: World, draws: Draws) -> tuple[str, str]:
    """Return title and text of a document; one title in ten is empty."""
    sentences = read_sentences()["documents"]
    about = {"topic": document.topic, **document.facets}
    titles = [title for title in sentences["title"] if _named(title) <= about.keys()]
    title = "" if draws.chance(10) else _filled(draws.pick(titles), about, draws)
    body = [_filled(draws.pick(sentences[key]), about, draws) for key in _facet_sentences(document, draws)]
    if draws.chance(45):
        body.append(_filled(draws.pick(sentences["not_about"]), _other(document, world, draws), draws))
    for key, percent in (("topic", 50), ("filler", 25)):
        if draws.chance(percent):
            body.append(_filled(draws.pick(sentences[key]), about, draws))
    opening = _filled(draws.pick(sentences["opening"]), about, draws)
    return _capital(title), " ".join(map(_capital, [opening, *draws.shuffled(body[: _MOST_SENTENCES - 1])]))


def query_text(query: Query, draws: Draws) -> str:
    """Return the wording of a query."""
    wordings = read_sentences()["queries"]["_".join(kind for kind in FACETS if kind in query.facets)]
    return _filled(draws.pick(wordings), {"topic": query.topic, **query.facets}, draws)


def _facet_sentences(document: Document, draws: Draws) -> list[str]:
    kinds = [kind for kind in FACETS[1:] if kind in document.facets]
    if draws.chance(50):
        alone = draws.below(len(kinds)) if len(kinds) == 3 else len(kinds)
        together = [kind for place, kind in enumerate(kinds) if place != alone]
        return ["_".join(together), *kinds[alone : alone + 1]]
    return kinds


def _other(document: Document, world: World, draws: Draws) -> dict[str, Concept]:
    """Return concepts that the document does not have: what it says it is not about."""
    facets = {
        kind: draws.pick([facet for facet in pool if facet != document.facets.get(kind)])
        for kind, pool in world.pools[document.topic].items()
    }
    return {"topic": draws.pick([topic for topic in document.domain.topics if topic != document.topic]), **facets}


_SLOTS = {
    "{doing}": "task",
    "{do}": "task",
    "{a_thing}": "topic",
    "{thing}": "topic",
    "{people}": "audience",
    "{when}": "setting",
    "{point}": "concern",
}


def _named(sentence: str) -> set[str]:
    return {kind for slot, kind in _SLOTS.items() if slot in sentence}


def _filled(sentence: str, about: Mapping[str, Concept], draws: Draws) -> str:
    for slot, kind in _SLOTS.items():
        if slot in sentence:
            name = draws.pick(about[kind].names)
            sentence = sentence.replace(slot, {"{doing}": doing, "{a_thing}": with_article}.get(slot, str)(name))
    return sentence


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
