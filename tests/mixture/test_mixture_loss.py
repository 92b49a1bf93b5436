import math

import pytest
import torch
from mixture_cases import batch

from cedistill.config.mixture import Mixture
from cedistill.losses import get_loss, infonce, mixture_kl
from cedistill.mixture.loss import MixtureLoss, Signals
from cedistill.mixture.weights import agreement, uniform

ROUTINGS = ("uniform", "agreement", "paper", "soft", "supervised", "oracle", "zscore", "rrf")
NAMES = ("a", "b", "c")


def loss_of(routing="uniform", seed=0, **settings):
    torch.manual_seed(seed)
    made = MixtureLoss(Mixture(routing=routing, **settings), NAMES, get_loss("infonce")).double()
    if made.gate is not None:
        torch.nn.init.normal_(made.gate.output.weight)
    return made


def signals(b, weights=None):
    return Signals(b.teachers, b.judged, b.labels, b.mask, weights)


@pytest.mark.parametrize("routing", ["uniform", "agreement"])
def test_it_is_the_label_loss_of_labelled_lists_and_the_weighted_divergence(routing):
    b = batch()
    weights = {"uniform": uniform, "agreement": agreement}[routing](b.teachers, b.judged)
    labels = infonce(b.student[:2], torch.nan_to_num(b.labels[:2]), b.mask[:2])  # nobody labelled the third
    expected = 0.5 * labels + 3 * mixture_kl(b.student, b.teachers, weights, b.judged, 1.5)
    made = loss_of(routing, label_weight=0.5, kl_weight=3, temperature=1.5)
    torch.testing.assert_close(made(b.student, signals(b)), expected)


def test_annealing_and_the_weights_of_lists():
    b = batch()
    made = loss_of(label_weight=0)
    whole = made(b.student, signals(b), 0, 10)
    torch.testing.assert_close(made(b.student, signals(b), 3, 10), whole / 2)
    torch.testing.assert_close(loss_of(label_weight=0, anneal=False)(b.student, signals(b), 3, 10), whole)
    only = made(b.student, signals(b, torch.tensor([0.5, 0.0, 0.0])), 0, 10)
    single = mixture_kl(b.student[:1], b.teachers[:1], uniform(b.teachers, b.judged)[:1], b.judged[:1])
    torch.testing.assert_close(only, single * 0.5 / 3)


def test_scores_as_they_are():
    """A flat consensus teaches a flat distribution: the divergence from it is 0 for a student that repeats it."""
    b = batch()
    flat = b._replace(teachers=0.1 * b.teachers[:, :1], judged=b.mask.unsqueeze(1))
    torch.manual_seed(0)
    made = MixtureLoss(Mixture(routing="uniform", label_weight=0, standardise=False), ("a",), get_loss("infonce"))
    assert made(flat.teachers[:, 0], signals(flat)).item() == pytest.approx(0, abs=1e-12)
    assert made(10 * flat.teachers[:, 0], signals(flat)).item() > 0.1


@pytest.mark.parametrize("routing", ROUTINGS)
def test_rescaled_teachers_and_padding_change_nothing(routing):
    b = batch()
    made = loss_of(routing)
    expected = made(b.student, signals(b))
    padded = b.padded()
    torch.testing.assert_close(made(b.student, signals(b.rescaled())), expected)
    torch.testing.assert_close(made(padded.student, signals(padded)), expected)


@pytest.mark.parametrize("routing", ROUTINGS)
def test_the_students_gradient_is_finite_whatever_a_padded_place_holds(routing):
    b = batch()
    student = b.student.masked_fill(~b.mask, torch.nan).requires_grad_()
    teachers = b.teachers.masked_fill(~b.judged, torch.nan)
    loss_of(routing)(student, signals(b._replace(teachers=teachers))).backward()
    assert torch.isfinite(student.grad).all() and (student.grad[~b.mask] == 0).all()
    nothing = torch.full_like(b.teachers, 2.0)
    unlabelled = b._replace(teachers=nothing, labels=torch.full_like(b.labels, torch.nan))
    student = b.student.clone().requires_grad_()
    value = loss_of(routing)(student, signals(unlabelled))
    value.backward()
    assert value == 0 and (student.grad == 0).all()


@pytest.mark.parametrize(("routing", "reached"), [("soft", True), ("paper", False)])
def test_only_soft_routing_trains_the_gate_by_distillation(routing, reached):
    b = batch()
    made = loss_of(routing, balance_weight=0, label_weight=0)
    made(b.student.requires_grad_(), signals(b)).backward()
    gradients = [one.grad for one in made.gate.parameters()]
    assert any(one is not None and one.abs().sum() > 0 for one in gradients) == reached


@pytest.mark.parametrize("routing", ["paper", "soft", "supervised"])
def test_the_paper_s_gate_alone_starts_uneven(routing):
    gate = MixtureLoss(Mixture(routing=routing), NAMES, get_loss("infonce")).gate
    c = gate(
        torch.linspace(-1, 1, 4 * gate.hidden.in_features).view(4, -1), torch.ones(4, len(NAMES), dtype=torch.bool)
    )
    assert bool((c == c[0, 0]).all()) == (routing != "paper")


def test_without_a_label_weight_labels_reach_the_gate_alone():
    b = batch()
    others = torch.tensor([[3, 0, 1, 0, 0, 0], [0, 0, 2, 0, 0, 0], [0, 1, 0, 0, 0, 0]], dtype=torch.float64)
    of_student, of_gate = [], []
    for labels in (b.labels, others):
        student = b.student.clone().requires_grad_()
        made = loss_of("supervised", label_weight=0)
        made(student, signals(b._replace(labels=labels))).backward()
        of_student.append(student.grad)
        of_gate.append(made.gate.output.bias.grad)
    assert torch.equal(*of_student) and of_student[0].abs().sum() > 0
    assert (of_gate[0] - of_gate[1]).abs().sum() > 0.01


def test_what_it_says_of_its_routing():
    b = batch()
    made = loss_of()
    made(b.student, signals(b)), made(b.student[:1], signals(type(b)(*(one[:1] for one in b))))
    found = made.routing()
    # Four lists: three of three teachers, and the second of the first batch of two.
    assert found["routing_entropy"] == pytest.approx((3 * math.log(3) + math.log(2)) / 4, abs=1e-5)
    assert found["routing_share"] == pytest.approx({"a": 0.375, "b": 0.375, "c": 0.25}, abs=1e-5)
    assert made.routing() == {}


def test_calibrated_teachers_get_no_gradient_from_the_student():
    b = batch()
    made = loss_of("soft", specialise={"steps": 1})
    made(b.student.requires_grad_(), signals(b)).backward()
    assert all(one.grad is None for one in made.calibrators.parameters())
