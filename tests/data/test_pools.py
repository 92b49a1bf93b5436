import json
import math

import pytest

from cedistill.config.train_data import TrainData
from cedistill.data.pools import load_pools
from cedistill.errors import InputError


def _row(pools, query_id):
    return next(row for row in pools.table if row["query_id"] == query_id)


def test_candidates_labels_and_teacher_meet_in_one_row(tiny):
    data = TrainData(dataset=str(tiny), candidates=f"{tiny}/candidates.trec", teachers=(f"{tiny}/teacher.trec",))
    pools = load_pools(data, labels=True)
    row = _row(pools, "q4")
    assert row["document_ids"] == [f"d{j}" for j in range(4, 14)]  # d10 (grade 1) is among the candidates
    assert row["labels"][0] == 2.0 and row["labels"][1] == 0.0 and row["labels"][6] == 1.0
    assert math.isnan(row["labels"][2])
    assert row["scores"][0][:6] == [6.5, 5.5, 4.5, 3.5, 2.5, 1.5]
    assert all(math.isnan(score) for score in row["scores"][0][6:])  # the teacher said nothing of d10 to d13
    assert pools.queries["q4"] == "what about topic4" and pools.documents["d4"] == "Title 4 this tells of topic4"


def test_relevant_documents_outside_the_candidates_join_where_labels_are_needed(tiny):
    (tiny / "short.trec").write_text("q0 Q0 d1 1 3 x\nq0 Q0 d2 2 2 x\n")
    data = TrainData(dataset=str(tiny), candidates=f"{tiny}/short.trec")
    assert _row(load_pools(data, labels=True), "q0")["document_ids"] == ["d1", "d2", "d0", "d6"]
    assert _row(load_pools(data, labels=False), "q0")["document_ids"] == ["d1", "d2"]


def test_queries_of_other_splits_are_left_out(tiny):
    data = TrainData(dataset=f"{tiny}:train", candidates=f"{tiny}/candidates.trec")
    assert set(load_pools(data, labels=False).table["query_id"]) == {"q0", "q1", "q2", "q3"}


def test_table_is_memory_mapped_and_made_once(tiny):
    data = TrainData(dataset=str(tiny), candidates=f"{tiny}/candidates.trec")
    first, second = load_pools(data, labels=True), load_pools(data, labels=True)
    assert first.table.cache_files == second.table.cache_files != []
    assert "this tells" not in json.dumps(first.table[0])  # texts are looked up, not copied


def test_pairs_of_five_three_and_two_columns(tiny):
    five = tiny / "five.tsv"
    five.write_text("9.5\t-2\tq0\td0\td1\n8\t1\tq1\td1\td2\n")
    row = _row(load_pools(TrainData(dataset=str(tiny), pairs=str(five)), labels=False), "q0")
    assert row["document_ids"] == ["d0", "d1"] and row["scores"] == [[9.5, -2.0]] and row["labels"] == [1.0, 0.0]
    three = tiny / "three.tsv"
    three.write_text("q0\td0\td1\n")
    assert load_pools(TrainData(dataset=str(tiny), pairs=str(three)), labels=True).table[0]["scores"] == []
    two = tiny / "two.tsv"
    two.write_text("q0\td3\n")
    data = TrainData(dataset=str(tiny), pairs=str(two), candidates=f"{tiny}/candidates.trec")
    row = load_pools(data, labels=True).table[0]
    assert row["document_ids"] == ["d3", "d0", "d1", "d2", *(f"d{j}" for j in range(4, 10))]


def test_text_lists_bring_their_own_texts(tmp_path):
    path = tmp_path / "lists.jsonl"
    path.write_text(
        json.dumps({"query": "a", "docs": ["x", "y"], "labels": [1, 0], "scores": {"t": [2.5, 1]}})
        + "\n"
        + json.dumps({"query": "b", "pos": ["y"], "neg": ["z"]})
        + "\n"
    )
    pools = load_pools(TrainData(lists=str(path)), labels=True)
    first, second = pools.table[0], pools.table[1]
    assert [pools.documents[one] for one in first["document_ids"]] == ["x", "y"]
    assert [pools.documents[one] for one in second["document_ids"]] == ["y", "z"]
    assert first["document_ids"][1] == second["document_ids"][0]  # one text, one entry
    assert first["scores"] == [[2.5, 1.0]] and all(math.isnan(score) for score in second["scores"][0])
    assert pools.queries[second["query_id"]] == "b"


@pytest.mark.parametrize("column", ["query", "document"])
def test_ids_without_a_text_are_refused_with_file_and_line(tiny, column):
    line = "q9 Q0 d1 1 1.0 x" if column == "query" else "q0 Q0 d99 1 1.0 x"
    (tiny / "bad.trec").write_text(f"q1 Q0 d1 1 1.0 x\n{line}\n")
    with pytest.raises(InputError, match=rf"bad\.trec:2: expected a {column}"):
        load_pools(TrainData(dataset=str(tiny), candidates=f"{tiny}/bad.trec"), labels=False)
    with pytest.raises(InputError, match=r"bad\.tsv:1: expected a document"):
        (tiny / "bad.tsv").write_text("q0\td0\td77\n")
        load_pools(TrainData(dataset=str(tiny), pairs=f"{tiny}/bad.tsv"), labels=True)


def test_a_first_stage_may_give_the_candidates(tiny):
    data = TrainData(dataset=str(tiny), candidates="bm25")
    row = _row(load_pools(data, labels=True), "q2")
    # Only d2, d8, ... tell of topic2. One-digit titles are no words, which makes their documents shorter and better;
    # of equal scores the greater id comes first.
    assert row["document_ids"] == ["d8", "d2", "d26", "d20", "d14"]
