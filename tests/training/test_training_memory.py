import contextlib

import pytest
import torch

from cedistill.model.backbones import load_backbone
from cedistill.model.encode import make_encoder
from cedistill.training.memory import graph_tokens, saved_bytes_per_token


def test_saved_bytes_grow_with_depth_and_leave_the_model_as_it_was(tiny_bert, tiny_bert_with_dropout):
    found = []
    for folder in (tiny_bert, tiny_bert_with_dropout):
        model, tokenizer = load_backbone(str(folder), 3)
        encoder = make_encoder(tokenizer)
        torch.manual_seed(1)
        found.append(saved_bytes_per_token(model, encoder, contextlib.nullcontext()))
        assert not model.training and torch.rand(1) == torch.rand(1, generator=torch.Generator().manual_seed(1))
        assert graph_tokens(model, encoder, contextlib.nullcontext()) > 10_000
    plain, with_dropout = found
    # A layer keeps its input, query, key, value, context (width 16 each), twice the inner 32 and two normalisations.
    assert 2 * 4 * (5 * 16 + 2 * 32 + 2 * 16) * 0.8 < plain < 2 * 4 * (5 * 16 + 2 * 32 + 2 * 16) * 2.5
    assert with_dropout > plain


def test_more_rows_do_not_change_bytes_per_token(tiny_bert):
    model, tokenizer = load_backbone(str(tiny_bert), 3)
    short, long = make_encoder(tokenizer, 16, 48), make_encoder(tokenizer, 32, 96)
    each = [saved_bytes_per_token(model, one, contextlib.nullcontext()) for one in (short, long)]
    assert each[0] == pytest.approx(each[1], rel=0.3)
