import asyncio
import gc

import pytest

from stats_service.uncancelled import uncancelled


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_work_whose_caller_is_cancelled_runs_to_its_end_first(times: int) -> None:
    begun, may_end, done = asyncio.Event(), asyncio.Event(), []

    @uncancelled
    async def work(result: str) -> str:
        begun.set()
        await may_end.wait()
        done.append(result)
        return result

    call = asyncio.create_task(work("written"))
    await begun.wait()
    for _ in range(times):
        call.cancel()
        await asyncio.sleep(0)
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


async def test_nobody_is_told_of_work_that_fails_when_its_caller_has_gone() -> None:
    begun, may_end, told = asyncio.Event(), asyncio.Event(), []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))

    @uncancelled
    async def work() -> None:
        begun.set()
        await may_end.wait()
        raise ValueError

    call = asyncio.create_task(work())
    await begun.wait()
    call.cancel()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await call
    del call
    gc.collect()

    assert told == []
