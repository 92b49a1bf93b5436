"""Pointwise and pairwise teachers over a real server."""

import math
import re

import pytest
from servers import Chat, completion, said, send, serving

from cedistill.data.collections import open_collection
from cedistill.data.runs import read_run


@pytest.fixture
def collection(tiny):
    return open_collection(str(tiny)), read_run(tiny / "candidates.trec")


def _titles(request):
    return [int(one) for one in re.findall(r"Title (\d+)", said(request))]


def test_pointwise_gives_log_odds_where_the_server_gives_log_probabilities(collection, ask_server, settings):
    def yes_by_title(request):
        assert request["logprobs"] is True and request["top_logprobs"] == 20 and request["temperature"] == 0
        yes = (_titles(request)[0] + 1) / 32
        return completion("Yes", [{"Yes": math.log(yes), "No": math.log(1 - yes)}])

    with serving(Chat(yes_by_title)) as chat:
        taught = ask_server(chat, *collection, settings(method="pointwise", depth=5))
    assert len(chat.requests) == 6 * 5 and taught.account["answer"] == "yes-no" and taught.account["malformed"] == 0
    expected = {f"d{j}": math.log((j + 1) / (31 - j)) for j in range(2, 7)}
    assert taught.run["q2"] == pytest.approx(expected)


@pytest.mark.parametrize("refuses", [False, True])
def test_pointwise_asks_for_grades_otherwise_and_leaves_out_what_is_unclear(refuses, collection, ask_server, settings):
    def no_log_probabilities(handler, request, before):
        if refuses and "logprobs" in request:
            send(handler, 400, b'{"error": {"message": "logprobs: unknown parameter"}}')
            return True
        return False

    def grade(request):
        title = _titles(request)[0]
        return "no idea" if title == 4 else f"Grade: {title % 4}"

    with serving(Chat(grade, no_log_probabilities)) as chat:
        taught = ask_server(chat, *collection, settings(method="pointwise", depth=5))
    assert len(chat.requests) == 1 + 6 * 5 and taught.account["answer"] == "grade"
    assert taught.run["q2"] == {"d2": 2.0, "d3": 3.0, "d5": 1.0, "d6": 2.0}
    assert taught.account["malformed"] == 30 and taught.account["faults"] == {"missing": 5, "prose": 25}
    assert ask_server(chat, *collection, settings(method="pointwise", depth=5)).run == taught.run  # without the server


def test_pairwise_asks_both_orders_and_counts_wins(collection, ask_server, settings):
    """The higher title wins, but for 3 and 4, of which A always wins, and 2 and 5, of which none does."""

    def prefer(request):
        a, b = _titles(request)
        if {a, b} == {2, 5}:
            return "Hard to say."
        return "A" if a > b or {a, b} == {3, 4} else "B"

    with serving(Chat(prefer)) as chat:
        taught = ask_server(chat, *collection, settings(method="pairwise", depth=4))
    assert len(chat.requests) == 6 * 4 * 3
    assert taught.run["q2"] == {"d2": 0.5, "d3": 1.5, "d4": 1.5, "d5": 2.5}
    assert taught.run["q0"] == {"d0": 0.0, "d1": 1.0, "d2": 2.0, "d3": 3.0}
    assert taught.account["malformed"] == 2  # only q2 has both 2 and 5 among its first four
