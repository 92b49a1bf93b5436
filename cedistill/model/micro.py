"""Micro encoders: two layers, made from a configuration and a seed, small enough to learn the demo on a laptop."""

from __future__ import annotations

from typing import Any

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    ElectraConfig,
    ModernBertConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    set_seed,
)

from cedistill.demo.vocabulary import word_pieces
from cedistill.errors import unknown
from cedistill.model.mimetic import mimetic_init

WIDTH = 64
HEADS = 1
DEVIATION = 0.02
POSITIONS = 288
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MICRO = ("micro-bert", "micro-electra", "micro-modernbert")


def build_micro(name: str, seed: int, *, mimetic: bool = True) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Make a micro encoder with a one-logit head, float32, in evaluation mode, and its tokenizer.

    The same name and seed give the same weights to the bit.

    Args:
        name: ``micro-bert``, ``micro-electra`` or ``micro-modernbert``.
        seed: seeds all random generators first.
        mimetic: start the attention near the identity (see ``mimetic_init``); without it the start is wholly random.

    Raises:
        ValueError: unknown name.
    """
    if name not in MICRO:
        raise ValueError(unknown("micro encoder", name, MICRO))
    tokenizer = micro_tokenizer(types=name != "micro-modernbert")
    set_seed(seed)
    model = AutoModelForSequenceClassification.from_config(micro_config(name, len(tokenizer)))
    if mimetic:
        mimetic_init(model)
    return model.eval(), tokenizer


def micro_config(name: str, vocabulary: int) -> PretrainedConfig:
    """Return the configuration of a micro encoder: 2 layers, one logit, no dropout.

    Dropout is left out because a few hundred steps from a random start are far from over-fitting.
    """
    common: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": HEADS,
        "max_position_embeddings": POSITIONS,
        "initializer_range": DEVIATION,
        "pad_token_id": SPECIAL.index("[PAD]"),
        "num_labels": 1,
    }
    if name != "micro-modernbert":
        common |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    if name == "micro-bert":
        return BertConfig(intermediate_size=2 * WIDTH, **common)
    if name == "micro-electra":
        return ElectraConfig(embedding_size=WIDTH, intermediate_size=2 * WIDTH, **common)
    return ModernBertConfig(
        intermediate_size=2 * WIDTH,
        layer_types=["full_attention", "full_attention"],
        cls_token_id=SPECIAL.index("[CLS]"),
        sep_token_id=SPECIAL.index("[SEP]"),
        bos_token_id=SPECIAL.index("[CLS]"),
        eos_token_id=SPECIAL.index("[SEP]"),
        **common,
    )


def micro_tokenizer(*, types: bool = True) -> PreTrainedTokenizerFast:
    """Return the word-piece tokenizer of the demo's vocabulary, with or without token types."""
    vocabulary = {piece: number for number, piece in enumerate((*SPECIAL, *word_pieces()))}
    backend = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer = BertNormalizer(lowercase=True)
    backend.pre_tokenizer = BertPreTokenizer()
    backend.post_processor = TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
    )
    inputs = ["input_ids", "token_type_ids", "attention_mask"] if types else ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=POSITIONS,
        model_input_names=inputs,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
