import asyncio

import pytest

from stats_service.uncancelled import uncancelled


async def test_work_whose_caller_is_cancelled_runs_to_its_end_first() -> None:
    begun, may_end, done = asyncio.Event(), asyncio.Event(), []

    @uncancelled
    async def work(result: str) -> str:
        begun.set()
        await may_end.wait()
        done.append(result)
        return result

    call = asyncio.create_task(work("written"))
    await begun.wait()
    call.cancel()
    may_end.set()

    with pytest.raises(asyncio.CancelledError):
        await call
    assert done == ["written"]


async def test_what_work_returns_or_raises_is_the_callers() -> None:
    @uncancelled
    async def work(divisor: int) -> float:
        return 1 / divisor

    assert await work(2) == 0.5
    with pytest.raises(ZeroDivisionError):
        await work(0)
