import asyncio
import hashlib
import os

import gmpy2
import pytest

from fibonacci_service.errors import WorkerLost
from tests.fibonacci_service.processes import (
    DECIMAL,
    ENDLESS,
    Processes,
    ask,
    is_there,
    keep_busy,
    pool_of,
)


async def test_an_answer_comes_with_its_digest() -> None:
    async with pool_of() as pool:
        value, sha256 = await pool.whole("value", seconds=1, n=200_000, encoding=DECIMAL)

    assert value == gmpy2.fib(200_000).digits().encode()
    assert sha256 == hashlib.sha256(value).digest()


async def test_no_process_is_started_before_there_is_a_task(processes: Processes) -> None:
    async with pool_of(size=8) as pool:
        assert processes.all == []
        await ask(pool)

    assert len(processes.all) == 1


async def test_a_process_does_one_task_after_another(processes: Processes) -> None:
    async with pool_of(size=2) as pool:
        assert [await ask(pool, n) for n in (10, 20, 30)] == [b"55", b"6765", b"832040"]

    assert len(processes.all) == 1


async def test_there_are_never_more_processes_than_the_pool_is_large(processes: Processes) -> None:
    async with pool_of(size=2) as pool:
        answers = await asyncio.gather(*(ask(pool, n) for n in range(8)))

    assert answers == [b"0", b"1", b"1", b"2", b"3", b"5", b"8", b"13"]
    assert len(processes.all) == 2


async def test_leaving_the_pool_leaves_no_process(processes: Processes) -> None:
    async with pool_of(size=2) as pool:
        await asyncio.gather(ask(pool, 10), ask(pool, 20))
        assert [is_there(process) for process in processes.all] == [True, True]

    assert [is_there(process) for process in processes.all] == [False, False]


async def test_leaving_the_pool_ends_also_a_process_at_work(processes: Processes) -> None:
    async with pool_of() as pool:
        task = asyncio.create_task(keep_busy(pool))
        process = await processes.next()

    with pytest.raises(WorkerLost):
        await task
    assert not is_there(process)


async def test_a_task_that_waits_when_the_pool_is_left_starts_no_process(processes: Processes) -> None:
    async with pool_of() as pool:
        tasks = [asyncio.create_task(keep_busy(pool)) for _ in range(2)]
        await processes.next()

    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [WorkerLost, WorkerLost]
    assert len(processes.all) == 1
    assert processes.running == []


@pytest.mark.parametrize("turns", [1, 2, 3, 5, 8])
async def test_a_process_that_starts_when_the_pool_is_left_is_ended(processes: Processes, turns: int) -> None:
    async with pool_of() as pool:
        task = asyncio.create_task(keep_busy(pool))
        for _ in range(turns):
            await asyncio.sleep(0)

    with pytest.raises(WorkerLost):
        await task
    assert processes.running == []


async def test_a_process_gives_way_to_everything_else(processes: Processes) -> None:
    async with pool_of() as pool:
        await ask(pool)
        niceness = os.getpriority(os.PRIO_PROCESS, processes.all[0].pid)

    assert niceness == 19


async def test_the_backlog_is_empty_when_nothing_runs_and_nothing_waits() -> None:
    async with pool_of() as pool:
        assert pool.backlog.empty
        async with pool.run("terms", **ENDLESS):
            assert not pool.backlog.empty
        assert pool.backlog.empty
