from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cedistill.errors import InputError
from cedistill.teachers.llm.windows import check_windows, windows


def test_a_hundred_candidates_take_nine_windows_from_the_bottom():
    expected = [(80, 100), (70, 90), (60, 80), (50, 70), (40, 60), (30, 50), (20, 40), (10, 30), (0, 20)]
    assert windows(100) == expected


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, []), (1, []), (2, [(0, 2)]), (20, [(0, 20)]), (21, [(1, 21), (0, 20)]), (35, [(15, 35), (5, 25), (0, 20)])],
)
def test_short_lists_and_the_last_window_in_full(count, expected):
    assert windows(count) == expected


@given(st.integers(2, 300), st.integers(2, 40), st.data())
def test_every_place_is_shown_and_the_best_can_reach_the_top(count, size, data):
    stride = data.draw(st.integers(1, size))
    found = windows(count, size, stride)
    assert {place for start, end in found for place in range(start, end)} == set(range(count))
    assert all(end - start == min(size, count) for start, end in found) and found[-1][0] == 0
    assert all(upper[0] < lower[0] <= upper[0] + stride for lower, upper in pairwise(found))


@pytest.mark.parametrize(("size", "stride"), [(1, 1), (20, 21), (20, 0)])
def test_windows_with_gaps_are_refused(size, stride):
    with pytest.raises(InputError, match="--window and --stride"):
        check_windows(size, stride)
