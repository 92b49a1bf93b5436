import math

import pytest
import torch
from loss_cases import value_and_gradient

from cedistill.losses import kl_divergence, loss_names, mixture_kl

LN3 = math.log(3)


def batch(dtype=torch.float64):
    """A student of 3 lists and 5 documents, 2 teachers, their weights, and a mask for each teacher."""
    generator = torch.Generator().manual_seed(1)
    student = torch.randn(3, 5, generator=generator, dtype=dtype)
    teachers = 10 * torch.randn(3, 2, 5, generator=generator, dtype=dtype) + 4
    weights = torch.rand(3, 2, generator=generator, dtype=dtype)
    mask = torch.ones(3, 2, 5, dtype=torch.bool)
    mask[0, 0, 3:], mask[1, :, 4], mask[2, 1, 0] = False, False, False
    return student, teachers, weights, mask


def z(scores):
    return (scores - scores.mean(-1, keepdim=True)) / scores.std(-1, keepdim=True, correction=0)


def test_literal():
    # z([1, 0]) = 1, −1 and z([3, 7]) = −1, 1; at T = 2/ln 3 these are p = ¾, ¼ and ¼, ¾; the student's q is ½, ½.
    # Each KL is ¾ ln 1.5 + ¼ ln ½ = 0.1308120359; T² = 4/1.2069489608 = 3.3141417914; weights 0.25 and 0.5:
    # 0.75 · 3.3141417914 · 0.1308120359
    student = torch.zeros(1, 2, dtype=torch.float64)
    teachers = torch.tensor([[[1.0, 0.0], [3.0, 7.0]]], dtype=torch.float64)
    value = mixture_kl(student, teachers, torch.tensor([[0.25, 0.5]]), temperature=2 / LN3)
    assert value.shape == ()
    assert value.item() == pytest.approx(0.3251472271, abs=1e-9)


def test_one_teacher_is_the_divergence_from_its_standardised_scores():
    student, teachers, _, _ = batch()
    value = mixture_kl(student, teachers[:, :1], torch.ones(3, 1), temperature=1.7)
    torch.testing.assert_close(value, kl_divergence(student, z(teachers[:, 0]), temperature=1.7))


def test_zero_where_the_student_has_the_teachers_standardised_scores():
    _, teachers, _, _ = batch()
    value, gradient = value_and_gradient(mixture_kl, z(teachers[:, 1]) + 5, teachers[:, 1:], torch.ones(3, 1))
    assert 0 <= value < 1e-14
    assert gradient.abs().max() < 1e-14


def test_a_teachers_scale_and_offset_change_nothing():
    student, teachers, weights, mask = batch()
    expected = mixture_kl(student, teachers, weights, mask)
    factors = torch.tensor([[0.01, 3.0], [7.0, 1e-30], [1e30, 2.0]], dtype=torch.float64).unsqueeze(-1)
    torch.testing.assert_close(mixture_kl(student, factors * teachers, weights, mask), expected)
    offsets = torch.tensor([[5.0, -900.0], [1e4, 0.0], [0.1, 33.0]], dtype=torch.float64).unsqueeze(-1)
    torch.testing.assert_close(mixture_kl(student, teachers + offsets, weights, mask), expected)
    torch.testing.assert_close(mixture_kl(student + 3, teachers, weights, mask), expected)
    huge = mixture_kl(student.float(), (1e30 * teachers).float(), weights.float(), mask)
    torch.testing.assert_close(huge, expected.float())


def test_the_order_of_documents_and_teachers_does_not_matter():
    student, teachers, weights, mask = batch()
    expected = mixture_kl(student, teachers, weights, mask)
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(mixture_kl(student[:, order], teachers[..., order], weights, mask[..., order]), expected)
    torch.testing.assert_close(mixture_kl(student, teachers.flip(1), weights.flip(1), mask.flip(1)), expected)


@pytest.mark.parametrize("junk", [math.nan, math.inf, -math.inf, 1e30])
def test_what_stands_in_a_masked_place_is_never_seen(junk):
    student, teachers, weights, mask = batch()
    value, gradient = value_and_gradient(mixture_kl, student, teachers, weights, mask)
    nowhere = ~mask.any(1)
    assert nowhere.any()
    after = value_and_gradient(
        mixture_kl, student.masked_fill(nowhere, junk), teachers.masked_fill(~mask, junk), weights, mask
    )
    assert torch.equal(after[0], value)
    assert torch.equal(after[1], gradient)
    assert torch.equal(gradient[nowhere], torch.zeros_like(gradient[nowhere]))


