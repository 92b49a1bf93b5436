import math

import numpy as np
import pytest
import torch
from mixture_cases import batch
from scipy import stats

from cedistill.losses.mixture import standardised
from cedistill.mixture import agreement, get_weighting, random, uniform, weighting_names
from cedistill.mixture.ranks import ranks, spearman
from cedistill.mixture.weights import correlations, heard_scores, one_hot


def scores(*teachers):
    return torch.tensor([teachers], dtype=torch.float64)


def everything(of):
    return torch.ones_like(of, dtype=torch.bool)


def test_ranks_are_scipys_with_ties_and_masks():
    values = torch.tensor([[3.0, 1.0, 3.0, -2.0, 9.0], [0.0, 0.0, 0.0, 5.0, 1.0]])
    mask = torch.tensor([[True, True, True, True, False], [True] * 5])
    found = ranks(values, mask)
    assert found[0].tolist() == [*stats.rankdata([3, 1, 3, -2]), 0]
    assert found[1].tolist() == stats.rankdata([0, 0, 0, 5, 1]).tolist()


def test_spearman_is_scipys_over_the_masked_in_documents():
    b = batch()
    found = spearman(b.teachers[:, 0], b.teachers[:, 1], b.judged[:, 1])
    for row, one in enumerate(found):
        kept = b.judged[row, 1].numpy()
        expected = stats.spearmanr(b.teachers[row, 0].numpy()[kept], b.teachers[row, 1].numpy()[kept]).statistic
        assert one.item() == pytest.approx(expected, abs=1e-12)
    assert spearman(torch.ones(1, 4), torch.arange(4.0)[None], torch.ones(1, 4, dtype=torch.bool)).tolist() == [0]


def test_agreement_literal():
    # Ranks 1234, 1234, 2143 and z alike. The others' means: for teacher 0 of z(1), z(2) ..., by hand for four equal
    # steps z = ±0.4472, ±1.3416: others of 0: (-1.3416-0.4472, -0.4472-1.3416, ...)/2 = (-.8944, -.8944, .8944, .8944).
    # ρ of 1234 with ties (1.5, 1.5, 3.5, 3.5): 4 / sqrt(5 · 4) = 0.894427; teacher 2 against 1234: 0.6.
    teachers = scores([1, 2, 3, 4], [10, 20, 30, 40], [2, 1, 4, 3])
    z, heard = heard_scores(teachers, everything(teachers))
    assert correlations(z, heard)[0].tolist() == pytest.approx([4 / math.sqrt(20)] * 2 + [0.6])
    e = np.exp(np.array([4 / math.sqrt(20)] * 2 + [0.6]) / 0.3)
    assert agreement(teachers, everything(teachers))[0].tolist() == pytest.approx(list(e / e.sum()))


def test_equal_teachers_weigh_the_same_and_a_reversed_one_least():
    same = scores([3, 1, 2, 5], [3, 1, 2, 5], [3, 1, 2, 5])
    assert agreement(same, everything(same))[0].tolist() == pytest.approx([1 / 3] * 3)
    reversed_ = scores([3, 1, 2, 5], [-3, -1, -2, -5], [3, 1, 2, 4])
    assert agreement(reversed_, everything(reversed_))[0].argmin() == 1


@pytest.mark.parametrize("weights", [uniform, agreement])
def test_scale_offset_padding_and_order_change_nothing(weights):
    b = batch()
    expected = weights(b.teachers, b.judged)
    moved, padded = b.rescaled(), b.padded()
    torch.testing.assert_close(weights(moved.teachers, moved.judged), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(weights(padded.teachers, padded.judged), expected, rtol=0, atol=1e-12)
    order = torch.tensor([4, 2, 0, 5, 1, 3])
    torch.testing.assert_close(weights(b.teachers[..., order], b.judged[..., order]), expected, rtol=0, atol=1e-12)
    assert expected[1, 2] == 0  # judged nothing there
    torch.testing.assert_close(expected.sum(-1), torch.ones(3, dtype=torch.float64))


@pytest.mark.parametrize("weights", [uniform, agreement, random])
def test_junk_in_masked_places_and_teachers_without_spread(weights):
    b = batch()
    flat = torch.where(torch.tensor([True, False, False])[None, :, None], torch.tensor(0.1).double(), b.teachers)
    junk = flat.masked_fill(~b.judged, torch.nan)
    found = weights(junk, b.judged)
    assert (found[:, 0] == 0).all()
    torch.testing.assert_close(found.sum(-1), torch.ones(3, dtype=torch.float64))
    nothing = weights(torch.full_like(b.teachers, 0.1), b.judged)
    assert (nothing == 0).all()


def test_random_takes_one_teacher_with_a_signal_all_equally_often():
    teachers = batch().teachers[:1].expand(3000, 3, 6).clone()
    teachers[:, 1] = 4.0
    found = random(teachers, everything(teachers), torch.Generator().manual_seed(1))
    assert set(found.unique().tolist()) == {0, 1} and (found.sum(-1) == 1).all() and (found[:, 1] == 0).all()
    # 1500 ± 3.3 standard deviations of √(3000/4) = 27
    assert 1410 < found[:, 0].sum() < 1590
    again = random(teachers, everything(teachers), torch.Generator().manual_seed(1))
    assert torch.equal(found, again)


def test_one_hot_never_chooses_a_masked_place():
    where = torch.tensor([[False, True], [False, False]])
    assert one_hot(torch.tensor([[5.0, -1e30], [5.0, 1.0]]), where, torch.float32).tolist() == [[0, 1], [0, 0]]


def test_z_scores_come_with_where_they_say_something():
    b = batch()
    z, heard = heard_scores(b.teachers, b.judged)
    torch.testing.assert_close(z, standardised(b.teachers, b.judged)[0])
    assert torch.equal(heard, b.judged)


def test_weightings_by_name():
    b = batch()
    assert weighting_names() == ("agreement", "random", "uniform")
    sharp = get_weighting("agreement", temperature=0.01)(b.teachers, b.judged)
    torch.testing.assert_close(sharp, agreement(b.teachers, b.judged, 0.01))
    with pytest.raises(ValueError, match="unknown weighting 'agrement'; did you mean 'agreement'"):
        get_weighting("agrement")
    with pytest.raises(ValueError, match=r"mask must have the shape of scores \[B, K, N\]"):
        uniform(b.teachers, b.mask)
    with pytest.raises(ValueError, match="scores of real documents must be finite"):
        uniform(torch.full_like(b.teachers, torch.nan), b.judged)


def test_agreement_is_that_of_combined_runs():
    """The same definition stands in cedistill.teachers.combine, written for runs and with scipy's ranks."""
    from cedistill.teachers.combine import agreement_weights

    b = batch()
    found = agreement(b.teachers, b.judged)
    for row in range(3):
        scores = b.teachers[row].masked_fill(~b.judged[row], torch.nan)[:, b.mask[row]].numpy()
        assert found[row].tolist() == pytest.approx(agreement_weights(scores)[0].tolist(), abs=1e-9)
