"""The best documents of queries, exactly and with ties in trec_eval's order, as keys that sort as integers do.

A key is a document's float32 score, mapped to an integer that sorts alike, in the upper half of 64 bits, and the rank
of its id among all ids in the lower half. No two documents have the same key, so that any selection of the largest
keys gives the same documents on every device, in whatever order they come.
"""

from __future__ import annotations

import numpy as np
import torch

LOWEST = torch.iinfo(torch.int64).min
"""Below every key: no document."""


def keys(scores: torch.Tensor, ranks: torch.Tensor) -> torch.Tensor:
    """Return keys, int64 [Q, B].

    Args:
        scores: float32 [Q, B]; minus infinity for a document that is not to be found.
        ranks: int64 [B], 0 to 2³¹ - 1: the higher one comes first of equal scores.
    """
    bits = (scores + 0.0).view(torch.int32)  # + 0.0 makes -0.0 the 0.0 that it equals
    sortable = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).to(torch.int64)
    return torch.where(scores == -torch.inf, LOWEST, (sortable << 32) | ranks)


def best(found: torch.Tensor, more: torch.Tensor, depth: int) -> torch.Tensor:
    """Return the ``depth`` largest keys of each query, in falling order.

    Args:
        found: int64 [Q, at most depth], what has been found so far.
        more: int64 [Q, B].
        depth: at least 1.
    """
    together = torch.cat([found, more], dim=1)
    return together.topk(min(depth, together.shape[1]), dim=1).values


def unpacked(row: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores, float32, and the ranks, int64, of one query's keys [N] that are documents."""
    row = row[row != LOWEST].cpu()
    sortable = (row >> 32).to(torch.int32)
    bits = sortable ^ ((sortable >> 31) & 0x7FFFFFFF)
    return bits.view(torch.float32).numpy(), (row & 0xFFFFFFFF).numpy()
