import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cedistill.evaluation.compare import bootstrap_interval, compare, holm, randomisation, student_t


def test_student_t_by_hand():
    # Mean 2, deviation 2 over 4 queries: t = 2 with 3 degrees of freedom, whose two-sided p is known in closed form.
    differences = np.array([2.0, 2.0, 2.0 - math.sqrt(6), 2.0 + math.sqrt(6)])
    tail = 0.5 - (math.atan(2 / math.sqrt(3)) + 2 / math.sqrt(3) / (1 + 4 / 3)) / math.pi
    assert student_t(differences) == pytest.approx(2 * tail)
    assert student_t(-differences) == pytest.approx(2 * tail)


def test_student_t_equals_the_paired_test_of_scipy():
    source = np.random.default_rng(1)
    first, second = source.random(40), source.random(40) + 0.1
    assert student_t(second - first) == pytest.approx(stats.ttest_rel(second, first).pvalue)


@pytest.mark.parametrize("differences", [[], [0.0], [0.3], [0.0, 0.0, 0.0]])
def test_no_test_is_p_one(differences):
    assert student_t(np.array(differences)) == 1.0


def test_identical_runs_have_p_one():
    assert randomisation(np.zeros(50)) == 1.0
    values = {"ap": {str(query): query / 7 for query in range(7)}}
    (record,) = compare("a", {"a": values, "b": values}, ["ap"])
    assert record["difference"] == 0.0
    assert {record[key] for key in ("p", "p_holm", "p_randomisation", "p_randomisation_holm")} == {1.0}
    assert record["interval"] == [0.0, 0.0]


def test_randomisation_is_exact_for_few_queries():
    # Of the 8 assignments of signs only +++ and --- reach a sum of 6.
    assert randomisation(np.array([1.0, 2.0, 3.0])) == 2 / 8
    # 1 + 2 - 3 is reached by all; a query without a difference changes nothing.
    assert randomisation(np.array([1.0, 2.0, 0.0, -3.0])) == 1.0
    # Sums in floats: .1 + .2 + .3 and .3 + .2 + .1 are both reached.
    assert randomisation(np.array([0.1, 0.2, -0.3, 0.6])) == pytest.approx(_exact([0.1, 0.2, -0.3, 0.6]))


def _exact(differences):
    sums = [
        abs(math.fsum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in itertools.product([1, -1], repeat=len(differences))
    ]
    return sum(one >= abs(math.fsum(differences)) - 1e-12 for one in sums) / len(sums)


@given(st.lists(st.sampled_from([0.0, 0.1, -0.1, 0.25, -0.3, 0.5, 1.0]), min_size=1, max_size=9))
def test_randomisation_equals_counting(differences):
    assert randomisation(np.array(differences)) == pytest.approx(_exact(differences))


def test_drawn_randomisation_comes_near_the_exact_one():
    source = np.random.default_rng(3)
    for count in (13, 16):
        differences = source.normal(0.2, 0.5, count)
        assert randomisation(differences) == pytest.approx(_exact(list(differences)), abs=0.005)
        assert randomisation(differences, seed=5) == randomisation(differences, seed=5)
        assert randomisation(differences, seed=5) != randomisation(differences, seed=6)


def test_drawn_randomisation_equals_scipys():
    differences = np.random.default_rng(4).normal(0.05, 0.4, 200)
    known = stats.permutation_test(
        (differences,), lambda x, axis: x.mean(axis), permutation_type="samples", n_resamples=20_000, rng=1
    )
    assert randomisation(differences) == pytest.approx(known.pvalue, abs=0.015)


def test_randomisation_never_gives_zero():
    assert randomisation(np.ones(100), samples=999) == pytest.approx(1 / 1000)


def test_holm_by_hand():
    # In order .01, .02, .03, .04: .01 x 4, .02 x 3, .03 x 2, .04 x 1; none below the one before.
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10), st.floats(0.001, 0.999))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values, level):
    rejected = 0
    for place, p in enumerate(sorted(p_values)):
        if p * (len(p_values) - place) > level:
            break
        rejected += 1
    assert sum(p <= level for p in holm(p_values)) == rejected


def test_bootstrap_interval():
    differences = np.random.default_rng(0).normal(0.1, 0.3, 400)
    low, high = bootstrap_interval(differences)
    error = differences.std(ddof=1) / 20
    assert (low, high) == pytest.approx(
        (differences.mean() - 1.96 * error, differences.mean() + 1.96 * error), abs=0.004
    )
    assert bootstrap_interval(np.full(3, 0.5)) == (0.5, 0.5)


def test_families_are_the_runs_of_one_measure():
    source = np.random.default_rng(2)
    queries = [str(number) for number in range(20)]
    runs = {
        name: {measure: dict(zip(queries, source.random(20) + shift, strict=True)) for measure in ("ap", "rr")}
        for name, shift in (("first", 0.0), ("a", 0.3), ("b", 0.1))
    }
    records = compare("first", runs, ["ap", "rr"])
    assert [(one["measure"], one["run"], one["baseline"]) for one in records] == [
        ("ap", "a", "first"),
        ("ap", "b", "first"),
        ("rr", "a", "first"),
        ("rr", "b", "first"),
    ]
    for pair in (records[:2], records[2:]):
        assert [one["p_holm"] for one in pair] == pytest.approx(holm([one["p"] for one in pair]))
        assert [one["p_randomisation_holm"] for one in pair] == holm([one["p_randomisation"] for one in pair])
    one = records[0]
    first, other = (np.array(list(runs[name]["ap"].values())) for name in ("first", "a"))
    assert one["difference"] == pytest.approx(other.mean() - first.mean())
    assert one["p"] == pytest.approx(stats.ttest_rel(other, first).pvalue)
    assert (one["test"], one["queries"]) == ("student-t", 20)


def test_pairs_are_made_by_query_and_not_by_place():
    first, other = {"1": 0.1, "2": 0.5, "3": 0.9}, {"3": 0.9, "1": 0.1, "2": 0.5}
    (record,) = compare("a", {"a": {"ap": first}, "b": {"ap": other}}, ["ap"])
    assert (record["difference"], record["p"]) == (0.0, 1.0)
