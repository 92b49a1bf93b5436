import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from cedistill.model.attention import Rows, by_segment
from cedistill.model.dropout import drawn_from
from cedistill.model.stretches import MULTIPLE, by_stretch

LENGTHS = {
    "mixed": [5, 33, 1, 40, 70],
    "one": [200],
    "one token": [1],
    "equal": [32] * 3,
    "short": [3, 2, 1],
    "ones": [1, 1, 5, 40],
}


def _rows(lengths, first_only=False, filled=0, dtype=torch.float32, width=8):
    torch.manual_seed(0)
    tokens = sum(lengths) + filled
    counts = (len(lengths) if first_only else tokens, tokens, tokens)
    rows = [torch.randn(count, 3, width, dtype=dtype, requires_grad=True) for count in counts]
    starts = torch.tensor([0, *torch.tensor(lengths).cumsum(0)], dtype=torch.int32)
    return rows, starts


@pytest.mark.parametrize("filled", [0, 19])
@pytest.mark.parametrize(("first_only", "window"), [(False, None), (True, None), (False, 6), (True, 6)])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_values_and_gradients_are_those_by_segment(lengths, first_only, window, filled):
    rows, starts = _rows(LENGTHS[lengths], first_only, filled)
    expected = by_segment(Rows(*rows), starts, 0.3, window=window)
    found = by_stretch(*rows, starts, 0.3, 0.0, window)
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(found)
    left = torch.autograd.grad(found, rows, weights)
    right = torch.autograd.grad(expected, rows, weights)
    torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-5)
    end = len(found) if first_only else int(starts[-1])
    assert (found[end:] == 0).all() and found[:end].std() > 0.01


@pytest.mark.parametrize("first_only", [False, True])
def test_gradients_with_dropout_are_those_of_differences(first_only):
    rows, starts = _rows([5, 3, 1, 7], first_only, 4, torch.float64, 4)

    def output(*rows):
        with drawn_from(5):
            return by_stretch(*rows, starts, 0.5, 0.3, None)

    assert torch.autograd.gradcheck(output, rows)
    assert not torch.allclose(output(*rows), by_stretch(*rows, starts, 0.5, 0.0, None))


class _Shapes(TorchDispatchMode):
    """Collects the shapes of batched products."""

    def __init__(self):
        super().__init__()
        self.found = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten.bmm.default:
            self.found.add((args[0].shape, args[1].shape))
        return function(*args, **(kwargs or {}))


def test_products_of_all_lengths_have_few_shapes():
    rows, starts = _rows(list(range(1, 4 * MULTIPLE + 1)))
    with _Shapes() as shapes:
        by_stretch(*rows, starts, 0.3, 0.1, None)
    assert len(shapes.found) == 8  # for products with keys, and for those with values, of four lengths
