"""One step on several processes: each scores its share of the lists, all compute the loss of the whole step.

Losses average over lists, over documents or over all pairs of a batch, so that a mean of the processes' own losses is
not the loss of the batch. The scores, a few numbers a list, are therefore shared; gradients are then summed.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, distributed
from torch.nn import Parameter, functional

from cedistill import processes

BUCKET = 1 << 24
"""Gradient values that travel together: enough to be worth a message, small beside the model."""


def share(lists: int, number: int, count: int) -> range:
    """Return the places of process ``number``'s lists among those of a step; the first ones take one more."""
    each, more = divmod(lists, count)
    start = number * each + min(number, more)
    return range(start, start + each + (number < more))


def gather_lists(
    scores: Tensor,
    targets: Tensor,
    mask: Tensor,
    lists: int,
    width: int,
    teachers: Tensor | None = None,
    teacher_mask: Tensor | None = None,
    weights: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """Return scores, targets and mask of the whole step, [lists, width], from every process's share.

    The gradient flows to the own scores only. All shapes are known beforehand, so that nothing waits for the device.

    Args:
        scores: of the own lists, [own, N].
        targets: of the same shape.
        mask: bool, of the same shape.
        lists: of the step, over all processes.
        width: at least the N of every process.
        teachers: each teacher's scores, [own, K, N], the same K in every process; they come fourth, [lists, K, width].
        teacher_mask: bool, of the same shape; comes fifth.
        weights: how much each list counts, [own]; comes last, [lists].
    """
    each = [one for one in (teachers, teacher_mask) if one is not None]
    count, number = processes.count(), processes.number()
    if count == 1:
        return scores, targets, mask, *each, *([] if weights is None else [weights])
    rows = len(share(lists, 0, count))  # no process has more
    room = (0, width - mask.shape[1], 0, rows - mask.shape[0])
    planes = [scores.detach(), targets, mask, *(plane for one in each for plane in one.unbind(1))]
    planes += [] if weights is None else [weights.unsqueeze(-1).expand_as(mask)]
    own = torch.stack([functional.pad(one.to(scores.dtype), room) for one in planes])
    parts = [torch.empty_like(own) for _ in range(count)]
    distributed.all_gather(parts, own)
    sizes = [len(share(lists, one, count)) for one in range(count)]
    every = [part[:, :size] for part, size in zip(parts, sizes, strict=True)]
    values = torch.cat(every, dim=1)
    differentiable = [one[0] for one in every]
    differentiable[number] = functional.pad(scores, room[:2])
    last = [] if weights is None else [values[-1, :, 0]]
    of_teachers = [one.transpose(0, 1) for one in values[3 : len(values) - len(last)].chunk(2)] if each else []
    of_teachers = [one if place == 0 else one > 0 for place, one in enumerate(of_teachers)]
    return torch.cat(differentiable), values[1], values[2] > 0, *of_teachers, *last


def sum_gradients(parameters: Iterable[Parameter]) -> None:
    """Replace each gradient by its sum over the processes, in a few messages that overlap."""
    if processes.count() == 1:
        return
    under_way = []
    for bucket in _buckets([one.grad for one in parameters if one.grad is not None]):
        flat = torch.cat([one.reshape(-1) for one in bucket])
        under_way.append((bucket, flat, distributed.all_reduce(flat, async_op=True)))
    for bucket, flat, message in under_way:
        message.wait()
        for one, summed in zip(bucket, flat.split([one.numel() for one in bucket]), strict=True):
            one.copy_(summed.view_as(one))


def same_weights(model: torch.nn.Module) -> None:
    """Give every process the weights and buffers of the first one."""
    if processes.count() > 1:
        for tensor in model.state_dict().values():
            distributed.broadcast(tensor, src=0)


def _buckets(tensors: Iterable[Tensor]) -> list[list[Tensor]]:
    buckets: list[list[Tensor]] = []
    room = 0
    for tensor in tensors:
        if room < tensor.numel():
            buckets.append([])
            room = BUCKET
        buckets[-1].append(tensor)
        room -= tensor.numel()
    return buckets
