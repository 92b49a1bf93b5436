"""Mimetic initialisation: a random start from which attention compares the words of two texts at once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel


class Attention(NamedTuple):
    """The projections of one layer, each [width, width] and a view of the model's own weights."""

    query: Tensor
    key: Tensor
    value: Tensor
    output: Tensor


def mimetic_init(model: PreTrainedModel, *, scale: float = 1.2, noise: float = 0.02, positions: float = 0.1) -> None:
    """Start the attention of an encoder near the identity, in place, so that a word attends to its like.

    Follows Trockman and Kolter 2023 (arXiv 2305.09828) in that query and key projections start near ``scale`` · I,
    value and output projections near I, with noise; the last layer keeps small query and key projections and so gathers
    evenly. Where the model has two token types, they start as ±0.7 u around a common direction, u orthogonal to all
    words, and keys are reflected along u: a word of the query then prefers its like in the document to itself, and
    values leave u out. Position embeddings, which blur likeness, are scaled down. Feed-forward weights start small, the
    head larger.

    Args:
        model: an encoder, or a classifier on one, of the layout of BERT, ELECTRA, RoBERTa or ModernBERT.
        scale: factor on the identity in query and key projections.
        noise: standard deviation of the noise, drawn from torch's generator.
        positions: factor on the position embeddings.

    Raises:
        ValueError: no attention projections of a known layout.
    """
    layers = attentions(model)
    if not layers:
        raise ValueError(
            f"expected projections named query, key and value, or Wqkv, found none in {type(model).__name__}; "
            "mimetic_init knows the layouts of BERT, ELECTRA, RoBERTa and ModernBERT"
        )
    with torch.no_grad():
        for name, module in model.named_modules():
            _rescale(name, module, noise, positions)
        direction = _split_types(model)
        for layer in layers[:-1]:
            _near_identity(layer.query, scale, noise)
            _near_identity(layer.key, scale, noise)
            layer.key.sub_(2 * scale * direction)
            _near_identity(layer.value, 1.0, noise)
            layer.value.sub_(direction)
            _near_identity(layer.output, 1.0, noise)
        last = layers[-1]
        for weights in (last.query, last.key):
            weights.normal_(std=noise).add_(0.7 * direction)
        for weights in (last.value, last.output):
            _near_identity(weights, 1.0, noise)


def attentions(model: nn.Module) -> list[Attention]:
    """Return the attention projections of each layer, first to last."""
    found = []
    modules = dict(model.named_modules())
    for name, module in modules.items():
        if all(isinstance(getattr(module, part, None), nn.Linear) for part in ("query", "key", "value")):
            output = modules[f"{name.rpartition('.')[0]}.output.dense"]
            found.append(Attention(module.query.weight, module.key.weight, module.value.weight, output.weight))
        elif isinstance(getattr(module, "Wqkv", None), nn.Linear):
            query, key, value = module.Wqkv.weight.chunk(3)
            found.append(Attention(query, key, value, module.Wo.weight))
    return found


def _rescale(name: str, module: nn.Module, noise: float, positions: float) -> None:
    end = name.rpartition(".")[2]
    if isinstance(module, nn.Embedding) and end == "position_embeddings":
        module.weight.mul_(positions)
    elif isinstance(module, nn.Linear) and _is_feed_forward(name):
        module.weight.normal_(std=noise)
    elif isinstance(module, nn.Linear) and name.endswith(("pooler.dense", "classifier", "head.dense", "out_proj")):
        module.weight.normal_(std=0.1)
    elif isinstance(module, nn.Linear) and end in ("query", "key", "Wqkv") and module.bias is not None:
        module.bias.zero_()


def _split_types(model: nn.Module) -> Tensor:
    """Set two token types apart along a direction u that no word has; return u uᵀ, zero without two types."""
    embeddings = {name.rpartition(".")[2]: module for name, module in model.named_modules() if _is_embedding(module)}
    types = embeddings.pop("token_type_embeddings", None)
    words = next(module.weight for module in embeddings.values())
    width = words.shape[1]
    if types is None or types.num_embeddings != 2:
        return torch.zeros(width, width)
    # The mean over the width is what a layer norm removes: both directions are orthogonal to it.
    frame = torch.linalg.qr(torch.cat([torch.ones(width, 1), torch.randn(width, 2)], 1))[0]
    common, apart = frame[:, 1], frame[:, 2]
    length = words.std() * width**0.5
    for module in embeddings.values():
        module.weight.sub_(module.weight @ frame[:, 1:] @ frame[:, 1:].T)
    types.weight.copy_(length * torch.stack([0.3 * common + 0.7 * apart, 0.3 * common - 0.7 * apart]))
    return torch.outer(apart, apart)


def _is_feed_forward(name: str) -> bool:
    attention = name.endswith("attention.output.dense")
    return name.endswith(("intermediate.dense", "output.dense", "mlp.Wi", "mlp.Wo")) and not attention


def _is_embedding(module: nn.Module) -> bool:
    return isinstance(module, nn.Embedding)


def _near_identity(weight: Tensor, scale: float, noise: float) -> None:
    weight.normal_(std=noise)
    weight.diagonal().add_(scale)
