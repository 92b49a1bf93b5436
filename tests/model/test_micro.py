import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, RobertaConfig

from cedistill.model.backbones import BACKBONES, load_backbone
from cedistill.model.micro import MICRO, build_micro, micro_tokenizer
from cedistill.model.mimetic import attentions, mimetic_init


@pytest.mark.parametrize("name", MICRO)
def test_same_seed_same_weights(name):
    first, second, other = (build_micro(name, seed)[0].state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)
    assert all(weight.dtype == torch.float32 for weight in first.values() if weight.is_floating_point())


@pytest.mark.parametrize("name", MICRO)
def test_saved_model_scores_the_same(name, tmp_path):
    model, tokenizer = build_micro(name, 1)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    texts = (["mending a bike", "an inn by the sea"], ["How to repair a bicycle.", "A word on price."])
    with torch.inference_mode():
        expected = model(**tokenizer(*texts, padding=True, return_tensors="pt")).logits
        found = again(**AutoTokenizer.from_pretrained(tmp_path)(*texts, padding=True, return_tensors="pt")).logits
    assert expected.shape == (2, 1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", MICRO)
def test_attention_compares_likes_from_the_start(name):
    """In every layer but the last, query and key of equal vectors agree, and those of different ones do not."""
    model, _ = build_micro(name, 1)
    plain, _ = build_micro(name, 1, mimetic=False)
    vectors = torch.randn(64, model.config.hidden_size, generator=torch.Generator().manual_seed(0))

    def contrast(layer):
        products = (vectors @ layer.query.T) @ (vectors @ layer.key.T).T
        off = products[~torch.eye(64, dtype=torch.bool)]
        return (products.diagonal().mean() / off.std()).item()

    with torch.no_grad():
        for layer in attentions(model)[:-1]:
            assert contrast(layer) > 4
        for layer in attentions(plain):
            assert abs(contrast(layer)) < 2


@pytest.mark.parametrize("name", ["micro-bert", "micro-electra"])
def test_a_word_looks_for_its_like_in_the_other_text(name):
    model, tokenizer = build_micro(name, 1)
    encoded = tokenizer("canoe", "canoe", return_tensors="pt")
    with torch.inference_mode():
        model.set_attn_implementation("eager")
        attention = model(**encoded, output_attentions=True).attentions[0][0].mean(0)
    # [CLS] canoe [SEP] canoe [SEP]
    assert attention[1].argmax() == 3
    assert attention[3].argmax() == 1


def test_mimetic_start_suits_any_encoder_of_a_known_layout():
    config = RobertaConfig(
        vocab_size=50,
        type_vocab_size=1,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        num_labels=1,
    )
    model = AutoModelForSequenceClassification.from_config(config)
    mimetic_init(model, scale=1.0, noise=0.0)
    first = attentions(model)[0]
    torch.testing.assert_close(first.query, torch.eye(16))
    torch.testing.assert_close(first.key, torch.eye(16))


def test_mimetic_start_refuses_what_has_no_attention():
    with pytest.raises(ValueError, match="found none in Linear"):
        mimetic_init(torch.nn.Linear(2, 2))


def test_unknown_name():
    with pytest.raises(ValueError, match="unknown micro encoder 'micro-brt'; did you mean 'micro-bert'"):
        build_micro("micro-brt", 1)


def test_tokenizer_shares_the_stem_of_a_task_and_knows_any_text():
    tokenizer = micro_tokenizer()
    assert tokenizer.tokenize("Acquire, acquiring") == ["acquir", "##e", ",", "acquir", "##ing"]
    assert "[UNK]" not in tokenizer.tokenize("Zebras: 42 quizzes (xyz)!")
    assert tokenizer("a", "buy")["token_type_ids"] == [0, 0, 0, 1, 1]
    assert "token_type_ids" not in micro_tokenizer(types=False)("a", "buy")


@pytest.mark.parametrize("name", MICRO)
def test_listed_among_the_backbones(name):
    model, tokenizer = load_backbone(name, 3)
    assert BACKBONES[name].group == "micro"
    assert model.config.num_labels == 1 and not model.training
    assert len(tokenizer) == model.config.vocab_size
