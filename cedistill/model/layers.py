"""Layers of BERT's kind on packed chunks: the layers of transformers, with the same weights and the same results.

Nothing reads the last layer but a pair's first token. There only keys and values are made of all tokens; queries, the
output projection and the inner layer are made of the first tokens alone, which spares five sixths of that layer's work.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.bert.modeling_bert import BertLayer
from transformers.models.electra.modeling_electra import ElectraLayer
from transformers.models.roberta.modeling_roberta import RobertaLayer
from transformers.models.xlm_roberta.modeling_xlm_roberta import XLMRobertaLayer

from cedistill.model.attention import Rows, attend


class _Packed(nn.Module):
    """The forward pass of a layer: transformers' own for padded chunks, ``packed_layer`` for packed ones."""

    first_tokens_only = False

    def forward(self, hidden_states: Tensor, *others: Any, **keywords: Any) -> Tensor:
        starts = keywords.get("cu_seq_lens_q")
        if starts is None:
            return super().forward(hidden_states, *others, **keywords)
        longest = keywords.get("max_length_q")
        return packed_layer(self, hidden_states[0], starts, longest, self.first_tokens_only).unsqueeze(0)


class PackedBertLayer(_Packed, BertLayer):
    """BERT's."""


class PackedElectraLayer(_Packed, ElectraLayer):
    """ELECTRA's."""


class PackedRobertaLayer(_Packed, RobertaLayer):
    """RoBERTa's."""


class PackedXLMRobertaLayer(_Packed, XLMRobertaLayer):
    """XLM-RoBERTa's."""


_CLASSES: dict[type[nn.Module], type[nn.Module]] = {
    BertLayer: PackedBertLayer,
    ElectraLayer: PackedElectraLayer,
    RobertaLayer: PackedRobertaLayer,
    XLMRobertaLayer: PackedXLMRobertaLayer,
}


def take_packed_chunks(layers: nn.ModuleList) -> None:
    """Make a model's layers take packed chunks too, the last one for first tokens only; others than BERT's stay."""
    for layer in layers:
        # The class alone changes: weights, their names, copies and padded chunks are as before.
        layer.__class__ = _CLASSES.get(type(layer), type(layer))
    last: Any = layers[-1]
    last.first_tokens_only = True


def packed_layer(layer: Any, hidden: Tensor, starts: Tensor, longest: int | None, first_only: bool = False) -> Tensor:
    """Return the layer's output [T, width], or with ``first_only`` that of each pair's first token [pairs, width].

    Args:
        layer: of BERT's kind.
        hidden: of T tokens, pairs one after the other.
        starts: where pairs start, and where the last one ends, int32 [pairs + 1].
        longest: tokens of the longest pair.
        first_only: nothing but the first tokens is read after this layer.
    """
    attention, projection, output = layer.attention.self, layer.attention.output, layer.output
    asking = hidden.index_select(0, starts[:-1]) if first_only else hidden
    low = _converted(hidden)
    parts = (attention.query(asking if first_only else low), attention.key(low), attention.value(low))
    rows = Rows(*(part.unflatten(-1, (attention.num_attention_heads, -1)) for part in parts))
    rate = attention.dropout.p if layer.training else 0.0
    context = attend(rows, starts, longest, attention.scaling, rate).flatten(1)
    mixed = projection.LayerNorm(projection.dropout(projection.dense(context)) + asking)
    inner = layer.intermediate(mixed)
    return output.LayerNorm(output.dropout(output.dense(inner)) + mixed)


def _converted(hidden: Tensor) -> Tensor:
    """Convert once what autocast would convert for queries, for keys and for values."""
    kind = hidden.device.type
    return hidden.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else hidden
