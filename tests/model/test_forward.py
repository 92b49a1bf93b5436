import copy

import numpy as np
import pytest
import torch
from families import FAMILIES, LONG_QUERY, PAIRS, model_of, tokenizer_of

from cedistill.model.encode import EncodedPair, make_encoder, max_positions
from cedistill.model.forward import chunk_limits, cut_into_chunks, logits, make_batch, pad_chunk

TEXTS = [*PAIRS, (LONG_QUERY, "a document")]


def batch_of(family, max_tokens, max_rows, pairs=TEXTS):
    encoder = make_encoder(tokenizer_of(family), max_positions=max_positions(model_of(family).config))
    return make_batch(encoder.encode(pairs), encoder.pad_id, max_tokens, max_rows)


def work(chunks, lengths, overhead):
    return sum(len(chunk) * max(lengths[place] for place in chunk) + overhead for chunk in chunks)


def compositions(count):
    if count == 0:
        return [[]]
    return [[first, *rest] for first in range(1, count + 1) for rest in compositions(count - first)]


def test_chunks_by_hand():
    # Sorted: 10 9 2 2. Together 40 tokens; cut after 9: 20 + 4, and 5 for the second chunk.
    chunks = cut_into_chunks([2, 10, 2, 9], max_tokens=100, max_rows=100, overhead=5)
    assert [chunk.tolist() for chunk in chunks] == [[1, 3], [0, 2]]
    whole = cut_into_chunks([2, 10, 2, 9], max_tokens=100, max_rows=100, overhead=17)
    assert [chunk.tolist() for chunk in whole] == [[1, 3, 0, 2]]


@pytest.mark.parametrize("overhead", [0, 3, 50])
@pytest.mark.parametrize(("max_tokens", "max_rows"), [(10_000, 100), (60, 100), (10_000, 3), (25, 2)])
def test_chunks_are_the_best_of_all_cuts(overhead, max_tokens, max_rows):
    lengths = np.random.default_rng(5).integers(1, 30, 9)
    chunks = cut_into_chunks(lengths, max_tokens, max_rows, overhead)
    ordered = np.argsort(-lengths, kind="stable")
    best = min(
        work(cut, lengths, overhead)
        for sizes in compositions(len(lengths))
        for cut in [np.split(ordered, np.cumsum(sizes)[:-1])]
        if all(len(c) <= max_rows and (len(c) == 1 or len(c) * lengths[c[0]] <= max_tokens) for c in cut)
    )
    assert work(chunks, lengths, overhead) == best
    assert np.concatenate(chunks).tolist() == ordered.tolist()


def test_pair_longer_than_the_limit_is_a_chunk_alone():
    chunks = cut_into_chunks([3, 500, 4], max_tokens=100, max_rows=8, overhead=1000)
    assert [chunk.tolist() for chunk in chunks] == [[1], [2, 0]]


def test_no_pairs():
    assert cut_into_chunks([], 100, 8) == []
    batch = make_batch([], 0, 100, 8)
    assert batch["chunks"] == []
    assert logits(model_of("bert"), batch).shape == (0,)


def test_padding_by_hand():
    chunk = pad_chunk([EncodedPair([5, 6, 7], [0, 0, 1]), EncodedPair([8], [1])], pad_id=9)
    assert chunk["input_ids"].tolist() == [[5, 6, 7], [8, 9, 9]]
    assert chunk["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert chunk["token_type_ids"].tolist() == [[0, 0, 1], [1, 0, 0]]
    assert set(pad_chunk([EncodedPair([5], None)], 9)) == {"input_ids", "attention_mask"}


def test_chunk_limits_are_larger_on_a_gpu():
    assert all(small < large for small, large in zip(chunk_limits("cpu"), chunk_limits("cuda:1"), strict=True))


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_do_not_depend_on_chunks_and_padding(family):
    model = model_of(family)
    with torch.no_grad():
        whole = logits(model, batch_of(family, 10**9, 100))
        chunked = logits(model, batch_of(family, 300, 2))
        alone = torch.cat([logits(model, batch_of(family, 300, 1, [pair])) for pair in TEXTS])
    assert whole.std() > 0.01  # the pairs do score differently, a thousand times the tolerance
    torch.testing.assert_close(chunked, whole, rtol=0, atol=1e-5)
    torch.testing.assert_close(alone, whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_come_from_every_chunk(family):
    one, many = model_of(family), model_of(family)
    torch.linspace(-1, 2, len(TEXTS)).dot(logits(one, batch_of(family, 10**9, 100))).backward()
    batch = batch_of(family, 300, 2)
    assert len(batch["chunks"]) >= 4
    torch.linspace(-1, 2, len(TEXTS)).dot(logits(many, batch)).backward()
    for (name, left), right in zip(one.named_parameters(), many.parameters(), strict=True):
        if left.grad is not None:
            torch.testing.assert_close(
                right.grad, left.grad, rtol=1e-4, atol=1e-4, msg=lambda text, n=name: f"{n}: {text}"
            )
    assert sum(parameter.grad is not None for parameter in many.parameters()) > 10


@pytest.mark.parametrize("family", FAMILIES)
def test_steps_lower_the_loss(family):
    model = copy.deepcopy(model_of(family))
    batch, targets = batch_of(family, 600, 4), torch.linspace(-1, 1, len(TEXTS))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(4):
        loss = torch.nn.functional.mse_loss(logits(model, batch), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_logits_are_float32_under_autocast():
    model = model_of("bert")
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        scores = logits(model, batch_of("bert", 600, 4))
        raw = model(**batch_of("bert", 600, 4)["chunks"][0]).logits
    assert raw.dtype == torch.bfloat16
    assert scores.dtype == torch.float32
