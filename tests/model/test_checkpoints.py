import json
import shutil
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import huggingface_hub
import pytest
import torch
from families import PAIRS, model_of, tokenizer_of

from cedistill.errors import InputError
from cedistill.model import checkpoints
from cedistill.model.backbones import load_backbone
from cedistill.model.checkpoints import Source, find_source
from cedistill.model.reranker import Reranker

ANSWERS = {
    "absent": (404, {"X-Error-Code": "RepoNotFound"}),
    "private": (401, {"X-Error-Code": "RepoNotFound"}),
    "gated": (403, {"X-Error-Code": "GatedRepo"}),
    "empty": (404, {"X-Error-Code": "EntryNotFound"}),
    "broken": (500, {}),
    "there": (200, {"ETag": '"1"', "X-Repo-Commit": "a" * 40, "Content-Length": "2"}),
}


@pytest.fixture
def online(monkeypatch, tmp_path):
    """No offline switch, and an empty Hub cache."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def hub(online, monkeypatch):
    """A stand-in for the Hub that answers by the repository's name and counts the questions."""
    asked = []

    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self):
            asked.append(self.path)
            status, headers = ANSWERS[self.path.split("/")[2]]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(huggingface_hub, "hf_hub_url", lambda hub_id, file: f"{address}/{hub_id}/resolve/main/{file}")
    yield asked
    server.shutdown()
    server.server_close()


def one_line(error):
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent", "expected a backbone, found no owner/absent on the Hub; give a name of `cedistill ls backbones`"),
        ("private", "expected a backbone, found no owner/private on the Hub; give"),
        ("gated", "expected access to owner/gated, found it gated; accept its terms on the Hub and log in"),
        ("empty", "expected an encoder, found owner/empty on the Hub without config.json; give"),
        ("broken", "expected owner/broken from the Hub, found it out of reach"),
    ],
)
def test_what_the_hub_answers(name, message, hub):
    with pytest.raises(InputError) as error:
        find_source(f"owner/{name}")
    assert one_line(error).startswith(message)
    assert len(hub) == 1


def test_a_repository_on_the_hub_is_left_to_transformers(hub):
    assert find_source("owner/there") == Source("owner/there", local_only=False)


def test_out_of_reach_ends_soon(online, monkeypatch):
    monkeypatch.setattr(
        huggingface_hub, "hf_hub_url", lambda *_: "http://127.0.0.1:9/owner/name/resolve/main/config.json"
    )
    start = time.perf_counter()
    with pytest.raises(InputError) as error:
        load_backbone("roberta-base", 1)
    assert time.perf_counter() - start < 8  # one short question; twenty seconds and more for each file otherwise
    message = one_line(error)
    assert message.startswith("expected FacebookAI/roberta-base from the Hub, found it out of reach")
    assert "hf download FacebookAI/roberta-base --local-dir FOLDER" in message


def test_offline_names_the_switch_and_the_download(online, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError) as error:
        find_source("deberta-v3-base")
    assert one_line(error) == (
        "expected microsoft/deberta-v3-base in the cache, found it absent with HF_HUB_OFFLINE set; "
        "unset it, or download first: hf download microsoft/deberta-v3-base"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("minilm-l66", "unknown backbone 'minilm-l66'; did you mean 'minilm-l6'? known: ettin-17m, "),
        ("./nowhere", "./nowhere: expected a model's folder, found nothing there; check the path"),
        ("a/b/c", "a/b/c: expected a model's folder, found nothing there; check the path"),
        ("two words/x", "expected a backbone, found 'two words/x', which is no Hub id; give a name of"),
    ],
)
def test_names_of_nothing(name, message, online):
    with pytest.raises(InputError) as error:
        find_source(name)
    assert one_line(error).startswith(message)


def test_folder_without_configuration_and_file(tmp_path):
    with pytest.raises(
        InputError, match=r"expected a model's folder, found no config.json there; give the folder of one"
    ):
        find_source(str(tmp_path))
    (tmp_path / "model").write_text("")
    with pytest.raises(InputError, match="expected a model's folder, found a file"):
        find_source(str(tmp_path / "model"))


@pytest.mark.parametrize("broken", ["config.json", "model.safetensors", "tokenizer.json"])
def test_broken_files_are_one_line(broken, tmp_path):
    model_of("bert").save_pretrained(tmp_path)
    tokenizer_of("bert").save_pretrained(tmp_path)
    (tmp_path / broken).write_text("{not whole")
    with pytest.raises(InputError) as error:
        load_backbone(str(tmp_path), 1)
    assert one_line(error).startswith(f"{tmp_path}: expected ")


def test_missing_weights_and_strange_configuration(tmp_path):
    tokenizer_of("bert").save_pretrained(tmp_path)
    model_of("bert").config.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="expected an encoder with safetensors weights"):
        load_backbone(str(tmp_path), 1)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "no-such-type"}))
    with pytest.raises(InputError):
        load_backbone(str(tmp_path), 1)


def test_a_sentencepiece_model_loads(tmp_path):
    """DeBERTa-v3's repository has a spm.model in place of a tokenizer.json."""
    from sentencepiece import sentencepiece_model_pb2 as format_

    proto, tokenizer = format_.ModelProto(), tokenizer_of("deberta")
    kinds = {"[UNK]": 2, "[PAD]": 3, "[CLS]": 3, "[SEP]": 3, "[MASK]": 3}
    for piece, score in json.loads(tokenizer.backend_tokenizer.to_str())["model"]["vocab"]:
        proto.pieces.add(piece=piece, score=score, type=kinds.get(piece, 1))
    proto.trainer_spec.model_type = 1
    proto.trainer_spec.unk_id = tokenizer.unk_token_id
    model_of("deberta").save_pretrained(tmp_path)
    (tmp_path / "spm.model").write_bytes(proto.SerializeToString())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"vocab_type": "spm"}))
    _, loaded = load_backbone(str(tmp_path), 1)
    assert loaded(*PAIRS[0])["input_ids"] == tokenizer(*PAIRS[0])["input_ids"]


@pytest.mark.parametrize("converted", [False, True])
def test_cached_checkpoints_need_no_network(converted, online, tmp_path, monkeypatch):
    """Weights may lie in the cache under the pull request of the Hub's converter, apart from the rest."""
    repository = online / "models--owner--name"
    for revision, commit in (("main", "a" * 40), *([("refs/pr/8", "b" * 40)] if converted else [])):
        (repository / "snapshots" / commit).mkdir(parents=True)
        reference = repository / "refs" / revision
        reference.parent.mkdir(parents=True, exist_ok=True)
        reference.write_text(commit)
    model = model_of("bert", seed=3)
    snapshot = repository / "snapshots" / ("a" * 40)
    model.save_pretrained(snapshot)
    tokenizer_of("bert").save_pretrained(snapshot)
    if converted:
        shutil.move(snapshot / "model.safetensors", repository / "snapshots" / ("b" * 40))

    def asked(*args, **options):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(checkpoints, "_probe", asked)
    assert find_source("owner/name") == Source("owner/name", "refs/pr/8" if converted else "main")
    loaded, tokenizer = load_backbone("owner/name", 1)
    assert torch.equal(loaded.classifier.weight, model.classifier.weight)
    assert tokenizer(*PAIRS[0])["input_ids"] == tokenizer_of("bert")(*PAIRS[0])["input_ids"]

    assert Reranker("owner/name", device="cpu").encoder.pair_tokens == 288
    (snapshot / "cedistill.json").write_text(json.dumps({"query_tokens": 9, "document_tokens": 50}))
    assert Reranker("owner/name", device="cpu").encoder.pair_tokens == 59
