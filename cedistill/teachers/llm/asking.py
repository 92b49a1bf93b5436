"""Asking: the journal first, then the model, again after failures that may pass, within pace and budget."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from cedistill.teachers.llm.journal import Journal
from cedistill.teachers.llm.pace import Budget, Pace
from cedistill.teachers.llm.questions import (
    Completion,
    Model,
    Prices,
    Question,
    Refused,
    Spend,
    TeacherStopped,
    TryAgain,
    identity,
    prompt_tokens,
)

logger = logging.getLogger(__name__)

LONGEST_WAIT = 20.0
"""Seconds between two attempts at most, unless the server asks for more."""

UNREACHABLE_ATTEMPTS = 3
"""Attempts at a server that has not answered once."""

_UNKNOWN_PARAMETERS = frozenset({400, 404, 422})


@dataclass(frozen=True)
class Limits:
    """Requests under way at once, attempts at a question, seconds before the second attempt (then doubled)."""

    workers: int = 8
    attempts: int = 8
    first_wait: float = 0.5


class Asker:
    """Answers questions for one teacher; a question that is asked twice at the same time goes out once."""

    def __init__(
        self,
        model: Model,
        journal: Journal,
        budget: Budget,
        pace: Pace,
        limits: Limits | None = None,
        prices: Prices | None = None,
        report: Callable[[int, str], None] | None = None,
    ) -> None:
        """Take what answers and what limits it; ``report`` is called with answers so far and a few words."""
        self.model, self.journal, self.budget, self.pace = model, journal, budget, pace
        self.limits, self.prices, self._report = limits or Limits(), prices or Prices(), report
        self.now, self.in_all = Spend(), Spend()
        self.requests = self.retries = 0
        self._slots = asyncio.Semaphore(self.limits.workers)
        self._pending: dict[str, asyncio.Task[Completion]] = {}
        self._sent: set[asyncio.Task[Completion]] = set()
        self._answered: set[str] = set()
        self._started = time.monotonic()

    async def ask(self, question: Question) -> Completion:
        """Return the answer to a question.

        Raises:
            TeacherStopped: the model refused, failed too often, or the budget is spent.
        """
        key = identity(self.model.name, question)
        if key not in self.journal.answers:
            if key not in self._pending:
                self._pending[key] = asyncio.create_task(self._answer(key, question))
            # Who asked may be cancelled; what is under way is paid for and goes on to the journal.
            await asyncio.shield(self._pending[key])
        completion = self.journal.answers[key]
        if key not in self._answered:
            self._answered.add(key)
            self.in_all.add(completion)
        self._tell()
        return completion

    async def drain(self, seconds: float | None) -> None:
        """Give up what waits; let requests that are under way end, for so long at most, and journal their answers."""
        for task in self._pending.values():
            if task not in self._sent:
                task.cancel()
        if self._sent:
            await asyncio.wait(set(self._sent), timeout=seconds)
        left = [task for task in self._pending.values() if not task.done()]
        for task in left:
            task.cancel()
        await asyncio.gather(*self._pending.values(), return_exceptions=True)

    async def _answer(self, key: str, question: Question) -> Completion:
        try:
            completion = await self._attempts(question)
            self.journal.add(key, self.model.name, question, completion)
            self.now.add(completion)
            return completion
        finally:
            if key in self.journal.answers:
                del self._pending[key]

    async def _attempts(self, question: Question) -> Completion:
        for attempt in range(1, self.limits.attempts + 1):
            try:
                completion = await self._attempt(question)
                if completion.text.strip() or completion.tokens or attempt == self.limits.attempts:
                    return completion
                if completion.cut:
                    return self._cut(completion)
                failure = TryAgain("an empty answer")
            except Refused as error:
                if question.may_be_refused and error.status in _UNKNOWN_PARAMETERS:
                    return Completion("")
                raise TeacherStopped(f"{self.model.name}: {error.reason}") from None
            except TryAgain as error:
                failure = error
            never_heard = failure.unreachable and self.now.answers == 0
            if attempt == min(self.limits.attempts, UNREACHABLE_ATTEMPTS if never_heard else self.limits.attempts):
                break
            await self._pause(failure, attempt)
        raise TeacherStopped(
            f"{self.model.name}: expected an answer, found {failure} after {attempt} attempts; "
            "check the server and run the same command again"
        )

    async def _pause(self, failure: TryAgain, attempt: int) -> None:
        """Wait as long as the server asks everyone to, or twice as long each time, less up to a half by chance."""
        wait = min(LONGEST_WAIT, self.limits.first_wait * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0)
        if failure.wait is not None:
            self.pace.pause(failure.wait)
            wait = failure.wait
        self.retries += 1
        logger.info("%s: %s; asking again in %.1f s (attempt %d)", self.model.name, failure, wait, attempt)
        await asyncio.sleep(wait)

    def _cut(self, completion: Completion) -> Completion:
        """Take an answer that was cut before it began: asking again would cost as much and give as little."""
        if self.now.answers == 0:
            raise TeacherStopped(
                f"{self.model.name}: expected an answer, found its {completion.completion_tokens} tokens used up "
                "before it began; allow a model that reasons more with --answer-tokens"
            )
        return completion

    async def _attempt(self, question: Question) -> Completion:
        asked = prompt_tokens(question.messages)
        expected, most = asked + question.expected_tokens, asked + answer_limit(question)
        async with self._slots:
            await self.pace.wait(expected)
            await self.budget.reserve(most)  # last, so that whoever stops the rest finds no reserved request unsent
            self.requests += 1
            used = 0
            try:
                completion = await self._send(question)
                used = completion.prompt_tokens + completion.completion_tokens
                self.pace.settle(expected, used)
                return completion
            finally:
                self.budget.settle(most, used)

    async def _send(self, question: Question) -> Completion:
        task = asyncio.current_task()
        assert task is not None
        self._sent.add(task)
        try:
            return await self.model.answer(question)
        finally:
            self._sent.discard(task)

    def _tell(self) -> None:
        if self._report is None:
            return
        minutes = (time.monotonic() - self._started) / 60
        rate = self.now.answers / minutes if minutes > 0 else 0.0
        words = [f"{rate:.0f} answers/min", f"{self.now.tokens} tokens"]
        cost = self.prices.cost(self.now)
        words += [f"{cost:.2f} spent"] if cost is not None else []
        words += [f"{self.retries} retries"] if self.retries else []
        self._report(self.in_all.answers, ", ".join(words))


def answer_limit(question: Question) -> int:
    """Return how many tokens an answer may take at most; what is expected where the request sets no limit."""
    limits = (question.parameters.get(name) for name in ("max_tokens", "max_completion_tokens"))
    return next((int(one) for one in limits if isinstance(one, int)), question.expected_tokens)
