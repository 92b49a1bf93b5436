"""Losses: pure functions of scores, targets and a mask, and their registry.

Every loss takes ``scores`` [B, N] (raw logits of B lists with N documents), ``targets`` [B, N] and an optional ``mask``
[B, N] (bool, True for a real document) and gives a scalar. A masked document adds exactly 0 to value and gradient,
whatever stands in its place. A list without a signal (no document, no ordered pair, no positive, no gain) adds a
differentiable 0. Everything is computed in float32, or float64 where that comes in. ``mixture_kl`` takes several
teachers at once.
"""

from cedistill.losses.arguments import check_parameters
from cedistill.losses.listwise import infonce, kl_divergence, list_mle
from cedistill.losses.metric import adr_mse, approx_ndcg, lambda_loss
from cedistill.losses.mixture import mixture_kl
from cedistill.losses.pairwise import hinge, margin_mse, ranknet
from cedistill.losses.pointwise import bce, mse
from cedistill.losses.registry import Loss, get_loss, loss_function, loss_names, register

__all__ = [
    "Loss",
    "adr_mse",
    "approx_ndcg",
    "bce",
    "get_loss",
    "hinge",
    "infonce",
    "kl_divergence",
    "lambda_loss",
    "list_mle",
    "loss_function",
    "loss_names",
    "margin_mse",
    "mixture_kl",
    "mse",
    "ranknet",
    "register",
]

for _loss in (
    adr_mse,
    approx_ndcg,
    bce,
    hinge,
    infonce,
    kl_divergence,
    lambda_loss,
    list_mle,
    margin_mse,
    mse,
    ranknet,
):
    register(_loss.__name__.replace("_", "-"), check=check_parameters)(_loss)
