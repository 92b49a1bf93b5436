import pytest

from cedistill.data.pairs import Pair, read_pairs
from cedistill.errors import InputError


def _read(tmp_path, text):
    path = tmp_path / "a.tsv"
    path.write_text(text)
    return list(read_pairs(path))


def _error(tmp_path, text):
    with pytest.raises(InputError) as caught:
        _read(tmp_path, text)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(str(tmp_path / "a.tsv"))


def test_five_columns_have_the_scores_first(tmp_path):
    text = "9.5\t-2.25\t400296\t1540783\t3518497\n1e-3\t0\t1\t2\t3\n"
    assert _read(tmp_path, text) == [
        Pair(query_id="400296", positive_id="1540783", negative_id="3518497", positive_score=9.5, negative_score=-2.25),
        Pair("1", "2", "3", 0.001, 0.0),
    ]


def test_three_and_two_columns(tmp_path):
    assert _read(tmp_path, "q p n\nq p m\n\n") == [Pair("q", "p", "n"), Pair("q", "p", "m")]
    assert _read(tmp_path, "q\tp\n") == [Pair("q", "p", None, None, None)]


def test_the_first_line_fixes_the_columns(tmp_path):
    assert _error(tmp_path, "q p n\nq p\n").startswith(":2: expected 3 columns as in the first line, found 2: 'q p'")
    assert _error(tmp_path, "q p\nq p n\n").startswith(":2: expected 2 columns")
    for line in ("q", "1 2 3 4", "1 2 3 4 5 6"):
        assert _error(tmp_path, f"{line}\n").startswith(":1: expected two columns (query positive), three")


def test_scores_are_finite_numbers(tmp_path):
    assert _error(tmp_path, "1 2 q p n\n1 nan q p n\n").startswith(":2: expected a finite score, found 'nan'")
    assert _error(tmp_path, "1 2 q p n\nq p n 1 2\n").startswith(":2: expected a number as score, found 'q'")


def test_what_is_no_pairs_file(tmp_path):
    assert _error(tmp_path, "query-id\tcorpus-id\tscore\n1\t2\t1\n").startswith(":1: expected two columns")
    assert "found an empty file" in _error(tmp_path, "\n")
    assert _error(tmp_path, "q p\n\nq p\n").startswith(":2: expected no blank line")
