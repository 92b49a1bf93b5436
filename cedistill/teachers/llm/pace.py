"""How fast requests may start, and how many there may be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from cedistill.teachers.llm.questions import BudgetSpent


class Pace:
    """Requests spread evenly: so many a minute, so many tokens a minute, none before a pause is over."""

    def __init__(
        self,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the limits; None for no limit."""
        self._of_request = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._of_token = 60.0 / tokens_per_minute if tokens_per_minute else 0.0
        self._clock = clock
        self._next_request = self._next_tokens = self._paused_until = 0.0

    def book(self, tokens: int) -> float:
        """Book the next request; return when it may start, on the clock."""
        start = max(self._clock(), self._next_request, self._next_tokens)
        self._next_request = start + self._of_request
        self._next_tokens = start + self._of_token * tokens
        return start

    def settle(self, booked: int, used: int) -> None:
        """Put the tokens that a request really took in place of those booked for it."""
        self._next_tokens += self._of_token * (used - booked)

    def pause(self, seconds: float) -> None:
        """Let no request start for so long."""
        self._paused_until = max(self._paused_until, self._clock() + seconds)

    async def wait(self, tokens: int) -> None:
        """Wait until a request of about so many tokens may start."""
        start = self.book(tokens)
        while (left := max(start, self._paused_until) - self._clock()) > 0:
            await asyncio.sleep(left)


class Budget:
    """Requests that may be sent and tokens that may be spent; every attempt is a request, answered or not."""

    def __init__(self, requests: int | None = None, tokens: int | None = None) -> None:
        """Take the limits; None for no limit."""
        self.requests, self.tokens = requests, tokens
        self.sent = self.spent = self._reserved = 0
        self._waiting: list[asyncio.Future[None]] = []

    async def reserve(self, tokens: int) -> None:
        """Take one request and so many tokens out of the budget; wait while requests under way may still give back.

        Raises:
            BudgetSpent: there is not as much left.
        """
        while not self._fits(tokens):
            if self.requests is not None and self.sent >= self.requests:
                raise BudgetSpent(f"stopped after {self.sent} requests, as --max-requests says")
            if self._reserved == 0:
                raise BudgetSpent(
                    f"stopped after {self.spent} tokens: the next request may take {tokens}, and --max-tokens is "
                    f"{self.tokens}"
                )
            self._waiting.append(change := asyncio.get_running_loop().create_future())
            await change
        self.sent += 1
        self._reserved += tokens

    def settle(self, reserved: int, used: int) -> None:
        """Put the tokens that a request really took in place of those reserved for it."""
        self._reserved -= reserved
        self.spent += used
        for change in self._waiting:
            if not change.done():
                change.set_result(None)
        self._waiting.clear()

    def _fits(self, tokens: int) -> bool:
        enough_requests = self.requests is None or self.sent < self.requests
        return enough_requests and (self.tokens is None or self.spent + self._reserved + tokens <= self.tokens)
