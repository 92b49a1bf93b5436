import json
import os
import subprocess
import sys

import pytest
from hub_stub import hub

from cedistill.errors import InputError
from cedistill.model.card import card, find_results
from cedistill.model.sharing import push

CONTENT = {
    "backbone": "electra-base",
    "objective": {"title": "MarginMSE", "paper": "Hofstätter et al. 2020"},
    "schedule": {"lists_per_step": 32, "learning_rate": 1e-5},
    "figures": {"steps": 200, "precision": "bf16", "validation": {"ndcg@10": 0.61, "step": 150}},
    "inputs": [{"role": "pairs", "file": "scores.tsv", "sha256": "ab" * 32}],
    "data": {"source": "msmarco-ensemble-scores"},
    "seed": 12,
    "query_tokens": 32,
    "document_tokens": 256,
    "command": "cedistill train --backbone electra-base",
}
RESULTS = {
    "datasets": {
        "dl19": {
            "first_stage": "bm25",
            "depth": 100,
            "runs": {
                "bm25": {"measures": {"ndcg@10": 0.5058, "rr@10": 0.7}},
                "reranked": {"measures": {"ndcg@10": 0.72341, "rr@10": 0.9}},
            },
        }
    }
}


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "seed-12" / "model"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "cedistill.json").write_text(json.dumps(CONTENT))
    (folder / "README.md").write_text("an earlier card")
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 40)
    for name in ("config.json", "optimizer.pt", ".hidden.json", "checkpoints/state.json"):
        (folder / name).write_text("{}")
    (folder.parent / "metrics.json").write_text(json.dumps(RESULTS))
    return folder


def _run(address, *arguments, token="secret"):
    environment = {name: value for name, value in os.environ.items() if name not in ("HF_HUB_OFFLINE", "HF_TOKEN")}
    environment |= {"HF_ENDPOINT": address, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    if token:
        environment["HF_TOKEN"] = token
    command = [sys.executable, "-m", "cedistill", "push", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def test_push_uploads_the_model_and_a_card_with_its_figures(model):
    with hub() as server:
        done = _run(server.address, model, "someone/model", "--private", "--licence", "apache-2.0", "--json")
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert answer["url"].endswith("/someone/model/commit/1")
        assert server.created[0]["name"] == "model" and server.created[0]["visibility"] == "private"
        assert set(server.files) == {"README.md", "cedistill.json", "config.json", "model.safetensors"}
        assert server.files["model.safetensors"] == (model / "model.safetensors").read_bytes()
        text = server.files["README.md"].decode()
        assert text == answer["card"] and 'license: "apache-2.0"' in text and "0.7234" in text
        assert {token for method, path, token in server.seen if path.startswith("/api/")} == {"Bearer secret"}
    assert (model / "README.md").read_text() == "an earlier card"


def test_push_says_what_the_hub_refuses_and_what_is_missing(model):
    with hub(status=403) as server:
        done = _run(server.address, model, "someone/model")
        assert done.returncode == 1 and "you may not write here" in done.stderr and done.stderr.count("\n") == 1
        assert "secret" not in done.stderr
        seen = len(server.seen)
        done = _run(server.address, model, "someone/model", token=None)
        assert done.returncode == 2 and "expected a token of the Hub" in done.stderr and len(server.seen) == seen


def test_a_dry_run_needs_no_token(model, monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    found = push(model, "someone/model", dry_run=True)
    assert [one["path"] for one in found["files"]] == [
        "README.md",
        "cedistill.json",
        "config.json",
        "model.safetensors",
    ]
    assert found["url"] is None and find_results(model) == model / "../metrics.json"


@pytest.mark.parametrize(
    ("repository", "change", "message"),
    [
        ("model", None, "expected a repository as OWNER/NAME"),
        ("a/b c", None, "expected a repository as OWNER/NAME"),
        ("a/b", "cedistill.json", "expected a finished model .* found an interrupted run"),
    ],
)
def test_mistakes_of_a_push(model, repository, change, message):
    if change:
        (model / change).unlink()
    with pytest.raises(InputError, match=message):
        push(model, repository, dry_run=True)


def test_metrics_must_be_an_evaluations(model, tmp_path):
    (tmp_path / "x.json").write_text("[]")
    for path, message in ((tmp_path / "none.json", "no such file"), (tmp_path / "x.json", "no 'datasets'")):
        with pytest.raises(InputError, match=message):
            push(model, "a/b", metrics=path, dry_run=True)


def test_the_hub_reads_the_cards_fields():
    from huggingface_hub import ModelCard

    found = ModelCard(card(CONTENT, RESULTS, "apache-2.0"))
    assert found.data.license == "apache-2.0" and found.data.base_model == "google/electra-base-discriminator"
    assert found.data.pipeline_tag == "text-ranking" and found.data.library_name == "sentence-transformers"
    results = {(one.dataset_type, one.metric_type): one.metric_value for one in found.data.eval_results}
    assert results == {("dl19", "ndcg@10"): 0.7234, ("dl19", "rr@10"): 0.9}


def test_a_card_says_figures_data_command_and_terms():
    text = card(CONTENT, RESULTS)
    assert "| dl19 | ndcg@10 | 0.5058 | 0.7234 | bm25, top 100 |" in text
    assert "Best validation nDCG@10 0.6100 at step 150." in text and "cedistill train --backbone electra-base" in text
    assert "| pairs | scores.tsv | `abababababababab…` |" in text and "license" not in text.split("---")[1]
    assert "The backbone's weights: apache-2.0." in text and "non-commercial research" in text
    own = card(CONTENT | {"backbone": "micro-bert", "data": {"dataset": "data/mine"}})
    assert "non-commercial" not in own and "base_model" not in own and "## Evaluation" not in own
