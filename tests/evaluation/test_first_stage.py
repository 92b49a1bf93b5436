import dataclasses
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from cedistill.cache import cache_folder
from cedistill.config.benchmark import load_benchmark
from cedistill.data.collections import open_collection
from cedistill.data.runs import ranked, read_run, top
from cedistill.errors import InputError
from cedistill.evaluation.evaluate import evaluate
from cedistill.evaluation.first_stage import candidates_of, first_stage_name
from cedistill.model.backbones import load_backbone
from cedistill.model.reranker import Reranker
from cedistill.retrieval import bm25_index, encoders, first_stage
from cedistill.study.identity import figures_identity
from cedistill.study.plan import cells
from cedistill.study.reading import load_study

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CEDISTILL_CACHE", str(tmp_path / "cache"))


def _forbidden(*arguments, **others):
    raise AssertionError("made again")


def test_bm25_makes_one_index_of_a_corpus_and_keeps_its_runs(tiny, monkeypatch):
    run = candidates_of(open_collection(str(tiny)), "bm25", 3)
    assert all(len(scores) == 3 and list(scores) == ranked(scores) for scores in run.values()) and len(run) == 6
    monkeypatch.setattr(bm25_index, "build_index", _forbidden)
    assert candidates_of(open_collection(str(tiny)), "bm25", 3) == run
    # Other queries and depths use the index, other texts do not.
    train = candidates_of(open_collection(f"{tiny}:train"), "bm25", None)
    assert list(train) == ["q0", "q1", "q2", "q3"] and top(train, 3) == {one: run[one] for one in train}
    assert len([path for path in (cache_folder() / "indexes").iterdir() if path.is_dir()]) == 1
    (tiny / "corpus.jsonl").write_text('{"_id": "d0", "text": "topic0"}\n')
    with pytest.raises(AssertionError, match="made again"):
        candidates_of(open_collection(str(tiny)), "bm25", 3)


@pytest.mark.parametrize("depth", [None, 4])
def test_an_encoder_is_loaded_once_for_the_same_texts(tiny, tiny_bert, monkeypatch, depth, capfd):
    reference = f"bi-encoder:{tiny_bert}"
    collection = open_collection(str(tiny))
    calls = []
    run = candidates_of(collection, reference, depth, lambda *call: calls.append(call))
    assert {len(scores) for scores in run.values()} == {depth or 30} and calls == [(30, 30)]
    monkeypatch.setattr(encoders, "load_encoder", _forbidden)
    assert candidates_of(collection, reference, depth) == run
    assert first_stage_name(reference) == "tiny" and capfd.readouterr().out == ""
    (tiny / "queries.jsonl").write_text('{"_id": "q0", "text": "topic1"}\n')
    with pytest.raises(AssertionError, match="made again"):
        candidates_of(open_collection(str(tiny)), reference, depth)


def test_unlabelled_queries_are_all_searched(tiny, tiny_bert):
    collection = dataclasses.replace(open_collection(f"{tiny}:train"), qrels=None)
    assert len(candidates_of(collection, f"bi-encoder:{tiny_bert}", 2)) == 6


def test_query_sets_of_one_public_corpus_share_its_index():
    pytest.importorskip("ir_datasets")

    def corpus(public, documents):
        return first_stage._corpus(SimpleNamespace(public=public, documents=documents))

    texts = {"0": "first", "1": "second"}
    same = corpus("msmarco-passage/trec-dl-2019/judged", texts)
    assert corpus("msmarco-passage/dev/small", texts) == same
    assert corpus("msmarco-passage-v2/trec-dl-2021/judged", texts) != same
    assert corpus("msmarco-passage/dev/small", {"0": "first", "1": "other"}) != same


def test_names():
    assert first_stage_name("sparse:naver/splade-v3-distilbert") == "splade-v3-distilbert"
    assert first_stage_name("bi-encoder:a folder/my model/") == "my-model"
    assert first_stage_name("runs/dl19.bm25.trec.gz") == "dl19.bm25" and first_stage_name("bm25") == "bm25"


