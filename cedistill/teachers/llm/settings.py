"""What a user chooses of an LLM teacher, checked before anything is asked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cedistill.errors import InputError, shown, unknown
from cedistill.teachers.llm.asking import Limits
from cedistill.teachers.llm.prompts import GRADE, PREFERENCE, RANKING, YES_NO, Template, load_template
from cedistill.teachers.llm.questions import Prices
from cedistill.teachers.llm.windows import check_windows

LISTWISE, POINTWISE, PAIRWISE = "listwise", "pointwise", "pairwise"
METHODS: Mapping[str, tuple[str, ...]] = {
    LISTWISE: (RANKING,),
    POINTWISE: (YES_NO, GRADE),
    YES_NO: (YES_NO,),
    GRADE: (GRADE,),
    PAIRWISE: (PREFERENCE,),
}
"""For each method the kinds of answer that it asks for; of two, the second where the server gives no first."""

PAIRWISE_DEPTH, DEPTH = 10, 100
LIKELIEST = 20
"""Log-probabilities asked for at each token."""


@dataclass(frozen=True)
class Settings:
    """How an LLM teaches. ``parameters`` go into the request in place of ours; None leaves one out."""

    method: str = LISTWISE
    prompt: Path | None = None
    depth: int | None = None
    window: int = 20
    stride: int = 10
    passes: int = 1
    passage_words: int = 300
    shuffle: int = 0
    seed: int = 12
    temperature: float = 0.0
    answer_tokens: int | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    base_url: str | None = None
    key_env: str | None = None
    timeout: float = 120.0
    limits: Limits = field(default_factory=Limits)
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    prices: Prices = field(default_factory=Prices)
    offline: bool = False

    @property
    def candidates(self) -> int:
        """Candidates of a query that are asked about."""
        return self.depth or (PAIRWISE_DEPTH if self.method == PAIRWISE else DEPTH)


def templates(settings: Settings) -> list[Template]:
    """Return the templates of a method, in the order in which they are tried; a user's own one is the only one.

    Raises:
        InputError: an unknown method, impossible windows, a shuffle without order, a template that does not fit.
    """
    if settings.method not in METHODS:
        raise InputError(unknown("method", settings.method, METHODS))
    check_windows(settings.window, settings.stride)
    if settings.shuffle and settings.method != LISTWISE:
        raise InputError(f"expected --shuffle with --method listwise, found {settings.method}; drop one of the two")
    kinds = METHODS[settings.method]
    if settings.prompt is None:
        return [load_template(kind) for kind in kinds]
    for kind in kinds[:-1]:
        try:
            return [load_template(kind, settings.prompt)]
        except InputError:
            continue
    return [load_template(kinds[-1], settings.prompt)]


def request_parameters(settings: Settings, kind: str) -> dict[str, Any]:
    """Return the parameters of a request for one kind of answer."""
    longest = {RANKING: 50 + 10 * settings.window, YES_NO: 4, GRADE: 50, PREFERENCE: 50}[kind]
    parameters: dict[str, Any] = {
        "temperature": settings.temperature,
        "max_tokens": settings.answer_tokens or longest,
    }
    if kind == YES_NO:
        parameters |= {"logprobs": True, "top_logprobs": LIKELIEST}
    parameters |= settings.parameters
    return {name: value for name, value in parameters.items() if value is not None}


def parse_parameters(settings: Sequence[str]) -> dict[str, Any]:
    """Return ``KEY=VALUE`` settings as parameters; a value is JSON, or else a plain string.

    Raises:
        InputError: no such pair.
    """
    parameters: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not name.strip():
            raise InputError(f"expected --set KEY=VALUE, found {shown(setting)}; for example reasoning_effort=low")
        if name.strip() in ("model", "messages", "stream", "n"):
            raise InputError(f"expected --set for a parameter of the answer, found {name.strip()!r}; drop it")
        try:
            parameters[name.strip()] = json.loads(text)
        except ValueError:
            parameters[name.strip()] = text.strip()
    return parameters
