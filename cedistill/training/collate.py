"""From training lists to a batch: tokenised, cut into chunks of similar length, with targets and mask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor

from cedistill.data.lists import TrainingList
from cedistill.model.encode import EncodedPair, Encoder
from cedistill.model.forward import Batch, batch_maker
from cedistill.model.memory import keep_freed_memory


class ListBatch(TypedDict):
    """B lists of at most N documents: the pairs of all lists in a row; targets and mask [B, N] (True = a document)."""

    pairs: Batch
    targets: Tensor
    mask: Tensor


@dataclass(frozen=True)
class Collator:
    """Makes a batch of training lists; runs in loader workers, so that the accelerator never waits for text."""

    encoder: Encoder
    make_batch: Callable[[Sequence[EncodedPair]], Batch]

    def __call__(self, lists: Sequence[TrainingList]) -> ListBatch:
        """Return ``lists`` as one batch."""
        pairs = [(one.query, document) for one in lists for document in one.documents]
        batch = self.make_batch(self.encoder.encode(pairs))
        counts = np.array([len(one.documents) for one in lists])
        mask = np.arange(counts.max()) < counts[:, None]
        targets = np.zeros(mask.shape, np.float32)
        targets[mask] = np.concatenate([one.targets for one in lists])
        return ListBatch(pairs=batch, targets=torch.from_numpy(targets), mask=torch.from_numpy(mask))


def make_collator(
    encoder: Encoder, model: Any, device: torch.device | str, precision: str = "float32", max_tokens: int | None = None
) -> Collator:
    """Return the collator whose batches suit a model on a device; ``model`` is prepared for them.

    Args:
        encoder: of the model's tokenizer.
        model: a one-logit sequence classifier, not yet wrapped for several processes.
        device: where it will run.
        precision: ``float32`` or ``bf16``.
        max_tokens: most tokens of a chunk; by default what suits the device.
    """
    if torch.device(device).type == "cpu":
        keep_freed_memory()
    return Collator(encoder, batch_maker(model, encoder.pad_id, device, precision, max_tokens))
