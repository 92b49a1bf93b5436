"""ir_datasets' own readers on the layouts of the real downloads."""

import os
import pickle

import pytest

from cedistill.data.collections import collection_files, has_labels, open_collection, require_labels
from cedistill.data.files import sha256
from cedistill.evaluation.first_stage import candidates_of

GRADES = {"d0": 2, "d6": 1, "d1": 0}


def test_beir_zip(full_home):
    found = open_collection("beir/scifact/test")
    assert (found.name, found.public) == ("beir/scifact/test", "beir/scifact/test")
    assert len(found.documents) == 24 and found.documents["d7"] == "Title 7 this tells of topic1"
    assert found.queries["q3"] == "what about topic3"
    assert found.qrels["q0"] == GRADES
    assert list(found.documents)[:2] == ["d0", "d1"]
    assert dict(found.documents.items())["d23"] == "Title 23 this tells of topic5"


def test_nano_beir_parquet(full_home):
    found = open_collection("nano-beir/fiqa")
    assert found.documents["d7"] == "Title 7 this tells of topic1"
    assert found.qrels["q0"] == {"d0": 1, "d6": 1} and len(found.queries) == 6


def test_msmarco_archive_and_extracted_files(full_home):
    found = open_collection("msmarco-passage/trec-dl-2019/judged")
    assert found.documents["7"] == "this tells of topic1" and len(found.documents) == 24
    assert "106" not in found.queries and found.qrels["100"] == {"0": 2, "6": 1, "1": 0}
    dev = open_collection("msmarco-passage/dev/small")
    assert dev.qrels["105"] == {"5": 1} and "106" in dev.queries


def test_msmarco_v2_tar(full_home):
    found = open_collection("msmarco-passage-v2/trec-dl-2022/judged")
    second = list(found.qrels["100"])[2]
    assert second.startswith("msmarco_passage_00_") and found.documents[second] == "this tells of topic1"
    assert found.documents.absent([second, "msmarco_passage_00_1", "D1"]) == ["msmarco_passage_00_1", "D1"]


def test_lotte_tarball(full_home):
    found = open_collection("lotte/writing/test/search")
    assert found.documents["7"] == "this tells of topic1" and found.qrels["0"] == {"0": 1, "6": 1}
    assert not list(full_home.glob("lotte/*.unfinished"))


def test_disks45_texts_of_all_four_sources(full_home):
    found = open_collection("disks45/nocr/trec-robust-2004")
    words = {name: " ".join(found.documents[name].split()) for name in ("FBIS3-0", "FT911-950", "LA010189-1615")}
    assert words["FBIS3-0"].startswith("Title 0 ") and words["FBIS3-0"].endswith("this tells of topic0")
    assert words["FT911-950"].startswith("FT 14 MAY 91 / Title 10 ") and "topic4" in words["FT911-950"]
    assert words["LA010189-1615"].startswith("Title 17 ") and "topic5" in words["LA010189-1615"]
    federal = found.documents["FR940104-0-570"]  # it has no title: nothing stands before its body
    assert federal.split()[-4:] == ["this", "tells", "of", "topic0"] and "Title" not in federal
    assert "PJG" not in federal and len(found.documents) == 2295
    # A topic without judgements is one of the queries, and none of the measured ones.
    assert found.queries["301"] == "what about topic0" and "306" in found.queries and "306" not in found.qrels


def test_a_query_field_after_a_colon(full_home):
    by_title = collection_files("disks45/nocr/trec-robust-2004")
    found = open_collection("disks45/nocr/trec-robust-2004:description")
    assert found.queries["302"] == "Find documents that tell of topic1."
    assert sha256(found.files[0]) != sha256(by_title[0])  # first stages of the two must not be taken for each other


def test_negative_grades_stay(full_home):
    assert open_collection("beir/webis-touche2020/v2").qrels["q0"] == {**GRADES, "d20": -2}


def test_identity_is_of_the_content(full_home):
    first, again = collection_files("beir/nq"), collection_files("beir/nq")
    assert first == again == open_collection("beir/nq").files and first[0].name == "beir-nq.json"
    assert sha256(first[0]) != sha256(collection_files("beir/fiqa/test")[0])


def test_labels(full_home):
    assert has_labels("beir/scifact/test") and not has_labels("beir/scifact")
    assert require_labels("beir/scifact/test")["q5"] == {"d5": 2, "d11": 1, "d6": 0}


def test_documents_in_other_processes(full_home):
    documents = open_collection("beir/scifact/test").documents
    assert documents["d1"] == "Title 1 this tells of topic1"  # the file is open now
    assert len(pickle.dumps(documents)) < 500  # no text goes along
    assert pickle.loads(pickle.dumps(documents))["d2"] == "Title 2 this tells of topic2"
    children = []
    for _ in range(2):
        child = os.fork()
        if not child:
            wrong = [j for _ in range(200) for j in range(24) if not documents[f"d{j}"].startswith(f"Title {j} ")]
            os._exit(bool(wrong))
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]


def test_look_ups_in_one_go(full_home):
    documents = open_collection("lotte/science/test/forum").documents
    assert documents.look_up(["9", "nothing", "3"]) == {"9": "this tells of topic3", "3": "this tells of topic3"}
    # The longest id has two digits; one that begins like a known id is none.
    assert documents.absent(["12", "123", "1234", "x"]) == ["123", "1234", "x"]
    assert "123" not in documents and "12" in documents
    with pytest.raises(KeyError):
        documents["123"]


@pytest.mark.parametrize("dataset", ["beir/arguana", "beir/quora/test", "nano-beir/arguana", "nano-beir/quora"])
@pytest.mark.parametrize("reference", ["bm25", "run"])
def test_the_query_document_is_no_candidate(full_home, tmp_path, dataset, reference):
    collection = open_collection(dataset)
    if reference == "run":
        reference = tmp_path / "run.trec"
        lines = [f"d{i} Q0 d{(i + k) % 24} {k + 1} {20 - k} x\n" for i in range(6) for k in range(6)]
        reference.write_text("".join(lines))
    run = candidates_of(collection, str(reference), 3)
    assert all(query not in scores for query, scores in run.items())
    assert [len(scores) for scores in run.values()] == [3] * 6  # the cut comes after


def test_numbers_that_are_equal_by_chance_stay(full_home):
    run = candidates_of(open_collection("lotte/writing/test/search"), "bm25", 4)
    assert "3" in run["3"]


def test_candidates_that_come_with_a_data_set(full_home):
    run = candidates_of(open_collection("msmarco-passage-v2/trec-dl-2021/judged"), "scoreddocs", 5)
    assert [len(scores) for scores in run.values()] == [5] * 6 and set(next(iter(run.values())).values()) == {
        20.0, 19.0, 18.0, 17.0, 16.0,
    }  # fmt: skip
    assert len(candidates_of(open_collection("msmarco-passage/dev/small"), "scoreddocs", None)["100"]) == 12
