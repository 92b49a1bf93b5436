from email.utils import formatdate

import pytest

from cedistill.errors import InputError
from cedistill.teachers.llm.questions import Refused, TryAgain
from cedistill.teachers.llm.server import Server, failure, key_from, read_completion, retry_after

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": formatdate(NOW + 20, usegmt=True)}, 20.0),
        ({"retry-after": formatdate(NOW - 20, usegmt=True)}, 0.0),
        ({"retry-after": "86400"}, 300.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
    ],
)
def test_retry_after(headers, seconds):
    assert retry_after(headers, NOW) == seconds


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_statuses_that_may_pass(status):
    assert isinstance(failure(status, {}, ""), TryAgain)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422])
def test_statuses_that_do_not(status):
    assert isinstance(failure(status, {}, ""), Refused)


def test_what_a_server_says_of_a_key_is_not_repeated():
    assert "sk-1" not in failure(401, {}, '{"error": {"message": "Incorrect API key provided: sk-1****9"}}').reason


def test_tokens_are_estimated_where_the_server_counts_none():
    found = read_completion('{"choices": [{"message": {"content": "[1] > [2]"}}]}', 55)
    assert (found.text, found.prompt_tokens, found.completion_tokens) == ("[1] > [2]", 55, 3)


def test_texts_in_parts_and_answers_that_were_cut():
    parts = '[{"type": "text", "text": "[1] >"}, {"type": "text", "text": " [2]"}]'
    found = read_completion(f'{{"choices": [{{"finish_reason": "length", "message": {{"content": {parts}}}}}]}}', 5)
    assert found.text == "[1] > [2]" and found.cut


@pytest.mark.parametrize("body", ["", "null", "[]", "<html>", '{"choices": null}', '{"choices": [{"message": 3}]}'])
def test_what_is_no_completion_is_asked_again(body):
    with pytest.raises(TryAgain, match="no chat completion"):
        read_completion(body, 1)


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host/v1", "http://user:secret@host/v1"])
def test_urls_that_are_none_or_hold_a_password(url):
    with pytest.raises(InputError, match="--base-url") as error:
        Server("m", url, None, 1.0)
    assert "secret" not in str(error.value)


def test_keys_come_from_variables(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("MINE", " abc\n")
    assert key_from("MINE") == "abc" and key_from(None) is None
    with pytest.raises(InputError, match="environment variable OTHER"):
        key_from("OTHER")
