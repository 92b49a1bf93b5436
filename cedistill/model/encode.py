"""Tokenising of (query, document) pairs: every distinct text once, then put together by the tokenizer's template."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from cedistill.errors import InputError

QUERY_TOKENS = 32
DOCUMENT_TOKENS = 256


class EncodedPair(NamedTuple):
    """One pair as the model reads it; ``token_type_ids`` is None where the tokenizer makes none."""

    input_ids: list[int]
    token_type_ids: list[int] | None


@dataclass(frozen=True)
class Template:
    """The special tokens before, between and after query and document, and the type id of each of the five parts."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    types: tuple[int, int, int, int, int] | None

    @property
    def special_tokens(self) -> int:
        """Number of special tokens of a pair."""
        return len(self.before) + len(self.between) + len(self.after)

    def fill(self, query: list[int], document: list[int]) -> EncodedPair:
        """Return the pair of two texts given as ids without special tokens."""
        parts = (self.before, query, self.between, document, self.after)
        ids = [*parts[0], *parts[1], *parts[2], *parts[3], *parts[4]]
        if self.types is None:
            return EncodedPair(ids, None)
        types: list[int] = []
        for kind, part in zip(self.types, parts, strict=True):
            types += [kind] * len(part)
        return EncodedPair(ids, types)


@dataclass(frozen=True)
class Encoder:
    """Turns pairs of texts into ids; can be pickled and used in worker processes.

    A query keeps its first ``query_tokens`` tokens; the document fills what the query leaves of ``pair_tokens``,
    special tokens included. For queries within their budget this is what ``CrossEncoder`` does with
    ``max_length=pair_tokens``.
    """

    tokenizer: Tokenizer
    template: Template
    query_tokens: int
    pair_tokens: int
    pad_id: int

    def encode(self, pairs: Sequence[tuple[str, str]]) -> list[EncodedPair]:
        """Return the pairs as ids, in order; any text may be empty."""
        queries = self._ids({query for query, _ in pairs}, self.query_tokens)
        room = self.pair_tokens - self.template.special_tokens
        documents = self._ids({document for _, document in pairs}, room)
        fill = self.template.fill
        return [fill(queries[query], documents[document][: room - len(queries[query])]) for query, document in pairs]

    def _ids(self, texts: set[str], limit: int) -> dict[str, list[int]]:
        if multiprocessing.parent_process() is not None:  # a worker is one of many: no threads of its own
            os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        distinct = list(texts)
        encodings = self.tokenizer.encode_batch_fast(distinct, add_special_tokens=False)
        return {text: encoding.ids[:limit] for text, encoding in zip(distinct, encodings, strict=True)}


def make_encoder(
    tokenizer: PreTrainedTokenizerBase,
    query_tokens: int = QUERY_TOKENS,
    document_tokens: int = DOCUMENT_TOKENS,
    max_positions: int | None = None,
) -> Encoder:
    """Return the encoder of pairs of a transformers tokenizer.

    Args:
        tokenizer: a fast tokenizer with a padding token.
        query_tokens: most tokens of a query, special tokens not counted.
        document_tokens: with ``query_tokens``, makes the limit of a pair, special tokens counted.
        max_positions: most positions the model has (see ``max_positions``); None means no limit.

    Raises:
        InputError: the tokenizer is not a fast one or does not pad, or the limits leave no room for two texts.
    """
    if not tokenizer.is_fast:
        raise InputError(
            f"expected a fast tokenizer (a tokenizer.json), found {type(tokenizer).__name__}; "
            "convert it with transformers and save it in the model's folder"
        )
    if tokenizer.pad_token_id is None:
        raise InputError("expected a tokenizer with a padding token, found none; set its pad_token and save it")
    template = learn_template(tokenizer)
    limits = [query_tokens + document_tokens, tokenizer.model_max_length, max_positions]
    pair_tokens = int(min(limit for limit in limits if limit is not None))
    room = pair_tokens - template.special_tokens
    if query_tokens < 1 or document_tokens < 1 or room < 2:
        raise InputError(
            f"expected room for a query and a document, found a limit of {pair_tokens} tokens a pair "
            f"({query_tokens} + {document_tokens} asked for); give each at least 1 and the pair more"
        )
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())  # a copy: others set truncation on theirs
    backend.no_truncation()
    backend.no_padding()
    return Encoder(backend, template, min(query_tokens, room // 2), pair_tokens, int(tokenizer.pad_token_id))


def learn_template(tokenizer: PreTrainedTokenizerBase) -> Template:
    """Read off how a tokenizer joins two texts, from a pair that it encodes."""
    encoding = tokenizer("a", "b", truncation=False)
    ids, sequences = encoding["input_ids"], encoding.sequence_ids(0)
    first, second = _span(sequences, 0), _span(sequences, 1)
    cuts = [slice(0, first[0]), slice(*first), slice(first[1], second[0]), slice(*second), slice(second[1], len(ids))]
    types = encoding.get("token_type_ids")
    kinds = None if types is None else tuple(types[cut][0] if types[cut] else 0 for cut in cuts)
    before, between, after = (tuple(ids[cuts[part]]) for part in (0, 2, 4))
    return Template(before, between, after, kinds)  # type: ignore[arg-type]  # five of them, as there are cuts


def _span(sequences: list[int | None], text: int) -> tuple[int, int]:
    places = [place for place, sequence in enumerate(sequences) if sequence == text]
    return places[0], places[-1] + 1


def max_positions(config: Any) -> int | None:
    """Return how many tokens a model of this configuration has positions for, None where it sets no bound."""
    positions = getattr(config, "max_position_embeddings", None)
    if positions is None or positions < 0:
        return None
    if config.model_type in {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer"}:
        return positions - config.pad_token_id - 1  # their position ids start after the padding id
    return positions
