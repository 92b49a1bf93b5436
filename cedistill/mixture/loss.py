"""The loss of an objective with several teachers, and the parameters that are its own: calibrators and a gate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from cedistill.config.mixture import Mixture
from cedistill.losses.mixture import standardised, weighted_divergence
from cedistill.mixture.calibrators import Calibrators
from cedistill.mixture.gate import Gate, entropy_of, query_features, shares
from cedistill.mixture.routing import (
    FUSED,
    Route,
    balance_anneal,
    fused,
    gated,
    kl_anneal,
    load_balance,
    oracle,
    supervised_target,
)
from cedistill.mixture.weights import get_weighting, heard_scores


class Signals(NamedTuple):
    """What B lists are learned from: K teachers' raw scores and where they judged, [B, K, N]; labels [B, N].

    Labels are NaN where nobody judged; ``mask`` [B, N] is True for a real document; ``weights`` [B] say how much the
    teachers are to count in each list, 1 by default.
    """

    teachers: Tensor
    judged: Tensor
    labels: Tensor
    mask: Tensor
    weights: Tensor | None = None


class MixtureLoss(nn.Module):
    """The loss of a student that learns from K teachers; a module because calibrators and gate have parameters.

    It counts how it routed: see :meth:`routing`.
    """

    def __init__(
        self, settings: Mixture, teachers: Sequence[str], label_loss: Callable[..., Tensor], seed: int = 0
    ) -> None:
        """Take the settings, the teachers' names and the loss of labels, (scores, labels, mask) -> scalar.

        ``seed`` and the step tell which teachers ``random`` draws, on one process as on several.

        Raises:
            ValueError: fewer or more shares in the prior than teachers.
        """
        super().__init__()
        self.settings, self.names, self.label_loss = settings, tuple(teachers), label_loss
        self.seed = seed
        count = len(self.names)
        if settings.prior is not None and len(settings.prior) != count:
            raise ValueError(f"mixture.prior must have a share for each of {count} teachers, found {settings.prior}")
        self.calibrators = Calibrators(count) if settings.specialise.steps else None
        # Load balance alone would never move an even gate, whose top k are always the first ones.
        even = settings.routing != "paper"
        self.gate = Gate(count, settings.gate_hidden, even) if settings.gated else None
        self._seen: list[Tensor] = []

    def forward(self, student: Tensor, signals: Signals, step: int = 0, steps: int = 1) -> Tensor:
        """Return the loss of raw scores ``student`` [B, N] at step ``step`` (from 0) of ``steps``."""
        settings = self.settings
        student = student.float() if student.dtype not in (torch.float32, torch.float64) else student
        student = student.masked_fill(~signals.mask, 0)
        z, heard = heard_scores(signals.teachers.to(student.dtype), signals.judged & signals.mask.unsqueeze(1))
        logits = self.calibrated(z, heard)
        route, balance = self._route(student, z, logits, heard, signals, step)
        self._note(route.weights, heard)
        if not settings.standardise:
            logits = signals.teachers.to(student.dtype).masked_fill(~heard, 0)
        if settings.routing in FUSED:
            logits, heard = _as_one_teacher(settings.routing, logits, heard)
            route = route._replace(weights=route.weights.sum(-1, keepdim=True))
        loss = student.sum() * 0
        if settings.label_weight:
            loss = loss + settings.label_weight * self._of_labels(student, signals)
        weight, fade = settings.kl_weight, settings.balance_weight
        if settings.anneal:
            weight, fade = weight * kl_anneal(step, steps), fade * balance_anneal(step, steps)
        if weight:
            counts = route.weights
            if signals.weights is not None:
                counts = counts * signals.weights.to(counts.dtype).unsqueeze(-1)
            loss = loss + weight * weighted_divergence(student, logits, counts, heard, settings.temperature)
        return loss + fade * balance + route.gate_loss

    def calibrated(self, z: Tensor, heard: Tensor) -> Tensor:
        """Return the logits that the student learns from: z-scores, through the frozen calibrators if there are any."""
        if self.calibrators is None:
            return z
        with torch.no_grad():
            return self.calibrators(z, heard)

    def routing(self) -> dict[str, Any]:
        """Return how the lists since the last call were routed, and forget it.

        ``routing_entropy`` is the mean over lists of the entropy of the weights, in nats; ``routing_share`` is each
        teacher's mean share of them, by name. Empty when no list had a signal.
        """
        if not self._seen:
            return {}
        weights = torch.cat(self._seen)
        self._seen = []
        weights = weights[weights.sum(-1) > 0].float().cpu()
        if not len(weights):
            return {}
        share = dict(zip(self.names, shares(weights).mean(0).tolist(), strict=True))
        return {
            "routing_entropy": round(entropy_of(weights).mean().item(), 5),
            "routing_share": {name: round(value, 5) for name, value in share.items()},
        }

    def _route(
        self, student: Tensor, z: Tensor, logits: Tensor, heard: Tensor, signals: Signals, step: int
    ) -> tuple[Route, Tensor]:
        settings, nothing = self.settings, student.new_zeros(())
        if self.gate is not None:
            features = query_features(student, z, heard, signals.mask, settings.temperature)
            c = self.gate(features.to(self.gate.output.weight.dtype), heard.any(-1)).to(student.dtype)
            sharp = logits / settings.temperature
            target = None
            if settings.routing == "supervised":
                target = supervised_target(sharp, z, signals.labels, heard, settings.tau)
            prior = None if settings.prior is None else torch.tensor(settings.prior)
            return gated(settings.routing, c, target, settings.top_k), load_balance(c, prior)
        if settings.routing == "oracle":
            return Route(oracle(logits / settings.temperature, signals.labels, heard), nothing), nothing
        name = "uniform" if settings.routing in FUSED else settings.routing
        drawn = {"generator": torch.Generator().manual_seed(1_000_003 * self.seed + step)} if name == "random" else {}
        return Route(get_weighting(name, **drawn)(z, heard), nothing), nothing

    def _of_labels(self, student: Tensor, signals: Signals) -> Tensor:
        """Return the label loss of the lists with a label."""
        known = ~torch.isnan(signals.labels)
        labelled = (known & signals.mask).any(-1)
        if not bool(labelled.any()):
            return student.sum() * 0
        labels = torch.nan_to_num(signals.labels[labelled])
        return self.label_loss(student[labelled], labels.to(student.dtype), signals.mask[labelled])

    def _note(self, weights: Tensor, heard: Tensor) -> None:
        if self.training and len(weights):
            self._seen.append(weights.detach().masked_fill(~heard.any(-1), 0))


def _as_one_teacher(how: str, logits: Tensor, heard: Tensor) -> tuple[Tensor, Tensor]:
    there = heard.any(1)
    z, spread = standardised(fused(how, logits, heard), there)
    return z.unsqueeze(1), (there & spread.unsqueeze(-1)).unsqueeze(1)
