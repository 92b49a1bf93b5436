import math

import numpy as np
import pytest

from cedistill.errors import InputError
from cedistill.teachers.pseudo_labels import PseudoLabel, confident, pseudo_label, pseudo_labels

GOOD = {"a": 4.0, "b": 3.0, "c": 2.0, "d": 1.0}
Z = (math.sqrt(1.8), math.sqrt(0.2))  # of four equal steps: ±1.5 and ±0.5 over a deviation of √1.25


def scaled(path, factor=3.0, offset=-7.0):
    return {one: factor * score + offset for one, score in path.items()}


@pytest.mark.parametrize("how", ["agreement", "mean", "median", "rrf", "cshift"])
def test_identical_paths_give_that_path_with_certainty(how):
    found = pseudo_label([GOOD, scaled(GOOD), GOOD], how, anchor=0)
    assert found.confidence == pytest.approx(1)
    assert sorted(found.labels, key=found.labels.get) == ["d", "c", "b", "a"]
    if how != "rrf":
        assert list(found.labels.values()) == pytest.approx([Z[0], Z[1], -Z[1], -Z[0]])


def test_a_reversed_path_counts_least():
    backwards = {one: -score for one, score in GOOD.items()}
    found = pseudo_label([GOOD, scaled(GOOD), backwards])
    # ρ of each good path with the mean of (z, −z) = 0 everywhere is undefined, 0; of the reversed one −1. By hand:
    # weights e^0, e^0, e^(−1/0.3) of z, z, −z.
    low = math.exp(-1 / 0.3)
    assert found.labels["a"] == pytest.approx(Z[0] * (2 - low) / (2 + low))
    assert found.confidence == pytest.approx(-1 / 3)
    assert pseudo_label([GOOD, scaled(GOOD), backwards], "mean").labels["a"] == pytest.approx(Z[0] / 3)
    assert pseudo_label([GOOD, scaled(GOOD), backwards], "median").labels["a"] == pytest.approx(Z[0])
    shifted = pseudo_label([GOOD, scaled(GOOD), backwards], "cshift", anchor=2).labels["a"]
    high = math.exp(-2 / 0.3)
    assert shifted == pytest.approx(Z[0] * (2 * high - 1) / (2 * high + 1))


@pytest.mark.parametrize("how", ["agreement", "mean", "median", "rrf", "cshift"])
def test_the_order_of_documents_and_the_scale_of_paths_change_nothing(how):
    generator = np.random.default_rng(1)
    paths = [dict(zip("abcdefg", generator.normal(size=7), strict=True)) for _ in range(4)]
    del paths[1]["b"]
    expected = pseudo_label(paths, how, anchor=0)
    turned = pseudo_label([scaled(dict(reversed(path.items()))) for path in paths], how, anchor=0)
    assert turned.labels == pytest.approx(expected.labels) and turned.confidence == pytest.approx(expected.confidence)


def test_a_document_is_labelled_by_the_paths_that_scored_it():
    found = pseudo_label([GOOD, {"a": 2.0, "b": 1.0}, {"a": 5.0, "e": 1.0}], "mean")
    assert found.labels["d"] == pytest.approx(-Z[0]) and found.labels["e"] == pytest.approx(-1)
    assert found.labels["b"] == pytest.approx((Z[1] - 1) / 2)


def test_no_consensus_of_one_voice():
    assert pseudo_label([GOOD, {"a": 1.0, "b": 1.0}, {}]) is None


def test_a_students_own_scores_do_not_influence_its_label():
    runs = {"one": {"q": GOOD}, "two": {"q": scaled(GOOD)}, "student": {"q": GOOD}}
    before = pseudo_labels(runs, ["q"], leave_out="student")
    runs["student"] = {"q": {"a": -9.0, "b": 7.0, "z": 100.0}}
    assert pseudo_labels(runs, ["q"], leave_out="student") == before
    assert pseudo_labels(runs, ["q"]) != before
    assert pseudo_labels(runs, ["q", "nowhere"], leave_out="student").keys() == {"q"}


def test_cshift_needs_its_anchor():
    runs = {"one": {"q": GOOD}, "two": {"q": GOOD}}
    with pytest.raises(InputError, match="unknown anchor 'tow'; did you mean 'two'"):
        pseudo_labels(runs, ["q"], "cshift", anchor="tow")


def test_the_least_confident_queries_are_dropped():
    labels = {name: PseudoLabel({}, sure) for name, sure in {"a": 0.5, "b": 0.1, "c": 0.5, "d": 0.9}.items()}
    assert list(confident(labels, 0.5)) == ["a", "d"]
    assert list(confident(labels, 0.0)) == ["a", "b", "c", "d"] and list(confident(labels, 0.49)) == ["a", "c", "d"]
