import math

import pytest
import torch

from cedistill.losses.normalise import normalised

SCORES = torch.tensor([[4.0, 2.0, 0.0, math.nan], [3.0, 3.0, 3.0, 3.0]], dtype=torch.float64)
MASK = torch.tensor([[True, True, True, False], [True] * 4])
HIGH = math.sqrt(1.5)


@pytest.mark.parametrize(("how", "first"), [("zscore", [HIGH, 0, -HIGH, 0]), ("minmax", [1, 0.5, 0, 0])])
def test_by_hand_with_padding_and_without_spread(how, first):
    values, spread = normalised(SCORES, MASK, how)
    torch.testing.assert_close(values, torch.tensor([first, [0] * 4], dtype=torch.float64))
    assert spread.tolist() == [True, False]


@pytest.mark.parametrize("how", ["zscore", "minmax"])
def test_shift_and_scale_change_nothing_and_the_gradient_is_right(how):
    scores = torch.tensor([[0.3, -1.2, 0.9, 2.0]], dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(normalised(5 * scores - 3, None, how)[0], normalised(scores, None, how)[0])
    assert torch.autograd.gradcheck(lambda one: normalised(one, None, how)[0], scores)


def test_ranks_have_no_gradient_and_are_refused():
    with pytest.raises(ValueError, match="expected 'zscore' or 'minmax'"):
        normalised(SCORES, MASK, "rank")
