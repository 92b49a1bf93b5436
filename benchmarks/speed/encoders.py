"""Encoders of the study with random weights of their true shapes: how fast they train and score here."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from machine import now
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    DebertaV2Config,
    ElectraConfig,
    ModernBertConfig,
    PretrainedConfig,
    RobertaConfig,
)

from cedistill.model.encode import EncodedPair
from cedistill.model.forward import Batch, batch_maker, chunk_logits
from cedistill.model.lanes import lanes_of
from cedistill.model.precision import autocast
from cedistill.model.scoring import batch_scores
from cedistill.model.shapes import SHAPES, forward_flops
from cedistill.training.gradient_cache import backward

HEAD_WIDTH = {"minilm-l6": 32, "minilm-l12": 32}
TOKENS = 95
LONG = 288
_STUDY = ("bce", "hinge", "margin-mse", "infonce", "distill-ranknet", "adr-mse")


def random_encoder(name: str) -> Any:
    """Return a one-logit classifier of a backbone's shape on the processor."""
    torch.manual_seed(12)
    return AutoModelForSequenceClassification.from_config(_config(name))


def _config(name: str) -> PretrainedConfig:
    shape = SHAPES[name]
    common: dict[str, Any] = {
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.width // HEAD_WIDTH.get(name, 64),
        "intermediate_size": shape.inner,
        "num_labels": 1,
    }
    if shape.gated:
        special = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 0)
        return ModernBertConfig(**common, **special, local_attention=shape.window)
    if name.startswith("deberta"):
        return DebertaV2Config(
            **common,
            relative_attention=True,
            position_buckets=256,
            norm_rel_ebd="layer_norm",
            share_att_key=True,
            pos_att_type=["p2c", "c2p"],
            position_biased_input=False,
            type_vocab_size=0,
        )
    if name.startswith("roberta"):
        return RobertaConfig(**common, max_position_embeddings=514, type_vocab_size=1)
    if name.startswith("electra"):
        return ElectraConfig(**common, embedding_size=shape.width)
    return BertConfig(**common)


def passage_lengths(count: int, mean: float = TOKENS, seed: int = 1) -> list[int]:
    """Return lengths spread as those of MS MARCO pairs are: log-normal, from 20 to 288 tokens, of this mean."""
    draws = np.random.default_rng(seed).lognormal(0, 0.42, 100_000)
    scale = mean / np.clip(draws * mean / draws.mean(), 20, LONG).mean()
    return np.clip(draws[:count] * mean / draws.mean() * scale, 20, LONG).round().astype(int).tolist()


def random_pairs(lengths: list[int]) -> list[EncodedPair]:
    """Return pairs of random ids of these lengths."""
    draws = np.random.default_rng(2)
    return [EncodedPair(draws.integers(5, 30_000, length).tolist(), None) for length in lengths]


def scoring(
    name: str, precision: str, place: torch.device, tokens: int, pairs: int, repetitions: int
) -> dict[str, Any]:
    """Return pairs and floating-point operations a second when scoring pairs of exactly ``tokens`` tokens."""
    model = random_encoder(name).to(place).eval()
    lanes = lanes_of(model, place)
    batch = batch_maker(model, 0, place, precision, lanes=lanes)(random_pairs([tokens] * pairs))

    def once() -> None:
        batch_scores(model, batch, precision, lanes)

    seconds = _best(once, repetitions)
    flops = pairs * forward_flops(SHAPES[name], tokens) / seconds
    return {"tokens": tokens, "pairs_per_second": pairs / seconds, "flops_per_second": flops}


def training(
    name: str, precision: str, place: torch.device, documents: int, repetitions: int, compiled: bool = False
) -> dict[str, Any]:
    """Return steps a second of ``documents`` pairs a step: forward, loss, backward, clipping, AdamW.

    Batches are ready before the clock starts: text is what loader workers are for.
    """
    model = random_encoder(name).to(place).train()
    lanes = 1 if compiled else lanes_of(model, place)
    make = batch_maker(model, 0, place, precision, lanes=lanes)
    groups = [passage_lengths(documents, seed=seed) for seed in range(4)]
    batches = itertools.cycle([make(random_pairs(lengths)) for lengths in groups])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    run = torch.compile(model, dynamic=True) if compiled else model

    def once() -> None:
        step(run, next(batches), optimizer, precision, place, lanes)

    seconds = _best(once, repetitions, each=4)
    flops = 3 * np.mean([sum(forward_flops(SHAPES[name], one) for one in lengths) for lengths in groups]) / seconds
    return {
        "documents_per_step": documents,
        "steps_per_second": 1 / seconds,
        "flops_per_second": float(flops),
        "peak_gb": _peak(place),
    }


def step(model: Any, batch: Batch, optimizer: Any, precision: str, place: torch.device, lanes: int = 1) -> None:
    """Do one optimisation step on scores' distance from zero, all activations kept."""
    backward(
        partial(chunk_logits, model),
        batch,
        lambda scores: scores.square().mean(),
        10**9,
        partial(autocast, precision, place),
        lanes=lanes,
        parameters=list(model.parameters()),
    )
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()


def study_settings(name: str) -> dict[str, dict[str, int]]:
    """Return, for each objective of the study, the documents of a step and the steps of a run with this backbone."""
    from cedistill.config.objective import read_objective, schedule
    from cedistill.model.backbones import BACKBONES

    found = {}
    for name_of, objective in ((one, read_objective(one)) for one in _STUDY):
        plan = schedule(objective, BACKBONES[name].group)
        found[name_of] = {"documents": plan.lists_per_step * objective.lists.size, "steps": plan.steps}
    return found


def profile(name: str, precision: str, place: torch.device, documents: int, rows: int = 12) -> list[dict[str, Any]]:
    """Return what one training step spends its time on: operations with their share, largest first."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as record

    model = random_encoder(name).to(place).train()
    batch = batch_maker(model, 0, place, precision)(random_pairs(passage_lengths(documents)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    for _ in range(2):
        step(model, batch, optimizer, precision, place)
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if place.type == "cuda" else [])
    with record(activities=activities) as found:
        step(model, batch, optimizer, precision, place)
        now()
    kind = "self_device_time_total" if place.type == "cuda" else "self_cpu_time_total"
    spent = sorted(((getattr(one, kind), one) for one in found.key_averages()), key=lambda pair: -pair[0])
    total = sum(time for time, _ in spent) or 1
    return [
        {
            "operation": one.key,
            "share": round(time / total, 4),
            "calls": one.count,
            "milliseconds": round(time / 1e3, 2),
        }
        for time, one in spent[:rows]
    ]


def _best(run: Callable[[], None], repetitions: int, each: int = 1) -> float:
    for _ in range(each):
        run()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    times = []
    for _ in range(repetitions):
        start = now()
        for _ in range(each):
            run()
        times.append((now() - start) / each)
    return float(np.median(times))


def _peak(place: torch.device) -> float | None:
    return round(torch.cuda.max_memory_allocated() / 1e9, 2) if place.type == "cuda" else None
