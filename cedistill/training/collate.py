"""From training lists to a batch: tokenised, cut into chunks of similar length, with targets and mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor

from cedistill.data.lists import TrainingList
from cedistill.model.encode import Encoder
from cedistill.model.forward import Batch, make_batch


class ListBatch(TypedDict):
    """B lists of at most N documents: the pairs of all lists in a row; targets and mask [B, N] (True = a document)."""

    pairs: Batch
    targets: Tensor
    mask: Tensor


@dataclass(frozen=True)
class Collator:
    """Makes a batch of training lists; runs in loader workers, so that the accelerator never waits for text."""

    encoder: Encoder
    max_tokens: int
    max_rows: int

    def __call__(self, lists: Sequence[TrainingList]) -> ListBatch:
        """Return ``lists`` as one batch."""
        pairs = [(one.query, document) for one in lists for document in one.documents]
        batch = make_batch(self.encoder.encode(pairs), self.encoder.pad_id, self.max_tokens, self.max_rows)
        counts = np.array([len(one.documents) for one in lists])
        mask = np.arange(counts.max()) < counts[:, None]
        targets = np.zeros(mask.shape, np.float32)
        targets[mask] = np.concatenate([one.targets for one in lists])
        return ListBatch(pairs=batch, targets=torch.from_numpy(targets), mask=torch.from_numpy(mask))
