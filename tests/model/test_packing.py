import copy

import numpy as np
import pytest
import torch
from families import FAMILIES, LONG_QUERY, PAIRS, config_of, model_of, tokenizer_of
from transformers import AutoModelForSequenceClassification, XLMRobertaConfig

from cedistill.model import attention, packing
from cedistill.model.attention import Rows, by_jagged, by_segment, packed_attention
from cedistill.model.encode import EncodedPair, make_encoder, max_positions
from cedistill.model.forward import batch_maker, cut_by_tokens, logits, make_batch, pack_chunk
from cedistill.model.lanes import LEAST_TOKENS
from cedistill.model.packing import Packing, packing_of, prepare_packing
from cedistill.model.saving import save_model

PACKED = ("bert", "electra", "roberta", "xlm-roberta", "modernbert", "modernbert-mean", "modernbert-full")


def classifier_of(name, seed=0, **changes):
    if name == "xlm-roberta":
        torch.manual_seed(seed)
        return AutoModelForSequenceClassification.from_config(
            XLMRobertaConfig(**{**config_of("roberta").to_dict(), **changes, "model_type": name})
        ).eval()
    if name == "modernbert-mean":
        return model_of("modernbert", seed, classifier_pooling="mean", **changes)
    if name == "modernbert-full":
        return model_of("modernbert", seed, layer_types=["full_attention"] * 2, **changes)
    return model_of(name, seed, **changes)


