"""A batch that several tests share: 3 lists, 3 teachers, 6 documents, partial coverage and padding."""

from typing import NamedTuple

import torch
from torch import Tensor


class Batch(NamedTuple):
    student: Tensor
    teachers: Tensor
    judged: Tensor
    mask: Tensor
    labels: Tensor

    def padded(self, more: int = 2) -> "Batch":
        """The same lists with places that hold junk and no document."""
        junk = {"student": 7.0, "teachers": -5e8, "judged": False, "mask": False, "labels": 3.0}
        return Batch(
            **{
                name: torch.cat([one, torch.full((*one.shape[:-1], more), junk[name]).to(one.dtype)], -1)
                for name, one in self._asdict().items()
            }
        )

    def rescaled(self) -> "Batch":
        """The same with all teachers' scores shifted, and scaled by factors of 2, which rounds nothing."""
        scale = torch.tensor([[0.25, 2.0, 8.0], [4.0, 0.5, 2.0], [16.0, 1.0, 0.125]], dtype=torch.float64)
        shift = torch.tensor([[5.0, -64.0, 0.5], [0.0, 3.0, -8.0], [1.0, 128.0, 4.0]], dtype=torch.float64)
        return self._replace(teachers=self.teachers * scale.unsqueeze(-1) + shift.unsqueeze(-1))


def batch() -> Batch:
    generator = torch.Generator().manual_seed(5)
    student = torch.randn(3, 6, generator=generator, dtype=torch.float64)
    # Multiples of 1/8, so that shifts and scales by powers of 2 are exact.
    teachers = torch.round(24 * torch.randn(3, 3, 6, generator=generator, dtype=torch.float64)) / 8
    mask = torch.tensor([[True] * 6, [True] * 5 + [False], [True] * 4 + [False] * 2])
    judged = mask.unsqueeze(1).repeat(1, 3, 1)
    judged[0, 1, 4:] = False  # teacher 1 judged only some documents of list 0
    judged[1, 2] = False  # teacher 2 judged none of list 1
    labels = torch.tensor([[0, 2, 0, 1, 0, 0], [3, 0, 0, 0, 1, 0], [torch.nan] * 6], dtype=torch.float64)
    return Batch(student, teachers, judged, mask, labels)
