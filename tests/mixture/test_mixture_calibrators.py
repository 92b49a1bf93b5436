import pytest
import torch
from mixture_cases import batch

from cedistill.losses import mixture_kl
from cedistill.losses.mixture import weighted_divergence
from cedistill.mixture.calibrators import Calibrators, specialisation_loss
from cedistill.mixture.weights import heard_scores


def calibrators(dtype=torch.float64):
    torch.manual_seed(3)
    made = Calibrators(3).to(dtype)
    for one in made.of:
        torch.nn.init.normal_(one.mask.weight)
        torch.nn.init.normal_(one.scale.weight)
    return made


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_mask_fixed_at_one_gives_the_raw_teacher_to_the_bit(dtype):
    b = batch()
    z, heard = heard_scores(b.teachers.to(dtype), b.judged)
    open_ = Calibrators(3).to(dtype)
    for one in open_.of:
        torch.nn.init.constant_(one.mask.bias, 50.0)  # sigmoid(50) is 1 in either type
    assert torch.equal(open_(z, heard), z)
    weights = torch.rand(3, 3, dtype=dtype)
    raw = mixture_kl(b.student.to(dtype), b.teachers.to(dtype), weights, b.judged)
    assert torch.equal(weighted_divergence(b.student.to(dtype), open_(z, heard), weights, heard, 1.0), raw)
    shut = Calibrators(3).to(dtype)
    assert not torch.equal(shut(z, heard), z)


def test_masks_do_not_leak_between_teachers():
    b = batch()
    z, heard = heard_scores(b.teachers, b.judged)
    made = calibrators()
    before = made(z, heard)
    for parameter in made.of[1].parameters():
        torch.nn.init.normal_(parameter)
    after = made(z, heard)
    assert torch.equal(after[:, [0, 2]], before[:, [0, 2]]) and not torch.equal(after[:, 1], before[:, 1])
    specialisation_loss(b.student, made(z, heard)[:, :1], b.labels, heard[:, :1], 1.0, 1.0).backward()
    reached = [any(one.grad is not None and one.grad.abs().sum() > 0 for one in c.parameters()) for c in made.of]
    assert reached == [True, False, False]


def test_padding_and_rescaled_teachers_change_nothing():
    b = batch()
    made = calibrators()
    expected = made(*heard_scores(b.teachers, b.judged))
    padded, moved = b.padded(), b.rescaled()
    torch.testing.assert_close(made(*heard_scores(padded.teachers, padded.judged))[..., :6], expected)
    torch.testing.assert_close(made(*heard_scores(moved.teachers, moved.judged)), expected)
    assert (expected[~b.judged] == 0).all()


def test_the_student_is_not_changed_by_specialisation_and_labels_count_where_they_are():
    b = batch()
    z, heard = heard_scores(b.teachers, b.judged)
    b.student.requires_grad_()
    made = calibrators()
    without = specialisation_loss(b.student, made(z, heard), b.labels, heard, 1.0, 0.0)
    without.backward()
    assert b.student.grad is None
    unlabelled = specialisation_loss(b.student, made(z, heard), torch.full_like(b.labels, torch.nan), heard, 1.0, 5.0)
    torch.testing.assert_close(unlabelled, without)
    assert specialisation_loss(b.student, made(z, heard), b.labels, heard, 1.0, 5.0) > without + 0.1


def test_labels_keep_a_teacher_that_the_student_contradicts():
    """With γ = 0 the mask learns to erase what the student does not know; with the label term it keeps it."""
    z = torch.tensor([[[1.5, -0.5, -0.5, -0.5]]]).expand(16, 1, 4).contiguous()
    heard = torch.ones_like(z, dtype=torch.bool)
    student, labels = torch.zeros(16, 4), torch.tensor([[1.0, 0, 0, 0]]).expand(16, 4)
    kept = {}
    for weight in (0.0, 4.0):
        torch.manual_seed(0)
        made = Calibrators(1)
        optimizer = torch.optim.Adam(made.parameters(), 0.05)
        for _ in range(150):
            optimizer.zero_grad()
            specialisation_loss(student, made(z, heard), labels, heard, 1.0, weight).backward()
            optimizer.step()
        probabilities = made(z, heard)[0, 0].softmax(-1)
        kept[weight] = probabilities[0].item()
    assert kept[0.0] < 0.35 < 0.6 < kept[4.0]
