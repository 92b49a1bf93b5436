import functools
import threading
import time

import numpy as np
import pytest
import torch
from families import PAIRS, model_of, tokenizer_of

from cedistill.model import forward, packing
from cedistill.model.encode import make_encoder
from cedistill.model.forward import batch_maker, chunk_logits
from cedistill.model.lanes import MOST, in_lanes, lanes_of
from cedistill.model.scoring import score_pairs
from cedistill.training.gradient_cache import backward


@pytest.fixture
def threads():
    """Return what sets torch's threads; they are as before after the test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_items_keep_their_order_and_lanes_share_the_cores(threads):
    threads(4)

    def one(number):
        time.sleep(0.05 / number)  # the last one ends first
        return number, torch.get_num_threads(), threading.get_ident()

    found = in_lanes(one, [1, 2, 3, 4, 5], 2)
    assert [number for number, _, _ in found] == [1, 2, 3, 4, 5]
    assert {count for _, count, _ in found} == {2} and torch.get_num_threads() == 4
    assert len({lane for _, _, lane in found}) == 2
    assert in_lanes(one, [3], 2) == [(3, 4, threading.get_ident())]  # nothing to share: no other thread
    assert in_lanes(one, [], 2) == []


def test_an_error_in_a_lane_is_raised_and_the_cores_are_given_back(threads):
    threads(2)
    with pytest.raises(ZeroDivisionError):
        in_lanes(lambda number: 1 / number, [1, 0], 2)
    assert torch.get_num_threads() == 2


def test_lanes_of_models_and_devices(threads):
    threads(64)
    assert lanes_of(model_of("bert"), "cpu") == MOST
    assert lanes_of(model_of("bert"), "cuda") == 1
    assert lanes_of(torch.nn.Linear(2, 1), "cpu") == 1  # somebody's own
    threads(1)
    assert lanes_of(model_of("bert"), "cpu") == 1


@pytest.mark.parametrize("family", ["bert", "modernbert", "deberta"])
def test_scores_in_lanes_are_those_of_one(family, threads, monkeypatch):
    monkeypatch.setattr(forward, "LEAST_TOKENS", 8)
    model, encoder = model_of(family), make_encoder(tokenizer_of(family))
    pairs = PAIRS * 5
    threads(1)
    expected = score_pairs(model, encoder, pairs, max_tokens=100)
    threads(3)
    found = score_pairs(model, encoder, pairs, max_tokens=100)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert expected.std() > 0.01


@pytest.fixture
def short_chunks(threads, monkeypatch):
    threads(3)
    monkeypatch.setattr(forward, "LEAST_TOKENS", 8)
    monkeypatch.setattr(packing, "MIN_WIDTH", 0)


def _batch(model, family):
    encoder = make_encoder(tokenizer_of(family))
    return batch_maker(model, encoder.pad_id, "cpu", max_tokens=150, lanes=3)(encoder.encode(PAIRS * 2))


def _in_lanes(model, batch, graph_tokens, lanes, seed=5):
    """Return the gradients by lanes, in order of the parameters."""
    torch.manual_seed(seed)
    model.zero_grad()
    parameters = list(model.parameters())
    targets = torch.linspace(-1, 1, len(batch["order"]))
    score = functools.partial(chunk_logits, model)
    backward(
        score, batch, lambda flat: (flat - targets).square().mean(), graph_tokens, lanes=lanes, parameters=parameters
    )
    return [one.grad.clone() for one in parameters]


@pytest.mark.parametrize("family", ["bert", "electra", "roberta", "modernbert"])
def test_lanes_give_the_gradient_of_one(family, short_chunks):
    model = model_of(family).double()
    batch = _batch(model, family)
    tokens = [one["input_ids"].numel() for one in batch["chunks"]]
    assert len(tokens) >= 5
    expected = _in_lanes(model, batch, 10**9, 1)
    for limit in (1, tokens[-1] + tokens[-2], 10**9):  # all chunks twice, all but two, none
        for found, one, parameter in zip(_in_lanes(model, batch, limit, 3), expected, model.parameters(), strict=True):
            torch.testing.assert_close(found, one, rtol=1e-4, atol=1e-7)  # scores are float32
            assert found.stride() == parameter.stride()  # as fused optimisers ask


def test_dropout_in_lanes_comes_from_the_seed_and_again_the_second_time(short_chunks):
    model = model_of("bert", hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.2).double()
    batch = _batch(model, "bert")
    model.train()
    expected = _in_lanes(model, batch, 10**9, 3)
    for limit in (10**9, 1):
        found = _in_lanes(model, batch, limit, 3)
        assert all(torch.allclose(one, other, rtol=1e-4, atol=1e-7) for one, other in zip(found, expected, strict=True))
    other = _in_lanes(model, batch, 10**9, 3, seed=6)
    assert not any(torch.allclose(one, two) for one, two in zip(other, expected, strict=True) if one.abs().sum() > 1e-3)
