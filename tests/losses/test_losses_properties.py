"""What every loss promises: minimum, invariances, masks, gradients, types."""

import ast
import inspect
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_cases import CASES, NAMES, NOT_SHIFT_INVARIANT, ORDER_ONLY, function, lists, value_and_gradient

from cedistill import losses

every_loss = pytest.mark.parametrize(("name", "parameters"), CASES, ids=NAMES)
seeds = st.integers(0, 10_000)
few = settings(max_examples=10, deadline=None)


@pytest.mark.parametrize("name", ["mse", "margin-mse", "kl-divergence"])
def test_zero_at_equality_and_above_elsewhere(name):
    scores, targets, mask = lists()
    value, gradient = value_and_gradient(function(name), targets, targets, mask)
    assert value == 0
    assert gradient.abs().max() < 1e-15
    assert function(name)(scores, targets, mask) > 0


def test_bce_is_least_where_the_probability_is_the_target():
    scores, targets, mask = lists()
    targets = targets.clamp(0.1, 0.9)
    best, gradient = value_and_gradient(losses.bce, torch.logit(targets), targets, mask)
    assert gradient.abs().max() < 1e-15
    assert losses.bce(torch.logit(targets) + 0.01, targets, mask) > best
    assert losses.bce(scores, targets, mask) > best


@pytest.mark.parametrize("name", ["ranknet", "infonce", "list-mle", "adr-mse", "approx-ndcg", "lambda-loss", "hinge"])
def test_near_zero_when_the_order_is_certain(name):
    targets = torch.tensor([[4.0, 3.0, 2.0, 0.0]], dtype=torch.float64)
    if name == "infonce":
        targets = (targets > 3).double()
    assert function(name)(50 * targets, targets).item() == pytest.approx(0, abs=1e-12)
    assert function(name)(-50 * targets, targets) > 0.2


@few
@given(seed=seeds)
def test_kl_is_never_below_zero_close_to_equality(seed):
    _, targets, mask = lists(seed, dtype=torch.float32)
    value = losses.kl_divergence(targets + 1.3, targets, mask)
    assert 0 <= value < 1e-6


def test_kl_of_scores_near_the_end_of_the_range_beside_a_masked_place():
    scores = torch.tensor([[1e33, 0.0, math.nan]])
    value, gradient = value_and_gradient(losses.kl_divergence, scores, scores, ~scores.isnan())
    assert value == 0
    assert torch.equal(gradient, torch.zeros(1, 3))


def test_kl_keeps_its_gradient_where_rounding_made_it_negative():
    # KL of about 1e-9 drowns in float32; the gradient q − p does not.
    targets = torch.tensor([[0.3, 1.7, -0.4, 2.2]])
    nudge = torch.tensor([[3e-5, -2e-5, 1e-5, -1e-5]])
    for scale in range(-8, 9):
        scores = targets + scale * nudge
        value, gradient = value_and_gradient(losses.kl_divergence, scores, targets)
        assert value >= 0
        expected = scores.softmax(-1) - targets.softmax(-1)
        torch.testing.assert_close(gradient, expected, atol=2e-7, rtol=0)


@every_loss
@few
@given(seed=seeds)
def test_a_constant_added_to_a_list(name, parameters, seed):
    scores, targets, mask = lists(seed)
    shifts = torch.linspace(-3, 7, len(scores), dtype=scores.dtype).unsqueeze(-1)
    before = function(name)(scores, targets, mask, **parameters)
    after = function(name)(scores + shifts, targets, mask, **parameters)
    if name in NOT_SHIFT_INVARIANT:
        assert not torch.isclose(before, after)
    else:
        torch.testing.assert_close(after, before)
    if name in {"margin-mse", "kl-divergence"}:
        torch.testing.assert_close(function(name)(scores, targets + shifts, mask, **parameters), before)


@pytest.mark.parametrize("name", sorted(ORDER_ONLY))
@few
@given(seed=seeds)
def test_only_the_order_of_the_targets_counts(name, seed):
    scores, targets, mask = lists(seed)
    expected = function(name)(scores, targets, mask)
    torch.testing.assert_close(function(name)(scores, 10 * targets.exp() - 3, mask), expected, rtol=0, atol=0)


