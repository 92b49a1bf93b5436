"""An objective: a loss, its parameters, the lists it needs and its schedule."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from cedistill.config.mixture import Mixture
from cedistill.config.shipped import find_shipped
from cedistill.config.toml import Strict, override, read_toml, validated
from cedistill.errors import InputError

Need = Literal["labels", "teacher-scores", "teacher-ranking"]
Kind = Literal["pairs", "positive-and-negatives", "ranking"]

VALUE_LOSSES = ("mse",)
"""Losses that compare a document's score with its target, neither order nor differences: with ``lists.normalise`` they
see the student's scores normalised too."""


class Negatives(Strict):
    """Which of a query's candidates serve as its negatives. They are drawn without replacement.

    ``margin`` leaves out what the teacher scores above the positive or at most so much below it.
    """

    from_rank: PositiveInt = Field(default=1, description="first rank they are drawn from")
    to_rank: PositiveInt | None = Field(
        default=None, description="last rank they are drawn from; none is the whole depth"
    )
    over: Literal["uniform", "log-ranks"] = Field(
        default="uniform", description="the ranks they are drawn uniformly over"
    )
    margin: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="in units of the teacher's score, as lists.normalise has it",
    )

    @model_validator(mode="after")
    def _range(self) -> Negatives:
        if self.to_rank is not None and self.to_rank < self.from_rank:
            raise ValueError(
                f"to_rank: expected {self.from_rank} (from_rank) or more, found {self.to_rank}; change one"
            )
        return self


class Lists(Strict):
    """What one training list is made of.

    ``order``, ``shuffle_seed`` and ``positives`` are those of the training source where nothing is said, and with own
    data ``shuffled``, the seed of the run and ``judged``.

    Several teachers may each cover a part of the candidates. A document's target is the mean over those that scored
    it; one that none scored is in no list, for nothing is imputed. Teachers of different scales need ``normalise``.
    """

    kind: Kind
    needs: tuple[Need, ...] = Field(min_length=1)
    size: int = Field(ge=2, description="documents of a list, at most")
    source: str | None = Field(None, description="the study's training data for this objective, by name")
    relevant_grade: PositiveInt = Field(1, description="grade from which a judged document counts as relevant")
    order: Literal["shuffled", "file"] | None = Field(None, description="in which lists are visited, round after round")
    shuffle_seed: int | None = Field(None, ge=0, description="of the order, in place of the run's seed")
    positives: Literal["judged", "retrieved"] | None = Field(
        None, description="all judged relevant documents, or those of them that are among the candidates"
    )
    normalise: Literal["none", "zscore", "minmax", "rank"] = Field(
        "none", description="of each teacher's scores, over the candidates of a query that it scored"
    )
    teachers: Literal["mean", "each"] = Field(
        "mean", description="whether the loss sees the mean of the teachers, or the scores of each beside it"
    )
    negatives: Negatives = Negatives()

    @property
    def teacher(self) -> bool:
        """Whether the targets come from a teacher rather than from labels."""
        return any(need != "labels" for need in self.needs)

    @model_validator(mode="after")
    def _consistent(self) -> Lists:
        if self.kind == "pairs" and self.size != 2:
            raise ValueError(
                f"size: expected 2 for lists of kind 'pairs', found {self.size}; set size = 2 or another kind"
            )
        if self.kind == "positive-and-negatives" and "labels" not in self.needs:
            raise ValueError("needs: expected 'labels' for lists of kind 'positive-and-negatives', found none; add it")
        if self.negatives != Negatives() and "labels" not in self.needs:
            raise ValueError(
                "negatives: expected 'labels' in needs, which tell negatives from positives, found none; add it "
                "or drop the table"
            )
        for key in ("normalise", "teachers"):
            default = Lists.model_fields[key].default
            if getattr(self, key) != default and not self.teacher:
                raise ValueError(
                    f"{key}: expected {default!r} for lists without a teacher in needs, found {getattr(self, key)!r}; "
                    "drop it, or add 'teacher-scores' to needs"
                )
        if self.teachers == "each" and self.kind == "pairs":
            raise ValueError(
                "teachers: expected 'mean' for lists of kind 'pairs', found 'each'; set it or kind = 'ranking'"
            )
        return self


class Group(Strict):
    """The schedule of a group of backbones: ``pairs`` counts lists of two documents, ``queries`` lists of any size."""

    learning_rate: PositiveFloat
    pairs: PositiveInt | None = None
    queries: PositiveInt | None = None

    @model_validator(mode="after")
    def _one_size(self) -> Group:
        if (self.pairs is None) == (self.queries is None):
            raise ValueError("expected exactly one of 'pairs' and 'queries' per optimisation step; give one")
        return self


class Training(Strict):
    """AdamW with linear warm-up and linear decay to zero. What is given here holds for every backbone group."""

    steps: PositiveInt
    warmup_steps: int = Field(0, ge=0)
    learning_rate: PositiveFloat | None = None
    queries: PositiveInt | None = Field(None, description="lists per optimisation step, in place of the group's")
    weight_decay: float = Field(0.0, ge=0)
    adam_epsilon: PositiveFloat = 1e-8
    max_grad_norm: PositiveFloat = 1.0
    query_tokens: PositiveInt = 32
    document_tokens: PositiveInt = 256
    precision: Literal["auto", "float32", "bf16"] = "auto"
    graph_tokens: PositiveInt | None = Field(
        None, description="tokens of a step whose activations are kept; the others are computed twice. None: by memory"
    )
    compile: bool = Field(False, description="run the encoder through torch.compile; worth its minute on a GPU only")
    validate_every: PositiveInt = 5000
    patience: PositiveInt | None = Field(None, description="validations without a better figure before training stops")
    base: Group | None = None
    mini: Group | None = None
    micro: Group | None = None


