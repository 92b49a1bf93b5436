import pytest

from cedistill.errors import InputError
from cedistill.teachers.llm.prompts import (
    load_template,
    passage_messages,
    passage_text,
    preference_messages,
    ranking_messages,
)

KINDS = ("ranking", "yes-no", "grade", "preference")


@pytest.mark.parametrize("kind", KINDS)
def test_shipped_templates_load(kind):
    assert load_template(kind).answer == kind


def test_shipped_templates_show_query_and_passages():
    asked = ranking_messages(load_template("ranking"), "why {count}?", ["one {query}", "two"])[-1]["content"]
    assert (
        "[1] one {query}\n[2] two\n" in asked and "Search query: why {count}?\n" in asked and "all 2 passages" in asked
    )
    for kind in ("yes-no", "grade"):
        asked = passage_messages(load_template(kind), "why?", "because")[-1]["content"]
        assert "Search query: why?\n" in asked and "Passage: because\n" in asked
    asked = preference_messages(load_template("preference"), "why?", "because", "therefore")[-1]["content"]
    assert "Passage A: because\n" in asked and "Passage B: therefore\n" in asked


def test_a_message_for_each_passage(tmp_path):
    file = tmp_path / "turns.toml"
    file.write_text("""
title = "Turns"
answer = "ranking"
[[messages]]
role = "user"
text = "{count} passages on {query}"
[[messages]]
role = "user"
each = true
text = "[{number}] {passage}"
[[messages]]
role = "assistant"
text = "Rank them."
""")
    asked = ranking_messages(load_template("ranking", file), "q", ["a", "b"])
    assert [one["content"] for one in asked] == ["2 passages on q", "[1] a", "[2] b", "Rank them."]
    assert [one["role"] for one in asked] == ["user", "user", "user", "assistant"]


def test_passages_are_cut_by_words_and_lose_bracketed_numbers():
    assert passage_text(" one  two\n[3] four [five] six", 5) == "one two (3) four [five]"


@pytest.mark.parametrize(
    ("kind", "body", "message"),
    [
        ("ranking", 'text = "{query}"', "{passages} in the messages"),
        ("ranking", 'text = "{passages}"', "{query} in the messages"),
        ("ranking", 'text = "{querry} {passages}"', "unknown placeholder 'querry'; did you mean 'query'?"),
        ("ranking", 'text = "{query} {passages} {number}"', "unknown placeholder 'number'"),
        ("grade", 'text = "{query} {passage}"\neach = true', "for rankings only"),
        ("grade", 'text = "{query} {passage}"\nrolle = "x"', "rolle"),
        ("grade", 'text = "{query} {passage}', ":5: expected valid TOML"),
    ],
)
def test_templates_that_do_not_work_are_refused(kind, body, message, tmp_path):
    file = tmp_path / "t.toml"
    file.write_text(f'title = "t"\nanswer = "{kind}"\n[[messages]]\nrole = "user"\n{body}\n')
    with pytest.raises(InputError) as error:
        load_template(kind, file)
    assert message in str(error.value) and str(error.value).startswith(str(file))


def test_a_template_for_another_answer_is_refused(tmp_path):
    file = tmp_path / "t.toml"
    file.write_text('title = "t"\nanswer = "grade"\n[[messages]]\nrole = "user"\ntext = "{query} {passage}"\n')
    with pytest.raises(InputError, match="whose answer is a ranking, found a grade"):
        load_template("ranking", file)
