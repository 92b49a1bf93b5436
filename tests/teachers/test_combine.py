import math

import numpy as np
import pytest
from scipy import stats

from cedistill.errors import InputError
from cedistill.teachers.combine import agreement_weights, combine, kendall, spearman

A = {"q": {"a": 4.0, "b": 2.0, "c": 0.0}}
B = {"q": {"a": 1.0, "b": 3.0}}
HIGH = math.sqrt(1.5)  # z of 4 among 4, 2, 0: the standard deviation is √(8/3)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("mean", {"a": 2.5, "b": 2.5, "c": 0.0}),  # c: A alone
        ("zscore", {"a": (HIGH - 1) / 2, "b": (0 + 1) / 2, "c": -HIGH}),
        ("rrf", {"a": (1 / 61 + 1 / 62) / 2, "b": (1 / 62 + 1 / 61) / 2, "c": 1 / 63}),
        # Each correlates −1 with the other: equal weights.
        ("agreement", {"a": (HIGH - 1) / 2, "b": (0 + 1) / 2, "c": -HIGH}),
    ],
)
def test_by_hand_with_partial_coverage(how, expected):
    assert combine([A, B], how) == {"q": pytest.approx(expected)}


def test_an_ensemble_is_the_mean_of_its_logits():
    runs = [{"q": {"a": 8.0, "b": -3.0}}, {"q": {"a": 6.5, "b": 1.0}}, {"q": {"a": -1.0, "b": -4.0}}]
    assert combine(runs, "mean") == {"q": {"a": 4.5, "b": -2.0}}


def test_agreement_weighs_by_the_rank_correlation_with_the_others():
    scores = np.array([[3.0, 2.0, 1.0], [3.0, 1.0, 2.0], [1.0, 2.0, 3.0]])
    weights, rho = agreement_weights(scores)
    # z is a constant times (1, 0, −1) and its permutations. The others' sums are (0, −1, 1), (0, 0, 0), (2, −1, −1):
    # ranks (2, 1, 3) against (3, 2, 1): −1/2; constant: 0; ranks (3, 1.5, 1.5) against (1, 2, 3): −√3/2.
    assert rho == pytest.approx([-0.5, 0.0, -math.sqrt(0.75)])
    raw = np.exp(np.array([-0.5, 0.0, -math.sqrt(0.75)]) / 0.3)
    assert weights == pytest.approx(raw / raw.sum())
    combined = combine([{"q": dict(zip("abc", row, strict=True))} for row in scores.tolist()], "agreement")
    z = (scores - 2) / math.sqrt(2 / 3)
    assert list(combined["q"].values()) == pytest.approx(weights @ z)


def test_identical_members_give_that_member_and_a_reversed_one_the_smallest_weight():
    rows = np.array([[5.0, 1.0, 3.0, 2.0]] * 3)
    weights, rho = agreement_weights(rows)
    assert weights == pytest.approx([1 / 3] * 3) and rho == pytest.approx([1] * 3)
    weights, _ = agreement_weights(np.vstack([rows, -rows[:1]]))
    assert weights.argmin() == 3 and weights[3] < 0.01


@pytest.mark.parametrize("how", ["zscore", "agreement"])
def test_scale_and_shift_of_a_member_change_nothing(how):
    other = {"q": {"a": 0.3, "b": -0.4, "c": 0.1}}
    moved = {"q": {one: 1000 * score - 7 for one, score in A["q"].items()}}
    assert combine([moved, other], how)["q"] == pytest.approx(combine([A, other], how)["q"])


@pytest.mark.parametrize("how", ["zscore", "agreement"])
def test_a_member_without_spread_gives_no_signal(how):
    flat = {"q": {"a": 0.1, "b": 0.1, "d": 0.1}}
    combined = combine([A, flat], how)["q"]
    assert combined == pytest.approx({"a": HIGH, "b": 0.0, "c": -HIGH, "d": 0.0})
    assert combine([flat], how) == {"q": {"a": 0.0, "b": 0.0, "d": 0.0}}


def test_rrf_shares_the_ranks_of_ties():
    combined = combine([{"q": {"a": 2.0, "b": 1.0, "c": 1.0}}], "rrf")["q"]
    assert combined == pytest.approx({"a": 1 / 61, "b": 1 / 62.5, "c": 1 / 62.5})


def test_queries_of_any_member_are_in_it():
    combined = combine([A, {"p": {"x": 1.0}}], "mean")
    assert combined == {"q": A["q"], "p": {"x": 1.0}}


def test_correlations_are_scipys_with_ties_and_gaps():
    random = np.random.default_rng(0)
    a, b = random.integers(0, 4, 30).astype(float), random.integers(0, 4, 30).astype(float)
    assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)
    a[:5] = np.nan
    assert spearman(a, b) == pytest.approx(stats.spearmanr(a[5:], b[5:]).statistic)
    assert kendall(a, b) == pytest.approx(stats.kendalltau(a[5:], b[5:]).statistic)
    assert math.isnan(spearman(np.ones(3), np.arange(3.0))) and math.isnan(kendall(np.ones(3), np.arange(3.0)))


def test_unknown_ways_and_nothing_to_combine_are_refused():
    with pytest.raises(InputError, match="unknown combination 'zscor'; did you mean 'zscore'"):
        combine([A], "zscor")
    with pytest.raises(InputError, match="at least one run"):
        combine([], "mean")