class Objective(Strict):
    """One objective file."""

    title: str
    paper: str = ""
    loss: str
    parameters: dict[str, float | int | str | bool] = Field(default_factory=dict)
    lists: Lists
    training: Training
    mixture: Mixture | None = Field(None, description="several teachers at once; the loss is then that of the labels")

    @model_validator(mode="after")
    def _mixture_has_its_lists(self) -> Objective:
        if self.mixture is None:
            return self
        if self.lists.kind != "ranking" or self.lists.teachers != "each":
            raise ValueError(
                f"mixture: expected lists of kind 'ranking' with teachers = 'each', found {self.lists.kind!r} and "
                f"{self.lists.teachers!r}; change them or drop the table"
            )
        if self.mixture.reads_labels and "labels" not in self.lists.needs:
            raise ValueError(
                f"mixture: expected 'labels' in lists.needs for routing {self.mixture.routing!r} with these weights, "
                "found none; add it, or take routing = 'agreement' with label_weight = 0"
            )
        return self

    @model_validator(mode="after")
    def _pairs_are_pairs(self) -> Objective:
        for name in ("base", "mini", "micro"):
            group = getattr(self.training, name)
            counted = group is not None and group.pairs is not None and self.training.queries is None
            if counted and self.lists.kind != "pairs":
                raise ValueError(
                    f"training.{name}.pairs: expected 'queries' for lists of kind {self.lists.kind!r}, "
                    "found 'pairs'; rename it"
                )
        return self

    @model_validator(mode="after")
    def _loss_takes_normalised_targets(self) -> Objective:
        how = self.lists.normalise
        if self.loss == "bce" and how == "zscore":
            raise ValueError("lists.normalise: expected 'minmax' or 'rank' for bce, found 'zscore'; bce needs [0, 1]")
        if self.loss in VALUE_LOSSES and how == "rank":
            raise ValueError(
                f"lists.normalise: expected 'zscore' or 'minmax' for {self.loss}, found 'rank'; the loss that compares "
                "ranks is adr-mse"
            )
        if self.loss in VALUE_LOSSES and how != "none" and self.lists.size < 3:
            raise ValueError(
                f"lists.size: expected 3 or more for {self.loss} with lists.normalise, found {self.lists.size}: of two "
                "normalised scores nothing is left but their order; take margin-mse for pairs"
            )
        return self


class Schedule(NamedTuple):
    """The figures of one training run."""

    steps: int
    warmup_steps: int
    learning_rate: float
    lists_per_step: int


def load_objective(name_or_path: str, settings: Iterable[str] = ()) -> Objective:
    """Load an objective by its shipped name or from a TOML file, ``KEY=VALUE`` settings in place of the file's.

    When ``settings`` change ``training.steps`` but not ``training.warmup_steps``, the warm-up keeps its share of the
    steps. Raises InputError for unknown names, keys, values out of range, and loss parameters that the loss refuses.
    """
    objective = read_objective(name_or_path, settings)
    from cedistill.losses import get_loss

    try:
        loss = get_loss(objective.loss, **objective.parameters)
    except ValueError as error:
        raise InputError(f"{find_shipped('objectives', name_or_path)}: {error}") from None
    if objective.lists.teachers == "each" and objective.mixture is None and not takes_each_teacher(loss):
        raise InputError(
            f"{find_shipped('objectives', name_or_path)}: lists.teachers: expected 'mean' for a loss that takes one "
            f"target a document, found 'each' for {objective.loss!r}; set it, or give a loss with the arguments "
            "teachers and teacher_mask"
        )
    return objective


def read_objective(name_or_path: str, settings: Iterable[str] = ()) -> Objective:
    """Like load_objective, without looking at the loss itself (which takes torch to import)."""
    path = find_shipped("objectives", name_or_path)
    table = read_toml(path)
    objective = validated(Objective, table, str(path), path.read_text(encoding="utf-8"))
    settings = list(settings)
    if not settings:
        return objective
    return validated(
        Objective, _with_scaled_warmup(table, override(table, settings)), f"--set {' --set '.join(settings)}"
    )


def schedule(objective: Objective, group: str) -> Schedule:
    """Return the schedule of ``objective`` for a backbone group. Raises InputError when it has none for it."""
    training = objective.training
    own: Group | None = getattr(training, group, None)
    rate = training.learning_rate or (own.learning_rate if own else None)
    lists = training.queries or ((own.pairs or own.queries) if own else None)
    if rate is None or lists is None:
        raise InputError(
            f"objective {objective.title!r} has no [training.{group}] for this backbone; "
            f"add it, or give --set training.learning_rate=… and --set training.queries=…"
        )
    return Schedule(training.steps, min(training.warmup_steps, training.steps), rate, lists)


def takes_each_teacher(loss: Callable[..., Any]) -> bool:
    """Return whether a loss has the arguments ``teachers`` [B, K, N] and ``teacher_mask`` [B, K, N] bool."""
    return {"teachers", "teacher_mask"} <= inspect.signature(loss).parameters.keys()


def _with_scaled_warmup(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    old, new = before.get("training"), after.get("training")
    if not isinstance(old, dict) or not isinstance(new, dict):
        return after
    steps, warmup = old.get("steps"), old.get("warmup_steps")
    changed = new.get("steps")
    whole = all(type(one) is int and one > 0 for one in (steps, warmup, changed))
    if whole and changed != steps and new.get("warmup_steps") == warmup:
        new["warmup_steps"] = round(changed * warmup / steps)  # type: ignore[operator]
    return after
