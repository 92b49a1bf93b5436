import math

import pytest
import torch
from mixture_cases import batch

from cedistill.losses.mixture import weighted_divergence
from cedistill.mixture.gate import Gate, query_features
from cedistill.mixture.labels import label_losses, teacher_losses
from cedistill.mixture.routing import (
    balance_anneal,
    fused,
    gated,
    kl_anneal,
    load_balance,
    oracle,
    supervised_target,
    top,
)
from cedistill.mixture.weights import agreement, heard_scores


def distillation(routing, top_k=2):
    b = batch()
    torch.manual_seed(1)
    gate = Gate(3).double()
    z, heard = heard_scores(b.teachers, b.judged)
    c = gate(query_features(b.student, z, heard, b.mask, 1.0), heard.any(-1))
    target = supervised_target(z, z, b.labels, heard, 0.3)
    route = gated(routing, c, target, top_k)
    b.student.requires_grad_()
    weighted_divergence(b.student, z, route.weights, heard, 1.0).backward()
    assert b.student.grad.abs().sum() > 0
    return gate, route, c


@pytest.mark.parametrize("top_k", [1, 2, None])
def test_distillation_alone_reaches_the_gate_in_soft(top_k):
    gate, route, c = distillation("soft", top_k)
    assert gate.output.weight.grad.abs().sum() > 0 and gate.output.bias.grad.abs().sum() > 0
    # Not renormalised over the top k.
    torch.testing.assert_close(route.weights, c * top(c.detach(), top_k))


@pytest.mark.parametrize("routing", ["paper", "supervised"])
def test_distillation_alone_does_not_reach_the_gate_otherwise(routing):
    gate, route, c = distillation(routing)
    assert all(parameter.grad is None for parameter in gate.parameters())
    load_balance(c).backward(retain_graph=True)
    assert all(parameter.grad is not None for parameter in gate.parameters())
    if routing == "supervised":
        before = gate.output.bias.grad.clone()
        route.gate_loss.backward()
        assert (gate.output.bias.grad - before).abs().sum() > 0


def test_paper_weighs_its_top_k_alike():
    c = torch.tensor([[0.5, 0.2, 0.3], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert gated("paper", c, None, 2).weights.tolist() == [[0.5, 0, 0.5], [1, 0, 0], [0, 0, 0]]
    assert gated("soft", c, None, 1).weights.tolist() == [[0.5, 0, 0], [1, 0, 0], [0, 0, 0]]


def test_label_losses_literal():
    # Softmax of (ln 3, 0, 0) is 3/5, 1/5, 1/5; gains 2 and 1: −(⅔ ln 0.6 + ⅓ ln 0.2).
    logits = torch.tensor([[math.log(3), 0, 0, 9], [1, 2, 3, 4]], dtype=torch.float64)
    labels = torch.tensor([[2, 1, math.nan, 5], [0, -1, math.nan, 0]], dtype=torch.float64)
    where = torch.tensor([[True, True, True, False], [True] * 4])
    losses, labelled = label_losses(logits, labels, where)
    assert losses.tolist() == pytest.approx([-(2 * math.log(0.6) + math.log(0.2)) / 3, 0])
    assert labelled.tolist() == [True, False]


def test_a_teacher_of_equal_scores_is_as_good_as_a_guess_however_much_it_judged():
    heard = torch.tensor([[[True] * 4, [True, True, False, False]]])
    losses, labelled = teacher_losses(torch.zeros(1, 2, 4), torch.tensor([[1.0, 0, 0, 0]]), heard)
    assert losses[0].tolist() == pytest.approx([0, 0], abs=1e-7) and labelled.all()


def test_the_supervised_target_follows_labels_and_agreement_elsewhere():
    b = batch()
    z, heard = heard_scores(b.teachers, b.judged)
    target = supervised_target(z, z, b.labels, heard, 0.3)
    losses, labelled = teacher_losses(z, b.labels, heard)
    for row in (0, 1):
        expected = torch.softmax((-losses[row] / 0.3).masked_fill(~labelled[row], -math.inf), -1)
        torch.testing.assert_close(target[row], expected)
    torch.testing.assert_close(target[2], agreement(b.teachers, b.judged)[2])  # nobody labelled list 2
    assert target[1, 2] == 0
    best = oracle(z, b.labels, heard)
    assert best[0].argmax() == losses[0].argmin() and best[0].sum() == 1
    assert best[2].tolist() == pytest.approx([1 / 3] * 3)


def test_the_gate_learns_a_supervised_target():
    """Teacher 1 is right wherever teachers 0 and 2 agree with nobody: the gate finds it by rank correlations."""
    torch.manual_seed(0)
    truth = torch.randn(64, 8)
    good = torch.randint(0, 3, (64,))
    noise = torch.randn(64, 3, 8) * torch.where(torch.arange(3) == good.unsqueeze(1), 0.1, 1.2).unsqueeze(-1)
    teachers = truth.unsqueeze(1) + noise
    z, heard = heard_scores(teachers, torch.ones_like(teachers, dtype=torch.bool))
    labels = (truth == truth.amax(-1, keepdim=True)).float()
    found = query_features(torch.zeros(64, 8), z, heard, heard[:, 0], 1.0)
    gate = Gate(3)
    optimizer = torch.optim.Adam(gate.parameters(), 0.02)
    target = supervised_target(2 * z, z, labels, heard, 0.3)
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        losses.append(gated("supervised", gate(found, heard.any(-1)), target, None).gate_loss)
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.7 * losses[0]


def test_load_balance_literal():
    c = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 0.0]], requires_grad=True)  # the last list has no signal
    value = load_balance(c)  # of (¾, ¼) from (½, ½)
    assert value.item() == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5), abs=1e-6)
    value.backward()
    assert torch.isfinite(c.grad).all()
    assert load_balance(c, torch.tensor([0.75, 0.25])).item() == pytest.approx(0, abs=1e-6)
    assert load_balance(torch.zeros(2, 2)).item() == 0
    one_sided = torch.tensor([[1.0, 0.0]], requires_grad=True)
    load_balance(one_sided).backward()
    assert torch.isfinite(one_sided.grad).all()


def test_fused_teachers_literal():
    z = torch.tensor([[[1.0, -1.0, 0.0], [3.0, 1.0, 9.0]]])
    heard = torch.tensor([[[True, True, True], [True, True, False]]])
    assert fused("zscore", z, heard)[0].tolist() == [2, 0, 0]
    ranks = [(1 / 61 + 1 / 61) / 2, (1 / 63 + 1 / 62) / 2, 1 / 62]
    assert fused("rrf", z, heard)[0].tolist() == pytest.approx(ranks)


def test_annealing_by_share_of_the_steps():
    assert [kl_anneal(step, 10) for step in range(10)] == [1] * 3 + [0.5] * 3 + [0.25] * 3 + [0.125]
    assert [balance_anneal(step, 20) for step in (0, 1, 2, 19)] == pytest.approx([1, 1, 0.9, 0.9**9])
    assert kl_anneal(299, 1000) == 1 and kl_anneal(300, 1000) == 0.5
