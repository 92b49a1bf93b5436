"""Which models take pairs laid end to end, without padding, and what makes them do so.

Such a model attends by :func:`cedistill.model.attention.packed_attention`, and a forward hook hands its head one row a
pair in place of one row a chunk. Its class, weights and padded forward pass stay as they are; layers of BERT's kind and
dropout take subclasses of theirs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from cedistill.model.attention import NAME
from cedistill.model.dropout import draw_so
from cedistill.model.layers import take_packed_chunks

ENCODERS = {
    "BertForSequenceClassification": "encoder",
    "ElectraForSequenceClassification": "encoder",
    "RobertaForSequenceClassification": "encoder",
    "XLMRobertaForSequenceClassification": "encoder",
    "ModernBertForSequenceClassification": "",
}
"""Per class, the part of its base model after which nothing mixes tokens any more; empty: the base model itself."""

MIN_WIDTH = 128
"""On a processor, narrower encoders whose last layer reads all tokens train faster on padded chunks: pair by pair,
attention is many small products."""

MULTIPLE = 64
"""Of tokens, where products are compiled for each shape: a few percent more work, but chunks share their shapes."""


class Packing(NamedTuple):
    """How pairs are laid end to end.

    Position ids of a pair are 0, 1, 2, …, or with a ``padding_id``, RoBERTa's way, those after it, and for a padding
    token that a text itself contains the padding id. The tokens of a chunk are filled up to a ``multiple``.
    """

    padding_id: int | None = None
    multiple: int = 1


def packing_of(model: Any, device: torch.device | str = "cpu", precision: str = "float32") -> Packing | None:
    """Prepare a model for packed chunks and return how they are made; None where padded ones are the way.

    Args:
        model: a sequence classifier; one that can is set up once, and takes padded chunks as before.
        device: where it runs.
        precision: ``float32`` or ``bf16``; on a GPU, sliding windows come with the latter only, and without dropout.
    """
    config, kind = model.config, torch.device(device).type
    # Code that a checkpoint brings along may bear the same names; another attention is somebody's choice.
    known = type(model).__name__ in ENCODERS and type(model).__module__.startswith("transformers.")
    if not known or config._attn_implementation not in ("sdpa", NAME) or getattr(config, "is_decoder", False):
        return None
    if kind == "cuda":
        windows = "sliding_attention" in (getattr(config, "layer_types", None) or ())
        dropped = getattr(config, "attention_dropout", 0.0) > 0
        packs = not windows or (precision == "bf16" and not dropped)
    else:
        packs = kind == "cpu" and (bool(ENCODERS[type(model).__name__]) or config.hidden_size >= MIN_WIDTH)
    if not packs:
        return None
    # oneDNN compiles products anew for each number of tokens, and keeps a thousand of them (see ``stretches``).
    return prepare_packing(model)._replace(multiple=MULTIPLE if kind == "cpu" and precision == "bf16" else 1)


def prepare_packing(model: Any) -> Packing:
    """Set up a model of a class of ``ENCODERS`` for packed chunks, wherever it runs; once is enough."""
    part = ENCODERS[type(model).__name__]
    encoder = model.base_model.get_submodule(part)
    if _one_row_a_pair not in encoder._forward_hooks.values():
        encoder.register_forward_hook(_one_row_a_pair, with_kwargs=True)
        if part:
            take_packed_chunks(encoder.layer)
        draw_so(model)
    if model.config._attn_implementation != NAME:
        model.set_attn_implementation(NAME)
    roberta = model.config.model_type in ("roberta", "xlm-roberta")
    return Packing(model.config.pad_token_id if roberta else None)


def _one_row_a_pair(encoder: nn.Module, inputs: tuple[Any, ...], keywords: dict[str, Any], output: Any) -> Any:
    starts = keywords.get("cu_seq_lens_q")
    if starts is None:
        return None
    hidden = output.last_hidden_state[0]
    pooling = getattr(getattr(encoder, "config", None), "classifier_pooling", "cls")
    if len(hidden) == len(starts) - 1:  # the last layer gave the first tokens only, or there are no others
        rows = hidden
    else:
        rows = _means(hidden, starts) if pooling == "mean" else hidden.index_select(0, starts[:-1])
    output.last_hidden_state = rows.unsqueeze(1)
    return output


def _means(hidden: Tensor, starts: Tensor) -> Tensor:
    return torch.segment_reduce(hidden.float(), "mean", offsets=starts.long(), axis=0).to(hidden.dtype)
