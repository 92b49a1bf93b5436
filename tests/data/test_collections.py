import gzip
import json
import logging
import pickle

import pytest

from cedistill.data.collections import check_texts, has_labels, open_collection, parse_reference, require_labels, splits
from cedistill.data.qrels import read_qrels
from cedistill.data.runs import read_run
from cedistill.errors import InputError

CORPUS = [
    {"_id": "d2", "title": "A title", "text": "and its text"},
    {"_id": "d1", "title": "", "text": "no title"},
    {"_id": 7, "text": "title missing", "metadata": {}},
    {"_id": "d0", "title": None, "text": "\u00e9"},
]
QUERIES = [{"_id": "q1", "text": "one", "title": "not read"}, {"_id": "q2", "text": "two"}]


@pytest.fixture
def folder(tmp_path):
    _write(tmp_path / "corpus.jsonl", CORPUS)
    _write(tmp_path / "queries.jsonl", QUERIES)
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t2\n")
    (tmp_path / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nq2\td1\t1\n")
    return tmp_path


def _write(path, records):
    path.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in records))


def _error(call, *arguments):
    with pytest.raises(InputError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_texts_ids_and_labels(folder):
    collection = open_collection(str(folder))
    assert dict(collection.documents) == {
        "d2": "A title and its text",
        "d1": "no title",
        "7": "title missing",
        "d0": "é",
    }
    assert list(collection.documents) == ["d2", "d1", "7", "d0"]
    assert dict(collection.queries) == {"q1": "one", "q2": "two"}
    assert collection.qrels == {"q1": {"d1": 2}}
    assert (collection.name, collection.split) == (f"{folder.name}:test", "test")
    assert [path.name for path in collection.files] == ["corpus.jsonl", "queries.jsonl", "test.tsv"]
    with pytest.raises(KeyError):
        collection.documents["d3"]
    assert "d3" not in collection.documents
    assert dict(pickle.loads(pickle.dumps(collection.documents))) == dict(collection.documents)


def test_every_file_may_be_compressed(folder):
    for path in (folder / "corpus.jsonl", folder / "queries.jsonl", folder / "qrels" / "test.tsv"):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    collection = open_collection(str(folder))
    assert (len(collection.documents), len(collection.queries), collection.qrels) == (4, 2, {"q1": {"d1": 2}})
    assert splits(folder) == ["dev", "test"]


def test_a_split_after_a_colon(folder):
    assert open_collection(f"{folder}:dev").qrels == {"q2": {"d1": 1}}
    assert parse_reference(f"{folder}:dev") == (folder, "dev")
    assert parse_reference(str(folder)) == (folder, "test")
    with_colon = folder.rename(folder.with_name("a:b"))
    assert parse_reference(str(with_colon)) == (with_colon, "test")
    assert parse_reference(f"{with_colon}:dev") == (with_colon, "dev")


def test_a_split_without_labels(folder, caplog):
    with caplog.at_level(logging.WARNING):
        assert open_collection(f"{folder}:train").qrels is None
    assert "qrels/train.tsv" in caplog.text
    assert "dev, test" in caplog.text
    assert not has_labels(f"{folder}:train")
    assert has_labels(str(folder))
    for what in (f"{folder}:train", open_collection(f"{folder}:train")):
        error = _error(require_labels, what)
        assert error.startswith(f"{folder}: expected labels in qrels/train.tsv, found the splits dev, test")
    assert require_labels(f"{folder}:dev") == {"q2": {"d1": 1}}


def test_no_labels_at_all_are_no_warning(folder, caplog):
    for path in (folder / "qrels").iterdir():
        path.unlink()
    assert open_collection(str(folder)).qrels is None
    assert caplog.text == ""
    assert "no split with labels" in _error(require_labels, str(folder))


@pytest.mark.parametrize("reference", ["nowhere", "nowhere:test", "", ":", ":test", "beir/scifct/test"])
def test_what_is_no_folder(reference, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = "expected a folder in BEIR layout (corpus.jsonl, queries.jsonl), PATH:SPLIT, or demo; found "
    assert _error(open_collection, reference).startswith(expected)


def test_a_file_is_no_folder(folder):
    assert f"found the file {folder}/corpus.jsonl" in _error(open_collection, f"{folder}/corpus.jsonl")


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl"])
def test_missing_and_empty_files(folder, name):
    (folder / name).write_text("\n")
    assert _error(open_collection, str(folder)).startswith(f"{folder / name}:1: expected a ")
    (folder / name).unlink()
    assert f"found a folder without {name} or {name}.gz" in _error(open_collection, str(folder))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"_id": "x", "text": "cut of', "a JSON object, found"),
        ('["x"]', "a JSON object, found"),
        ({"text": "x"}, 'a string "_id", found the keys'),
        ({"_id": "x"}, 'a string "text", found the keys'),
        ({"_id": "x", "text": None}, 'a string "text", found'),
        ({"_id": "x", "text": ["a"]}, 'a string "text", found'),
        ({"_id": 1.5, "text": "a"}, 'a string "_id", found'),
        ({"_id": True, "text": "a"}, 'a string "_id", found'),
        ({"_id": "", "text": "a"}, 'an "_id" of at least one character'),
        ({"_id": "x", "title": 3, "text": "a"}, 'a string "title", found'),
        ({"_id": "d1", "text": "again"}, "each document once, found id 'd1' a second time"),
        ({"_id": "7", "text": "again"}, "each document once, found id '7' a second time"),
        ('{"_id": "x", "text": "half \\ud83d of one"}', "Unicode text, found half a surrogate pair"),
        ("", "no blank line between others"),
    ],
)
def test_bad_documents(folder, line, expected):
    _write(folder / "corpus.jsonl", [*CORPUS, line, {"_id": "last", "text": "x"}])
    assert _error(open_collection, str(folder)).startswith(f"{folder}/corpus.jsonl:5: expected {expected}")


