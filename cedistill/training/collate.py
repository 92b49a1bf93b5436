"""From training lists to a batch: tokenised, cut into chunks of similar length, with targets and mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import numpy as np
import torch
from torch import Tensor

from cedistill.data.lists import TrainingList
from cedistill.model.encode import Encoder
from cedistill.model.forward import Batch, chunk_limits, make_batch, packed_tokens
from cedistill.model.lanes import lanes_of
from cedistill.model.memory import keep_freed_memory
from cedistill.model.packing import Packing, packing_of


class ListBatch(TypedDict):
    """B lists of at most N documents: the pairs of all lists in a row; targets and mask [B, N] (True = a document).

    Where lists carry each teacher's scores: ``teachers`` [B, K, N] float32 and ``teacher_mask`` [B, K, N] bool, True
    where teacher k scored a real document; scores are 0 elsewhere. K is the most teachers of a list. ``labels`` [B, N]
    float32 stand beside them, NaN where nobody judged. ``weights`` [B] float32 say how much each list counts.
    """

    pairs: Batch
    targets: Tensor
    mask: Tensor
    teachers: NotRequired[Tensor]
    teacher_mask: NotRequired[Tensor]
    weights: Tensor
    labels: NotRequired[Tensor]


@dataclass(frozen=True)
class Collator:
    """Makes a batch of training lists; runs in loader workers, so that the accelerator never waits for text."""

    encoder: Encoder
    max_tokens: int
    max_rows: int
    packing: Packing | None = None
    lanes: int = 1

    def __call__(self, lists: Sequence[TrainingList]) -> ListBatch:
        """Return ``lists`` as one batch."""
        pairs = [(one.query, document) for one in lists for document in one.documents]
        encoded = self.encoder.encode(pairs)
        batch = make_batch(encoded, self.encoder.pad_id, self.max_tokens, self.max_rows, self.packing, self.lanes)
        counts = np.array([len(one.documents) for one in lists])
        mask = np.arange(counts.max()) < counts[:, None]
        targets = np.zeros(mask.shape, np.float32)
        targets[mask] = np.concatenate([one.targets for one in lists])
        weights = torch.tensor([one.weight for one in lists], dtype=torch.float32)
        whole = ListBatch(pairs=batch, targets=torch.from_numpy(targets), mask=torch.from_numpy(mask), weights=weights)
        scores = [one.teachers for one in lists if one.teachers is not None]
        if len(scores) == len(lists):
            teachers, teacher_mask = stacked(scores, mask.shape[1])
            whole["teachers"], whole["teacher_mask"] = torch.from_numpy(teachers), torch.from_numpy(teacher_mask)
            labels = np.full(mask.shape, np.nan, np.float32)
            labels[mask] = np.concatenate(
                [np.full(len(one.documents), np.nan) if one.labels is None else one.labels for one in lists]
            )
            whole["labels"] = torch.from_numpy(labels)
        return whole


def make_collator(
    encoder: Encoder,
    model: Any,
    device: torch.device | str,
    precision: str = "float32",
    max_tokens: int | None = None,
    lanes: int | None = None,
) -> Collator:
    """Return the collator whose batches suit a model on a device; ``model`` is prepared for them.

    Args:
        encoder: of the model's tokenizer.
        model: a one-logit sequence classifier, not yet wrapped for several processes.
        device: where it will run.
        precision: ``float32`` or ``bf16``.
        max_tokens: most tokens that fit in memory at once, where that is less than what suits the device.
        lanes: how many chunks run at once; by default what suits model and device.
    """
    if torch.device(device).type == "cpu":
        keep_freed_memory()
    packing = packing_of(model, device, precision)
    tokens, rows = chunk_limits(device)
    suits = tokens if packing is None else packed_tokens(device)
    # Padded models have dropout of torch's, which all threads share: what it drops would be a matter of chance.
    lanes = 1 if packing is None else lanes or lanes_of(model, device)
    return Collator(encoder, min(suits, max(1, max_tokens // lanes) if max_tokens else suits), rows, packing, lanes)


def stacked(scores: Sequence[np.ndarray], width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the teachers' scores of B lists as one array, and where there is one.

    Args:
        scores: of each list [K, N], NaN where a teacher gave none; K and N may differ.
        width: N of the result.

    Returns:
        float32 [B, K, N] and bool [B, K, N], False and 0 where there is no score.
    """
    shape = (len(scores), max(len(one) for one in scores), width)
    teachers = np.full(shape, np.nan, np.float32)
    for row, one in zip(teachers, scores, strict=True):
        row[: one.shape[0], : one.shape[1]] = one
    there = ~np.isnan(teachers)
    return np.where(there, teachers, np.float32(0)), there