def test_nothing_found_says_what_to_do(tiny):
    (tiny / "queries.jsonl").write_text("".join(f'{{"_id": "q{i}", "text": "xyz"}}\n' for i in range(6)))
    with pytest.raises(InputError, match="expected queries that share words with the documents, found none"):
        candidates_of(open_collection(str(tiny)), "bm25", 3)


def test_progress_of_a_long_one_is_told_on_stderr(monkeypatch, capfd):
    clock = iter(range(0, 1000, 7))
    monkeypatch.setattr("cedistill.console.time.monotonic", lambda: next(clock))
    advance = first_stage._lines("tiny:test bm25")
    for done in (10, 20, 30):
        advance(done, 30)
    assert capfd.readouterr() == ("", "tiny:test bm25: documents: 20/30, 0:07 left\n")


@pytest.mark.parametrize("kind", ["bm25", "bi-encoder"])
def test_a_benchmark_names_a_first_stage(tiny, tiny_bert, tmp_path, kind):
    reference = kind if kind == "bm25" else f"{kind}:{tiny_bert}"
    path = tmp_path / "own.toml"
    path.write_text(f'title = "Own"\n[[datasets]]\ndataset = "{tiny}"\ncandidates = "{reference}"\ndepth = 5\n')
    model = Reranker.of(*load_backbone(str(tiny_bert), 1))
    found = evaluate(model, load_benchmark(str(path)).datasets, tmp_path / "out")["datasets"]["tiny"]
    name = "bm25" if kind == "bm25" else "tiny"
    assert found["first_stage"] == name and found["depth"] == 5
    assert all(len(scores) == 5 for scores in read_run(tmp_path / "out" / "runs" / "tiny.trec.gz").values())


STUDY = """
title = "Tiny"
backbones = ["{backbone}"]
objectives = ["untrained"]
[[evaluate]]
dataset = "{dataset}"
candidates = "{candidates}"
depth = 1000
"""


def test_a_study_takes_first_stages_as_names(tiny, tiny_bert, tmp_path):
    def study(candidates):
        (tmp_path / "study.toml").write_text(STUDY.format(backbone=tiny_bert, dataset=tiny, candidates=candidates))
        loaded, _ = load_study(tmp_path / "study.toml")
        return loaded.evaluate[0].candidates, figures_identity(loaded, cells(loaded)[0])

    for name in ("sparse", "bi-encoder", "bm25"):  # what stands beside the study and is called alike is not meant
        (tmp_path / name).mkdir()
    names = ["bm25", "sparse:naver/splade-v3-distilbert", "bi-encoder:naver/splade-v3-distilbert"]
    found = [study(name) for name in names]
    assert [one for one, _ in found] == names and len({identity for _, identity in found}) == 3

    # A model's folder starts at the study's and counts by its content.
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("{}")
    resolved, before = study("sparse:mine")
    assert resolved == f"sparse:{tmp_path}/mine"
    (tmp_path / "mine").rename(tmp_path / "moved")
    assert study("sparse:moved")[1] == before != study("bi-encoder:moved")[1]
    (tmp_path / "moved" / "config.json").write_text('{"a": 1}')
    assert study("sparse:moved")[1] != before


def _cedistill(*arguments, status=0):
    command = [sys.executable, "-m", "cedistill", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=200)
    assert done.returncode == status, done.stderr
    return done


def test_command_line(tiny, tiny_bert, tmp_path):
    output = tmp_path / "b.trec"
    common = ["retrieve", "--dataset", f"{tiny}:train", "--output", output]
    done = _cedistill(*common, "--retriever", f"bi-encoder:{tiny_bert}", "--depth", 4)
    assert done.stdout == "" and f"{output}" in done.stderr
    expected = candidates_of(open_collection(f"{tiny}:train"), f"bi-encoder:{tiny_bert}", 4)
    assert read_run(output) == expected and output.read_text().split()[5] == "tiny"
    output.unlink()
    done = _cedistill(*common, "--retriever", "bi-encoder", status=2)
    assert done.stderr.startswith("error: unknown retriever 'bi-encoder'; did you mean 'bi-encoder:M'? known: bm25, ")
    assert not output.exists()
