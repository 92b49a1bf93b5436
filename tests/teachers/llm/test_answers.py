import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cedistill.teachers.llm.answers import parse_grade, parse_preference, parse_ranking, yes_log_odds


@pytest.mark.parametrize(
    ("answer", "order", "faults"),
    [
        ("[2] > [3] > [1]", (1, 2, 0), ()),
        ("\n[2] > [3] > [1]\n", (1, 2, 0), ()),
        ("[2, 3, 1]", (1, 2, 0), ()),
        ("2 > 3 > 1", (1, 2, 0), ()),
        ("2, 3, 1", (1, 2, 0), ()),
        ("<think>[1] > [2], or is it [3]?</think>[2] > [3] > [1]", (1, 2, 0), ()),
        ("[3] > [1]", (2, 0, 1), ("missing",)),
        ("[3] > [3] > [1] > [2]", (2, 0, 1), ("repeated",)),
        ("[3] > [9] > [0] > [1] > [2]", (2, 0, 1), ("out-of-range",)),
        ("Of the 2 best, I say: [3] > [1] > [2]. Since 1999!", (2, 0, 1), ("prose",)),
        ("Passage 3 > Passage 1 > Passage 2", (2, 0, 1), ()),
        ("3 passages have been provided.", (0, 1, 2), ("missing", "prose")),
        ("<think>[3] > [2] > [1] and then", (0, 1, 2), ("missing",)),
        ("", (0, 1, 2), ("missing",)),
        ("[" + "9" * 5000 + "] > [2]", (1, 0, 2), ("missing", "out-of-range")),
    ],
)
def test_rankings(answer, order, faults):
    ranking = parse_ranking(answer, 3)
    assert (ranking.order, ranking.faults) == (order, faults)


_LIKE_AN_ANSWER = st.text(st.sampled_from("[]>, 0123456789\nabP.")) | st.text()


@given(_LIKE_AN_ANSWER, st.integers(1, 30))
def test_any_answer_gives_a_permutation(answer, count):
    assert sorted(parse_ranking(answer, count).order) == list(range(count))


@given(st.permutations(range(12)), st.text(st.sampled_from("ab \n.")), st.text(st.sampled_from("ab \n.")))
def test_a_whole_ranking_is_read_as_it_is_whatever_stands_around_it(order, before, after):
    written = " > ".join(f"[{place + 1}]" for place in order)
    ranking = parse_ranking(before + written + after, 12)
    prose = set(before + after) & set("ab")
    assert ranking.order == tuple(order) and ranking.faults == (("prose",) if prose else ())


@pytest.mark.parametrize(
    ("answer", "grade", "faults"),
    [
        ("2", 2, ()),
        (" 3.\n", 3, ()),
        ("Grade: 1", 1, ("prose",)),
        ("On a scale of 0-3 the final score is **2**", 2, ("prose",)),
        ("I first thought of a score of 1. ##final score: 3", 3, ("prose",)),
        ("It deserves a 2 out of everything", 2, ("prose",)),
        ("<think>0 or 1?</think>\n0", 0, ()),
        ("7", None, ("missing",)),
        ("2.5", None, ("missing",)),
        ("a 1 or a 2", None, ("unclear",)),
        ("", None, ("missing",)),
    ],
)
def test_grades(answer, grade, faults):
    assert parse_grade(answer) == (grade, faults)


@pytest.mark.parametrize(
    ("answer", "letter", "faults"),
    [
        ("A", "A", ()),
        (" **B**.", "B", ()),
        ("Passage B", "B", ("prose",)),
        ("A, not B", None, ("unclear",)),
        ("Neither", None, ("missing",)),
    ],
)
def test_preferences(answer, letter, faults):
    assert parse_preference(answer) == (letter, faults)


def test_log_odds_add_up_the_forms_of_a_word():
    likeliest = {"Yes": math.log(0.5), " yes": math.log(0.1), "No": math.log(0.2), "Maybe": math.log(0.05)}
    assert yes_log_odds([likeliest]) == pytest.approx(math.log(0.6 / 0.2))


def test_log_odds_take_the_first_token_that_is_a_word_and_the_least_likely_for_an_absent_one():
    tokens = [{"\n": -0.1, "the": -3.0}, {"No": math.log(0.9), "not": math.log(0.03)}]
    assert yes_log_odds(tokens) == pytest.approx(math.log(0.03 / 0.9))


@pytest.mark.parametrize("tokens", [[], [{}], [{"perhaps": -1.0}], [{"yes": math.nan}]])
def test_no_log_odds_without_either_word(tokens):
    assert yes_log_odds(tokens) is None


@given(st.lists(st.dictionaries(st.sampled_from(["yes", "No", "x"]), st.floats(max_value=0.0))))
def test_log_odds_are_finite_or_none(tokens):
    odds = yes_log_odds(tokens)
    assert odds is None or math.isfinite(odds)
