import statistics

import pytest

from cedistill.demo.draws import Draws
from cedistill.demo.first_stage import WordOverlap
from cedistill.demo.teachers import logit, repaired
from cedistill.demo.words import Concept, doing, read_words, with_article
from cedistill.demo.world import Document, Query, facets_met, grade


def test_splitmix64_gives_the_published_numbers():
    draws = Draws(1234567)  # the vector of Rosetta Code and of the reference implementation
    assert [draws.bits() for _ in range(3)] == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_noise_has_the_promised_spread():
    draws = Draws(3)
    drawn = [draws.noise(1000) for _ in range(20_000)]
    assert abs(statistics.mean(drawn)) < 30
    assert statistics.pstdev(drawn) == pytest.approx(1000, rel=0.03)


@pytest.mark.parametrize(
    ("verb", "form"),
    [
        ("mend", "mending"),
        ("acquire", "acquiring"),
        ("wrap", "wrapping"),
        ("fix", "fixing"),
        ("label", "labelling"),
        ("carry", "carrying"),
        ("clean", "cleaning"),
        ("give away", "giving away"),
    ],
)
def test_doing(verb, form):
    assert doing(verb) == form


def test_with_article():
    assert [with_article(one) for one in ("axe", "ewer", "car")] == ["an axe", "a ewer", "a car"]


def test_grade_counts_facets_and_needs_the_topic():
    car, boat = Concept("topic", ("car",)), Concept("topic", ("boat",))
    buy, sell = Concept("task", ("buy",)), Concept("task", ("sell",))
    winter, kids = Concept("setting", ("in winter",)), Concept("audience", ("kids",))
    query = Query("q", "test", car, {"task": buy, "setting": winter, "audience": kids})
    domain = read_words().domains[0]

    def about(topic, **facets):
        return Document("d", domain, topic, facets)

    assert grade(query, about(car, task=buy, setting=winter, audience=kids)) == 3
    assert grade(query, about(car, task=buy, setting=winter)) == 2
    assert grade(query, about(car, task=sell, audience=kids)) == 1
    assert grade(query, about(car, task=sell)) == 0
    assert grade(query, about(boat, task=buy, setting=winter, audience=kids)) == 0
    assert facets_met(query, about(boat, task=buy, setting=winter, audience=kids)) == 3


def test_the_right_topic_beats_any_other():
    assert max(logit(False, facets) for facets in range(4)) < logit(True, 0)


def test_repaired_keeps_the_first_and_appends_what_is_missing():
    assert repaired(["c", "a", "c"], ["a", "b", "c", "d"]) == ["c", "a", "b", "d"]


def test_word_overlap_weighs_rare_words_and_breaks_ties_by_falling_id():
    documents = {f"d{number:02d}": "common filler" for number in range(30)}
    documents |= {"d30": "common bike", "d31": "common bike", "d32": "bikes tent"}
    # 33 documents: bike in 3 weighs log2(11) -> 3, tent in 1 weighs log2(33) -> 5, common nothing.
    assert WordOverlap(documents).top("common bikes tent", 3) == {"d32": 8, "d31": 3, "d30": 3}
    assert list(WordOverlap(documents).top("bike", 3)) == ["d32", "d31", "d30"]
