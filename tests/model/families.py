"""Tiny random models of every architecture, with tokenizers trained on a few sentences."""

import functools
import json

import torch
from tokenizers import ByteLevelBPETokenizer, SentencePieceUnigramTokenizer
from tokenizers.implementations import BertWordPieceTokenizer
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertTokenizer,
    DebertaV2Config,
    DebertaV2Tokenizer,
    ElectraConfig,
    ModernBertConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaTokenizer,
)

FAMILIES = ("bert", "electra", "roberta", "deberta", "modernbert")

SENTENCES = (
    "How long does it take for a river to carve a canyon out of hard rock?",
    "The canyon was carved by the river over some five million years, as the plateau rose.",
    "Symptoms of iron deficiency include tiredness, pale skin and shortness of breath.",
    "Iron is found in lentils, spinach, red meat and fortified cereals (about 8 mg a day).",
    "A cross-encoder reads query and document together; a bi-encoder reads them apart.",
    "Der Fluß fließt über die Ebene, naïve café résumé — 東京は日本の首都です。",
)
SHORT = "what carves a canyon"
LONG_DOCUMENT = " ".join(SENTENCES) * 12
LONG_QUERY = "does the river carve a canyon " * 60
PAIRS = [
    (SHORT, SENTENCES[1]),
    (SHORT, LONG_DOCUMENT),
    ("iron deficiency", SENTENCES[2]),
    ("iron deficiency", ""),
    ("", SENTENCES[3]),
    ("Hauptstadt 東京 naïve?", SENTENCES[5]),
    ("bi-encoder", "apart"),
    ("emoji 🙂 and \n\t white   space", "  leading, trailing  "),
]


@functools.cache
def tokenizer_of(family, **options):
    """Return a tokenizer of the class that the family's released models have."""
    if family in ("bert", "electra"):
        trained = BertWordPieceTokenizer(**options)
        trained.train_from_iterator(SENTENCES, vocab_size=400, show_progress=False)
        return BertTokenizer(
            vocab=trained.get_vocab(), model_max_length=512, do_lower_case=options.get("lowercase", True)
        )
    if family == "deberta":
        trained = SentencePieceUnigramTokenizer()
        special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
        trained.train_from_iterator(
            SENTENCES, vocab_size=300, show_progress=False, special_tokens=special, unk_token="[UNK]"
        )
        vocab = [tuple(entry) for entry in json.loads(trained.to_str())["model"]["vocab"]]
        return DebertaV2Tokenizer(vocab=vocab, model_max_length=512)
    special = {
        "roberta": ["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        "modernbert": ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"],
    }[family]
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(SENTENCES, vocab_size=500, show_progress=False, special_tokens=special)
    if family == "roberta":
        model = json.loads(trained.to_str())["model"]
        return RobertaTokenizer(
            vocab=model["vocab"], merges=[tuple(merge) for merge in model["merges"]], model_max_length=512
        )
    backend = trained._tokenizer
    backend.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "attention_mask"],
        model_max_length=8192,
    )


def config_of(family, **changes):
    """Return a configuration of 2 layers and width 32; weights are wide, so that scores differ from pair to pair."""
    tokenizer = tokenizer_of(family)
    options = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 320,
        "initializer_range": 0.2,
        "pad_token_id": tokenizer.pad_token_id,
        "num_labels": 1,
        **changes,
    }
    if family == "bert":
        return BertConfig(**options)
    if family == "electra":
        return ElectraConfig(**{"embedding_size": 16, **options})
    if family == "roberta":
        return RobertaConfig(**{**options, "max_position_embeddings": 322, "type_vocab_size": 1})
    if family == "deberta":
        return DebertaV2Config(
            relative_attention=True,
            position_buckets=32,
            norm_rel_ebd="layer_norm",
            share_att_key=True,
            pos_att_type=["p2c", "c2p"],
            position_biased_input=False,
            type_vocab_size=0,
            **options,
        )
    return ModernBertConfig(
        bos_token_id=1, cls_token_id=1, eos_token_id=2, sep_token_id=2, local_attention=16, **options
    )


def model_of(family, seed=0, **changes):
    """Return a random one-logit classifier in evaluation mode."""
    torch.manual_seed(seed)
    return AutoModelForSequenceClassification.from_config(config_of(family, **changes)).eval()
