"""The word lists of the demo: concepts and their names, and the sentences that name them."""

from __future__ import annotations

import functools
import re
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Any

FACETS = ("task", "audience", "setting", "concern")

_PRONOUNCED_WITH_A_CONSONANT = {"ewe", "ewer", "uniform"}
_DOUBLED = {"label": "labelling"}


@dataclass(frozen=True)
class Concept:
    """One meaning and its names; ``kind`` is topic, task, audience, setting or concern."""

    kind: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Domain:
    """Topics of one sort, with the tasks and concerns that make sense for them."""

    name: str
    topics: tuple[Concept, ...]
    tasks: tuple[Concept, ...]
    concerns: tuple[Concept, ...]


@dataclass(frozen=True)
class Words:
    """All concepts. ``facets`` are those of every kind but topics, in the order of the word list."""

    domains: tuple[Domain, ...]
    facets: dict[str, tuple[Concept, ...]]

    @property
    def concepts(self) -> list[Concept]:
        """Every concept: the topics, then the facets."""
        topics = [topic for domain in self.domains for topic in domain.topics]
        return topics + [concept for kind in FACETS for concept in self.facets[kind]]


@functools.cache
def read_words() -> Words:
    """Return the concepts of ``words.toml``."""
    table = _read("words.toml")
    facets = {kind: tuple(_concept(kind, line) for line in table[f"{kind}s"]) for kind in FACETS}
    by_name = {kind: {concept.names[0]: concept for concept in facets[kind]} for kind in FACETS}
    domains = tuple(
        Domain(
            one["name"],
            tuple(_concept("topic", line) for line in one["topics"]),
            tuple(by_name["task"][name] for name in one["tasks"]),
            tuple(by_name["concern"][name] for name in one["concerns"]),
        )
        for one in table["domains"]
    )
    return Words(domains, facets)


@functools.cache
def read_sentences() -> dict[str, dict[str, list[str]]]:
    """Return the sentences of ``sentences.toml``: of documents and of queries, by what they name."""
    return _read("sentences.toml")


def doing(verb: str) -> str:
    """Return the -ing form of a verb; of ``give away``, ``giving away``."""
    first, _, rest = verb.partition(" ")
    if first in _DOUBLED:
        form = _DOUBLED[first]
    elif first.endswith("e"):
        form = first[:-1] + "ing"
    elif re.fullmatch(r"[^aeiou]*[aeiou][^aeiouwxy]", first):
        form = first + first[-1] + "ing"
    else:
        form = first + "ing"
    return f"{form} {rest}" if rest else form


def with_article(noun: str) -> str:
    """Return a noun behind ``a`` or ``an``."""
    vowel = noun[0] in "aeiou" and noun.split()[0] not in _PRONOUNCED_WITH_A_CONSONANT
    return f"an {noun}" if vowel else f"a {noun}"


def _concept(kind: str, line: str) -> Concept:
    return Concept(kind, tuple(line.split(", ")))


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads(resources.files(__package__).joinpath(name).read_text(encoding="utf-8"))
