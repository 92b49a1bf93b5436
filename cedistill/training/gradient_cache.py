"""The gradient of a step whose activations do not fit in memory: scores first, then their chunks again.

Gao et al. 2021, "Scaling deep contrastive learning batch size under memory limited setup", arXiv 2101.06983; here for
any loss of the scores, with dropout, and with as many chunks as memory holds computed once only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor

from cedistill.model.forward import Batch, Chunk

Score = Callable[[Chunk], Tensor]
"""From a chunk to the raw logits of its rows, [rows], differentiable."""


def backward(
    score: Score,
    batch: Batch,
    loss_of: Callable[[Tensor], Tensor],
    graph_tokens: int,
    context: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Tensor:
    """Add to the parameters' gradients that of ``loss_of(scores of the batch)``; return the loss, detached.

    The last chunks, up to ``graph_tokens`` padded tokens, keep their activations for the backward pass. The chunks
    before them are scored without, and once more when the gradient of the loss with respect to their scores is known,
    from the random state of the first time. The gradient is the same (up to the order of summation), the memory that of
    ``graph_tokens`` or of one chunk, whichever is more; random generators end in the same state.

    Args:
        score: the model, from a chunk to scores of its rows.
        batch: the pairs.
        loss_of: from scores [pairs], in the order of the batch's pairs, to a scalar.
        graph_tokens: most tokens whose activations are kept at once.
        context: makes the context of a forward pass (autocast).
    """
    chunks = batch["chunks"]
    again = scored_twice([chunk["input_ids"].numel() for chunk in chunks], graph_tokens)
    states: list[list[Tensor]] = []
    outputs: list[Tensor] = []
    with torch.no_grad(), context():
        for chunk in chunks[:again]:
            states.append(_random_states())
            outputs.append(score(chunk))
    with context():
        outputs += [score(chunk) for chunk in chunks[again:]]
    leaves = [output.detach().requires_grad_() for output in outputs]
    kept = outputs[again:]
    del outputs
    order = batch["order"].to(leaves[0].device, non_blocking=True)  # sorted there: nothing waits for the device
    loss = loss_of(torch.cat(leaves)[torch.argsort(order)])
    loss.backward()
    gradients = [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]
    torch.autograd.backward(kept, gradients[again:])
    del kept
    for chunk, state, gradient in zip(chunks[:again], states, gradients, strict=False):
        # A context of its own: weights that autocast converted without a graph must not be used with one.
        with _random_states_of(state), context():
            output = score(chunk)
        output.backward(gradient)
    return loss.detach()


def scored_twice(tokens: Sequence[int], graph_tokens: int) -> int:
    """Return how many of the first chunks do not keep their activations."""
    kept = 0
    for place in range(len(tokens) - 1, -1, -1):
        kept += tokens[place]
        if kept > graph_tokens:
            return place + 1
    return 0


def _random_states() -> list[Tensor]:
    """Return the states of the generators that dropout draws from: the processor's, and the current GPU's."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state()] if torch.cuda.is_available() else [])]


@contextmanager
def _random_states_of(states: Sequence[Tensor]) -> Iterator[None]:
    now = _random_states()
    _set(states)
    yield
    _set(now)


def _set(states: Sequence[Tensor]) -> None:
    torch.set_rng_state(states[0])
    for state in states[1:]:
        torch.cuda.set_rng_state(state)
