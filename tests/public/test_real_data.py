"""The shared real data in the layouts of the downloads: known figures come out of ir_datasets' readers too."""

import gzip
import json
import zipfile

import pytest

from cedistill.config.benchmark import load_suites
from cedistill.data.collections import open_collection, require_labels
from cedistill.evaluation.first_stage import candidates_of
from cedistill.evaluation.measures import mean, per_query


def _rows(path):
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in content.decode().split("\n") if line]


def _ndcg(reference, candidates, depth=10):
    run = candidates_of(open_collection(reference), str(candidates), depth)
    return mean(per_query(run, require_labels(reference), ["ndcg@10"])["ndcg@10"])


def test_msmarco_passages_and_trec_dl(shared_data, irds_home):
    source, folder = shared_data / "msmarco-v1", irds_home / "msmarco-passage"
    (folder / "trec-dl-2019").mkdir(parents=True)
    (folder / "irds_version.txt").write_text("v2")
    passages = _rows(source / "corpus.jsonl.gz")
    (folder / "collection.tsv").write_text(
        "".join(f"{row['_id']}\t{' '.join(row['text'].split())}\n" for row in passages), encoding="utf-8"
    )
    queries = {row["_id"]: row["text"] for row in _rows(source / "queries.jsonl")}
    (folder / "trec-dl-2019" / "queries.tsv").write_text("".join(f"{one}\t{text}\n" for one, text in queries.items()))
    judged = [line.split("\t") for line in (source / "qrels" / "dl19.tsv").read_text().splitlines()[1:]]
    (folder / "trec-dl-2019" / "qrels").write_text("".join(f"{q} Q0 {d} {grade}\n" for q, d, grade in judged))

    found = open_collection("msmarco-passage/trec-dl-2019/judged")
    assert (len(found.documents), len(found.qrels)) == (38497, 43)
    assert sum(map(len, found.qrels.values())) == 9260
    known = open_collection(f"{source}:dl19")
    names = list(known.documents)[::97]
    assert found.documents.look_up(names) == {name: " ".join(known.documents[name].split()) for name in names}
    (suite,) = load_suites(["trec-dl/dl19"], str(source / "runs" / "dl19.bm25.trec.gz"), 10)
    (one,) = suite.benchmark.datasets
    assert _ndcg(one.dataset, one.candidates) == pytest.approx(0.5058, abs=5e-5)
    assert _ndcg(one.dataset, source / "runs" / "dl19.splade.trec.gz") == pytest.approx(0.7308, abs=5e-5)


def test_scifact(shared_data, irds_home):
    source, path = shared_data / "scifact", irds_home / "beir" / "scifact" / "source.zip"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("scifact/corpus.jsonl", gzip.decompress((source / "corpus.jsonl.gz").read_bytes()))
        archive.write(source / "queries.jsonl", "scifact/queries.jsonl")
        for split in ("train", "test"):
            archive.write(source / "qrels" / f"{split}.tsv", f"scifact/qrels/{split}.tsv")
    found, known = open_collection("beir/scifact/test"), open_collection(str(source))
    assert dict(found.documents.items()) == dict(known.documents)
    assert found.qrels == known.qrels and found.queries.keys() == known.qrels.keys()
    assert _ndcg("beir/scifact/test", "bm25") == pytest.approx(0.665, abs=0.01)
