import csv
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from cedistill.errors import InputError
from cedistill.evaluation.ranks import critical_difference, rank_over_blocks
from cedistill.report.published import published_rankings, read_published

PUBLISHED = Path(__file__).parents[2] / "results" / "paper" / "published.csv"


def test_friedman_by_hand():
    # Ranks 1 2 3, 1 2 3, 1 3 2, 2 1 3: sums 5, 8, 11; 12 / (4 * 3 * 4) * (25 + 64 + 121) - 3 * 4 * 4 = 4.5.
    figures = np.array([[0.9, 0.5, 0.1], [0.8, 0.6, 0.2], [0.9, 0.1, 0.5], [0.5, 0.9, 0.1]])
    ranking = rank_over_blocks(figures, ["a", "b", "c"])
    assert ranking.names == ("a", "b", "c") and ranking.average_ranks == (1.25, 2.0, 2.75)
    assert ranking.statistic == pytest.approx(4.5) and ranking.p == pytest.approx(np.exp(-4.5 / 2))
    assert ranking.blocks == 4 and ranking.cliques == (("a", "b", "c"),)


def test_names_stand_best_first_and_ties_share_their_rank():
    figures = np.array([[0.1, 0.5, 0.5], [0.2, 0.3, 0.4], [0.0, 0.9, 0.9]])
    ranking = rank_over_blocks(figures, ["a", "b", "c"])
    assert ranking.names == ("c", "b", "a") and ranking.average_ranks == pytest.approx((4 / 3, 5 / 3, 3.0))
    assert ranking.p == pytest.approx(stats.friedmanchisquare(*figures.T).pvalue)
    assert np.allclose(np.diag(ranking.nemenyi), 1.0) and ranking.nemenyi[0][2] < ranking.nemenyi[0][1]


def test_critical_difference_as_tabulated():
    # Demšar 2006, table 5: q.05 is 2.343 for 3, 2.850 for 6 and 3.102 for 9.
    for treatments, quantile in ((3, 2.343), (6, 2.850), (9, 3.102)):
        expected = quantile * np.sqrt(treatments * (treatments + 1) / (6 * 14))
        assert critical_difference(treatments, 14) == pytest.approx(expected, abs=1e-3)
    assert critical_difference(4, 14, alpha=0.10) == pytest.approx(2.291 * np.sqrt(20 / 84), abs=1e-3)


def test_cliques_are_the_longest_stretches_within_the_critical_difference():
    # Twelve blocks with the ranks 1 to 5 in all: critical difference 1.76.
    figures = np.tile(np.arange(5, 0, -1.0), (12, 1))
    ranking = rank_over_blocks(figures, list("abcde"))
    assert 1 < ranking.critical_difference < 2
    assert ranking.cliques == (("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"))
    assert (ranking.nemenyi[0][2] < 0.05) and (ranking.nemenyi[0][1] > 0.05)


def test_nothing_but_ties_is_no_difference():
    ranking = rank_over_blocks(np.full((4, 3), 0.5), list("abc"))
    assert ranking.p == 1.0 and ranking.average_ranks == (2.0, 2.0, 2.0)


@pytest.mark.parametrize("shape", [(5, 2), (1, 4)])
def test_too_few_to_rank(shape):
    with pytest.raises(InputError, match="at least 3 treatments over 2 blocks"):
        rank_over_blocks(np.random.default_rng(0).random(shape), ["x"] * shape[1])


def test_friedman_false_alarms_come_at_the_level():
    source = np.random.default_rng(3)
    alarms = [rank_over_blocks(source.random((20, 4)), list("abcd")).p < 0.05 for _ in range(400)]
    assert 0.02 < np.mean(alarms) < 0.08


def test_published_figures_give_the_published_ranks():
    objectives, backbones = published_rankings(read_published(PUBLISHED))
    assert objectives.blocks == 54 and backbones.blocks == 36
    known = {"InfoNCE": 1.83, "MarginMSE": 2.17, "DistillRankNET": 3.61, "ADR-MSE": 3.66, "Hinge": 3.99, "BCE": 5.74}
    found = dict(zip(objectives.names, objectives.average_ranks, strict=True))
    assert {name: round(rank, 2) for name, rank in found.items()} == known and list(found) == list(known)
    known = {"ELECTRA": 1.97, "Ettin-150M": 2.69, "MiniLM-L12": 3.11, "BERT-Base": 3.79, "RoBERTa": 5.12}
    known |= {"DeBERTa-v3": 5.62, "Ettin-68M": 5.76, "Ettin-32M": 7.94, "Ettin-17M": 8.97}
    found = dict(zip(backbones.names, backbones.average_ranks, strict=True))
    assert found == pytest.approx(known, abs=0.00501) and list(found) == list(known)


def test_published_table_is_whole():
    rows = list(csv.DictReader(PUBLISHED.open()))
    assert len(rows) == 54 and all(0 < float(value) < 1 for row in rows for value in list(row.values())[2:])