@every_loss
@few
@given(seed=seeds)
def test_the_order_of_documents_and_lists_does_not_matter(name, parameters, seed):
    scores, targets, mask = lists(seed)
    scores = (2 * scores).round() / 2  # ties in the scores as well
    value, gradient = value_and_gradient(function(name), scores, targets, mask, **parameters)
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(scores), generator=generator).unsqueeze(-1)
    columns = torch.stack([torch.randperm(scores.shape[1], generator=generator) for _ in rows])
    permuted = [tensor[rows, columns] for tensor in (scores, targets, mask)]
    value_after, gradient_after = value_and_gradient(function(name), *permuted, **parameters)
    torch.testing.assert_close(value_after, value)
    if name == "lambda-loss":
        # Which of two documents level in score and target stands first is free: their gradients may change places.
        torch.testing.assert_close(gradient_after.sort().values, gradient[rows, columns].sort().values)
    else:
        torch.testing.assert_close(gradient_after, gradient[rows, columns])


@every_loss
@pytest.mark.parametrize("junk", [math.nan, math.inf, -math.inf, 1e30, -7.0])
def test_what_stands_in_a_masked_place_is_never_seen(name, parameters, junk):
    scores, targets, mask = lists(3)
    assert not mask.all()
    value, gradient = value_and_gradient(function(name), scores, targets, mask, **parameters)
    for filled_scores, filled_targets in (
        (scores.masked_fill(~mask, junk), targets),
        (scores, targets.masked_fill(~mask, junk)),
        (scores.masked_fill(~mask, junk), targets.masked_fill(~mask, junk)),
    ):
        after = value_and_gradient(function(name), filled_scores, filled_targets, mask, **parameters)
        assert torch.equal(after[0], value)
        assert torch.equal(after[1], gradient)
    assert torch.equal(gradient[~mask], torch.zeros_like(gradient[~mask]))


@every_loss
def test_padding_changes_nothing(name, parameters):
    scores, targets, _ = lists(4, rows=2, documents=5)
    value, gradient = value_and_gradient(function(name), scores, targets, **parameters)
    padding = torch.full((2, 3), math.nan, dtype=scores.dtype)
    mask = torch.arange(8).expand(2, 8) < 5
    padded = value_and_gradient(
        function(name), torch.cat([scores, padding], 1), torch.cat([targets, padding], 1), mask, **parameters
    )
    torch.testing.assert_close(padded[0], value)
    torch.testing.assert_close(padded[1][:, :5], gradient)
    # A list of padding alone takes part in no mean.
    empty = torch.full((1, 5), math.nan, dtype=scores.dtype)
    mask = torch.ones(3, 5, dtype=torch.bool)
    mask[1] = False
    rows = [torch.cat([tensor[:1], empty, tensor[1:]]) for tensor in (scores, targets)]
    with_empty = value_and_gradient(function(name), *rows, mask, **parameters)
    torch.testing.assert_close(with_empty[0], value)
    torch.testing.assert_close(with_empty[1][[0, 2]], gradient)
    assert torch.equal(with_empty[1][1], torch.zeros(5, dtype=scores.dtype))


@every_loss
def test_gradient(name, parameters):
    scores, targets, mask = lists(5, rows=2, documents=5)
    scores.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: function(name)(s, targets, mask, **parameters), scores)


def no_signal(name):
    """Batches of two lists in which the loss has nothing to learn from, by what is missing."""
    scores, targets = torch.tensor([[0.3, -1.2, 4.0]]).repeat(2, 1), torch.tensor([[1.0, 0.5, 0.0]]).repeat(2, 1)
    real = torch.ones(2, 3, dtype=torch.bool)
    yield "no document", scores, targets, ~real
    if name not in {"bce", "mse"}:
        yield "one document", scores, targets, real & torch.tensor([True, False, False])
    if name in {"hinge", "ranknet", "list-mle", "lambda-loss"}:
        yield "equal targets", scores, torch.full_like(targets, 0.5), real
    if name == "infonce":
        yield "no positive", scores, -targets, real
        yield "no negative", scores, targets + 1, real
    if name == "approx-ndcg":
        yield "no gain", scores, -targets, real
    if name == "kl-divergence":
        yield "certain of one document", scores[:, :1], targets[:, :1], real[:, :1]


