import pytest

from cedistill.data.qrels import read_qrels
from cedistill.errors import InputError


def _read(tmp_path, text):
    path = tmp_path / "a.tsv"
    path.write_text(text)
    return read_qrels(path)


def _error(tmp_path, text):
    with pytest.raises(InputError) as caught:
        _read(tmp_path, text)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(str(tmp_path / "a.tsv"))


@pytest.mark.parametrize(
    "text",
    [
        "1 0 a 2\n1 0 b -1\n2 Q0 a 0\n",
        "query-id\tcorpus-id\tscore\n1\ta\t2\n1\tb\t-1\n2\ta\t0\n",
        "1\ta\t2\n1\tb\t-1\n\n2\ta\t0\n",
    ],
)
def test_layouts_are_told_apart_by_content(tmp_path, text):
    assert _read(tmp_path, text) == {"1": {"a": 2, "b": -1}, "2": {"a": 0}}


def test_the_same_judgement_twice_is_one(tmp_path):
    assert _read(tmp_path, "1 0 a 2\n1 0 a 2\n") == {"1": {"a": 2}}


def test_two_grades_of_one_document(tmp_path):
    error = _error(tmp_path, "1 0 a 2\n2 0 a 1\n1 0 a 1\n")
    assert error.startswith(":3: expected one grade per query and document, found 1 after 2 for document 'a'")


@pytest.mark.parametrize("grade", ["0.5", "high", "1.0", "nan"])
def test_grades_are_whole_numbers(tmp_path, grade):
    assert _error(tmp_path, f"1 0 a 1\n1 0 b {grade}\n").startswith(
        f":2: expected a whole number as grade, found '{grade}'"
    )


def test_columns(tmp_path):
    assert _error(tmp_path, "1 Q0 a 1 2.0 t\n").startswith(":1: expected four columns")
    assert _error(tmp_path, "1 0 a 1\n1 a 1\n").startswith(":2: expected 4 columns as in the first line, found 3")
    assert _error(tmp_path, "query-id\tcorpus-id\tscore\n1\ta\n").startswith(":2: expected 3 columns")


@pytest.mark.parametrize("text", ["", "\n", "query-id\tcorpus-id\tscore\n"])
def test_no_judgement(tmp_path, text):
    assert "found no judgement" in _error(tmp_path, text)


def test_real_counts(shared_data):
    for split, queries, judgements in (("dl19", 43, 9260), ("dl20", 54, 11386)):
        qrels = read_qrels(shared_data / "msmarco-v1" / "qrels" / f"{split}.tsv")
        assert (len(qrels), sum(map(len, qrels.values()))) == (queries, judgements)
        assert {grade for grades in qrels.values() for grade in grades.values()} == {0, 1, 2, 3}
