"""Each loss against its formula written as loops over Python numbers."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_cases import function

numbers = st.floats(-8, 8, allow_nan=False).map(lambda x: round(x, 2))
grades = st.sampled_from([0.0, 0.0, 0.25, 0.5, 1.0])
targets_below_zero = st.sampled_from([-1.5, -0.5, 0.0, 1.0, 2.0])


def batches(targets):
    return st.lists(st.lists(st.tuples(numbers, targets), min_size=1, max_size=6), min_size=1, max_size=4)


def mean(values):
    values = list(values)
    return math.fsum(values) / len(values) if values else 0.0


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def softmax(values):
    top = max(values)
    powers = [math.exp(value - top) for value in values]
    return [power / sum(powers) for power in powers]


def ordered(documents):
    return [(a, b) for a in documents for b in documents if a[1] > b[1]]


def bce(batch):
    return mean(-t * math.log(sigmoid(s)) - (1 - t) * math.log(sigmoid(-s)) for row in batch for s, t in row)


def mse(batch):
    return mean((s - t) ** 2 for row in batch for s, t in row)


def hinge(batch):
    return mean(max(0, 1 - a[0] + b[0]) for row in batch for a, b in ordered(row))


def ranknet(batch):
    return mean(math.log1p(math.exp(b[0] - a[0])) for row in batch for a, b in ordered(row))


def margin_mse(batch):
    pairs = ((row[i], row[j]) for row in batch for i in range(len(row)) for j in range(i))
    return mean(((a[0] - b[0]) - (a[1] - b[1])) ** 2 for a, b in pairs)


def infonce(batch):
    per_list = []
    for row in batch:
        negatives = sum(math.exp(s) for s, t in row if t <= 0)
        terms = [-math.log(math.exp(s) / (math.exp(s) + negatives)) for s, t in row if t > 0]
        per_list += [mean(terms)] if terms else []
    return mean(per_list)


def kl_divergence(batch):
    per_list = []
    for row in batch:
        p, q = softmax([t for _, t in row]), softmax([s for s, _ in row])
        per_list.append(sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)))
    return mean(per_list)


def list_mle(batch):
    return mean(sum(math.log1p(sum(math.exp(r - s) for r, u in row if u < t)) for s, t in row) for row in batch)


def soft_rank(row, i):
    return 1 + sum(sigmoid(row[j][0] - row[i][0]) for j in range(len(row)) if j != i)


def adr_mse(batch):
    per_list = []
    for row in batch:
        terms = []
        for i, (_, target) in enumerate(row):
            above, level = sum(t > target for _, t in row), sum(t == target for _, t in row)
            rank = mean(range(above + 1, above + level + 1))
            terms.append((soft_rank(row, i) - rank) ** 2 / math.log2(rank + 1))
        per_list.append(mean(terms))
    return mean(per_list)


def gain(target):
    return 2**target - 1 if target > 0 else 0


def ideal(row):
    return sum(gain(t) / math.log2(2 + i) for i, t in enumerate(sorted((t for _, t in row), reverse=True)))


def approx_ndcg(batch):
    per_list = []
    for row in batch:
        best = ideal(row)
        if best > 0:
            dcg = sum(gain(t) / math.log2(1 + soft_rank(row, i)) for i, (_, t) in enumerate(row))
            per_list.append(1 - dcg / best)
    return mean(per_list)


def lambda_loss(batch):
    terms = []
    for row in batch:
        best = ideal(row) or 1
        placed = sorted(row, key=lambda document: (-document[0], document[1]))
        for i, (s, t) in enumerate(placed, 1):
            for j, (r, u) in enumerate(placed, 1):
                if t > u:
                    near = 1 / math.log2(1 + abs(i - j)) - 1 / math.log2(2 + abs(i - j))
                    swap = abs(1 / math.log2(1 + i) - 1 / math.log2(1 + j))
                    weight = (10 * near + swap) * (gain(t) - gain(u)) / best
                    terms.append(weight * math.log2(1 + math.exp(r - s)))
    return mean(terms)


FORMULAS = [bce, mse, hinge, ranknet, margin_mse, infonce, kl_divergence, list_mle, adr_mse, approx_ndcg, lambda_loss]


@pytest.mark.parametrize("formula", FORMULAS, ids=lambda formula: formula.__name__)
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_formula(formula, data):
    batch = data.draw(batches(grades if formula is bce else grades | targets_below_zero))
    width = max(map(len, batch))
    padded = torch.tensor(
        [[*row, *[(math.nan, math.inf)] * (width - len(row))] for row in batch], dtype=torch.float64
    ).reshape(len(batch), width, 2)
    mask = torch.tensor([[i < len(row) for i in range(width)] for row in batch])
    value = function(formula.__name__)(padded[..., 0], padded[..., 1], mask)
    assert value.item() == pytest.approx(formula(batch), rel=1e-9, abs=1e-12)
