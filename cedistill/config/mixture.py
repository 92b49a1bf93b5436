"""The ``[mixture]`` table of an objective: several teachers at once, and how much each counts for each query."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from cedistill.config.toml import Strict

Routing = Literal["uniform", "random", "agreement", "paper", "soft", "supervised", "oracle", "zscore", "rrf"]


class Start(Strict):
    """The first stage: the student and other trainable backbones learn together from labels and from each other.

    The loss is each one's label loss and the mean over every two of them of T² KL(p_a ‖ p_b). The peers, frozen from
    then on, join the teachers. Without peers the student learns from labels alone.
    """

    steps: int = Field(default=0, ge=0, description="optimisation steps of it; none leaves it out")
    peers: tuple[str, ...] = Field(
        default=(), description="backbones by name, of any kind but the student's own weights"
    )
    temperature: PositiveFloat = 4.0


class Specialise(Strict):
    """The second stage: a score calibrator for each teacher learns from the frozen student and from labels."""

    steps: int = Field(default=0, ge=0, description="optimisation steps of it; none leaves the teachers as they are")
    label_weight: float = Field(default=1.0, ge=0, description="γ, of −log p̃ at the relevant documents")
    learning_rate: PositiveFloat = 1e-2


class Mixture(Strict):
    """How an objective learns from K teachers: ``label_weight · loss(labels) + kl_weight · Σ_k w_k T² KL(p_k ‖ p_S)``.

    ``routing`` says what w is: ``uniform``, ``random`` (one teacher a query), ``agreement``, the gate's (``paper``,
    ``soft``, ``supervised``), ``oracle`` (the teacher that fits the labels best); or makes one teacher of all first
    (``zscore``: the mean of z-scores, ``rrf``: reciprocal rank fusion). The objective's ``loss`` is that of the labels.
    """

    routing: Routing = "supervised"
    temperature: PositiveFloat = 1.0
    standardise: bool = Field(
        default=True, description="whether the student learns from z-scores or scores as they are"
    )
    label_weight: float = Field(default=1.0, ge=0)
    kl_weight: float = Field(default=1.0, ge=0)
    anneal: bool = Field(
        default=True, description="kl_weight halved at 30, 60, 90 % of the steps, balance × 0.9 every 10 %"
    )
    top_k: PositiveInt | None = Field(
        default=None, description="teachers of a query that the gate lets through; none is all"
    )
    tau: PositiveFloat = Field(default=0.3, description="of the target softmax(−label loss / τ) of a supervised gate")
    balance_weight: float = Field(default=0.1, ge=0, description="of the load balance, KL(mean of c ‖ prior)")
    prior: tuple[PositiveFloat, ...] | None = Field(
        default=None, description="share of each teacher, in the order given"
    )
    gate_hidden: PositiveInt = 32
    gate_learning_rate: PositiveFloat = 1e-2
    start: Start = Start()
    specialise: Specialise = Specialise()

    @property
    def gated(self) -> bool:
        """Whether a gate is trained."""
        return self.routing in ("paper", "soft", "supervised")

    @property
    def reads_labels(self) -> bool:
        """Whether anything but the evaluation looks at labels."""
        return (
            self.label_weight > 0
            or self.routing in ("supervised", "oracle")
            or self.start.steps > 0
            or (self.specialise.steps > 0 and self.specialise.label_weight > 0)
        )

    @model_validator(mode="after")
    def _consistent(self) -> Mixture:
        if not self.standardise and (self.specialise.steps or self.routing in ("zscore", "rrf")):
            raise ValueError(
                "standardise: expected true with calibrators or a routing that makes one teacher of all, which take "
                "z-scores, found false; drop it"
            )
        if self.prior is not None and abs(sum(self.prior) - 1) > 1e-6:
            raise ValueError(f"prior: expected shares that sum to 1, found a sum of {sum(self.prior):g}; scale them")
        return self
