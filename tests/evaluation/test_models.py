import numpy as np
import pytest
from scipy import stats

from cedistill.evaluation.bootstrap import interval, resampled_figures
from cedistill.evaluation.compare import holm
from cedistill.evaluation.models import compare_models
from cedistill.evaluation.strata import Strata, one_stratum


def _values(seeds, queries, level, seed):
    return level + np.random.default_rng(seed).normal(0, 0.2, (seeds, queries))


def test_every_two_models_are_one_family():
    models = {"a": _values(3, 50, 0.4, 1), "b": _values(1, 50, 0.5, 2), "c": _values(2, 50, 0.55, 3)}
    records = compare_models(models, one_stratum(50))
    assert [(one["run"], one["baseline"]) for one in records] == [("b", "a"), ("c", "a"), ("c", "b")]
    for one in records:
        run, baseline = (models[one[name]].mean(axis=0) for name in ("run", "baseline"))
        assert one["difference"] == pytest.approx(run.mean() - baseline.mean())
        assert one["p"] == pytest.approx(stats.ttest_rel(run, baseline).pvalue) and one["queries"] == 50
        assert one["interval"][0] < one["difference"] < one["interval"][1]
    assert [one["p_holm"] for one in records] == holm([one["p"] for one in records])
    assert [one["p_randomisation_holm"] for one in records] == holm([one["p_randomisation"] for one in records])
    assert compare_models(models, one_stratum(50), []) == []


def test_the_interval_over_queries_is_scipys():
    difference = _values(1, 80, 0.05, 4)
    models = {"zero": np.zeros((1, 80)), "one": difference}
    (record,) = compare_models(models, one_stratum(80))
    known = stats.bootstrap((difference[0],), np.mean, method="percentile", n_resamples=20_000, rng=1)
    assert record["interval"] == pytest.approx(known.confidence_interval, abs=0.006)


def test_seeds_that_differ_widen_the_interval():
    # All queries are alike, so that only seeds vary: the mean of two of .4 and .6 is .4, .5 or .6.
    values = np.array([[0.4] * 10, [0.6] * 10])
    draws = resampled_figures([values, np.full((1, 10), 0.5)], one_stratum(10), samples=4_000)
    assert sorted(set(draws[0].round(9))) == [0.4, 0.5, 0.6]
    assert np.mean(draws[0].round(9) == 0.5) == pytest.approx(0.5, abs=0.03)
    assert set(draws[1].round(9)) == {0.5}
    assert interval(draws[0]) == pytest.approx((0.4, 0.6))


def test_queries_are_drawn_within_data_sets_and_paired():
    # One data set is constant: whatever is drawn, it adds its share.
    values = np.concatenate([np.full((1, 5), 0.8), _values(1, 40, 0.3, 5)], axis=1)
    strata = Strata((5, 40), (0.5, 0.5))
    draws = resampled_figures([values, values + 0.1], strata, samples=500)
    assert draws[1] - draws[0] == pytest.approx(np.full(500, 0.1))
    assert draws[0].mean() == pytest.approx(0.5 * 0.8 + 0.5 * values[0, 5:].mean(), abs=0.01)
    alone = resampled_figures([values[:, 5:]], one_stratum(40), samples=500)
    assert draws[0].std() == pytest.approx(alone[0].std() / 2, rel=0.12)


def test_the_interval_holds_its_level():
    source = np.random.default_rng(6)
    held = 0
    for _ in range(200):
        difference = source.normal(0.1, 0.3, (1, 40))
        low, high = interval(resampled_figures([difference], one_stratum(40), samples=400)[0])
        held += low <= 0.1 <= high
    assert 0.88 < held / 200 < 0.99
