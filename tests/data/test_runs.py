import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cedistill.data.runs import locate, ranked, read_run, top, write_run
from cedistill.errors import InputError


def _read(tmp_path, text):
    path = tmp_path / "a.trec"
    path.write_text(text)
    return read_run(path)


def _error(tmp_path, text):
    with pytest.raises(InputError) as caught:
        _read(tmp_path, text)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(str(tmp_path / "a.trec"))


def test_spaces_and_tabs_and_queries_in_several_places(tmp_path):
    run = _read(tmp_path, "1 Q0 a 1 2.5 tag\n2\tQ0\tb\t1\t-1e3\ttag\r\n1 Q0  c\t2 1 tag\n\n")
    assert run == {"1": {"a": 2.5, "c": 1.0}, "2": {"b": -1000.0}}


def test_gzip(tmp_path):
    path = tmp_path / "a.trec.gz"
    path.write_bytes(gzip.compress(b"1 Q0 a 1 2.5 tag\n"))
    assert read_run(path) == {"1": {"a": 2.5}}


@pytest.mark.parametrize("score", ["nan", "inf", "-Infinity", "1e39"])
def test_scores_that_are_not_finite(tmp_path, score):
    assert _error(tmp_path, f"1 Q0 a 1 2 t\n1 Q0 b 2 {score} t\n").startswith(":2: expected a finite score, found")


def test_a_score_that_is_no_number(tmp_path):
    assert _error(tmp_path, "1 Q0 a 1 high t\n").startswith(":1: expected a number as score, found 'high'")


@pytest.mark.parametrize(("line", "count"), [("1 0 a 1", 4), ("1 Q0 a 1 2.0", 5), ("1 Q0 a 1 2.0 my tag", 7)])
def test_wrong_number_of_columns(tmp_path, line, count):
    error = _error(tmp_path, f"1 Q0 z 1 2 t\n\n{line}\n")
    assert error.startswith(f":3: expected six columns (query Q0 document rank score tag), found {count}: ")


def test_a_document_twice_for_one_query(tmp_path):
    error = _error(tmp_path, "1 Q0 a 1 3 t\n2 Q0 a 1 3 t\n1 Q0 a 2 2 t\n")
    assert error.startswith(":3: expected each document once per query, found document 'a' of query '1'")


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_an_empty_file(tmp_path, text):
    assert _error(tmp_path, text).startswith(":1: expected six columns")


def test_order_is_score_then_falling_id():
    # 1 + 1e-9 is 1 as float32; "b10" < "b9" and "B" < "a" as bytes.
    scores = {"a": 1.0, "b9": 1.0 + 1e-9, "b10": 1.0, "é": 0.5, "z": 0.5, "B": 1.0, "best": 1.1, "": -3.0}
    assert ranked(scores) == ["best", "b9", "b10", "a", "B", "é", "z", ""]
    assert ranked({}) == []


def test_top_keeps_the_first_by_that_order():
    run = {"1": {"a": 1.0, "b": 1.0, "c": 2.0}, "2": {"a": 0.0}}
    assert top(run, 2) == {"1": {"c": 2.0, "b": 1.0}, "2": {"a": 0.0}}
    assert list(top(run, 2)["1"]) == ["c", "b"]


def test_what_is_written(tmp_path):
    path = tmp_path / "out.trec"
    write_run(path, {"q": {"a": 0.1, "c": 2.0, "b": 2.0}, "empty": {}, "r": {"a": -1e-9}}, "me")
    assert path.read_text() == "q Q0 c 1 2.0 me\nq Q0 b 2 2.0 me\nq Q0 a 3 0.1 me\nr Q0 a 1 -1e-09 me\n"


@given(
    st.dictionaries(st.text("ab1", min_size=1), st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1)
)
def test_float32_scores_survive(tmp_path_factory, scores):
    path = tmp_path_factory.getbasetemp() / "round-trip.trec.gz"
    write_run(path, {"1": scores}, "t")
    again = read_run(path)["1"]
    assert {one: np.float32(score) for one, score in again.items()} == scores
    assert list(again) == ranked(scores)


@pytest.mark.parametrize("name", ["two words", "", "tab\there"])
def test_ids_that_a_run_cannot_hold_are_not_written(tmp_path, name):
    path = tmp_path / "out.trec"
    for run in ({"1": {"good": 1.0, name: 2.0}}, {name: {"good": 1.0}}):
        with pytest.raises(InputError, match="without white space"):
            write_run(path, run, "t")
    with pytest.raises(InputError, match="expected a run tag"):
        write_run(path, {"1": {"a": 1.0}}, name)
    assert list(tmp_path.iterdir()) == []


def test_scores_that_are_not_finite_are_not_written(tmp_path):
    for score in (float("nan"), float("inf"), 1e39):
        with pytest.raises(InputError, match="finite"):
            write_run(tmp_path / "out.trec", {"1": {"a": 1.0}, "2": {"a": score}}, "t")
    assert list(tmp_path.iterdir()) == []


def test_locate_finds_the_first_line(tmp_path):
    path = tmp_path / "a"
    path.write_text("1 Q0 a 1 3 t\n1 Q0 2 2 2 t\n2 Q0 a 1 3 t\n")
    assert locate(path, query_id="2") == 3
    assert locate(path, document_id="2") == 2
    assert locate(path, query_id="2", document_id="a") == 3
    path.write_text("query-id\tcorpus-id\tscore\n1\ta\t0\n2\tb\t1\n")
    assert locate(path, document_id="b") == 3


def test_real_runs(shared_data):
    run = read_run(shared_data / "trec-runs" / "dl19.p_bert.trec.gz")
    assert len(run) == 200
    assert next(iter(run["11096"].items())) == ("8606623", -0.008667142)
