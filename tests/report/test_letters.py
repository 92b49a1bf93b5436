from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from cedistill.evaluation.strata import one_stratum
from cedistill.report.letters import better_than, comparisons, give_letters, row_name


def _rows(*names):
    rows = [{"backbone": name.split("/")[0], "objective": name.split("/")[1]} for name in names]
    give_letters(rows)
    return rows


def test_objectives_of_a_backbone_are_a_group():
    rows = _rows("x/bce", "x/hinge", "y/bce", "y/hinge", "z/bce")
    assert [(row["group"], row["letter"]) for row in rows] == [
        ("x", "a"),
        ("x", "b"),
        ("y", "a"),
        ("y", "b"),
        ("z", ""),
    ]
    assert [(row["group"], row["letter"]) for row in _rows("x/bce", "y/bce")] == [("", "a"), ("", "b")]
    assert {row["letter"] for row in _rows(*(f"{n}/bce" for n in range(27)))} == {""}


@pytest.mark.parametrize(
    ("shift", "before", "after"), [(0.1, 0, 0), (0.13, 1, 0), (0.16, 1, 1), (0.25, 2, 1), (0.29, 3, 3)]
)
def test_letters_are_what_holm_leaves(shift, before, after):
    """Of three pairs so many have p < .01 before the correction and after it."""
    source = np.random.default_rng(1)
    rows = _rows("x/one", "x/two", "x/three")
    levels = (0.0, shift, shift / 2)
    values = {row_name(row): level + source.normal(0, 0.25, (2, 40)) for row, level in zip(rows, levels, strict=True)}
    means = [one.mean(axis=0) for one in values.values()]
    p = {pair: stats.ttest_rel(means[pair[0]], means[pair[1]]).pvalue for pair in combinations(range(3), 2)}
    order = sorted(p, key=p.get)
    expected = dict.fromkeys(values, "")
    for left, (one, other) in zip((3, 2, 1), order, strict=True):  # Holm's step-down, from the smallest p
        if p[one, other] * left >= 0.01:
            break
        winner, loser = (one, other) if means[one].mean() > means[other].mean() else (other, one)
        expected[list(values)[winner]] += "abc"[loser]
    found = better_than(rows, values, one_stratum(40), 0.01)
    assert found == {name: "".join(sorted(letters)) for name, letters in expected.items()}
    assert sum(one < 0.01 for one in p.values()) == before and len("".join(found.values())) == after


def test_families_of_comparisons():
    source = np.random.default_rng(2)
    rows = _rows("x/bce", "x/hinge", "y/bce")
    values = {"first stage": source.random((1, 20))} | {row_name(row): source.random((2, 20)) for row in rows}
    found = comparisons(rows, values, one_stratum(20))
    assert [(one["family"], one["run"], one["baseline"]) for one in found] == [
        ("first stage", "x/bce", "first stage"),
        ("first stage", "x/hinge", "first stage"),
        ("first stage", "y/bce", "first stage"),
        ("x", "x/hinge", "x/bce"),
    ]
