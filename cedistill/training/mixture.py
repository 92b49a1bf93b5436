"""The objective of several teachers as the trainer sees it, and what it takes before distillation starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cedistill.config.objective import Objective
from cedistill.errors import InputError
from cedistill.losses import get_loss
from cedistill.mixture.loss import MixtureLoss, Signals
from cedistill.training.trained_loss import TrainedLoss


class MixtureObjective(TrainedLoss):
    """A MixtureLoss with the trainer's arguments."""

    def __init__(self, mixture: MixtureLoss) -> None:
        """Take the loss; its calibrators are frozen, its gate is not."""
        super().__init__()
        self.mixture = mixture
        self.learning_rate = mixture.settings.gate_learning_rate
        if mixture.calibrators is not None:
            mixture.calibrators.requires_grad_(False)

    def forward(
        self,
        scores: Tensor,
        targets: Tensor,
        mask: Tensor,
        *,
        teachers: Tensor,
        teacher_mask: Tensor,
        labels: Tensor,
        weights: Tensor,
        step: int,
        steps: int,
    ) -> Tensor:
        """Return the loss of raw scores [B, N]; ``targets`` are not looked at."""
        loss: Tensor = self.mixture(scores, Signals(teachers, teacher_mask, labels, mask, weights), step, steps)
        return loss

    def figures(self) -> dict[str, Any]:
        """Return how the batches since the last call were routed."""
        return self.mixture.routing()


def mixture_objective(objective: Objective, teachers: Sequence[str], seed: int) -> MixtureObjective:
    """Return the loss of an objective with a ``[mixture]`` table, its gate and calibrators new, drawn from ``seed``.

    Raises:
        InputError: the objective's prior is not one of these teachers.
    """
    assert objective.mixture is not None
    label_loss = get_loss(objective.loss, **objective.parameters)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            return MixtureObjective(MixtureLoss(objective.mixture, teachers, label_loss, seed))
        except ValueError as error:
            raise InputError(str(error)) from None