def test_a_query_twice_and_bad_bytes(folder):
    _write(folder / "queries.jsonl", [*QUERIES, QUERIES[0]])
    assert _error(open_collection, str(folder)).startswith(f"{folder}/queries.jsonl:3: expected each query once")
    (folder / "queries.jsonl").write_bytes(b'{"_id": "1", "text": "caf\xe9"}\n')
    assert _error(open_collection, str(folder)).startswith(f"{folder}/queries.jsonl:1: expected UTF-8 text")


def test_bad_labels_are_named(folder):
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\thigh\n")
    for call in (open_collection, require_labels):
        assert _error(call, str(folder)).startswith(f"{folder}/qrels/test.tsv:2: expected a whole number")


def test_ids_without_a_text(folder, tmp_path):
    collection, path = open_collection(str(folder)), tmp_path / "a.trec"
    path.write_text("q1 Q0 d1 1 3 t\nq2 Q0 d2 1 3 t\nq2 Q0 d9 2 2 t\n")
    error = _error(check_texts, read_run(path), path, collection)
    assert error.startswith(f"{path}:3: expected a document of {folder.name}:test, found id 'd9' without a text; ")
    path.write_text("q1 Q0 d1 1 3 t\nq3 Q0 d2 1 3 t\n")
    error = _error(check_texts, read_run(path), path, collection)
    assert error.startswith(f"{path}:2: expected a query of {folder.name}:test, found id 'q3' without a text; ")
    path.write_text("q1 Q0 d1 1 3 t\n")
    check_texts(read_run(path), path, collection)
    path.write_text("query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td8\t1\n")
    assert _error(check_texts, read_qrels(path), path, collection).startswith(f"{path}:3: expected a document of")


def test_real_collections(shared_data, caplog):
    collection = open_collection(f"{shared_data}/msmarco-v1:dl19")
    assert (len(collection.documents), len(collection.queries), len(collection.qrels)) == (38497, 97, 43)
    path = shared_data / "msmarco-v1" / "runs" / "dl20.bm25.trec.gz"
    check_texts(read_run(path), path, collection)
    assert caplog.text == ""
    assert open_collection(f"{shared_data}/msmarco-v2:dl22").qrels is None
    assert "dl21" in caplog.text


@pytest.mark.parametrize(("name", "own"), [("arguana", True), ("Quora", True), ("quora-2", False), ("fiqa", False)])
def test_folders_whose_queries_are_documents(folder, name, own):
    assert open_collection(str(folder.rename(folder.with_name(name)))).without_query_document is own
