import json

import pytest
import torch
from families import config_of, model_of
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModel, BertConfig, DebertaV2Config, ElectraConfig, ModernBertConfig, RobertaConfig

from cedistill.model.backbones import BACKBONES
from cedistill.model.encode import EncodedPair
from cedistill.model.forward import logits, make_batch
from cedistill.model.packing import prepare_packing
from cedistill.model.shapes import SHAPES, Shape, forward_flops, parameters, shape_of


def test_flops_by_hand():
    # One layer of width 2 with an inner layer of 3, on 5 tokens: 4 projections of 2 x 2, two matrices of 2 x 3, and two
    # products of 5 x 5 positions over a width of 2; a multiply-add counts two.
    assert forward_flops(Shape(1, 2, 3, 10), 5) == 2 * (5 * (4 * 4 + 2 * 6) + 2 * 5 * 5 * 2)
    # The same last layer for the first token only: keys and values of all 5; one query, output and inner layer.
    last = Shape(1, 2, 3, 10, first_only=True)
    assert forward_flops(last, 5) == 2 * (5 * 2 * 4 + 2 * 4 + 2 * 6 + 2 * 5 * 2)
    assert forward_flops(last._replace(layers=2), 5) == forward_flops(last, 5) + forward_flops(Shape(1, 2, 3, 10), 5)
    assert parameters(Shape(1, 2, 3, 10)) == 10 * 2 + 4 * 4 + 2 * 6


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert"])
def test_flops_agree_with_torch_s_counter(family):
    model = model_of(family, hidden_size=64, intermediate_size=256, num_hidden_layers=3)
    model.config._attn_implementation = "eager"
    tokens = 48
    with FlopCounterMode(display=False) as counter:
        model(input_ids=torch.randint(5, 60, (1, tokens)))
    config = model.config
    # Eager attention multiplies all positions, whatever the window.
    shape = Shape(3, 64, 256, config.vocab_size, gated=family == "modernbert")
    assert forward_flops(shape, tokens) == pytest.approx(counter.get_total_flops(), rel=0.02)


@pytest.mark.parametrize("family", ["bert", "electra", "roberta"])
def test_flops_of_packed_pairs_agree_with_torch_s_counter(family):
    model = model_of(family, hidden_size=64, intermediate_size=256, num_hidden_layers=3)
    pairs = [EncodedPair(list(range(5, 53)), None)] * 2
    batch = make_batch(pairs, 0, 1000, 9, prepare_packing(model))
    with FlopCounterMode(display=False) as counter:
        logits(model, batch)
    shape = Shape(3, 64, 256, model.config.vocab_size, first_only=True)
    assert 2 * forward_flops(shape, 48) == pytest.approx(counter.get_total_flops(), rel=0.02)


@pytest.mark.parametrize(
    ("name", "config", "sizes"),
    [
        ("bert-base", BertConfig, {}),
        ("electra-base", ElectraConfig, {"embedding_size": 768}),
        ("roberta-base", RobertaConfig, {"type_vocab_size": 1, "max_position_embeddings": 514}),
        ("minilm-l12", BertConfig, {}),
        ("deberta-v3-base", DebertaV2Config, {"type_vocab_size": 0}),
        ("ettin-17m", ModernBertConfig, {}),
        ("ettin-150m", ModernBertConfig, {}),
    ],
)
def test_parameters_are_those_of_a_model_of_the_shape(name, config, sizes):
    shape = SHAPES[name]
    made = config(
        vocab_size=shape.vocabulary, hidden_size=shape.width, intermediate_size=shape.inner,
        num_hidden_layers=shape.layers, num_attention_heads=shape.width // 64 if shape.width % 64 == 0 else 12, **sizes,
    )  # fmt: skip
    with torch.device("meta"):
        model = AutoModel.from_config(made)
    counted = sum(one.numel() for one in model.parameters())
    assert parameters(shape) == pytest.approx(counted, rel=0.02)


def test_shapes_of_names_folders_and_hub_ids(tmp_path):
    assert shape_of("minilm-l12") == shape_of("microsoft/MiniLM-L12-H384-uncased") == SHAPES["minilm-l12"]
    assert shape_of("someone/unknown") is None and shape_of(str(tmp_path)) is None
    (tmp_path / "config.json").write_text(json.dumps(config_of("modernbert").to_dict()))
    assert shape_of(str(tmp_path))[:3] == (2, 32, 64) and shape_of(str(tmp_path)).window == 16
    assert all(shape_of(name) for name in BACKBONES) and shape_of("micro-bert").layers == 2
