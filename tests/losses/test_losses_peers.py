"""Agreement with the cross-encoder losses of sentence-transformers, run on given logits."""

import math

import pytest
import torch
from loss_cases import SCHEMES
from sentence_transformers import CrossEncoder
from sentence_transformers.cross_encoder import losses as peers

from cedistill import losses


class GivenLogits(CrossEncoder):
    """A cross-encoder whose logit for the document ``"i,j"`` is ``logits[i, j]``."""

    def __init__(self, logits):
        torch.nn.Module.__init__(self)
        self.logits = torch.nn.Parameter(logits.clone())

    num_labels = 1
    device = torch.device("cpu")

    def preprocess(self, pairs, **_):
        return {"place": torch.tensor([[int(number) for number in document.split(",")] for _, document in pairs])}

    def forward(self, features):
        rows, columns = features["place"].T
        return {"scores": self.logits[rows, columns].unsqueeze(-1)}


def scores_and_targets(documents=7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    scores = 2 * torch.randn(4, documents, generator=generator)
    targets = torch.stack([torch.randperm(documents, generator=generator) for _ in range(4)]).float() / 2
    return scores, targets


def peer_listwise(make, scores, targets, lengths):
    """Return the peer's value and gradient on lists of the given lengths."""
    model = GivenLogits(scores)
    documents = [[f"{row},{column}" for column in range(length)] for row, length in enumerate(lengths)]
    labels = [row[:length] for row, length in zip(targets, lengths, strict=True)]
    value = make(model)([["query"] * len(scores), documents], labels)
    value.backward()
    return value.detach(), model.logits.grad


def ours(loss, scores, targets, lengths, **parameters):
    scores = scores.clone().requires_grad_()
    mask = torch.arange(scores.shape[1]).unsqueeze(0) < torch.tensor(lengths).unsqueeze(1)
    value = loss(scores, targets, mask, **parameters)
    value.backward()
    return value.detach(), scores.grad


def assert_same(one, other):
    torch.testing.assert_close(one[0], other[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(one[1], other[1], rtol=1e-4, atol=1e-6)


EVEN, UNEVEN = [7, 7, 7, 7], [7, 4, 2, 5]


@pytest.mark.parametrize("lengths", [EVEN, UNEVEN], ids=["even", "uneven"])
@pytest.mark.parametrize("sigma", [1.0, 2.5])
def test_ranknet(lengths, sigma):
    scores, targets = scores_and_targets()
    targets = targets.round()  # ties
    peer = peer_listwise(
        lambda model: peers.RankNetLoss(model, sigma=sigma, reduction_log="natural"), scores, targets, lengths
    )
    assert_same(ours(losses.ranknet, scores, targets, lengths, sigma=sigma), peer)


@pytest.mark.parametrize("tau", [1.0, 0.5])
def test_adr_mse(tau):
    scores, targets = scores_and_targets()
    targets = targets.round()
    peer = peer_listwise(lambda model: peers.ADRMSELoss(model, alpha=1 / tau), scores, targets, EVEN)
    assert_same(ours(losses.adr_mse, scores, targets, EVEN, tau=tau), peer)


@pytest.mark.parametrize("lengths", [EVEN, UNEVEN], ids=["even", "uneven"])
def test_kl_divergence_is_listnet_less_the_teachers_entropy(lengths):
    scores, targets = scores_and_targets()
    value, gradient = peer_listwise(peers.ListNetLoss, scores, targets, lengths)
    teachers = [row[:length].softmax(0) for row, length in zip(targets, lengths, strict=True)]
    entropy = sum(-(teacher * teacher.log()).sum() for teacher in teachers) / 4
    assert_same(ours(losses.kl_divergence, scores, targets, lengths), (value - entropy, gradient))


@pytest.mark.parametrize("lengths", [EVEN, UNEVEN], ids=["even", "uneven"])
def test_list_mle_without_ties(lengths):
    scores, targets = scores_and_targets()
    peer = peer_listwise(lambda model: peers.ListMLELoss(model, respect_input_order=False), scores, targets, lengths)
    assert_same(ours(losses.list_mle, scores, targets, lengths), peer)


PEER_SCHEMES = {
    "none": peers.NoWeightingScheme,
    "ndcg-loss1": peers.NDCGLoss1Scheme,
    "ndcg-loss2": peers.NDCGLoss2Scheme,
    "lambdarank": peers.LambdaRankScheme,
    "ndcg-loss2++": peers.NDCGLoss2PPScheme,
}


@pytest.mark.parametrize("lengths", [EVEN, UNEVEN], ids=["even", "uneven"])
@pytest.mark.parametrize("k", [None, 3])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_lambda_loss(scheme, k, lengths):
    scores, targets = scores_and_targets()
    targets = targets.round()
    peer = peer_listwise(
        lambda model: peers.LambdaLoss(model, PEER_SCHEMES[scheme](), k=k, sigma=1.5), scores, targets, lengths
    )
    assert_same(ours(losses.lambda_loss, scores, targets, lengths, scheme=scheme, k=k, sigma=1.5), peer)


def test_lambda_loss_of_negative_and_soft_targets_and_another_mu():
    scores, targets = scores_and_targets()
    targets = targets - 1.25
    peer = peer_listwise(lambda model: peers.LambdaLoss(model, peers.NDCGLoss2PPScheme(mu=3)), scores, targets, EVEN)
    assert_same(ours(losses.lambda_loss, scores, targets, EVEN, mu=3), peer)
    assert_same(ours(losses.lambda_loss, scores, targets, EVEN), peer_listwise(peers.LambdaLoss, scores, targets, EVEN))


def test_margin_mse_of_two_documents():
    scores, targets = scores_and_targets(documents=2)
    model = GivenLogits(scores)
    columns = [[f"{row},{column}" for row in range(4)] for column in range(2)]
    value = peers.MarginMSELoss(model)([["query"] * 4, *columns], targets[:, 0] - targets[:, 1])
    value.backward()
    assert_same(ours(losses.margin_mse, scores, targets, [2] * 4), (value.detach(), model.logits.grad))


def test_bce():
    scores, targets = scores_and_targets()
    targets = targets / targets.max()
    model = GivenLogits(scores)
    documents = [f"{row},{column}" for row in range(4) for column in range(7)]
    value = peers.BinaryCrossEntropyLoss(model)([["query"] * 28, documents], targets.flatten())
    value.backward()
    assert_same(ours(losses.bce, scores, targets, EVEN), (value.detach(), model.logits.grad))


def test_mse():
    scores, targets = scores_and_targets()
    model = GivenLogits(scores)
    documents = [f"{row},{column}" for row in range(4) for column in range(7)]
    value = peers.MSELoss(model)([["query"] * 28, documents], targets.flatten())
    value.backward()
    assert_same(ours(losses.mse, scores, targets, EVEN), (value.detach(), model.logits.grad))


def test_infonce_of_one_positive_is_cross_entropy():
    scores, _ = scores_and_targets()
    targets = torch.zeros_like(scores)
    places = torch.tensor([3, 0, 6, 2])
    targets[torch.arange(4), places] = 1
    expected = torch.nn.functional.cross_entropy(scores / 0.5, places)
    torch.testing.assert_close(losses.infonce(scores, targets, temperature=0.5), expected)


def test_approx_ndcg_at_a_low_temperature_is_ndcg():
    # Grades 3, 0, 1 at places 2, 1, 3: (7/log₂ 3 + 1/log₂ 4) / (7 + 1/log₂ 3)
    expected = 1 - (7 / math.log2(3) + 1 / 2) / (7 + 1 / math.log2(3))
    value = losses.approx_ndcg(torch.tensor([[2.0, 3.0, 1.0]]), torch.tensor([[3.0, 0.0, 1.0]]), temperature=0.01)
    assert value.item() == pytest.approx(expected, abs=1e-6)
