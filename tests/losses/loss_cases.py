"""What the tests of the losses share: the losses of three arguments, and lists with ties to try them on."""

import torch

from cedistill import losses

SCHEMES = ("none", "ndcg-loss1", "ndcg-loss2", "lambdarank", "ndcg-loss2++")
CASES = [
    ("bce", {}),
    ("mse", {}),
    ("hinge", {}),
    ("ranknet", {}),
    ("margin-mse", {}),
    ("infonce", {"temperature": 0.7}),
    ("kl-divergence", {"temperature": 1.5}),
    ("list-mle", {}),
    ("adr-mse", {"tau": 0.8}),
    ("approx-ndcg", {"temperature": 0.6}),
    *(("lambda-loss", {"scheme": scheme}) for scheme in SCHEMES),
    ("lambda-loss", {"k": 2}),
]
NAMES = [" ".join([name, *map(str, parameters.values())]) for name, parameters in CASES]
ORDER_ONLY = {"hinge", "ranknet", "list-mle", "adr-mse"}
NOT_SHIFT_INVARIANT = {"bce", "mse"}


def function(name):
    return getattr(losses, name.replace("-", "_"))


def lists(seed=0, rows=3, documents=6, dtype=torch.float64):
    """Random scores, targets from {0, ¼, …, 1} with ties, and a mask that leaves at least three real documents."""
    generator = torch.Generator().manual_seed(seed)
    scores = 2 * torch.randn(rows, documents, generator=generator, dtype=dtype)
    targets = torch.randint(0, 5, (rows, documents), generator=generator).to(dtype) / 4
    targets[:, 0], targets[:, 1] = 1, 0
    mask = torch.rand(rows, documents, generator=generator) < 0.7
    mask[:, :3] = True
    return scores, targets, mask


def value_and_gradient(loss, scores, *arguments, **parameters):
    scores = scores.detach().clone().requires_grad_()
    value = loss(scores, *arguments, **parameters)
    value.backward()
    return value.detach(), scores.grad
