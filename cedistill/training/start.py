"""The collaborative start: a student and other trainable backbones learn from labels and from each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cedistill.config.objective import Objective
from cedistill.data.lists import TrainingList, TrainingLists
from cedistill.losses import get_loss, kl_divergence
from cedistill.model.encode import Encoder, make_encoder, max_positions
from cedistill.model.forward import chunk_limits, logits
from cedistill.model.precision import autocast, choose_precision
from cedistill.training.collate import Collator, ListBatch
from cedistill.training.record import DivergedError

Told = Callable[[int, int, str], None]


class Learner(NamedTuple):
    """A model that is trained, how its texts are read, its peak learning rate and its precision."""

    model: Any
    encoder: Encoder
    learning_rate: float
    precision: str


def learner(model: Any, tokenizer: Any, objective: Objective, learning_rate: float, device: torch.device) -> Learner:
    """Return a model with its tokenizer as a learner under an objective, moved to ``device``."""
    training = objective.training
    encoder = make_encoder(tokenizer, training.query_tokens, training.document_tokens, max_positions(model.config))
    precision = choose_precision(training.precision, device, model.config.hidden_size)
    return Learner(model.to(device), encoder, learning_rate, precision)


def start_together(
    learners: Sequence[Learner],
    lists: TrainingLists,
    per_step: int,
    objective: Objective,
    temperature: float,
    told: Told | None = None,
) -> None:
    """Train the learners in place, one step for every ``per_step`` lists.

    The loss is the sum of each one's label loss and of ``T² KL(p_a ‖ p_b)``, p_a as a constant, averaged over the
    others a of each b (deep mutual learning, Zhang et al. 2018, arXiv 1706.00384). AdamW with a warm-up over the first
    tenth of the steps.

    Raises:
        DivergedError: the loss is no finite number.
    """
    training = objective.training
    label_loss = get_loss(objective.loss, **objective.parameters)
    optimizers = [
        torch.optim.AdamW(one.model.parameters(), one.learning_rate, eps=training.adam_epsilon,
                          weight_decay=training.weight_decay)
        for one in learners
    ]  # fmt: skip
    steps = len(lists) // per_step
    for one in learners:
        one.model.train()
    for step in range(steps):
        drawn = [lists[number] for number in range(step * per_step, (step + 1) * per_step)]
        batches = [batch_of(one, drawn) for one in learners]
        scores = [scores_of(one, batch) for one, batch in zip(learners, batches, strict=True)]
        mask, labels = batches[0]["mask"].to(scores[0].device), batches[0]["labels"].to(scores[0].device)
        loss = torch.stack([label_loss(one, torch.nan_to_num(labels), mask) for one in scores]).sum()
        loss = loss + _mutual(scores, mask, temperature)
        if not bool(torch.isfinite(loss)):
            raise DivergedError(f"the loss of the collaborative start is no finite number at step {step + 1}; lower "
                                "training.learning_rate")  # fmt: skip
        loss.backward()
        for one, optimizer in zip(learners, optimizers, strict=True):
            optimizer.param_groups[0]["lr"] = one.learning_rate * min(1.0, (step + 1) / max(1, steps // 10))
            torch.nn.utils.clip_grad_norm_(one.model.parameters(), training.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad()
        if told:
            told(step + 1, steps, f"loss {loss.item():.4f}")
    for one in learners:
        one.model.eval()


def batch_of(one: Learner, lists: Sequence[TrainingList]) -> ListBatch:
    """Return lists as one batch of a learner."""
    return Collator(one.encoder, *chunk_limits(next(one.model.parameters()).device))(lists)


def scores_of(one: Learner, batch: ListBatch) -> Tensor:
    """Return the raw scores of a batch's documents, float32 [B, N], 0 where there is none."""
    device = next(one.model.parameters()).device
    mask = batch["mask"].to(device)
    with autocast(one.precision, device):
        flat = logits(one.model, batch["pairs"])
    return flat.new_zeros(mask.shape).masked_scatter(mask, flat)


def _mutual(scores: Sequence[Tensor], mask: Tensor, temperature: float) -> Tensor:
    others = max(1, len(scores) - 1)
    total = scores[0].sum() * 0
    for place, student in enumerate(scores):
        for number, peer in enumerate(scores):
            if number != place:
                total = total + kl_divergence(student, peer.detach(), mask, temperature=temperature) / others
    return total
