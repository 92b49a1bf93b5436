import math

import pytest
import torch
from mixture_cases import batch

from cedistill.mixture.gate import Gate, entropy_of, feature_count, query_features
from cedistill.mixture.weights import heard_scores


def features(b, temperature=1.0):
    z, heard = heard_scores(b.teachers, b.judged)
    return query_features(b.student, z, heard, b.mask, temperature)


def test_features_literal():
    # p_S of (ln 3, 0): ¾, ¼; teachers z (1, −1) and (−1, 1): at T = 2/ln 3 p = ¾, ¼ and ¼, ¾.
    student = torch.tensor([[2.0, 0.0]], dtype=torch.float64)
    z = torch.tensor([[[1.0, -1.0], [-1.0, 1.0]]], dtype=torch.float64)
    all_ = torch.ones(1, 2, 2, dtype=torch.bool)
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25)) / math.log(2)
    found = query_features(student, z, all_, all_[:, 0], 2 / math.log(3))[0].tolist()
    #          p_S entropy, margin; signal; entropies; with others; with the student; teachers' pair
    assert found == pytest.approx([entropy, 0.5, 1, 1, entropy, entropy, -1, -1, 1, -1, -1])
    assert len(found) == feature_count(2)


def test_features_of_padding_and_rescaled_teachers_are_the_same():
    b = batch()
    expected = features(b)
    assert expected.shape == (3, feature_count(3)) and expected.abs().max() <= 1
    torch.testing.assert_close(features(b.padded()), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(features(b.rescaled()), expected, rtol=0, atol=1e-12)


def test_features_have_no_gradient():
    b = batch()
    b.student.requires_grad_(), b.teachers.requires_grad_()
    assert not features(b).requires_grad


def test_the_gate_starts_even_and_leaves_out_teachers_without_a_signal():
    b = batch()
    gate = Gate(3).double()
    signal = b.judged.any(-1)
    assert gate(features(b), signal)[1].tolist() == [0.5, 0.5, 0]
    torch.nn.init.normal_(gate.output.weight)
    c = gate(features(b), signal)
    assert c[1, 2] == 0 and c[0].std() > 0.01
    torch.testing.assert_close(c.sum(-1), torch.ones(3, dtype=torch.float64))


def test_entropy_of_weights():
    weights = torch.tensor([[0.2, 0.2], [1.0, 0.0], [0.0, 0.0]])
    assert entropy_of(weights).tolist() == pytest.approx([math.log(2), 0, 0])
