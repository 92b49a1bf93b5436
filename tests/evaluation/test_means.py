import pytest

from cedistill.evaluation.means import macro_mean, summary_table


def _result(first, reranked, name="bm25"):
    return {"first_stage": name, "runs": {name: {"measures": first}, "reranked": {"measures": reranked}}}


RESULT = {
    "a": _result({"ndcg@10": 0.5, "p@5": 0.1}, {"ndcg@10": 0.6, "p@5": 0.2}),
    "b1": _result({"ndcg@10": 0.1}, {"ndcg@10": 0.2}, "own"),
    "b2": _result({"ndcg@10": 0.3}, {"ndcg@10": 0.5}),
}


def test_a_group_counts_as_one():
    found = macro_mean(RESULT, [["a"], ["b1", "b2"]])
    # First stage (.5 + (.1 + .3) / 2) / 2, re-ranked (.6 + (.2 + .5) / 2) / 2; p@5 was not measured on all.
    assert found["first_stage"] == {"ndcg@10": pytest.approx(0.35)}
    assert found["reranked"] == {"ndcg@10": pytest.approx(0.475)} and found["datasets"] == 2
    assert macro_mean(RESULT, [["a"], ["b1"], ["b2"]])["first_stage"] == {"ndcg@10": pytest.approx(0.3)}


def test_table():
    result = {"datasets": RESULT, "means": {"two": macro_mean(RESULT, [["a"], ["b1", "b2"]])}}
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in summary_table("two", result, list(RESULT)).splitlines()
    ]
    assert rows[0] == ["two", "first stage ndcg@10", "reranked ndcg@10", "first stage p@5", "reranked p@5"]
    assert rows[2] == ["a", "0.5000", "0.6000", "0.1000", "0.2000"] and rows[3] == ["b1", "0.1000", "0.2000", "", ""]
    assert rows[5] == ["mean of 2", "0.3500", "0.4750", "", ""]
    assert len(summary_table("two", {"datasets": RESULT}, list(RESULT)).splitlines()) == 5
