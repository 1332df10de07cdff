"""Tasks that wait for a worker process: how many, in which order, and which are refused."""

import asyncio

import pytest

from fibonacci_service.errors import WorkersBusy
from fibonacci_service.worker_pool import WorkerPool
from tests.fibonacci_service.processes import (
    ENDLESS,
    Processes,
    ask,
    pool_of,
)


async def slice_of(pool: WorkerPool, *, admitted: bool) -> bytes:
    async with pool.run("terms", seconds=1, admitted=admitted, start=0, count=3) as answer:
        return b"".join([piece async for piece in answer.pieces()])


async def test_when_work_of_as_many_seconds_waits_as_may_more_is_refused() -> None:
    async with pool_of(max_queued_seconds=2) as pool, pool.run("terms", **ENDLESS):
        waiting = [asyncio.create_task(ask(pool)) for _ in range(2)]  # a predicted second each
        await asyncio.sleep(0)  # they take their places in the queue
        with pytest.raises(WorkersBusy) as caught:
            await ask(pool)
        for task in waiting:
            task.cancel()

    assert caught.value.wait_seconds == pytest.approx(ENDLESS["seconds"] + 2, abs=30)


async def test_what_was_admitted_before_is_not_refused() -> None:
    async with pool_of(max_queued_seconds=0) as pool:
        async with pool.run("terms", **ENDLESS):
            admitted = asyncio.create_task(slice_of(pool, admitted=True))
            await asyncio.sleep(0)  # it takes its place in the queue
            with pytest.raises(WorkersBusy):
                await slice_of(pool, admitted=False)

        assert await admitted == b"0\n1\n1\n"


async def test_a_task_that_waited_gets_the_process_that_becomes_free(processes: Processes) -> None:
    async with pool_of() as pool:
        assert [*await asyncio.gather(ask(pool, 10), ask(pool, 20), ask(pool, 30))] == [b"55", b"6765", b"832040"]

    assert len(processes.all) == 1


async def test_a_place_in_the_queue_is_free_again_when_its_task_is_cancelled() -> None:
    async with pool_of(max_queued_seconds=1) as pool:
        async with pool.run("terms", **ENDLESS):
            first = asyncio.create_task(ask(pool, 10))
            await asyncio.sleep(0)  # it takes its place in the queue
            first.cancel()
            await asyncio.wait([first])
            second = asyncio.create_task(ask(pool, 20))
            await asyncio.sleep(0)

        assert await second == b"6765"


async def test_where_no_task_may_wait_a_free_process_still_takes_one() -> None:
    async with pool_of(max_queued_seconds=0) as pool:
        assert await ask(pool) == b"55"
        async with pool.run("terms", **ENDLESS):
            with pytest.raises(WorkersBusy):
                await ask(pool)
        assert await ask(pool) == b"55"
