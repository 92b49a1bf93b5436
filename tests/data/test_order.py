import numpy as np
import pytest
from scipy.stats import chisquare

from cedistill.data import order
from cedistill.data.order import Order


@pytest.fixture(params=["stored", "network"])
def stored(request, monkeypatch):
    if request.param == "network":
        monkeypatch.setattr(order, "_STORED", 0)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 16, 17, 1000])
def test_every_entry_once_a_round(stored, count):
    visit = Order(count, seed=3, stream=1)
    for turn in range(3):
        assert sorted(visit(turn * count + place) for place in range(count)) == list(range(count))


def test_order_depends_on_seed_and_round(stored):
    def orders(seed):
        visit = Order(500, seed, stream=1)
        return [tuple(visit(turn * 500 + place) for place in range(500)) for turn in (0, 1, 0)]

    first, second, again = orders(3)
    assert first == again != second and first != orders(4)[0]


def test_order_of_the_file():
    visit = Order(5, 3, 1, shuffled=False)
    assert [visit(index) for index in range(12)] == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]


def test_every_entry_is_as_likely_at_every_place(stored):
    """600 orders of 10 entries: 100 cells of 60 expected each."""
    table = np.zeros((10, 10))
    for seed in range(600):
        visit = Order(10, seed, stream=1)
        for place in range(10):
            table[place, visit(place)] += 1
    assert chisquare(table.ravel(), ddof=18).pvalue > 0.001


def test_a_long_order_is_even_and_without_memory():
    count = 40_000_000
    visit = Order(count, 123, stream=1)
    seen = np.array([visit(index) for index in range(20_000)])
    assert len(np.unique(seen)) == 20_000 and not len(visit._stored)
    assert chisquare(np.bincount(seen * 50 // count, minlength=50)).pvalue > 0.001
    assert abs(np.corrcoef(seen[:-1], seen[1:])[0, 1]) < 0.03  # 4 standard errors of 1 / sqrt(20 000)
