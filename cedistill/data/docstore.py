"""Documents of a public data set, looked up on disk when they are needed."""

from __future__ import annotations

import os
from collections.abc import ItemsView, Iterable, Iterator, Mapping
from typing import Any

from cedistill.data.public_files import load, readable


class DocumentStore(Mapping[str, str]):
    """A read-only mapping from document ids to texts, over ir_datasets' document store.

    Nothing of the corpus is held in memory. A text is the title, a space and the text (or body), where there is a
    title. The mapping can be pickled, and every process opens the files anew: forked ones would share, and disturb,
    one position in them.
    """

    def __init__(self, name: str) -> None:
        """Take the ir_datasets id of a data set whose files are there."""
        self.name = name
        self._process = -1
        self._store: Any = None

    def look_up(self, names: Iterable[str]) -> dict[str, str]:
        """Return the texts of the documents that exist, in the order of ``names``, read in the order of the file."""
        names = list(names)
        found = self._found(names)
        return {name: document_text(found[name]) for name in names if name in found}

    def absent(self, names: Iterable[str]) -> list[str]:
        """Return those of ``names`` that are no document; texts are read only where the store has no index of ids."""
        names = list(names)
        store = self._opened()
        lookup = getattr(store, "lookup", None)
        if not names or lookup is None or lookup._key_field_prefix:
            found = self._found(names)
            return [name for name in names if name not in found]
        index = lookup.idx()
        places = index[names]
        # The index cuts what is looked up to its longest id, so a longer one could seem to be there.
        longest = index.keylen or 0
        return [name for name, place in zip(names, places, strict=True) if place < 0 or len(name.encode()) > longest]

    def __getitem__(self, name: str) -> str:
        return document_text(self._found([name])[name])

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and not self.absent([name])

    def __iter__(self) -> Iterator[str]:
        return (document.doc_id for document in load(self.name).docs_iter())

    def __len__(self) -> int:
        return int(self._opened().count())

    def items(self) -> ItemsView[str, str]:
        """Return ids with texts; iterating reads the corpus once, from beginning to end."""
        return _Streamed(self)

    def __getstate__(self) -> str:
        return self.name

    def __setstate__(self, name: str) -> None:
        self.__init__(name)  # type: ignore[misc]

    def _found(self, names: list[str]) -> dict[str, Any]:
        with readable(self.name):
            return dict(self._opened().get_many(names)) if names else {}

    def _opened(self) -> Any:
        if self._process != os.getpid():
            self._store = load(self.name).docs_store()
            self._process = os.getpid()
        return self._store


class _Streamed(ItemsView[str, str]):
    def __init__(self, documents: DocumentStore) -> None:
        super().__init__(documents)
        self.name = documents.name

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((document.doc_id, document_text(document)) for document in load(self.name).docs_iter())


def document_text(document: Any) -> str:
    """Return the text of an ir_datasets document: title, a space, text or body; an empty title adds nothing."""
    text = getattr(document, "text", None)
    text = getattr(document, "body", None) if text is None else text
    if not isinstance(text, str):
        return str(document.default_text())
    title = getattr(document, "title", None)
    return f"{title} {text}" if title else text
