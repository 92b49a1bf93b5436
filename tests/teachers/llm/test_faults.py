"""A real server that fails in every way: the same run as from one that does not, and no answer paid for twice."""

import json
import socket
import struct
import time
from email.utils import formatdate

import pytest
from servers import Chat, completion, highest_title_first, send, serving

from cedistill.data.collections import open_collection
from cedistill.data.runs import read_run
from cedistill.teachers.llm.pace import Budget
from cedistill.teachers.llm.questions import BudgetSpent, TeacherStopped

TIMEOUT = 0.4


def too_many(handler):
    send(handler, 429, b'{"error": {"message": "slow down"}}', [("Retry-After", "0.05")])


def too_many_until(handler):
    send(handler, 429, b"{}", [("Retry-After", formatdate(time.time() + 0.5, usegmt=True))])


def broken(handler):
    send(handler, 500, b"<html>sorry</html>")


def overloaded(handler):
    send(handler, 503, b'{"error": "overloaded"}')


def cut(handler):
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def cut_half_way(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [{"mess')
    handler.wfile.flush()
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def silent(handler):
    time.sleep(2 * TIMEOUT)
    handler.close_connection = True


def trickle(handler):
    body = completion("[1]")
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    for place in range(len(body)):
        handler.wfile.write(body[place : place + 1])
        handler.wfile.flush()
        time.sleep(4 * TIMEOUT / len(body))


def no_json(handler):
    send(handler, 200, b'{"choices": [')


def other_json(handler):
    send(handler, 200, b'{"choices": [{"message": {"content": 7}}]}')


def no_choice(handler):
    send(handler, 200, b'{"choices": []}')


def empty(handler):
    send(handler, 200, completion("  \n"))


FAULTS = [
    too_many, too_many_until, broken, overloaded, cut, cut_half_way, silent, trickle, no_json, other_json, no_choice,
    empty,
]  # fmt: skip


@pytest.fixture
def collection(tiny):
    return open_collection(str(tiny)), read_run(tiny / "candidates.trec")


@pytest.fixture
def expected(collection, ask_server, settings):
    with serving(Chat(highest_title_first)) as chat:
        return ask_server(chat, *collection, settings(), journal="expected.jsonl").run


@pytest.mark.parametrize("fault", FAULTS, ids=lambda one: one.__name__)
def test_each_question_fails_at_first(fault, collection, ask_server, settings, expected, journal_keys):
    """Where many would wait at once for time-outs, only questions of one query fail."""

    def first_time(handler, request, before):
        if before or (fault in (silent, trickle) and "topic3\n" not in json.dumps(request).replace("\\n", "\n")):
            return False
        fault(handler)
        return True

    with serving(Chat(highest_title_first, first_time)) as chat:
        taught = ask_server(chat, *collection, settings(), timeout=TIMEOUT)
    assert taught.run == expected
    assert set(chat.answered.values()) == {1} and len(chat.answered) == len(journal_keys()) == 6 * 4
    assert max(chat.came.values()) == 2 and taught.account["retries"] == sum(chat.came.values()) - 6 * 4 > 0


def test_a_mixture_of_all_faults(collection, ask_server, settings, expected):
    def mixed(handler, request, before):
        number = len(chat.requests)
        if before > 3 or number % 3:
            return False
        FAULTS[number // 3 % len(FAULTS)](handler)
        return True

    with serving(Chat(highest_title_first, mixed)) as chat:
        assert ask_server(chat, *collection, settings(), timeout=TIMEOUT).run == expected
    assert set(chat.answered.values()) == {1} and len(chat.requests) > 24


def test_a_server_that_dies_half_way_and_comes_back(collection, ask_server, settings, expected, journal_keys):
    with serving(
        Chat(highest_title_first, lambda handler, *_: len(chat.requests) > 9 and (cut(handler), True)[1])
    ) as chat:
        with pytest.raises(TeacherStopped, match="after 2 attempts; check the server"):
            ask_server(chat, *collection, settings(attempts=2))
        known = journal_keys()
        assert 0 < len(known) == len(chat.answered) < 24
    with serving(Chat(highest_title_first)) as again:
        taught = ask_server(again, *collection, settings())
    assert taught.run == expected and taught.account["from_journal"] == len(known)
    assert not set(again.answered) & set(chat.answered) and len(again.requests) == 24 - len(known)


def test_the_journal_alone_gives_the_run(collection, ask_server, settings, expected):
    with serving(Chat(highest_title_first)) as chat:
        ask_server(chat, *collection, settings())
    taught = ask_server(chat, *collection, settings())  # the server is gone
    assert taught.run == expected and taught.account["requests"] == 0 and taught.account["from_journal"] == 24


def test_a_server_that_was_never_there_is_told_soon(collection, ask_server, settings):
    with serving(Chat(highest_title_first)) as chat:
        pass
    with pytest.raises(TeacherStopped, match=r"no connection .* after 3 attempts"):
        ask_server(chat, *collection, settings())


@pytest.mark.parametrize(("status", "told"), [(400, "'too long'"), (401, "check the key"), (404, "status 404")])
def test_a_refusal_is_not_repeated(status, told, collection, ask_server, settings):
    def refuse(handler, *_):
        send(handler, status, b'{"error": {"message": "too long"}}')
        return True

    with serving(Chat(highest_title_first, refuse)) as chat, pytest.raises(TeacherStopped, match=told):
        ask_server(chat, *collection, settings(workers=1))
    assert len(chat.requests) == 1


@pytest.mark.parametrize("budget", [Budget(requests=10), Budget(tokens=1_500)], ids=["requests", "tokens"])
def test_a_budget_stops_and_what_was_answered_is_kept(budget, collection, ask_server, settings, expected, journal_keys):
    with serving(Chat(highest_title_first)) as chat:
        with pytest.raises(BudgetSpent, match="stopped after"):
            ask_server(chat, *collection, settings(), budget)
        first = len(chat.requests)
        assert first == budget.sent == len(journal_keys()) and 0 < first < 24
        assert budget.requests is None or first == 10
        assert budget.spent == 110 * first and (budget.tokens is None or budget.spent <= budget.tokens)
        assert ask_server(chat, *collection, settings()).run == expected
    assert set(chat.answered.values()) == {1} and len(chat.requests) == 24


def test_a_budget_is_used_up_where_many_questions_wait(collection, ask_server, settings, journal_keys):
    with serving(Chat(lambda _: "A")) as chat, pytest.raises(BudgetSpent, match="stopped after 10 requests"):
        ask_server(chat, *collection, settings(method="pairwise", depth=4), Budget(requests=10))
    assert len(chat.requests) == len(journal_keys()) == 10


def test_answers_that_were_cut_before_they_began(collection, ask_server, settings):
    """The first one stops the teacher before more is spent in vain; later ones count as malformed, never repeated."""

    def cut_short(request):
        return completion("").replace(b'"stop"', b'"length"')

    with serving(Chat(cut_short)) as chat, pytest.raises(TeacherStopped, match="--answer-tokens"):
        ask_server(chat, *collection, settings(workers=1))
    assert len(chat.requests) == 1

    def but_the_first(request):
        return highest_title_first(request) if len(chat.requests) == 1 else cut_short(request)

    with serving(Chat(but_the_first)) as chat:
        taught = ask_server(chat, *collection, settings(workers=1))
    assert len(chat.requests) == 24 and taught.account["faults"] == {"missing": 23}


def test_no_more_requests_at_once_than_workers(collection, ask_server, settings):
    def slow(*_):
        time.sleep(0.02)
        return False

    with serving(Chat(highest_title_first, slow)) as chat:
        ask_server(chat, *collection, settings(workers=3))
    assert chat.most_at_once == 3
