"""The Reranker: a trained cross-encoder that scores pairs and ranks documents."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from cedistill.errors import InputError, shown
from cedistill.model.checkpoints import Source, extra_file, find_source, load_classifier, load_tokenizer
from cedistill.model.encode import DOCUMENT_TOKENS, QUERY_TOKENS, make_encoder, max_positions
from cedistill.model.precision import choose_precision
from cedistill.model.scoring import Progress, score_pairs, score_stream

__all__ = ["RankedDocument", "Reranker", "default_device", "score_pairs"]


class RankedDocument(NamedTuple):
    """A document by its place in the list that was given, and its raw logit."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs
    score: float


class Reranker:
    """A cross-encoder with one raw logit a pair, higher for more relevant.

    Attributes: ``model``, ``tokenizer``, ``encoder``, ``precision`` (``float32`` or ``bf16``), ``max_tokens``, the most
    tokens of a chunk that runs at once (None: the device's default), and ``compiled``, what runs in place of the model
    (None: the model itself).
    """

    def __init__(
        self,
        model: str | Path,
        *,
        device: torch.device | str | None = None,
        precision: str = "float32",
        max_tokens: int | None = None,
        compile: bool = False,
        trust_remote_code: bool = False,
    ) -> None:
        """Load a trained model.

        Token limits are those of the ``cedistill.json`` beside the weights, else 32 of a query and 288 of a pair, at
        most what model and tokenizer take.

        Args:
            model: folder or Hub id of a sequence classifier with one logit.
            device: where to run; by default an accelerator if there is one.
            precision: ``float32``, ``bf16`` (autocast) or ``auto``, whichever is faster here.
            max_tokens: most tokens of a chunk that runs at once; lower it when memory is short.
            compile: run through ``torch.compile``: the first pairs wait a minute or so for it, which only long runs
                make good.
            trust_remote_code: let the checkpoint bring its own code.

        Raises:
            InputError: no such model, or one without a trained head of one logit.
        """
        source = find_source(str(model))
        classifier, trained = load_classifier(source, trust_remote_code=trust_remote_code)
        if not trained:
            raise InputError(
                f"{model}: expected a trained re-ranker, found an encoder without a trained head; "
                f"train it first: cedistill train --backbone {model} --objective …"
            )
        tokenizer = load_tokenizer(source, trust_remote_code=trust_remote_code)
        self._set(classifier, tokenizer, device, precision, max_tokens, compile, *_limits(source))

    @classmethod
    def of(
        cls,
        model: Any,
        tokenizer: Any,
        *,
        device: torch.device | str | None = None,
        precision: str = "float32",
        max_tokens: int | None = None,
        compile: bool = False,
        query_tokens: int = QUERY_TOKENS,
        document_tokens: int = DOCUMENT_TOKENS,
    ) -> Reranker:
        """Return a Reranker of a model in memory, moved to ``device``; weights, classes and scores stay as they are."""
        reranker = cls.__new__(cls)
        reranker._set(model, tokenizer, device, precision, max_tokens, compile, query_tokens, document_tokens)
        return reranker

    def _set(
        self,
        model: Any,
        tokenizer: Any,
        device: torch.device | str | None,
        precision: str,
        max_tokens: int | None,
        compile: bool,
        query_tokens: int,
        document_tokens: int,
    ) -> None:
        place = torch.device(device) if device is not None else default_device()
        self.model = model.to(place)
        self.tokenizer = tokenizer
        self.encoder = make_encoder(tokenizer, query_tokens, document_tokens, max_positions(model.config))
        self.precision = choose_precision(precision, place, getattr(model.config, "hidden_size", 384))
        self.max_tokens = max_tokens
        self.compiled = torch.compile(self.model, dynamic=True) if compile else None

    def score(self, pairs: Sequence[tuple[str, str]], progress: Progress | None = None) -> np.ndarray:
        """Return the raw logits of (query, document) pairs, float32 [pairs].

        Raises:
            InputError: something that is no pair of texts.
        """
        return score_pairs(self.model, self.encoder, pairs, progress=progress, **self._settings())

    def stream(self, pairs: Iterable[tuple[str, str]]) -> Iterator[float]:
        """Yield the raw logit of each pair in turn; pairs are read, tokenised and scored in windows of a thousand.

        Raises:
            InputError: something that is no pair of texts.
        """
        for window in score_stream(self.model, self.encoder, pairs, **self._settings()):
            yield from window.tolist()

    def rank(self, query: str, documents: Sequence[str], top_k: int | None = None) -> list[RankedDocument]:
        """Return documents best first, all or the first ``top_k``; of equal scores the earlier document first."""
        scores = self.score([(query, document) for document in documents])
        order = np.argsort(-scores, kind="stable")[:top_k]
        return [RankedDocument(int(index), float(scores[index])) for index in order]

    def _settings(self) -> dict[str, Any]:
        return {"precision": self.precision, "max_tokens": self.max_tokens, "compiled": self.compiled}


def default_device() -> torch.device:
    """Return the accelerator if there is one, else the processor."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps") if torch.backends.mps.is_available() else torch.device("cpu")


def _limits(source: Source) -> tuple[int, int]:
    path = extra_file(source, "cedistill.json")
    if path is None:
        return QUERY_TOKENS, DOCUMENT_TOKENS
    try:
        content = json.loads(path.read_text())
        limits = int(content.get("query_tokens", QUERY_TOKENS)), int(content.get("document_tokens", DOCUMENT_TOKENS))
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}:1: expected a JSON object with whole numbers query_tokens and document_tokens, "
            f"found {shown(str(error))}; repair it or train again"
        ) from None
    return limits
