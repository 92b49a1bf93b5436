"""Candidates of the demo: weighted word overlap in whole numbers, so that no rounding differs between machines."""

from __future__ import annotations

import re
from collections.abc import Mapping

from cedistill.demo.draws import Draws
from cedistill.demo.world import Query, World

Scores = dict[str, int]

_SUFFIXES = ("ing", "es", "e", "s")


class WordOverlap:
    """An inverted index; a document scores the sum of the weights of the query's words it has.

    A word's weight is the integer part of log₂(documents / documents with the word); words of weight 2 or less, which
    more than an eighth of the documents have, count nothing.
    """

    def __init__(self, documents: Mapping[str, str]) -> None:
        self._postings: dict[str, list[str]] = {}
        for document_id, text in documents.items():
            for word in _words(text):
                self._postings.setdefault(word, []).append(document_id)
        self._count = len(documents)

    def top(self, query: str, depth: int) -> Scores:
        """Return at most ``depth`` documents, best first; of equal scores the later id comes first, as in trec_eval."""
        return dict(sorted(self.scores(query).items(), key=lambda one: (one[1], one[0]), reverse=True)[:depth])

    def scores(self, query: str) -> Scores:
        """Return the score of every document that shares a word of some weight with the query."""
        scores: Scores = {}
        for word in _words(query):
            found = self._postings.get(word, [])
            weight = (self._count // len(found)).bit_length() - 1 if found else 0
            if weight > 2:
                for document_id in found:
                    scores[document_id] = scores.get(document_id, 0) + weight
        return scores


def training_candidates(query: Query, text: str, index: WordOverlap, world: World, draws: Draws) -> Scores:
    """Return 50 documents of a training query: 28 by word overlap, up to 20 more on its topic, the rest drawn from all.

    A document that word overlap did not find has a score below all that it found.
    """
    chosen = index.top(text, 28)
    floor = min(chosen.values(), default=1)
    on_topic = [document.id for document in world.of_topic[query.topic] if document.id not in chosen]
    for document_id in draws.some(on_topic, 20):
        chosen[document_id] = floor - 1
    while len(chosen) < 50:
        chosen.setdefault(draws.pick(world.documents).id, floor - 2)
    return chosen


def _words(text: str) -> list[str]:
    # A list without repetitions, not a set: its order must not depend on the hash seed.
    return list(dict.fromkeys(_stem(word) for word in re.findall(r"[a-z]+", text.lower())))


def _stem(word: str) -> str:
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) > len(suffix) + 2:
            return word.removesuffix(suffix)
    return word