def test_a_mask_for_all_teachers_and_padding():
    student, teachers, weights, _ = batch()
    mask = torch.tensor([[True] * 5, [True] * 4 + [False], [True] * 3 + [False] * 2])
    expected = mixture_kl(student, teachers, weights, mask.unsqueeze(1).expand(3, 2, 5))
    assert torch.equal(mixture_kl(student, teachers, weights, mask), expected)
    one_by_one = [mixture_kl(student[i : i + 1, :n], teachers[i : i + 1, :, :n], weights[i : i + 1])
                  for i, n in enumerate([5, 4, 3])]  # fmt: skip
    torch.testing.assert_close(expected, torch.stack(one_by_one).mean())


def test_masks_do_not_leak_between_teachers():
    student, teachers, _, mask = batch()
    first_only = torch.tensor([[1.0, 0.0]]).repeat(3, 1)
    expected = mixture_kl(student, teachers[:, :1], first_only[:, :1], mask[:, :1])
    torch.testing.assert_close(mixture_kl(student, teachers, first_only, mask), expected.to(student.dtype))


def test_gradient_for_student_teachers_and_weights():
    student, teachers, weights, mask = batch()
    for tensor in (student, teachers, weights):
        tensor.requires_grad_()
    assert torch.autograd.gradcheck(lambda s, t, w: mixture_kl(s, t, w, mask, 1.5), (student, teachers, weights))
    mixture_kl(student, teachers, weights, mask).backward()
    assert (weights.grad > 0).all()


def test_equal_scores_of_a_teacher_are_no_signal():
    # 0.1 seven times has a rounded mean and a std of about 1e-9 in float32, which is no spread.
    student = torch.randn(1, 7, generator=torch.Generator().manual_seed(2))
    spread = torch.arange(7.0).reshape(1, 1, 7)
    teachers = torch.cat([torch.full((1, 1, 7), 0.1), spread], 1)
    weights = torch.tensor([[math.nan, 0.4]])  # a weight made from a list without spread may be anything
    value, gradient = value_and_gradient(mixture_kl, student, teachers, weights)
    expected, expected_gradient = value_and_gradient(mixture_kl, student, spread, torch.tensor([[0.4]]))
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient, expected_gradient)


def test_lists_without_any_signal_are_left_out_of_the_mean():
    student, teachers, weights, mask = batch()
    teachers[1] = 3.0
    mask[2] = torch.tensor([True, False, False, False, False])
    value, gradient = value_and_gradient(mixture_kl, student, teachers, weights, mask)
    torch.testing.assert_close(value, mixture_kl(student[:1], teachers[:1], weights[:1], mask[:1]))
    assert torch.equal(gradient[1:], torch.zeros(2, 5, dtype=torch.float64))
    student = student.clone().requires_grad_()
    nothing = mixture_kl(student, torch.full_like(teachers, 0.1), weights)
    assert nothing.requires_grad
    nothing.backward()
    assert nothing == 0
    assert torch.equal(student.grad, torch.zeros_like(student))


def test_low_precision_is_computed_in_float32():
    student, teachers, weights, mask = batch(torch.bfloat16)
    value = mixture_kl(student, teachers, weights, mask)
    assert value.dtype == torch.float32
    assert torch.equal(value, mixture_kl(student.float(), teachers.float(), weights.float(), mask))


def test_it_is_no_loss_of_three_arguments():
    assert "mixture-kl" not in loss_names()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"student": torch.zeros(5)}, r"student must be .*found shape \[5\]"),
        ({"student": torch.zeros(3, 0), "teachers": torch.zeros(3, 2, 0), "mask": None}, "with a document"),
        ({"teachers": torch.zeros(3, 5)}, r"teachers must be \[3, teachers, 5\].*found \[3, 5\]"),
        ({"teachers": torch.zeros(3, 2, 4)}, r"teachers must be \[3, teachers, 5\].*found \[3, 2, 4\]"),
        ({"weights": torch.zeros(2, 3)}, r"weights must have the shape .*\[3, 2\], found \[2, 3\]"),
        ({"mask": torch.ones(3, 4, dtype=torch.bool)}, r"mask must have the shape .*\[3, 5\], found \[3, 4\]"),
        ({"mask": torch.ones(3, 1, 5, dtype=torch.bool)}, r"mask must have the shape .*\[3, 2, 5\], found \[3, 1, 5\]"),
        ({"mask": torch.ones(3, 2, 5)}, "mask must be of type bool"),
        ({"mask": None, "teachers": torch.full((3, 2, 5), math.nan)}, "teachers of real documents must be finite"),
        ({"temperature": 0}, "temperature must be a finite number > 0, found 0"),
    ],
)
def test_wrong_input_is_refused(change, text):
    student, teachers, weights, mask = batch()
    arguments = {"student": student, "teachers": teachers, "weights": weights, "mask": mask} | change
    with pytest.raises(ValueError, match=text):
        mixture_kl(**arguments)
