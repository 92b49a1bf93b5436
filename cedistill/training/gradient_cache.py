"""The gradient of a step whose activations do not fit in memory: scores first, then their chunks again.

Gao et al. 2021, "Scaling deep contrastive learning batch size under memory limited setup", arXiv 2101.06983; here for
any loss of the scores, with dropout, with as many chunks as memory holds computed once only, and on a processor with
chunks side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor

from cedistill.model.dropout import drawn_from
from cedistill.model.forward import Batch, Chunk, in_order
from cedistill.model.lanes import in_lanes

Score = Callable[[Chunk], Tensor]
"""From a chunk to the raw logits of its rows, [rows], differentiable."""
Context = Callable[[], AbstractContextManager[object]]
Gradients = list[Tensor | None]
"""Of each parameter; None where there is none."""


def backward(
    score: Score,
    batch: Batch,
    loss_of: Callable[[Tensor], Tensor],
    graph_tokens: int,
    context: Context = nullcontext,
    *,
    lanes: int = 1,
    parameters: Sequence[Tensor] = (),
) -> Tensor:
    """Add to the parameters' gradients that of ``loss_of(scores of the batch)``; return the loss, detached.

    The last chunks, up to ``graph_tokens`` padded tokens, keep their activations for the backward pass. The chunks
    before them are scored without, and once more when the gradient of the loss with respect to their scores is known,
    with the dropout of the first time. The gradient is the same (up to the order of summation), the memory that of
    ``graph_tokens`` or of one chunk a lane, whichever is more.

    Args:
        score: the model, from a chunk to scores of its rows.
        batch: the pairs.
        loss_of: from scores [pairs], in the order of the batch's pairs, to a scalar.
        graph_tokens: most tokens whose activations are kept at once.
        context: makes the context of a forward pass (autocast).
        lanes: how many chunks run at once. One draws its dropout from the process's generators and leaves them as a
            plain pass would; with several, that of each chunk comes from a seed (see ``cedistill.model.dropout``).
        parameters: of the model, those that are trained; asked for with several lanes.
    """
    chunks = batch["chunks"]
    again = scored_twice([chunk["input_ids"].numel() for chunk in chunks], graph_tokens)
    lanes = max(1, min(lanes, len(chunks)))
    draws = _OfProcess(again) if lanes == 1 else _OfSeed()
    twice = [range(lane, again, lanes) for lane in range(lanes)]
    once = [range(again + (lane - again) % lanes, len(chunks), lanes) for lane in range(lanes)]

    def scored(lane: int) -> list[Tensor]:
        with torch.no_grad(), context():
            outputs = [draws.first(score, place, chunks[place]) for place in twice[lane]]
        # A context of its own: weights that autocast converted without a graph must not be used with one.
        with context():
            return outputs + [draws.first(score, place, chunks[place]) for place in once[lane]]

    outputs: list[Any] = [None] * len(chunks)
    for lane, found in enumerate(in_lanes(scored, range(lanes), lanes)):
        outputs[lane::lanes] = found
    leaves = [output.detach().requires_grad_() for output in outputs]
    loss = loss_of(in_order(leaves, batch["order"]))
    loss.backward()
    wanted = [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]

    def returned(lane: int) -> Gradients:
        sums: Gradients = [None] * len(parameters)
        spread = torch.autograd.backward if lanes == 1 else partial(_add, sums, parameters)
        spread([outputs[place] for place in once[lane]], [wanted[place] for place in once[lane]])
        for place in twice[lane]:
            with context():
                output = draws.again(score, place, chunks[place])
            spread([output], [wanted[place]])
        return sums

    for gradients in in_lanes(returned, range(lanes), lanes):  # in one order, whichever lane was first
        for parameter, gradient in zip(parameters, gradients, strict=False):
            if gradient is not None:
                parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)
    return loss.detach()


def scored_twice(tokens: Sequence[int], graph_tokens: int) -> int:
    """Return how many of the first chunks do not keep their activations."""
    kept = 0
    for place in range(len(tokens) - 1, -1, -1):
        kept += tokens[place]
        if kept > graph_tokens:
            return place + 1
    return 0


def _add(sums: Gradients, parameters: Sequence[Tensor], outputs: Sequence[Tensor], wanted: Sequence[Tensor]) -> None:
    """Add to the sums what the outputs' gradients give the parameters."""
    if outputs:
        found = torch.autograd.grad(outputs, parameters, wanted, allow_unused=True)
        for place, gradient in enumerate(found):
            before = sums[place]
            if gradient is not None:
                sums[place] = gradient if before is None else before.add_(gradient)


class _OfSeed:
    """Each chunk's dropout from its own seed: the same in whichever thread, and the second time."""

    def __init__(self) -> None:
        self.seed = int(torch.randint(2**62, ()))

    def first(self, score: Score, place: int, chunk: Chunk) -> Tensor:
        with drawn_from(self.seed + place):
            return score(chunk)

    again = first


class _OfProcess:
    """Dropout from the generators of the process, whose states are noted for chunks that are scored twice."""

    def __init__(self, twice: int) -> None:
        self.twice = twice
        self.states: dict[int, list[Tensor]] = {}

    def first(self, score: Score, place: int, chunk: Chunk) -> Tensor:
        if place < self.twice:
            self.states[place] = _random_states()
        return score(chunk)

    def again(self, score: Score, place: int, chunk: Chunk) -> Tensor:
        now = _random_states()
        _set(self.states[place])
        output = score(chunk)
        _set(now)
        return output


def _random_states() -> list[Tensor]:
    """Return the states of the generators that dropout draws from: the processor's, and the current GPU's."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state()] if torch.cuda.is_available() else [])]


def _set(states: Sequence[Tensor]) -> None:
    torch.set_rng_state(states[0])
    for state in states[1:]:
        torch.cuda.set_rng_state(state)
