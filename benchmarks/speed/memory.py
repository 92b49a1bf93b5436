"""Peak memory of one training step against the length of its list: ``python benchmarks/speed/memory.py --help``.

Each figure is taken in a process of its own, after a step on a short list that brings gradients and the libraries' own
buffers: on a GPU the growth of the most that torch allocated, on a processor that of the process's resident memory.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import resource
import sys
import time
from typing import Any

ALL = 10**9


def main() -> None:
    """Print a Markdown table, one line for each length of a list and number of kept tokens."""
    parser = argparse.ArgumentParser(description="Peak memory of a training step against the length of its list.")
    parser.add_argument("--backbone", default="minilm-l6", help="name of `cedistill ls backbones` or a folder")
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 100, 200, 500, 1000], help="documents of the list")
    parser.add_argument("--words", type=int, default=70, help="words of a document, on average")
    parser.add_argument("--graph-tokens", type=int, nargs="+", default=[4096], help="training.graph_tokens to measure")
    parser.add_argument("--plain-up-to", type=int, default=200, help="longest list measured without gradient caching")
    parser.add_argument("--precision", default="float32", choices=["float32", "bf16"])
    given = parser.parse_args()
    sys.stdout.write(
        "| documents | graph_tokens | chunks | of them twice | peak MB | seconds |\n|---|---|---|---|---|---|\n"
    )
    for size in given.sizes:
        for kept in [*given.graph_tokens, *([ALL] if size <= given.plain_up_to else [])]:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                found = pool.apply(measure, (given.backbone, size, given.words, kept, given.precision))
            name = "no limit" if kept == ALL else kept
            row = [size, name, found["chunks"], found["twice"], f"{found['mb']:.0f}", f"{found['seconds']:.1f}"]
            sys.stdout.write(f"| {' | '.join(map(str, row))} |\n")
            sys.stdout.flush()


def measure(backbone: str, size: int, words: int, kept: int, precision: str) -> dict[str, Any]:
    """Return peak memory in MB and seconds of one step on a list of ``size`` documents."""
    import numpy as np

    from cedistill.data.lists import TrainingList
    from cedistill.losses import get_loss
    from cedistill.model.backbones import load_backbone
    from cedistill.model.encode import make_encoder, max_positions
    from cedistill.model.forward import chunk_logits
    from cedistill.model.precision import autocast
    from cedistill.model.reranker import default_device
    from cedistill.training.collate import make_collator
    from cedistill.training.gradient_cache import backward, scored_twice

    device = default_device()
    model, tokenizer = load_backbone(backbone, 0)
    model.to(device).train()
    encoder = make_encoder(tokenizer, 32, 256, max_positions(model.config))
    collate = make_collator(encoder, model, device, precision, kept)
    random = np.random.default_rng(0)
    vocabulary = ["river", "stone", "market", "engine", "letter", "garden", "winter", "signal"]
    loss = get_loss("ranknet")

    def step(count: int) -> list[int]:
        documents = [" ".join(random.choice(vocabulary, 1 + random.poisson(words))) for _ in range(count)]
        batch = collate([TrainingList("what is said of the river", documents, random.random(count).astype(np.float32))])
        targets = batch["targets"].to(device)
        backward(
            functools.partial(chunk_logits, model),
            batch["pairs"],
            lambda flat: loss(flat.view(1, -1), targets),
            kept,
            functools.partial(autocast, precision, device),
            lanes=collate.lanes,
            parameters=list(model.parameters()),
        )
        return [chunk["input_ids"].numel() for chunk in batch["pairs"]["chunks"]]

    step(4)
    before, started = _peak(device), time.perf_counter()
    chunks = step(size)
    mb, seconds = (_peak(device) - before) / 1e6, time.perf_counter() - started
    return {"mb": mb, "seconds": seconds, "chunks": len(chunks), "twice": scored_twice(chunks, kept)}


def _peak(device: Any) -> int:
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated()
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
