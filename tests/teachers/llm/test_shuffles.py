import pytest
from scipy.stats import kendalltau
from servers import Chat, highest_title_first, serving

from cedistill.data.collections import open_collection
from cedistill.data.runs import read_run
from cedistill.teachers.llm.order import agreement, mean_scores, shuffled


def test_shuffled_orders_depend_on_query_number_and_seed_alone():
    documents = [f"d{number}" for number in range(8)]
    order = shuffled(documents, "q1", 0, 12)
    assert sorted(order) == documents and order == shuffled(documents[::-1], "q1", 0, 12)
    others = [shuffled(documents, "q2", 0, 12), shuffled(documents, "q1", 1, 12), shuffled(documents, "q1", 0, 13)]
    assert len({tuple(one) for one in [order, *others]}) == 4


def test_scores_are_means_of_ranks():
    # a: ranks 1, 1, 2 of 3 give 3, 3, 2; b: 2, 3, 1 give 2, 1, 3; c: 3, 2, 3 give 1, 2, 1.
    assert mean_scores(["abc", "acb", "bac"]) == {"a": 8 / 3, "b": 2.0, "c": 4 / 3}


def test_agreement_is_the_mean_of_kendall_s_tau():
    rankings = ["abcdef", "abdcfe", "fedcba", "bacdef"]
    places = [[ranking.index(letter) for letter in "abcdef"] for ranking in rankings]
    pairs = [(i, j) for i in range(4) for j in range(i)]
    expected = sum(kendalltau(places[i], places[j]).statistic for i, j in pairs) / len(pairs)
    assert agreement(rankings) == pytest.approx(expected)
    assert agreement(["abc", "abc"]) == 1.0 and agreement(["abc", "cba"]) == -1.0
    assert agreement(["abc"]) is None and agreement(["a", "a"]) is None


def test_a_teacher_that_knows_agrees_with_itself_and_one_that_repeats_the_order_does_not(tiny, ask_server, settings):
    collection, candidates = open_collection(str(tiny)), read_run(tiny / "candidates.trec")
    wanted = settings(shuffle=4, window=20, stride=10)
    with serving(Chat(highest_title_first)) as chat:
        taught = ask_server(chat, collection, candidates, wanted)
    assert taught.agreement == dict.fromkeys(candidates, 1.0) and len(chat.requests) == 6 * 4
    assert taught.run["q0"] == {f"d{j}": j + 1.0 for j in range(10)}

    with serving(Chat(lambda _: " > ".join(f"[{n}]" for n in range(1, 11)))) as chat:
        taught = ask_server(chat, collection, candidates, wanted, journal="other.jsonl")
    assert abs(taught.account["agreement"]) < 0.4
    orders = [shuffled(list(candidates["q0"]), "q0", number, wanted.seed) for number in range(4)]
    assert taught.run["q0"] == mean_scores(orders) and taught.agreement["q0"] == agreement(orders)


def test_below_the_depth_the_order_stays(tiny, ask_server, settings):
    collection, candidates = open_collection(str(tiny)), read_run(tiny / "candidates.trec")
    with serving(Chat(highest_title_first)) as chat:
        taught = ask_server(chat, collection, candidates, settings(depth=3))
    assert list(taught.run["q0"]) == ["d2", "d1", "d0", *(f"d{j}" for j in range(3, 10))]
    assert list(taught.run["q0"].values()) == [float(score) for score in range(10, 0, -1)]
