import weakref

import numpy as np
import pytest
import torch

from cedistill.data.lists import TrainingList
from cedistill.losses import get_loss, loss_names
from cedistill.model.backbones import load_backbone
from cedistill.model.encode import make_encoder
from cedistill.training.collate import Collator
from cedistill.training.gradient_cache import backward
from cedistill.training.loading import AsArrays, as_tensors

SIZES = (7, 3, 1, 5)


@pytest.fixture(scope="module")
def encoder_with_dropout(tiny_bert_with_dropout):
    model, tokenizer = load_backbone(str(tiny_bert_with_dropout), 3)
    return model.double().train(), make_encoder(tokenizer)


def _batch(encoder, sizes=SIZES, max_rows=3):
    random = np.random.default_rng(0)
    lists = [
        TrainingList(
            "what about topic1",
            [f"this tells of topic{random.integers(9)} " * random.integers(0, 6) for _ in range(size)],
            (random.permutation(size) % 3 / 2).astype(np.float32),
        )
        for size in sizes
    ]
    return Collator(encoder, 10_000, max_rows)(lists)


def _gradient(model, batch, loss, graph_tokens):
    def score(chunk):
        return model(**chunk).logits.squeeze(-1)

    def loss_of(flat):
        return loss(
            flat.new_zeros(batch["mask"].shape).masked_scatter(batch["mask"], flat), batch["targets"], batch["mask"]
        )

    torch.manual_seed(5)
    model.zero_grad()
    if graph_tokens is None:
        chunks = batch["pairs"]["chunks"]
        value = loss_of(torch.cat([score(one) for one in chunks])[torch.argsort(batch["pairs"]["order"])])
        value.backward()
    else:
        value = backward(score, batch["pairs"], loss_of, graph_tokens)
    gradients = {name: one.grad.clone() for name, one in model.named_parameters()}
    return value.item(), gradients, torch.rand(3)


@pytest.mark.parametrize("name", loss_names())
def test_equal_to_a_plain_backward_pass_with_dropout(name, encoder_with_dropout):
    model, encoder = encoder_with_dropout
    batch = _batch(encoder)
    tokens = [one["input_ids"].numel() for one in batch["pairs"]["chunks"]]
    assert len(tokens) >= 6
    value, gradients, drawn = _gradient(model, batch, get_loss(name), None)
    assert sum(one.abs().sum() for one in gradients.values()) > 0
    for limit in (1, tokens[-1] + tokens[-2], sum(tokens)):  # no chunk, two and all keep their activations
        cached, found, after = _gradient(model, batch, get_loss(name), limit)
        assert cached == pytest.approx(value, rel=1e-12)
        assert torch.equal(after, drawn)  # the next step's dropout is the same too
        for parameter, gradient in gradients.items():
            torch.testing.assert_close(found[parameter], gradient, rtol=1e-9, atol=1e-12, msg=parameter)


class _Saved:
    """A tensor kept for the backward pass."""

    def __init__(self, tensor):
        self.tensor = tensor


def _peak(model, batch, graph_tokens):
    """Return the most numbers kept for the backward pass at any time, weights aside."""
    alive = weakref.WeakSet()
    weights = {one.data_ptr() for one in model.parameters()}
    peak = 0

    def pack(tensor):
        nonlocal peak
        saved = _Saved(tensor)
        if tensor.data_ptr() not in weights:
            alive.add(saved)
        peak = max(peak, sum(one.tensor.numel() for one in alive))
        return saved

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved.tensor):
        _gradient(model, batch, get_loss("mse"), graph_tokens)
    return peak


def test_a_long_list_keeps_no_more_than_a_short_one(encoder_with_dropout):
    model, encoder = encoder_with_dropout
    short, long = (_batch(encoder, [size]) for size in (30, 120))
    tokens = max(one["input_ids"].numel() for one in long["pairs"]["chunks"])
    assert _peak(model, long, 2 * tokens) <= 1.2 * _peak(model, short, 2 * tokens)
    assert _peak(model, long, 10**9) > 3 * _peak(model, short, 10**9)


def test_batches_travel_as_arrays_and_come_back_equal(encoder_with_dropout):
    _, encoder = encoder_with_dropout
    plain = _batch(encoder)
    sent = AsArrays(lambda lists: _batch(encoder))([])
    assert isinstance(sent["mask"], np.ndarray) and isinstance(sent["pairs"]["chunks"][0]["input_ids"], np.ndarray)
    back = as_tensors(sent, pinned=False)
    assert torch.equal(back["targets"], plain["targets"]) and torch.equal(
        back["pairs"]["order"], plain["pairs"]["order"]
    )
    for one, other in zip(back["pairs"]["chunks"], plain["pairs"]["chunks"], strict=True):
        assert all(torch.equal(one[name], other[name]) for name in other)
