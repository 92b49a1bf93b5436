"""The shape of an encoder, and what one pair costs in it: parameters and floating-point operations, without weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from cedistill.model.backbones import BACKBONES


class Shape(NamedTuple):
    """Layers, width, inner width and vocabulary of an encoder.

    ``gated``: the inner layer has three matrices in place of two (ModernBERT). ``window``: two of three layers attend
    to that many positions only, 0 for none. ``relative``: attention also multiplies queries and keys with relative
    positions (DeBERTa), which triples the products of two positions. ``first_only``: the last layer computes keys and
    values of all tokens and nothing else but a pair's first token, as packed encoders of BERT's kind do.
    """

    layers: int
    width: int
    inner: int
    vocabulary: int
    gated: bool = False
    window: int = 0
    relative: bool = False
    first_only: bool = False


def _modern(layers: int, width: int, inner: int) -> Shape:
    return Shape(layers, width, inner, 50_368, gated=True, window=128)


def _bert(layers: int, width: int, inner: int, vocabulary: int) -> Shape:
    return Shape(layers, width, inner, vocabulary, first_only=True)


SHAPES = {
    "ettin-17m": _modern(7, 256, 384),
    "ettin-32m": _modern(10, 384, 576),
    "ettin-68m": _modern(19, 512, 768),
    "ettin-150m": _modern(22, 768, 1152),
    "modernbert-base": _modern(22, 768, 1152),
    "modernbert-large": _modern(28, 1024, 2624),
    "minilm-l6": _bert(6, 384, 1536, 30_522),
    "minilm-l12": _bert(12, 384, 1536, 30_522),
    "bert-base": _bert(12, 768, 3072, 30_522),
    "electra-base": _bert(12, 768, 3072, 30_522),
    "roberta-base": _bert(12, 768, 3072, 50_265),
    "deberta-v3-base": Shape(12, 768, 3072, 128_100, relative=True),
    "naver/splade-v3-distilbert": Shape(6, 768, 3072, 30_522),
}
"""Shapes as the checkpoints' configurations give them, for when these are out of reach."""


def shape_of(backbone: str) -> Shape | None:
    """Return the shape of a backbone: of the table, or of the configuration in a folder; None where it is unknown."""
    names = [name for name, one in BACKBONES.items() if backbone in (name, one.hub_id)]
    found = SHAPES.get(names[0] if names else backbone)
    if found is not None:
        return found
    if backbone in BACKBONES:
        from cedistill.demo.vocabulary import word_pieces
        from cedistill.model.micro import SPECIAL, micro_config

        return _configured(micro_config(backbone, len(SPECIAL) + len(word_pieces())).to_dict())
    path = Path(backbone) / "config.json"
    return _configured(json.loads(path.read_text())) if path.is_file() else None


def parameters(shape: Shape) -> int:
    """Return the number of parameters: embeddings and matrices; biases and norms, below a percent, are left out."""
    matrices = 4 * shape.width**2 + (3 if shape.gated else 2) * shape.width * shape.inner
    return shape.vocabulary * shape.width + shape.layers * matrices


def forward_flops(shape: Shape, tokens: float) -> float:
    """Return the floating-point operations of one pair of so many tokens, forward; a multiply-add counts two.

    The products of two positions are those of the pair's own length: padding is no work.
    """
    matrices = 8 * shape.width**2 + (6 if shape.gated else 4) * shape.width * shape.inner
    local = min(tokens, shape.window) if shape.window else tokens
    reached = (tokens + 2 * local) / 3  # one layer of three attends to all positions
    products = 4 * shape.width * tokens * reached * (3 if shape.relative else 1)
    if not shape.first_only:
        return shape.layers * (matrices * tokens + products)
    keys_and_values = 4 * shape.width**2
    last = keys_and_values * tokens + matrices - keys_and_values + 4 * shape.width * tokens
    return (shape.layers - 1) * (matrices * tokens + products) + last


def _configured(config: dict[str, Any]) -> Shape | None:
    names = ("num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size")
    if not all(isinstance(config.get(name), int) for name in names):
        return None
    layers, width, inner, vocabulary = (int(config[name]) for name in names)
    kind = str(config.get("model_type", ""))
    modern, alike = kind == "modernbert", kind in ("bert", "electra", "roberta", "xlm-roberta")
    window = int(config.get("local_attention", 128)) if modern else 0
    return Shape(layers, width, inner, vocabulary, modern, window, kind.startswith("deberta"), first_only=alike)
