"""A question to an LLM, its identity, its answer, and what can go wrong in between."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cedistill.teachers.llm.prompts import Messages

_TOKENS_OF_A_MESSAGE = 4
_BYTES_OF_A_TOKEN = 4


@dataclass(frozen=True)
class Question:
    """A conversation, the parameters of the request, and the tokens that its answer is expected to take.

    Where it ``may_be_refused``, a server that does not know the parameters has given an empty answer.
    """

    messages: Messages
    parameters: Mapping[str, Any]
    expected_tokens: int
    query_id: str = ""
    may_be_refused: bool = False


@dataclass(frozen=True)
class Completion:
    """An answer: its text, for each token the likeliest ones with log-probabilities where given, and what it took.

    One that was ``cut`` reached the limit of its tokens.
    """

    text: str
    tokens: Sequence[Mapping[str, float]] | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cut: bool = False


Ask = Callable[[Question], Awaitable[Completion]]


class Model(Protocol):
    """What answers questions: a server or a local model."""

    @property
    def name(self) -> str:
        """What stands for the model in the identity of a question."""
        ...

    async def answer(self, question: Question) -> Completion:
        """Ask once. Raises TryAgain or Refused."""
        ...

    async def close(self) -> None:
        """Let go of connections and memory."""
        ...


class TryAgain(Exception):
    """A failure that may pass: ``wait`` is the pause in seconds that the server asked of everyone, if it did."""

    def __init__(self, reason: str, wait: float | None = None, unreachable: bool = False) -> None:
        super().__init__(reason)
        self.wait, self.unreachable = wait, unreachable


@dataclass
class Refused(Exception):
    """A question that the server will not answer, however often it is asked."""

    reason: str
    status: int = 0


class TeacherStopped(RuntimeError):
    """The teacher cannot go on, or may not. What was answered is in the journal."""


class BudgetSpent(TeacherStopped):
    """The next request would go beyond the budget."""


def identity(model: str, question: Question) -> str:
    """Return the SHA-256 of everything that is asked: model, messages, parameters."""
    asked = {"model": model, "messages": question.messages, "parameters": dict(question.parameters)}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def prompt_tokens(messages: Messages) -> int:
    """Return about how many tokens a conversation takes: one for four bytes of text, and four for each message."""
    size = sum(len(message["content"].encode()) for message in messages)
    return -(-size // _BYTES_OF_A_TOKEN) + _TOKENS_OF_A_MESSAGE * len(messages)


@dataclass
class Spend:
    """Questions answered and what they took."""

    answers: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, completion: Completion) -> None:
        """Count one more answer."""
        self.answers += 1
        self.prompt_tokens += completion.prompt_tokens
        self.completion_tokens += completion.completion_tokens

    @property
    def tokens(self) -> int:
        """Tokens of prompts and answers together."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True)
class Prices:
    """Money for a million tokens."""

    prompt: float | None = None
    completion: float | None = None

    def cost(self, spend: Spend) -> float | None:
        """Return what a spend costs; None without prices."""
        if self.prompt is None and self.completion is None:
            return None
        money = (self.prompt or 0.0) * spend.prompt_tokens + (self.completion or 0.0) * spend.completion_tokens
        return round(money / 1e6, 6)


@dataclass
class Faults:
    """Answers that were not in the form asked for, by what was wrong; an answer may have several faults."""

    read: int = 0
    malformed: int = 0
    kinds: dict[str, int] = field(default_factory=dict)

    def note(self, faults: Sequence[str]) -> None:
        """Count one answer's faults."""
        self.read += 1
        self.malformed += bool(faults)
        for fault in faults:
            self.kinds[fault] = self.kinds.get(fault, 0) + 1
