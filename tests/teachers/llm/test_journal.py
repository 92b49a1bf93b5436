import json

import pytest

from cedistill.errors import InputError
from cedistill.teachers.llm.journal import open_journal, read_journal
from cedistill.teachers.llm.questions import Completion, Question, identity

QUESTION = Question([{"role": "user", "content": "why?"}], {"temperature": 0.0}, 5, "q1")
ANSWERS = {"a": Completion("[1] > [2]", None, 12, 5), "b": Completion("half \ud83d an emoji", [{"Yes": -0.5}], 1, 2)}


def _written(path):
    with open_journal(path) as journal:
        for key, answer in ANSWERS.items():
            journal.add(key, "m", QUESTION, answer)
            assert json.loads(path.read_bytes().splitlines()[-1])["key"] == key  # there at once, not at the end
    return path


def test_answers_come_back_with_all_that_was_asked(tmp_path):
    path = _written(tmp_path / "new" / "j.jsonl")
    assert read_journal(path).answers == ANSWERS
    entry = json.loads(path.read_text().splitlines()[0])
    assert (entry["model"], entry["query"], entry["messages"]) == ("m", "q1", QUESTION.messages)
    assert entry["parameters"] == {"temperature": 0.0} and entry["answer"] == "[1] > [2]"


def test_a_torn_last_line_is_dropped_and_the_journal_goes_on(tmp_path):
    path = _written(tmp_path / "j.jsonl")
    whole = path.read_bytes()
    for cut in (1, 10, len(whole.splitlines()[-1])):
        path.write_bytes(whole[:-cut])
        assert list(read_journal(path).answers) == ["a"]
        with open_journal(path) as journal:
            assert list(journal.answers) == ["a"]
            journal.add("b", "m", QUESTION, ANSWERS["b"])
        assert read_journal(path).answers == ANSWERS


def test_a_damaged_line_is_named(tmp_path):
    path = _written(tmp_path / "j.jsonl")
    path.write_bytes(b"{}\n" + path.read_bytes())
    with pytest.raises(InputError, match=r"j.jsonl:1: expected an answer of a journal"):
        read_journal(path)


def test_one_process_at_a_time(tmp_path):
    path = tmp_path / "j.jsonl"
    with open_journal(path) as journal:
        with pytest.raises(InputError, match="no other process"), open_journal(path):
            pass
        journal.add("a", "m", QUESTION, ANSWERS["a"])
    assert list(read_journal(path).answers) == ["a"]


def test_an_empty_journal_leaves_no_file(tmp_path):
    with open_journal(tmp_path / "j.jsonl"):
        pass
    assert not (tmp_path / "j.jsonl").exists() and read_journal(tmp_path / "j.jsonl").answers == {}


def test_the_identity_is_that_of_everything_asked():
    changed = [
        Question([{"role": "user", "content": "why"}], QUESTION.parameters, 5),
        Question([{"role": "system", "content": "why?"}], QUESTION.parameters, 5),
        Question(QUESTION.messages, {"temperature": 0.5}, 5),
    ]
    keys = {identity("m", QUESTION), identity("n", QUESTION), *(identity("m", one) for one in changed)}
    assert len(keys) == 5
    assert identity("m", Question(QUESTION.messages, QUESTION.parameters, 99, "q2")) == identity("m", QUESTION)
