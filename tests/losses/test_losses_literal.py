"""Literal scores and targets in, a number worked out by hand out."""

import pytest
import torch
from loss_cases import function

LN2, LN3 = 0.6931471806, 1.0986122887
NAN = float("nan")

LITERALS = [
    # −ln σ(0) = ln 2; −ln(1 − σ(ln 3)) = −ln(1/4) = 2 ln 2; mean 1.5 · 0.6931471806
    ("bce", {}, [[0, LN3]], [[1, 0]], 1.0397207708),
    # a soft target: ½ · ln 4/3 + ½ · ln 4 = ½ · (0.2876820725 + 1.3862943611)
    ("bce", {}, [[LN3]], [[0.5]], 0.8369882168),
    # (1 + 4) / 2
    ("mse", {}, [[1, 3]], [[0, 1]], 2.5),
    # three real documents in two lists: (1 + 4 + 4) / 3, not the mean of the lists' means 2.5 and 4
    ("mse", {}, [[1, 3], [2, NAN]], [[0, 1], [0, NAN]], 3.0),
    # pairs 0>1: 1 − 0.5 = 0.5; 0>2: 1 + 2 = 3; 1>2: 1 + 2.5 = 3.5; mean 7/3
    ("hinge", {}, [[1, 0.5, 3]], [[2, 1, 0]], 2.3333333333),
    # the same list and one of a single pair with loss 0: mean over four pairs, 7/4
    ("hinge", {}, [[1, 0.5, 3], [2, 0, NAN]], [[2, 1, 0], [1, 0, NAN]], 1.75),
    # margin 2: 1.5, 4, 4.5; mean 10/3
    ("hinge", {"margin": 2}, [[1, 0.5, 3]], [[2, 1, 0]], 3.3333333333),
    # equal targets make no pair: 0>2 gives 3, 1>2 gives 3.5
    ("hinge", {}, [[1, 0.5, 3]], [[1, 1, 0]], 3.25),
    # ln(1 + 1/3) twice, ln 2 once: (2 · 0.2876820725 + 0.6931471806) / 3
    ("ranknet", {}, [[LN3, 0, 0]], [[2, 1, 0]], 0.4228371085),
    # mean over all four pairs of the batch: (2 · 0.2876820725 + 0.6931471806 + ln 4) / 4, ln 4 = 1.3862943611
    ("ranknet", {}, [[LN3, 0, 0], [0, LN3, NAN]], [[2, 1, 0], [9, 3, NAN]], 0.6637014217),
    # sigma 2: ln(1 + 1/9)
    ("ranknet", {"sigma": 2}, [[LN3, 0]], [[1, 0]], 0.1053605157),
    # s − t = 1, −1, 0: pairs 2², 1², 1²; mean 6/3
    ("margin-mse", {}, [[3, 1, 0]], [[2, 2, 0]], 2.0),
    # the published form on lists of two: ((3 − 1) − (2 − 0))² = 0 and ((0 − 1) − (2 − 0))² = 9; mean
    ("margin-mse", {}, [[3, 1], [0, 1]], [[2, 0], [2, 0]], 4.5),
    # four pairs of the batch: (4 + 1 + 1 + 9) / 4
    ("margin-mse", {}, [[3, 1, 0], [0, 1, NAN]], [[2, 2, 0], [2, 0, NAN]], 3.75),
    # e^s = 2, 1, 1: −ln(2/4)
    ("infonce", {}, [[LN2, 0, 0]], [[1, 0, 0]], 0.6931471806),
    # e^s = 2, 1, 1, 4, positives 0 and 3 apart: ½ · (−ln(2/4) − ln(4/6)) = ½ · (0.6931471806 + 0.4054651081)
    ("infonce", {}, [[LN2, 0, 0, 2 * LN2]], [[1, 0, 0, 2]], 0.5493061443),
    # lists with a positive only: (0.5493061443 + ln 2) / 2 and nothing of the third
    ("infonce", {}, [[LN2, 0, 0, 2 * LN2], [0, 0, NAN, NAN], [5, 1, 2, 3]],
     [[1, 0, 0, 2], [1, -1, NAN, NAN], [0, 0, -1, 0]], 0.6212266625),
    # temperature ½ squares e^s: −ln(4/6)
    ("infonce", {"temperature": 0.5}, [[LN2, 0, 0]], [[1, 0, 0]], 0.4054651081),
    # p = ¾, ¼ and q = ½, ½: ¾ ln 1.5 + ¼ ln 0.5 = 0.3040988311 − 0.1732867951
    ("kl-divergence", {}, [[0, 0]], [[LN3, 0]], 0.1308120359),
    # p and q changed over: ½ ln(2/3) + ½ ln 2 = ½ · (0.6931471806 − 0.4054651081)
    ("kl-divergence", {}, [[LN3, 0]], [[0, 0]], 0.1438410362),
    # T = 2 with doubled logits: the same distributions, times T² = 4
    ("kl-divergence", {"temperature": 2}, [[0, 0]], [[2 * LN3, 0]], 0.5232481438),
    # every π is 1 + ½ + ½ = 2; r = 1, 2, 3: (1/log₂ 2 + 0 + 1/log₂ 4) / 3
    ("adr-mse", {}, [[0, 0, 0]], [[3, 2, 1]], 0.5),
    # r = 1.5, 1.5, 3: (2 · 0.25/log₂ 2.5 + 1/2) / 3 with log₂ 2.5 = 1.3219280949
    ("adr-mse", {}, [[0, 0, 0]], [[1, 1, 0]], 0.2927451329),
    # τ = 2, s = 2 ln 3: π = 1 + σ(−ln 3) = 1.25 and 1.75, r = 1 and 2: (0.0625 + 0.0625/1.5849625007) / 2
    ("adr-mse", {"tau": 2}, [[2 * LN3, 0]], [[1, 0]], 0.0509665548),
    # mean of lists' means: (0.5 + ((0.25 + 0.25/log₂ 3) / 2 = 0.2038662192)) / 2, not the mean over five documents
    ("adr-mse", {}, [[0, 0, 0], [0, 0, NAN]], [[3, 2, 1], [5, 4, NAN]], 0.3519331096),
    # e^s = 2, 1, 1: −ln(2/4) − ln(1/2) − ln 1
    ("list-mle", {}, [[LN2, 0, 0]], [[2, 1, 0]], 1.3862943611),
    # documents 0 and 1 tie, each against document 2 alone: −ln(2/3) − ln(1/2) = ln 3
    ("list-mle", {}, [[LN2, 0, 0]], [[1, 1, 0]], 1.0986122887),
    # a sum in a list, a mean over lists: (2 ln 2 + ln 2) / 2
    ("list-mle", {}, [[LN2, 0, 0], [0, 0, NAN]], [[2, 1, 0], [7, 5, NAN]], 1.0397207708),
    # π = 1.5 twice: 1 − 1/log₂ 2.5 = 1 − 0.7564707974
    ("approx-ndcg", {}, [[0, 0]], [[1, 0]], 0.2435292026),
    # gains 1 and 7: 1 − (8 · 0.7564707974) / (7 + 1/log₂ 3 = 7.6309297536)
    ("approx-ndcg", {}, [[0, 0]], [[1, 3]], 0.2069424599),
    # T = ½, s = ½ ln 3 for the worse: π = 1 + σ(ln 3) = 1.75: 1 − 1/log₂ 2.75 = 1 − 1/1.4594316186; the list without
    # a gain is left out
    ("approx-ndcg", {"temperature": 0.5}, [[0, LN3 / 2], [3, 1]], [[1, 0], [0, -2]], 0.3148017439),
    # s_0 − s_1 = −ln 3: log₂(1 + 3) = 2
    ("lambda-loss", {"scheme": "none"}, [[0, LN3]], [[1, 0]], 2.0),
    # G = 1, 0, places 2, 1: (1 − 1/log₂ 3) · 2 = 0.3690702464 · 2
    ("lambda-loss", {"scheme": "lambdarank"}, [[0, LN3]], [[1, 0]], 0.7381404929),
    # places one apart: (1/log₂ 2 − 1/log₂ 3) · 2
    ("lambda-loss", {"scheme": "ndcg-loss2"}, [[0, LN3]], [[1, 0]], 0.7381404929),
    # 10 · 0.7381404929 + 0.7381404929
    ("lambda-loss", {}, [[0, LN3]], [[1, 0]], 8.1195454217),
    # mu = 0 leaves lambdarank
    ("lambda-loss", {"mu": 0}, [[0, LN3]], [[1, 0]], 0.7381404929),
    # all four (i, j): G_0/log₂ 3 = 0.6309297536 times log₂ 2 + log₂ 4 = 3, divided by 4
    ("lambda-loss", {"scheme": "ndcg-loss1"}, [[0, LN3]], [[1, 0]], 0.4731973152),
    # of the pairs 2>0 and 2>1 only the first has a document in the first place: log₂(1 + 3²) = 3.3219280949
    ("lambda-loss", {"scheme": "none", "k": 1}, [[2 * LN3, LN3, 0]], [[0, 0, 1]], 3.3219280949),
    # grades 2 and 1: gains 3 and 1, ideal 3 + 0.6309297536; |G_0 − G_1| = 2/3.6309297536, 1 − 1/log₂ 3, and 2
    ("lambda-loss", {"scheme": "lambdarank"}, [[0, LN3]], [[2, 1]], 0.4065848380),
    # sigma 2: log₂(1 + 9) = 3.3219280949
    ("lambda-loss", {"scheme": "none", "sigma": 2}, [[0, LN3]], [[1, 0]], 3.3219280949),
]  # fmt: skip


@pytest.mark.parametrize(("name", "parameters", "scores", "targets", "expected"), LITERALS)
def test_literal(name, parameters, scores, targets, expected):
    scores, targets = torch.tensor(scores, dtype=torch.float64), torch.tensor(targets, dtype=torch.float64)
    mask = ~scores.isnan()
    value = function(name)(scores, targets, mask if not mask.all() else None, **parameters)
    assert value.shape == ()
    assert value.item() == pytest.approx(expected, abs=2e-9)


def test_a_ranking_of_a_thousand_documents_as_grades_does_not_overflow():
    # 2^1000 is beyond float32; the ratios are not. Perfect order, far apart: the loss nears 0.
    targets = torch.arange(1000, 0, -1, dtype=torch.float32).unsqueeze(0)
    scores = 100 * targets
    assert function("approx-ndcg")(scores, targets).item() == pytest.approx(0, abs=1e-6)
    assert function("lambda-loss")(scores, targets).item() == pytest.approx(0, abs=1e-6)
    assert function("lambda-loss")(-scores, targets).isfinite()
