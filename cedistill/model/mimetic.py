"""Mimetic initialisation: a random start from which attention matches equal words at once."""

from __future__ import annotations

import torch
from torch import nn
from transformers import PreTrainedModel


def mimetic_init(
    model: PreTrainedModel, *, scale: float = 1.4, noise: float = 0.02, positions: float = 0.1, types: float = 0.5
) -> None:
    """Start the query and key projections of every layer near the identity, in place.

    W_q and W_k become ``scale`` · I plus normal noise of standard deviation ``noise``, their biases 0, so that a token attends
    to the tokens that look like it, in whichever text they stand. Position and token-type embeddings, which blur that likeness,
    are scaled down. All other weights stay as they are. Follows Trockman and Kolter 2023 (arXiv 2305.09828), without their
    value and output projections.

    Args:
        model: an encoder, or a classifier on one, of the layout of BERT, ELECTRA, RoBERTa or ModernBERT (joint W_qkv; rotary
            positions, nothing to scale).
        scale: factor on the identity.
        noise: standard deviation of the noise, drawn from torch's generator.
        positions: factor on the position embeddings.
        types: factor on the token-type embeddings.

    Raises:
        ValueError: the model has no attention projections of a known layout.
    """
    found = False
    with torch.no_grad():
        for name, module in model.named_modules():
            last = name.rpartition(".")[2]
            if isinstance(module, nn.Linear) and last in {"query", "key"}:
                found = True
                _near_identity(module.weight, scale, noise)
                if module.bias is not None:
                    module.bias.zero_()
            elif isinstance(module, nn.Linear) and last == "Wqkv":
                found = True
                width = module.in_features
                _near_identity(module.weight[:width], scale, noise)
                _near_identity(module.weight[width : 2 * width], scale, noise)
                if module.bias is not None:
                    module.bias[: 2 * width].zero_()
            elif isinstance(module, nn.Embedding) and last == "position_embeddings":
                module.weight.mul_(positions)
            elif isinstance(module, nn.Embedding) and last == "token_type_embeddings":
                module.weight.mul_(types)
    if not found:
        raise ValueError(
            f"expected query and key projections named query/key or Wqkv, found none in {type(model).__name__}; "
            "mimetic_init knows the layouts of BERT, ELECTRA, RoBERTa and ModernBERT"
        )


def _near_identity(weight: torch.Tensor, scale: float, noise: float) -> None:
    weight.normal_(std=noise)
    weight.diagonal().add_(scale)
