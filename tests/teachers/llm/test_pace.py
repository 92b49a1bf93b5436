import asyncio

import pytest

from cedistill.teachers.llm.pace import Budget, Pace
from cedistill.teachers.llm.questions import BudgetSpent


def test_requests_are_spread_evenly():
    pace = Pace(requests_per_minute=30, clock=lambda: 100.0)
    assert [pace.book(10) for _ in range(3)] == [100.0, 102.0, 104.0]


def test_tokens_are_spread_evenly_and_settled_by_what_was_used():
    pace = Pace(tokens_per_minute=6000, clock=lambda: 0.0)
    assert pace.book(1000) == 0.0
    assert pace.book(500) == 10.0
    pace.settle(500, 200)
    assert pace.book(1) == 12.0


def test_no_request_is_booked_before_now():
    now = [0.0]
    pace = Pace(requests_per_minute=60, clock=lambda: now[0])
    pace.book(1)
    now[0] = 50.0
    assert pace.book(1) == 50.0


def test_a_pause_holds_everyone():
    now, slept = [0.0], []

    async def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds

    pace = Pace(clock=lambda: now[0])
    pace.pause(7.0)
    pace.pause(3.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "sleep", sleep)
        asyncio.run(pace.wait(1))
        asyncio.run(pace.wait(1))
    assert slept == [7.0]


def test_a_token_budget_waits_for_what_is_under_way():
    async def two():
        budget = Budget(tokens=100)
        await budget.reserve(80)
        second = asyncio.create_task(budget.reserve(80))
        await asyncio.sleep(0)
        assert not second.done()
        budget.settle(80, 15)  # less than reserved: now the second fits
        await second
        with pytest.raises(BudgetSpent, match="stopped after 15 tokens"):
            budget.settle(80, 0)
            await budget.reserve(86)
        return budget

    budget = asyncio.run(two())
    assert budget.sent == 2 and budget.spent == 15


def test_a_request_budget_counts_every_request():
    async def ask():
        budget = Budget(requests=1)
        await budget.reserve(10)
        budget.settle(10, 0)
        await budget.reserve(10)

    with pytest.raises(BudgetSpent, match="stopped after 1 requests"):
        asyncio.run(ask())
