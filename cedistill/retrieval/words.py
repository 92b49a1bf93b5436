"""Words of texts as BM25 counts them: the tokens of ``bm25s.tokenize``, in arrays."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import Stemmer
from bm25s.stopwords import STOPWORDS_EN

STEMMER = "porter"

_WORDS = re.compile(r"(?u)\b\w\w+\b")


class Words(NamedTuple):
    """The words of some texts, one after another.

    ``stems`` are the different ones; ``numbers`` int64 [words of all texts] index them; ``lengths`` int64 [texts] are
    the words of each text.
    """

    stems: list[str]
    numbers: np.ndarray
    lengths: np.ndarray

    def of_texts(self) -> list[list[str]]:
        """Return the stems of each text."""
        parts = np.split(self.numbers, np.cumsum(self.lengths)[:-1]) if len(self.lengths) else []
        return [[self.stems[number] for number in part] for part in parts]


def words_of(texts: Sequence[str]) -> Words:
    """Return the words of texts: runs of two or more letters, digits or underscores, in lower case, stemmed.

    Lucene's 33 English stop words are left out; the stemmer is Porter's.
    """
    found = [_WORDS.findall(text.lower()) for text in texts]
    counts = np.fromiter(map(len, found), dtype=np.int64, count=len(found))
    flat = pa.array([word for words in found for word in words], pa.large_string()).dictionary_encode()
    forms = flat.dictionary.to_pylist()
    stop = frozenset(STOPWORDS_EN)
    stems = Stemmer.Stemmer(STEMMER).stemWords(forms)
    different = {stem: number for number, stem in enumerate(dict.fromkeys(stems))}
    # Stop words are told before stemming.
    number_of = [-1 if form in stop else different[stem] for form, stem in zip(forms, stems, strict=True)]
    numbers = np.array(number_of, dtype=np.int64)[flat.indices.to_numpy()]
    kept = numbers >= 0
    lengths = np.bincount(np.repeat(np.arange(len(found)), counts)[kept], minlength=len(found))
    return Words(list(different), numbers[kept], lengths.astype(np.int64))
