import collections
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cedistill.data.qrels import read_qrels
from cedistill.data.runs import read_run
from cedistill.demo import RUNS, demo_folder, demo_run, write_demo
from cedistill.demo.draws import Draws
from cedistill.demo.words import read_words
from cedistill.demo.world import make_world
from cedistill.errors import InputError
from cedistill.evaluation.measures import mean, per_query
from cedistill.retrieval.bm25 import retrieve

# Of all files, names included: those of the specialists, and the others. A change of any byte needs a new VERSION in
# cedistill/demo/cache.py.
SHA256 = {
    "specialists": "89732acf7e6cb60ca9a9f02dc109a1bd110fe7b3184cf00fe862e8ae775c30c4",
    "others": "f6b6e044df210366b9e92e96b376b82d1467cdb15b7b1475bddae634024cd7f6",
}


def digests(folder):
    files = sorted(one for one in folder.rglob("*") if one.is_file())
    specialists = [one for one in files if ".specialist-" in one.name]
    return {"specialists": digest(folder, specialists), "others": digest(folder, set(files) - set(specialists))}


def digest(folder, files):
    found = hashlib.sha256()
    for path in sorted(files):
        found.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def records(name):
    return [json.loads(line) for line in (demo_folder() / name).read_text().splitlines()]


def ndcg(run, split):
    qrels = read_qrels(demo_folder() / "qrels" / f"{split}.tsv")
    return mean(per_query(run, qrels, ["ndcg@10"])["ndcg@10"])


def test_every_byte_is_pinned():
    assert digests(demo_folder()) == SHA256


def test_another_hash_seed_gives_the_same_bytes(tmp_path):
    code = "import sys, pathlib, cedistill.demo as demo; demo.write_demo(pathlib.Path(sys.argv[1]))"
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONHASHSEED": "4711", "PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "again")], env=environment, check=True)
    assert digests(tmp_path / "again") == digests(demo_folder())
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


def test_a_folder_with_files_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="expected a new or empty folder"):
        write_demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_sizes():
    assert len(records("corpus.jsonl")) == 4000
    assert len(records("queries.jsonl")) == 3700
    judged = {split: read_qrels(demo_folder() / "qrels" / f"{split}.tsv") for split in ("train", "dev", "test")}
    assert {split: len(qrels) for split, qrels in judged.items()} == {"train": 3000, "dev": 100, "test": 200}
    assert len(read_run(demo_run("unlabelled.candidates"))) == 400


def test_splits_share_no_query():
    ids = [set(read_run(demo_run(f"{split}.candidates"))) for split in ("train", "dev", "test", "unlabelled")]
    assert len(set().union(*ids)) == sum(map(len, ids)) == 3700


def test_every_query_has_grade_3_and_grades_fall_off():
    for split in ("train", "test"):
        qrels = read_qrels(demo_folder() / "qrels" / f"{split}.tsv")
        assert all(3 in grades.values() for grades in qrels.values())
        counts = collections.Counter(grade for grades in qrels.values() for grade in grades.values())
        assert sorted(counts) == [0, 1, 2, 3]
        assert counts[0] > counts[1] > counts[2] > counts[3]


def test_test_queries_combine_known_concepts_in_new_ways():
    world = make_world(read_words(), Draws.named("world"))
    asked = {
        split: {(query.topic, *query.facets.values()) for query in world.split(split)} for split in ("train", "test")
    }
    assert len(asked["train"]) == 3000
    assert not asked["train"] & asked["test"]
    known = {concept for combination in asked["train"] for concept in combination}
    assert {concept for combination in asked["test"] for concept in combination} <= known


def test_several_hundred_concepts_of_three_names_or_more():
    concepts = read_words().concepts
    assert len(concepts) == len(set(concepts)) == 293
    assert min(len(concept.names) for concept in concepts) == 3


def test_documents_have_two_to_five_sentences_and_some_no_title():
    documents = records("corpus.jsonl")
    assert {document["text"].count(".") for document in documents} == {2, 3, 4, 5}
    assert 0.05 < sum(not document["title"] for document in documents) / 4000 < 0.15
    assert not any("{" in document["title"] + document["text"] for document in documents)
    assert not any("{" in query["text"] for query in records("queries.jsonl"))


def test_bm25_is_above_chance_and_can_be_beaten():
    documents = {one["_id"]: f"{one['title']} {one['text']}".strip() for one in records("corpus.jsonl")}
    texts = {one["_id"]: one["text"] for one in records("queries.jsonl")}
    qrels = read_qrels(demo_folder() / "qrels" / "test.tsv")
    run = retrieve({query: texts[query] for query in qrels}, documents, 100)
    best = {query: {one: qrels[query].get(one, 0) for one in found} for query, found in run.items()}
    assert 0.45 < ndcg(run, "test") < 0.70
    assert ndcg(best, "test") > 0.85  # what a perfect re-ranker of these candidates reaches


@pytest.mark.parametrize("split", ["dev", "test"])
def test_teachers_are_as_good_as_they_are_meant_to_be(split):
    quality = {name: ndcg(read_run(demo_run(f"{split}.{name}")), split) for name in ("accurate", "ensemble", "llm")}
    members = [ndcg(read_run(demo_run(f"{split}.ensemble-{number}")), split) for number in (1, 2, 3)]
    candidates = ndcg(read_run(demo_run(f"{split}.candidates")), split)
    assert quality["accurate"] > quality["ensemble"] > max(members)
    assert min(members) > candidates
    assert quality["llm"] > candidates


def test_every_teacher_judges_the_candidates():
    for split, depth in (("train", 50), ("test", 100), ("unlabelled", 50)):
        candidates = read_run(demo_run(f"{split}.candidates"))
        # Word overlap finds fewer than 100 documents for a query of rare words.
        assert max(map(len, candidates.values())) == depth
        assert min(map(len, candidates.values())) >= 50
        for name in ("accurate", "ensemble", "llm", "specialist-4"):
            run = read_run(demo_run(f"{split}.{name}"))
            assert {query: set(found) for query, found in run.items()} == {
                query: set(found) for query, found in candidates.items()
            }
    for found in read_run(demo_run("train.llm")).values():
        assert sorted(found.values()) == list(range(1, 51))


def test_unknown_run_is_named_with_its_neighbour():
    with pytest.raises(InputError, match=r"unknown run of the demo 'train\.acurate'; did you mean 'train\.accurate'\?"):
        demo_run("train.acurate")


def test_every_run_has_a_file():
    assert {path.stem for path in (demo_folder() / "teachers").iterdir()} == set(RUNS)
