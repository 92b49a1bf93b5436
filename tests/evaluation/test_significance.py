import itertools

import numpy as np
import pytest
from scipy import stats

from cedistill.evaluation.compare import effect_size, randomisation, student_t
from cedistill.evaluation.significance import effect_sizes, randomisation_tests, t_tests
from cedistill.evaluation.strata import Strata, one_stratum


def _differences(rows, queries, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(shift, 0.3, (rows, queries))


def test_over_one_data_set_they_are_the_usual_tests():
    differences = _differences(5, 60, shift=0.05)
    strata = one_stratum(60)
    known = stats.ttest_1samp(differences, 0.0, axis=1).pvalue
    assert t_tests(differences, strata) == pytest.approx(known)
    assert t_tests(differences, strata) == pytest.approx([student_t(row) for row in differences])
    known = [randomisation(row) for row in differences]
    assert randomisation_tests(differences, strata) == pytest.approx(known, abs=0.012)
    assert effect_sizes(differences, strata) == pytest.approx(differences.mean(1) / differences.std(1, ddof=1))
    assert effect_sizes(differences, strata)[0] == pytest.approx(effect_size(differences[0]))


def test_over_two_data_sets_of_one_size_t_is_welchs():
    # The mean of two means is 0 exactly when mean one equals minus mean two: Welch's test of x against -y.
    differences = _differences(3, 50, shift=0.1)
    known = stats.ttest_ind(differences[:, :20], -differences[:, 20:], axis=1, equal_var=False).pvalue
    assert t_tests(differences, Strata((20, 30), (0.5, 0.5))) == pytest.approx(known)


def test_a_mean_over_data_sets_is_no_mean_over_queries():
    strata = Strata((1, 3), (0.5, 0.5))
    assert strata.weights == pytest.approx([1 / 2, 1 / 6, 1 / 6, 1 / 6])
    assert strata.slices == [slice(0, 1), slice(1, 4)]
    # Weighted .2, .0167, .0167, .0167: only all signs alike reach the observed sum.
    differences = np.array([[0.4, 0.1, 0.1, 0.1]])
    weighted = differences[0] * strata.weights
    sums = [abs(np.dot(signs, weighted)) for signs in itertools.product([1, -1], repeat=4)]
    exact = np.mean([one >= weighted.sum() - 1e-12 for one in sums])
    assert randomisation_tests(differences, strata) == pytest.approx([exact]) and exact == 2 / 16


def test_few_queries_are_counted_exactly():
    # Of 8 assignments only +++ and --- reach 6; 1 + 2 - 3 is reached by all.
    differences = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, -3.0]])
    assert randomisation_tests(differences, one_stratum(3)) == pytest.approx([2 / 8, 1.0])


@pytest.mark.parametrize("queries", [3, 40])
def test_no_difference_is_p_one_and_no_effect(queries):
    differences, strata = np.zeros((2, queries)), one_stratum(queries)
    assert t_tests(differences, strata).tolist() == [1.0, 1.0]
    assert randomisation_tests(differences, strata).tolist() == [1.0, 1.0]
    assert effect_sizes(differences, strata).tolist() == [0.0, 0.0]


def test_equal_differences_everywhere_are_certain_but_of_no_size():
    differences = np.full((1, 4), 0.25)
    assert t_tests(differences, one_stratum(4)).tolist() == [0.0]
    assert np.isnan(effect_sizes(differences, one_stratum(4))[0]) and effect_size(differences[0]) is None


def test_a_data_set_of_one_query_has_no_t_test():
    assert t_tests(_differences(2, 5), Strata((1, 4), (0.5, 0.5))).tolist() == [1.0, 1.0]


# Null of the tests: two models whose per-query values come from one distribution, each the mean over three seeds,
# skewed and clipped to [0, 1] as measures are.
@pytest.mark.parametrize(("sizes", "shares"), [((50,), (1.0,)), ((25, 60), (0.5, 0.5))])
def test_false_alarms_come_at_the_level(sizes, shares):
    source = np.random.default_rng(11)
    strata, rounds, queries = Strata(sizes, shares), 4_000, sum(sizes)
    hard = source.beta(0.6, 0.9, (rounds, 1, queries))
    values = np.clip(hard + source.normal(0, 0.2, (rounds, 6, queries)), 0, 1)
    differences = values[:, :3].mean(axis=1) - values[:, 3:].mean(axis=1)
    for p in (t_tests(differences, strata), randomisation_tests(differences, strata, samples=2_000)):
        assert 0.03 < np.mean(p < 0.05) < 0.07
        assert 0.45 < np.mean(p < 0.5) < 0.55


def test_holm_keeps_the_false_alarms_of_a_family_at_the_level():
    from cedistill.evaluation.compare import holm

    source = np.random.default_rng(12)
    values = source.normal(0, 1, (1_500, 4, 40))  # four equal models, six pairs
    pairs = list(itertools.combinations(range(4), 2))
    differences = np.stack([values[:, a] - values[:, b] for a, b in pairs], axis=1)
    p = t_tests(differences.reshape(-1, 40), one_stratum(40)).reshape(-1, len(pairs))
    assert np.mean(p.min(axis=1) < 0.05) > 0.1 and np.mean([min(holm(row)) < 0.05 for row in p.tolist()]) < 0.07
