"""A loss that has parameters of its own, as the trainer optimises, saves and loads them beside the student's."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

_FILE = "loss.safetensors"


class TrainedLoss(nn.Module):
    """What the trainer asks of a loss with parameters: it is called with the signals of each teacher and the step.

    ``learning_rate`` is the peak rate of its parameters; they warm up and decay with the student's.
    """

    learning_rate: float

    @abstractmethod
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
        """Return the loss of raw scores [B, N] at step ``step`` (from 0) of ``steps``."""

    @abstractmethod
    def figures(self) -> dict[str, Any]:
        """Return what log.jsonl is to say of the batches since the last call, by name."""


def packed(batch: dict[str, Any]) -> dict[str, Any]:
    """Return a batch whose labels and weights travel as two more teachers, to the processes that share a step."""
    labels, mask = batch["labels"], batch["mask"]
    more = torch.stack([labels.nan_to_num(), batch["weights"].unsqueeze(-1).expand_as(labels)], 1)
    there = torch.stack([~labels.isnan(), mask], 1)
    return batch | {
        "teachers": torch.cat([batch["teachers"], more], 1),
        "teacher_mask": torch.cat([batch["teacher_mask"], there], 1),
    }


def unpacked(each: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return teachers, teacher_mask, labels and weights again, as the loss takes them."""
    teachers, there = each["teachers"], each["teacher_mask"]
    return {
        "teachers": teachers[:, :-2],
        "teacher_mask": there[:, :-2],
        "labels": teachers[:, -2].masked_fill(~there[:, -2], torch.nan),
        "weights": teachers[:, -1, 0],
    }


def optimise_too(optimizer: Any, loss: TrainedLoss) -> None:
    """Add the parameters of a loss to an optimiser that was made for a model.

    The trainer clips and clears the gradients of the model alone; those of the loss are cleared after each step.
    """
    parameters = [one for one in loss.parameters() if one.requires_grad]
    if parameters:
        optimizer.add_param_group({"params": parameters, "lr": loss.learning_rate, "weight_decay": 0.0})
        optimizer.register_step_post_hook(lambda *_: loss.zero_grad())


def save_loss(loss: nn.Module, folder: Path, name: str = _FILE) -> None:
    """Write the parameters of a loss into ``folder``; nothing when it has none."""
    state = {key: value.detach().cpu().contiguous() for key, value in loss.state_dict().items()}
    if state:
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f".{name}.partial"
        save_file(state, partial)
        partial.replace(folder / name)


def load_loss(loss: nn.Module, folder: Path, name: str = _FILE) -> None:
    """Read the parameters of a loss as :func:`save_loss` wrote them."""
    if loss.state_dict():
        loss.load_state_dict(load_file(folder / name))