def random_pairs(model, lengths, seed=0):
    draws = np.random.default_rng(seed)
    types = getattr(model.config, "type_vocab_size", 0) == 2
    pairs = []
    for length in lengths:
        ids = draws.integers(5, model.config.vocab_size, length).tolist()
        pairs.append(EncodedPair(ids, [int(place > length // 2) for place in range(length)] if types else None))
    return pairs


LENGTHS = {
    "random": np.random.default_rng(3).integers(1, 90, 17).tolist(),
    "one token": [1, 1, 5, 1, 40, 1],
    "one pair": [70],
    "equal": [20] * 6,
    "longest": [300, 2, 299],
    "a thousand": np.random.default_rng(4).integers(1, 40, 1000).tolist(),
}


def both(model, pairs, max_tokens=900, multiple=1):
    """Return the logits of padded chunks by the model as transformers runs it, and of packed chunks."""
    pad = model.config.pad_token_id
    packed = copy.deepcopy(model)
    packing = prepare_packing(packed)._replace(multiple=multiple)
    batch = make_batch(pairs, pad, max_tokens, 0, packing)
    return logits(model, make_batch(pairs, pad, 2000, 64)), logits(packed, batch), packed


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("family", PACKED)
def test_packed_scores_and_gradients_are_those_of_padded_pairs(family, lengths):
    model = classifier_of(family)
    padded, packed, twin = both(model, random_pairs(model, LENGTHS[lengths]))
    torch.testing.assert_close(packed, padded, rtol=0, atol=1e-5)
    weights = torch.linspace(-1, 2, len(padded)) / len(padded)
    weights.dot(padded).backward()
    weights.dot(packed).backward()
    for (name, left), right in zip(model.named_parameters(), twin.parameters(), strict=True):
        assert (left.grad is None) == (right.grad is None), name
        if left.grad is not None:
            torch.testing.assert_close(right.grad, left.grad, rtol=1e-4, atol=1e-5, msg=lambda t, n=name: f"{n}: {t}")
    with torch.no_grad():
        for multiple in (1, 64):
            packing = prepare_packing(twin)._replace(multiple=multiple)
            batch = make_batch(random_pairs(model, LENGTHS[lengths]), 0, 10**6, 0, packing)
            assert batch["chunks"][0]["input_ids"].numel() % multiple == 0
            torch.testing.assert_close(logits(twin, batch), padded, rtol=0, atol=1e-5)
    if len(padded) > 3:
        assert padded.std() > 0.01


@pytest.mark.parametrize("family", PACKED)
def test_packed_scores_under_bf16(family):
    model = classifier_of(family, initializer_range=0.05)
    pairs = random_pairs(model, LENGTHS["random"])
    exact, _, _ = both(model, pairs)
    with torch.autocast("cpu", torch.bfloat16):
        _, packed, twin = both(model, pairs, multiple=64)
        with torch.no_grad():
            _, fused, _ = both(model, pairs)
    assert packed.dtype == torch.float32
    scale = exact.abs().max().clamp(min=1)
    assert 0 < (packed - exact).abs().max() < 1e-2 * scale
    assert (fused - exact).abs().max() < 1e-2 * scale
    packed.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in twin.parameters() if p.grad is not None)


@pytest.mark.parametrize("family", FAMILIES)
def test_texts_of_all_kinds_by_the_default_way(family, monkeypatch):
    monkeypatch.setattr(packing, "MIN_WIDTH", 0)
    plain, model = model_of(family), model_of(family)
    encoder = make_encoder(tokenizer_of(family), max_positions=max_positions(model.config))
    texts = [*PAIRS, ("", ""), (LONG_QUERY, ""), ("<pad> [PAD] a", "<pad> river <pad>")]
    make = batch_maker(model, encoder.pad_id, "cpu")
    batch = make(encoder.encode(texts))
    assert ("cu_seq_lens_q" in batch["chunks"][0]) == (family != "deberta")
    expected = logits(plain, make_batch(encoder.encode(texts), encoder.pad_id, 1000, 4))
    torch.testing.assert_close(logits(model, batch), expected, rtol=0, atol=1e-5)
    assert logits(model, make([])).shape == (0,)


@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_padded_chunks_run_as_before_on_a_prepared_model(family):
    model = classifier_of(family)
    twin = copy.deepcopy(model)
    assert prepare_packing(twin) == prepare_packing(twin)
    assert sum(map(len, (module._forward_hooks for module in twin.modules()))) == 1
    ids = torch.randint(5, 100, (3, 40))
    mask = torch.ones_like(ids)
    for attention_mask in (mask, mask.tril(20), None):
        expected = model(input_ids=ids, attention_mask=attention_mask).logits
        torch.testing.assert_close(twin(input_ids=ids, attention_mask=attention_mask).logits, expected)


def test_a_prepared_model_is_saved_as_any_other(tmp_path):
    model = classifier_of("bert")
    prepare_packing(model)
    save_model(tmp_path / "model", model, tokenizer_of("bert"), max_length=64)
    assert "cedistill" not in (tmp_path / "model" / "config.json").read_text()
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model")
    assert loaded.config._attn_implementation == "sdpa"


def test_which_models_are_packed_where(monkeypatch):
    wide = {"hidden_size": 128, "num_attention_heads": 4}
    assert packing_of(model_of("modernbert"), "cpu") is None  # too narrow
    assert packing_of(model_of("modernbert", **wide), "cpu") == Packing()
    assert packing_of(model_of("bert"), "cpu") == Packing()
    assert packing_of(model_of("bert", **wide), "cpu") == Packing()
    assert packing_of(model_of("roberta", **wide), "cpu") == Packing(padding_id=1)
    assert packing_of(model_of("bert"), "cpu", "bf16") == Packing(multiple=64)
    assert packing_of(model_of("bert"), "cuda", "bf16") == Packing()
    assert packing_of(model_of("bert"), "cuda") == Packing()
    assert packing_of(model_of("bert"), "mps") is None
    assert packing_of(model_of("deberta", **wide), "cpu") is None
    assert packing_of(model_of("modernbert"), "cuda", "bf16") == Packing()
    assert packing_of(model_of("modernbert"), "cuda", "float32") is None
    assert packing_of(model_of("modernbert", attention_dropout=0.1), "cuda", "bf16") is None
    assert packing_of(model_of("modernbert", layer_types=["full_attention"] * 2), "cuda", "float32") == Packing()
    assert packing_of(model_of("bert", is_decoder=True, **wide), "cpu") is None
    eager = model_of("bert", **wide)
    eager.set_attn_implementation("eager")
    assert packing_of(eager, "cpu") is None  # somebody's choice
    assert eager.config._attn_implementation == "eager"


def test_packed_chunk_by_hand():
    pairs = [EncodedPair([5, 6, 7], [0, 0, 1]), EncodedPair([8], [1])]
    chunk = pack_chunk(pairs, Packing())
    assert chunk["input_ids"].tolist() == [[5, 6, 7, 8]]
    assert chunk["position_ids"].tolist() == [[0, 1, 2, 0]]
    assert chunk["token_type_ids"].tolist() == [[0, 0, 1, 1]]
    assert chunk["cu_seq_lens_q"].tolist() == chunk["cu_seq_lens_k"].tolist() == [0, 3, 4]
    assert chunk["max_length_q"] == chunk["max_length_k"] == 3
    filled = pack_chunk(pairs, Packing(multiple=3))
    assert filled["input_ids"].tolist() == [[5, 6, 7, 8, 0, 0]] and filled["cu_seq_lens_q"].tolist() == [0, 3, 4]
    roberta = pack_chunk([EncodedPair([0, 1, 7], None), EncodedPair([0, 9], None)], Packing(padding_id=1))
    assert roberta["position_ids"].tolist() == [[2, 1, 3, 2, 3]]  # 1 is the padding token, in the text
    assert "token_type_ids" not in roberta


def test_cuts_by_tokens():
    assert [cut.tolist() for cut in cut_by_tokens([3, 9, 4, 4], 10)] == [[1], [2, 3], [0]]
    assert [cut.tolist() for cut in cut_by_tokens([5, 50, 5], 20)] == [[1], [0, 2]]
    assert cut_by_tokens([], 10) == []
    lengths = np.random.default_rng(1).integers(1, 60, 500)
    cuts = cut_by_tokens(lengths, 1000)
    sums = [lengths[cut].sum() for cut in cuts]
    assert sorted(np.concatenate(cuts).tolist()) == list(range(500))
    assert max(sums) <= 1000
    assert min(sums) > 0.5 * max(sums)  # no small rest
    for limit, lanes, count in ((10**6, 3, 3), (6000, 4, 4), (3000, 4, 8), (10**6, 100, lengths.sum() // LEAST_TOKENS)):
        cuts = cut_by_tokens(lengths, limit, lanes)
        assert len(cuts) == pytest.approx(count, rel=0.1)
        assert sorted(np.concatenate(cuts).tolist()) == list(range(500))
    assert len(cut_by_tokens([40, 30, 20], 1000, lanes=4)) == 1  # too little to share


@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("grad", [True, False])
def test_attention_by_segment_equals_a_block_mask(window, grad):
    torch.manual_seed(0)
    query, key, value = (torch.randn(19, 3, 8, requires_grad=grad) for _ in range(3))
    starts = torch.tensor([0, 7, 14, 15, 19], dtype=torch.int32)
    owner = torch.repeat_interleave(torch.arange(4), starts.diff())
    places = torch.arange(19)
    mask = (owner[:, None] == owner) & ((places[:, None] - places).abs() < (window or 99))
    heads_first = (tensor.transpose(0, 1) for tensor in (query, key, value))
    expected = torch.nn.functional.scaled_dot_product_attention(*heads_first, attn_mask=mask, scale=0.3)
    found = by_segment(Rows(query, key, value), starts, 0.3, window=window)
    torch.testing.assert_close(found, expected.transpose(0, 1))


def test_jagged_attention_equals_attention_by_segment():
    torch.manual_seed(0)
    query, key, value = (torch.randn(19, 3, 8, requires_grad=True) for _ in range(3))
    starts = torch.tensor([0, 7, 14, 15, 19], dtype=torch.int32)
    found = by_jagged(Rows(query, key, value), starts, 7, 0.3)
    expected = by_segment(Rows(query, key, value), starts, 0.3)
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(found)
    left = torch.autograd.grad((found * weights).sum(), (query, key, value))
    right = torch.autograd.grad((expected * weights).sum(), (query, key, value))
    torch.testing.assert_close(left, right)
    with pytest.raises(ValueError, match="pairs within a window of 6, found one of 7"):
        by_jagged(Rows(query, key, value), starts, 7, 0.3, window=6)


@pytest.mark.parametrize("attend", [by_segment, lambda rows, starts, scale: by_jagged(rows, starts, 7, scale)])
def test_attention_of_first_tokens_is_that_of_all_tokens_there(attend):
    torch.manual_seed(0)
    query, key, value = (torch.randn(19, 3, 8, requires_grad=True) for _ in range(3))
    starts = torch.tensor([0, 7, 14, 15, 19], dtype=torch.int32)
    expected = by_segment(Rows(query, key, value), starts, 0.3)[starts[:-1]]
    found = attend(Rows(query[starts[:-1]], key, value), starts, 0.3)
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(found)
    left = torch.autograd.grad((found * weights).sum(), (query, key, value))
    right = torch.autograd.grad((expected * weights).sum(), (query, key, value))
    torch.testing.assert_close(left, right)


def test_the_last_layer_reads_first_tokens_only():
    model = classifier_of("bert")
    packing = prepare_packing(model)
    rows = []
    for layer in model.bert.encoder.layer:
        layer.intermediate.register_forward_hook(lambda module, inputs, output: rows.append(len(output)))
    logits(model, make_batch(random_pairs(model, [7, 3, 5]), 0, 100, 0, packing))
    assert rows == [15, 3]
    copied = copy.deepcopy(model)  # and neither copies nor their weights' names know of it
    assert list(copied.state_dict()) == list(classifier_of("bert").state_dict())


def test_dropout_of_attention_keeps_means_and_its_rate():
    torch.manual_seed(0)
    length, width = 64, 4
    # Equal weights: each output is a mean of the values that are kept, times 1 / (1 - rate).
    query = torch.zeros(length * 50, 2, width, requires_grad=True)
    value = torch.ones(length * 50, 2, width)
    starts = torch.arange(0, length * 50 + 1, length, dtype=torch.int32)
    for rate in (0.1, 0.5):
        output = by_segment(Rows(query, query, value), starts, 1.0, dropout=rate)
        kept = output[:, :, 0] * (1 - rate) * length
        torch.testing.assert_close(kept, kept.round(), rtol=0, atol=1e-3)  # counts
        count = kept.numel() * length
        spread = (rate * (1 - rate) / count) ** 0.5
        assert abs(kept.sum() / count - (1 - rate)) < 4 * spread
        assert abs(kept.var() / length - rate * (1 - rate)) < 0.1 * rate * (1 - rate)
    output.sum().backward()


def test_training_with_dropout_scores_about_as_without():
    model = classifier_of("bert", hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1, initializer_range=0.05)
    pairs = random_pairs(model, [30] * 40)
    _, without, twin = both(model, pairs)
    model.train()
    twin.train()
    torch.manual_seed(1)
    draws = [both_modes(model, twin, pairs) for _ in range(12)]
    padded, packed = (torch.stack([draw[place] for draw in draws]) for place in (0, 1))
    assert packed.std(0).mean() > 0
    assert 0.8 < packed.std(0).mean() / padded.std(0).mean() < 1.25
    assert (packed.mean() - without.mean()).abs() < 0.2 * packed.std()


def both_modes(model, twin, pairs):
    with torch.no_grad():
        return (
            logits(model, make_batch(pairs, model.config.pad_token_id, 10**6, 100)),
            logits(twin, make_batch(pairs, model.config.pad_token_id, 10**6, 0, Packing())),
        )


def test_flash_attention_is_asked_for_sixteen_bit_numbers_on_a_gpu(monkeypatch):
    asked = {}

    class OnGpu:
        type = "cuda"

    class Fake:
        dtype, device, shape = torch.bfloat16, OnGpu, (1, 2, 5, 8)

        def __getitem__(self, place):
            return self

        def transpose(self, *places):
            return self

    def flash(rows, starts, longest, scale, window):
        asked["flash"] = (longest, scale, window)
        return torch.zeros(5, 2, 8)

    def jagged(rows, starts, longest, scale, dropout, window):
        asked["jagged"] = (longest, dropout)
        return torch.zeros(5, 2, 8)

    monkeypatch.setattr(attention, "by_flash", flash)
    monkeypatch.setattr(attention, "by_jagged", jagged)
    starts = torch.tensor([0, 5])
    packed_attention(None, Fake(), Fake(), Fake(), None, 0.0, 0.5, 65, starts, 5)
    packed_attention(None, Fake(), Fake(), Fake(), None, 0.1, 0.5, None, starts)
    assert asked == {"flash": (5, 0.5, 65), "jagged": (5, 0.1)}


@pytest.mark.gpu
@pytest.mark.parametrize("family", PACKED)
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_packed_equals_padded_on_a_gpu(family, precision):
    model = classifier_of(family, initializer_range=0.05).cuda()
    twin = copy.deepcopy(model)
    found = packing_of(twin, "cuda", precision)
    if found is None:
        pytest.skip("padded there by design")
    pairs = random_pairs(model, LENGTHS["random"])
    pad = model.config.pad_token_id
    with torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16"):
        left = logits(model, make_batch(pairs, pad, 500, 4))
        right = logits(twin, make_batch(pairs, pad, 250, 0, found))
    torch.testing.assert_close(right, left, rtol=0, atol=1e-5 if precision == "float32" else 1e-2)
    left.sum().backward()
    right.sum().backward()
    tolerance = 1e-4 if precision == "float32" else 5e-2
    for one, other in zip(model.parameters(), twin.parameters(), strict=True):
        if one.grad is not None:
            scale = one.grad.abs().max().clamp(min=1)
            assert (one.grad - other.grad).abs().max() < tolerance * scale
