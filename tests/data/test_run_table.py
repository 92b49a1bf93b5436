import pickle
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cedistill.data import arrow_tables, run_table
from cedistill.data.run_table import RunTable, distinct_documents, run_table_path
from cedistill.data.runs import ranked, read_run, write_run
from cedistill.errors import InputError


def _table(path, qrels=None, join=False, documents=None):
    return RunTable(run_table_path(path), qrels, join, documents)


def _random_run(names, documents, seed=0):
    draws = random.Random(seed)
    return {
        name: {one: draws.choice([0.25, 0.5, 2.0, 1e-7, draws.random()]) for one in draws.sample(documents, 30)}
        for name in names
    }


def _write_unsorted(path, run, separator="\t"):
    lines = [
        separator.join([q, "Q0", d, "1", repr(score), "x"]) for q, scores in run.items() for d, score in scores.items()
    ]
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("block", [300, 1 << 24])
@pytest.mark.parametrize("documents", [[str(i) for i in range(5, 200)], [f"d{i}" for i in range(200)]])
@pytest.mark.parametrize("separator", [" ", "\t", "  "])
def test_rows_are_in_the_order_of_ranked(tmp_path, monkeypatch, block, documents, separator):
    monkeypatch.setattr(arrow_tables, "_BLOCK", block)
    run = _random_run([str(i) for i in range(40)], documents)
    _write_unsorted(tmp_path / "a.run", run, separator)
    table = _table(tmp_path / "a.run")
    assert [row["query_id"] for row in table] == list(run)
    for row in table:
        assert row["document_ids"] == ranked(run[row["query_id"]]) and row["labels"] == []
        assert row["scores"] == [pytest.approx([run[row["query_id"]][one] for one in row["document_ids"]])]
    assert set(distinct_documents(table.path)) == {one for scores in run.values() for one in scores}


def test_a_real_run(shared_data):
    path = shared_data / "msmarco-v1" / "runs" / "dl19.bm25.trec.gz"
    run = read_run(path)
    assert {row["query_id"]: row["document_ids"] for row in _table(path)} == {q: ranked(run[q]) for q in run}


def test_queries_that_come_back_are_put_together(tmp_path):
    (tmp_path / "a.run").write_text("1 0 5 1 1.0 x\n2 0 5 1 1.0 x\n1 0 6 1 3.0 x\n")
    rows = {row["query_id"]: row["document_ids"] for row in _table(tmp_path / "a.run")}
    assert rows == {"1": ["6", "5"], "2": ["5"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 0 5 1 1.0 x\n1 0 5 2 0.5 x\n", "2: expected each document once per query"),
        ("1 0 5 1 1.0 x\n1 0 6 2 nan x\n", "2: expected a finite score"),
        ("1 0 5 1 1.0 x\n1 0 6 2\n", "2: expected six columns"),
    ],
)
def test_errors_name_the_line(tmp_path, text, message):
    (tmp_path / "a.run").write_text(text)
    with pytest.raises(InputError, match=f"a.run:{message}"):
        run_table_path(tmp_path / "a.run")


def test_labels_of_judged_queries_and_relevant_documents_that_the_run_lacks(tmp_path):
    write_run(tmp_path / "a.run", {"1": {"5": 3.0, "6": 2.0}, "2": {"5": 1.0}, "3": {"7": 1.0}}, "x")
    qrels = {"1": {"6": 2, "9": 1, "8": 1, "4": 0}, "3": {"7": 1}}
    found = _table(tmp_path / "a.run", qrels)
    assert [row["query_id"] for row in found] == ["1", "3"]  # 2 is of another split
    nan = pytest.approx(float("nan"), nan_ok=True)
    assert found[0]["document_ids"] == ["5", "6"] and found[0]["labels"] == [nan, 2.0]
    joined = _table(tmp_path / "a.run", qrels, join=True, documents={"9": "a text"})[0]
    assert joined["document_ids"] == ["5", "6", "9"] and joined["labels"] == [nan, 2.0, 1.0]
    assert joined["scores"] == [[3.0, 2.0, nan]]
    assert pickle.loads(pickle.dumps(found))[1] == found[1]


@pytest.mark.parametrize("layout", ["scores", "ranks", "one row a query", "folder"])
def test_parquet(tmp_path, layout):
    queries, documents = ["1", "1", "1", "22"], ["5", "6", "7", "5"]
    expected = {"1": ["7", "5", "6"], "22": ["5"]}
    path = tmp_path / "a.parquet"
    if layout == "scores":
        pq.write_table(pa.table({"query_id": queries, "doc_id": documents, "score": [0.5, -1.0, 2.5, 1.0]}), path)
    elif layout == "ranks":
        pq.write_table(pa.table({"qid": [1, 1, 1, 22], "docno": [5, 6, 7, 5], "rank": [2, 3, 1, 1]}), path)
    elif layout == "one row a query":
        pq.write_table(pa.table({"query_id": list(expected), "doc_ids": list(expected.values())}), path)
    else:
        path.mkdir()
        for part in (slice(0, 3), slice(3, 4)):
            columns = {"query_id": queries[part], "doc_id": documents[part], "score": [0.5, -1.0, 2.5, 1.0][part]}
            pq.write_table(pa.table(columns), path / f"part-{part.start}.parquet")
    assert {row["query_id"]: row["document_ids"] for row in _table(path)} == expected


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": ["a"]}, "expected the columns query_id, doc_id and score or rank, found text"),
        ({"query_id": ["1"], "doc_id": ["2"], "score": [float("nan")]}, "expected finite scores"),
        ({"query_id": ["1", "1"], "doc_id": ["2", "2"], "score": [1.0, 2.0]}, "each document once"),
    ],
)
def test_parquet_that_is_no_run(tmp_path, columns, message):
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=message):
        run_table_path(tmp_path / "a.parquet")


def test_made_once(tmp_path, monkeypatch):
    write_run(tmp_path / "a.run", {"1": {"5": 3.0}}, "x")
    path = run_table_path(tmp_path / "a.run")
    monkeypatch.setattr(run_table, "_write", lambda *_: pytest.fail("made again"))
    assert run_table_path(tmp_path / "a.run") == path
