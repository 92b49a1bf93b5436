import json

import pytest

from cedistill.data.text_lists import TextList, read_text_lists
from cedistill.errors import InputError


def _read(tmp_path, *records):
    path = tmp_path / "a.jsonl"
    path.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in records))
    return list(read_text_lists(path))


def _error(tmp_path, *records):
    with pytest.raises(InputError) as caught:
        _read(tmp_path, *records)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(str(tmp_path / "a.jsonl"))


GOOD = {"query": "q", "docs": ["a", "b"]}


def test_documents_with_labels_and_teachers(tmp_path):
    record = {**GOOD, "labels": [1, 0.5], "scores": {"one": [3, -2], "two": [0.1, 1e-3]}, "weight": 0.25}
    assert _read(tmp_path, GOOD, record, {**GOOD, "labels": None, "scores": None}) == [
        TextList("q", ["a", "b"], None, {}),
        TextList("q", ["a", "b"], [1.0, 0.5], {"one": [3.0, -2.0], "two": [0.1, 0.001]}, 0.25),
        TextList("q", ["a", "b"], None, {}),
    ]


def test_positives_and_negatives(tmp_path):
    assert _read(
        tmp_path,
        {"query": "q", "pos": "p", "neg": ["n", "m"], "pos_scores": 4, "neg_scores": [1, 2]},
        {"query": "q", "pos": ["p", "r"], "neg": "n", "prompt": "not read"},
        {"query": "q", "pos": ["p"], "neg": [], "pos_scores": [2.5]},
    ) == [
        TextList("q", ["p", "n", "m"], [1.0, 0.0, 0.0], {"scores": [4.0, 1.0, 2.0]}),
        TextList("q", ["p", "r", "n"], [1.0, 1.0, 0.0], {}),
        TextList("q", ["p"], [1.0], {"scores": [2.5]}),
    ]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ('{"query": "q", "docs": ["a"', "a JSON object"),
        ("[1]", "a JSON object"),
        ({"query": "q"}, '{"query", "docs"'),
        ({"docs": ["a"]}, 'a text as "query"'),
        ({"query": 3, "docs": ["a"]}, 'a text as "query"'),
        ({"query": " ", "docs": ["a"]}, 'a text as "query"'),
        ({"query": "q", "docs": []}, 'at least one document in "docs"'),
        ({"query": "q", "docs": "a"}, 'a list of texts as "docs"'),
        ({"query": "q", "docs": ["a", ""]}, 'texts in "docs"'),
        ({"query": "q", "docs": ["a", None]}, 'texts in "docs"'),
        ({**GOOD, "labels": [1]}, 'as many numbers in "labels" as documents (2), found 1'),
        ({**GOOD, "labels": [1, "0"]}, 'numbers in "labels"'),
        ({**GOOD, "labels": [1, True]}, 'numbers in "labels"'),
        ({**GOOD, "labels": 1}, 'a list of 2 numbers as "labels"'),
        ({**GOOD, "scores": [1, 2]}, '"scores" as an object'),
        ({**GOOD, "weight": -1}, 'a number of at least 0 as "weight"'),
        ({**GOOD, "scores": {"t": [1, 2, 3]}}, 'as many numbers in "scores.t" as documents (2), found 3'),
        ('{"query": "q", "docs": ["a"], "scores": {"t": [NaN]}}', 'finite numbers in "scores.t", found'),
        ('{"query": "q", "docs": ["a"], "labels": [-Infinity]}', 'finite numbers in "labels", found'),
        ('{"query": "q", "docs": ["a"], "labels": [1' + "0" * 400 + "]}", 'finite numbers in "labels", found'),
        ({"query": "q", "pos": [], "neg": ["n"]}, 'at least one document in "pos"'),
        ({"query": "q", "pos": "p", "neg": 3}, 'a list of texts as "neg"'),
        ({"query": "q", "pos": "p", "neg": "n", "pos_scores": 1}, 'a list of 1 numbers as "neg_scores"'),
        ({"query": "q", "pos": "p", "neg": "n", "neg_scores": 1}, 'a list of 1 numbers as "pos_scores"'),
        ({"query": "q", "pos": "p", "neg": ["n"], "pos_scores": [1, 2], "neg_scores": [1]}, "documents (1), found 2"),
    ],
)
def test_bad_lines(tmp_path, record, expected):
    error = _error(tmp_path, GOOD, record)
    assert error.startswith(":2: expected ")
    assert expected in error


def test_empty_file_and_blank_lines(tmp_path):
    assert "found an empty file" in _error(tmp_path, "")
    assert _error(tmp_path, GOOD, "", GOOD).startswith(":2: expected no blank line")
    assert len(_read(tmp_path, GOOD, "", "")) == 1
