import json

import numpy as np
import pytest
import torch
from families import FAMILIES, LONG_QUERY, PAIRS, model_of, tokenizer_of
from sentence_transformers import CrossEncoder
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from cedistill.model.encode import make_encoder
from cedistill.model.forward import logits, make_batch
from cedistill.model.reranker import Reranker, score_pairs
from cedistill.model.saving import save_model

LIMIT = 288


def trained(family):
    """One step of training away from the random start, so that what is saved is not what a seed gives again."""
    model, encoder = model_of(family), make_encoder(tokenizer_of(family))
    batch = make_batch(encoder.encode(PAIRS), encoder.pad_id, 1000, 4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    torch.nn.functional.mse_loss(logits(model, batch), torch.arange(float(len(PAIRS)))).backward()
    optimizer.step()
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_saved_and_loaded_scores_are_the_same(family, tmp_path):
    model, tokenizer = trained(family), tokenizer_of(family)
    folder = tmp_path / "deep" / "model"
    save_model(folder, model, tokenizer, max_length=LIMIT)
    scores = score_pairs(model, make_encoder(tokenizer), [*PAIRS, (LONG_QUERY, "a document")])
    assert scores.std() > 0.01
    assert np.abs(1 / (1 + np.exp(-scores)) - scores).max() > 0.05  # a sigmoid would show
    ours = Reranker(folder, device="cpu").score([*PAIRS, (LONG_QUERY, "a document")])
    np.testing.assert_allclose(ours, scores, rtol=0, atol=1e-6)

    theirs = CrossEncoder(str(folder), device="cpu").predict(PAIRS)  # a long query it cuts by another rule
    np.testing.assert_allclose(theirs, scores[:-1], rtol=0, atol=1e-5)

    plain = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    loaded = AutoTokenizer.from_pretrained(folder)
    assert loaded.model_max_length == LIMIT
    inputs = loaded(*zip(*PAIRS, strict=True), padding=True, truncation=True, return_tensors="pt")
    with torch.inference_mode():
        np.testing.assert_allclose(plain(**inputs).logits[:, 0].numpy(), scores[:-1], rtol=0, atol=1e-5)
    assert tokenizer.model_max_length != LIMIT  # the caller's is not touched


def test_safetensors_only_and_float32(tmp_path):
    save_model(tmp_path / "model", model_of("bert"), tokenizer_of("bert"), max_length=LIMIT)
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= names
    assert not any(name.endswith((".bin", ".pt", ".pkl")) for name in names)
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["sentence_transformers"]["activation_fn"] == "torch.nn.modules.linear.Identity"
    assert config["dtype"] == "float32"


def test_limit_is_at_most_the_models_positions(tmp_path):
    model = model_of("roberta", max_position_embeddings=320)
    save_model(tmp_path / "model", model, tokenizer_of("roberta"), max_length=1000)
    assert AutoTokenizer.from_pretrained(tmp_path / "model").model_max_length == 320


def test_other_files_of_a_folder_stay(tmp_path):
    folder = tmp_path / "model"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "log.jsonl").write_text("{}\n")
    (folder / "config.json").write_text("old")
    save_model(folder, model_of("bert"), tokenizer_of("bert"), max_length=LIMIT)
    assert (folder / "checkpoints").is_dir()
    assert (folder / "log.jsonl").read_text() == "{}\n"
    assert json.loads((folder / "config.json").read_text())["model_type"] == "bert"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_nothing_is_left_of_a_failure(tmp_path):
    class Broken:
        config = model_of("bert").config

        def save_pretrained(self, folder):
            (folder / "config.json").write_text("{}")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        save_model(tmp_path / "model", Broken(), tokenizer_of("bert"), max_length=LIMIT)
    assert list(tmp_path.iterdir()) == []
