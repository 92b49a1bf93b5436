"""How many tokens' activations a device holds at once: measured on the model, not guessed."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch

from cedistill.model.encode import EncodedPair, Encoder
from cedistill.model.forward import device_of, logits, make_batch

SHARE = {"cuda": 0.5, "cpu": 0.25}
"""Of a device's memory, for activations; weights, gradients, AdamW's moments and what else runs take the rest."""


def graph_tokens(model: Any, encoder: Encoder, context: AbstractContextManager[object]) -> int:
    """Return the tokens whose activations fit in the model's device.

    The answer depends on the model, the precision and the device's whole memory, not on what is free at the moment,
    so that a resumed run does as the interrupted one.
    """
    device = device_of(model)
    each = saved_bytes_per_token(model, encoder, context)
    return max(1, int(SHARE.get(device.type, 0.5) * _memory(device) / max(each, 1)))


def saved_bytes_per_token(model: Any, encoder: Encoder, context: AbstractContextManager[object]) -> float:
    """Return the bytes that the backward pass of a pair at the length limit needs for each of its tokens."""
    length = encoder.pair_tokens
    training = model.training
    model.train()  # dropout's masks count
    devices = [device_of(model)] if device_of(model).type == "cuda" else []
    with torch.random.fork_rng(devices=devices), context:
        one, two = (_saved_bytes(model, encoder, rows) for rows in (1, 2))
    model.train(training)
    return (two - one) / length  # what does not grow with the pairs, as converted weights, is left out


def _saved_bytes(model: Any, encoder: Encoder, rows: int) -> int:
    ids = [encoder.pad_id] * encoder.pair_tokens
    types = None if encoder.template.types is None else [0] * len(ids)
    batch = make_batch([EncodedPair(ids, types)] * rows, encoder.pad_id, rows * len(ids), rows)
    weights = {one.untyped_storage().data_ptr() for one in model.parameters()}
    found: dict[int, int] = {}
    alive = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            found[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)  # or its address could be given to another
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        logits(model, batch)
    return sum(found.values())


def _memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()  # of a container
    except OSError:
        limit = "max"
    whole = min(whole, int(limit)) if limit.isdigit() else whole
    return whole // max(1, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
