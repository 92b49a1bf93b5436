import math

import numpy as np
import pytest

from cedistill.data.teacher_scores import masked_mean, normalised

NAN = math.nan


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("none", [3, 1, NAN, 1, 7]),
        ("zscore", [0, -2 / math.sqrt(6), NAN, -2 / math.sqrt(6), 4 / math.sqrt(6)]),  # mean 3, variance 24 / 4
        ("minmax", [2 / 6, 0, NAN, 0, 1]),
        ("rank", [2 / 3, 0.5 / 3, NAN, 0.5 / 3, 1]),  # the tie shares places 0 and 1 of 0 to 3
    ],
)
def test_by_hand_with_a_gap_and_a_tie(how, expected):
    np.testing.assert_allclose(normalised(np.array([[3, 1, NAN, 1, 7]]), how), [expected])


@pytest.mark.parametrize("how", ["zscore", "minmax", "rank"])
def test_each_teacher_by_itself_and_scale_does_not_matter(how):
    scores = np.array([[1.0, 2.0, 5.0], [1003.0, NAN, 1001.0]])
    both = normalised(scores, how)
    np.testing.assert_allclose(both[0], normalised(scores[:1] * 1e-3 + 40, how)[0])
    np.testing.assert_allclose(both[1], normalised(scores[1:], how)[0])


@pytest.mark.parametrize("how", ["zscore", "minmax", "rank"])
@pytest.mark.parametrize("row", [[0.1, 0.1, 0.1], [5.0, NAN, NAN], [NAN, NAN, NAN]])
def test_equal_scores_say_nothing(how, row):
    assert np.isnan(normalised(np.array([row]), how)).all()


def test_mean_over_those_that_scored():
    values = np.array([[1.0, NAN, NAN], [3.0, 5.0, NAN]])
    np.testing.assert_allclose(masked_mean(values), [2, 5, NAN])
    np.testing.assert_allclose(masked_mean(values, np.array([3.0, 1.0])), [1.5, 5, NAN])