@every_loss
def test_lists_without_a_signal_give_a_differentiable_zero(name, parameters):
    learnt, wanted, mask = (tensor[:, :3].float() for tensor in lists(6, rows=1))
    expected, expected_gradient = value_and_gradient(function(name), learnt, wanted, mask.bool(), **parameters)
    for what, scores, targets, real in no_signal(name):
        scores = scores.clone().requires_grad_()
        value = function(name)(scores, targets, real, **parameters)
        assert value.requires_grad, what
        value.backward()
        assert value == 0, what
        assert torch.equal(scores.grad, torch.zeros_like(scores)), what
        if scores.shape[1] != 3:
            continue
        # Beside a list that has one, the gradient there is finite and keeps its direction.
        both = [torch.cat([a, b]) for a, b in zip((learnt, wanted, mask.bool()), (scores, targets, real), strict=True)]
        value, gradient = value_and_gradient(function(name), *both, **parameters)
        share = value / expected
        assert 0 < share <= 1 + 1e-6, what
        torch.testing.assert_close(gradient[:1], share * expected_gradient, msg=what)
        assert torch.equal(gradient[1:], torch.zeros_like(gradient[1:])), what


@every_loss
@pytest.mark.parametrize("low", [torch.bfloat16, torch.float16])
def test_low_precision_is_computed_in_float32(name, parameters, low):
    scores, targets, mask = lists(7)
    scores, targets = scores.to(low), targets.to(low)
    value, gradient = value_and_gradient(function(name), scores, targets, mask, **parameters)
    exact, exact_gradient = value_and_gradient(function(name), scores.float(), targets.float(), mask, **parameters)
    assert value.dtype == torch.float32
    assert torch.equal(value, exact)
    assert torch.equal(gradient, exact_gradient.to(low))


@every_loss
def test_types_and_the_mask_left_out(name, parameters):
    scores, targets, _ = lists(8)
    value = function(name)(scores, targets, **parameters)
    assert value.dtype == torch.float64
    assert torch.equal(value, function(name)(scores, targets, torch.ones_like(scores, dtype=torch.bool), **parameters))
    whole = targets.round().long()  # labels often come as whole numbers
    expected = function(name)(scores, whole.double(), **parameters)
    assert torch.equal(function(name)(scores, whole, **parameters), expected)


@every_loss
def test_inputs_are_left_as_they_are(name, parameters):
    scores, targets, mask = lists(9)
    copies = [tensor.clone() for tensor in (scores, targets, mask)]
    function(name)(scores, targets, mask, **parameters)
    assert all(torch.equal(a, b) for a, b in zip(copies, (scores, targets, mask), strict=True))


@every_loss
def test_extreme_scores_and_long_lists_stay_finite(name, parameters):
    scores, targets, _ = lists(10, rows=2, documents=1000, dtype=torch.float32)
    for scale in (0.0, 1.0, 1e4):
        value, gradient = value_and_gradient(function(name), scale * scores, targets, **parameters)
        assert value.isfinite()
        assert gradient.isfinite().all()


@every_loss
@few
@given(seed=seeds)
def test_never_below_zero(name, parameters, seed):
    scores, targets, mask = lists(seed, dtype=torch.float32)
    assert function(name)(scores, targets, mask, **parameters) >= 0
    if name == "approx-ndcg":
        assert function(name)(scores, targets, mask, **parameters) < 1


@pytest.mark.parametrize("name", [*losses.loss_names(), "mixture-kl"])
def test_a_loss_is_short_and_says_what_it_is(name):
    loss = function(name)
    tree = ast.parse(inspect.getsource(loss)).body[0]
    docstring, *body = tree.body
    assert body[-1].end_lineno - docstring.end_lineno <= 25
    text = ast.get_docstring(tree)
    assert "[B, N]" in text and "Raises:" in text and ("arXiv" in text or "doi" in text) and "``" in text


def test_the_losses_import_nothing_else_of_the_package():
    for path in Path(losses.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for module in modules:
                assert not module.startswith("cedistill") or module.startswith("cedistill.losses"), path.name
