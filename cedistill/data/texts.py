"""A compact table of texts by id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import pyarrow as pa

_BLOCK = 1 << 16


def look_up(texts: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Return the texts of those ``names`` that have one; texts that lie on disk are read in one go."""
    batched = getattr(texts, "look_up", None)
    return batched(names) if batched else {name: texts[name] for name in names if name in texts}


def absent(texts: Mapping[str, str], names: Iterable[str]) -> list[str]:
    """Return those of ``names`` that have no text, in their order."""
    batched = getattr(texts, "absent", None)
    return batched(names) if batched else [name for name in names if name not in texts]


class Texts(Mapping[str, str]):
    """A read-only mapping from ids to texts, in the order given.

    Texts lie in arrow blocks outside the Python heap: they take their UTF-8 size, and a forked process shares them.
    """

    def __init__(self, rows: Iterable[tuple[str, str]]) -> None:
        """Take ids with their texts.

        Args:
            rows: (id, text); of an id given twice the last text counts.
        """
        self._places: dict[str, int] = {}
        self._blocks: list[pa.LargeStringArray] = []
        block: list[str] = []
        place = 0
        for place, (name, text) in enumerate(rows, 1):
            self._places[name] = place - 1
            block.append(text)
            if place % _BLOCK == 0:
                self._blocks.append(pa.array(block, pa.large_string()))
                block = []
        if block:
            self._blocks.append(pa.array(block, pa.large_string()))

    def __getitem__(self, name: str) -> str:
        place = self._places[name]
        return self._blocks[place // _BLOCK][place % _BLOCK].as_py()

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, name: object) -> bool:
        return name in self._places
