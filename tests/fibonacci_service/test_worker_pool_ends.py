"""Worker processes that end or are ended in the middle of something, and what becomes of their tasks."""

import asyncio
import contextlib
import random
import sys
import time
from typing import Any

import gmpy2
import pytest
import structlog

from fibonacci_service.child_process import ChildProcess, start_child
from fibonacci_service.errors import WorkerLost
from service_kit.request_id import current_request_id
from tests.fibonacci_service.processes import (
    DECIMAL,
    ENDLESS,
    Processes,
    ask,
    is_there,
    keep_busy,
    kill,
    pool_of,
    until_killed,
)


async def test_a_process_killed_in_its_task_loses_that_task_alone(processes: Processes) -> None:
    async with pool_of(size=2) as pool:
        other = asyncio.create_task(ask(pool, 1_000_000))
        await processes.next()
        endless = asyncio.create_task(pool.whole("terms", **ENDLESS))
        kill(await processes.next())
        with pytest.raises(WorkerLost) as caught:
            await endless

        assert caught.value.exit_status == -9
        assert len(await other) == 208_988
        assert await ask(pool) == b"55"


async def test_a_process_killed_while_it_is_idle_is_replaced_unnoticed(processes: Processes) -> None:
    async with pool_of() as pool:
        await ask(pool)
        kill(processes.all[0])
        await processes.all[0].wait()

        assert await ask(pool, 20) == b"6765"

    assert len(processes.all) == 2
    assert pool.lost == 1


async def test_an_idle_process_that_ends_is_told_at_once_and_as_of_no_request(processes: Processes) -> None:
    current_request_id.set("of-another")
    seen: list[tuple[str, str, bool]] = []

    def see(_logger: object, _method: str, event: Any) -> Any:
        seen.append((event["event"], current_request_id.get(), event["busy"]))
        raise structlog.DropEvent

    async with pool_of() as pool:
        await ask(pool)
        with structlog.testing.capture_logs():
            structlog.configure(processors=[see])
            kill(processes.all[0])
            async with asyncio.timeout(30):
                while not pool.lost:  # noqa: ASYNC110 - nothing else tells of it
                    await asyncio.sleep(0.01)
            await ask(pool)

    assert seen == [("worker.lost", "", False)]
    assert (pool.started, pool.lost, pool.killed) == (2, 1, 0)


async def test_a_process_that_died_unnoticed_loses_the_task_that_it_is_given(processes: Processes) -> None:
    async with pool_of() as pool:
        await ask(pool)
        kill(processes.all[0])
        while is_there(processes.all[0]):
            time.sleep(0.001)  # noqa: ASYNC251 - asyncio gets no turn to hear of it
        with pytest.raises(WorkerLost):
            await ask(pool)

        assert await ask(pool) == b"55"


async def test_what_the_first_task_of_a_process_took_is_not_learned_from() -> None:
    async with pool_of() as pool, contextlib.AsyncExitStack() as stack:
        await pool.whole("value", seconds=1_000, n=10, encoding=DECIMAL)
        stack.enter_context(pool.backlog.waiting(10))
        assert pool.backlog.wait_seconds == 10

        await pool.whole("value", seconds=1_000, n=10, encoding=DECIMAL)
        assert pool.backlog.wait_seconds < 1


async def test_a_process_ends_when_its_task_is_cancelled(processes: Processes) -> None:
    async with pool_of() as pool:
        task = asyncio.create_task(keep_busy(pool))
        process = await processes.next()
        task.cancel()
        await until_killed(process)

        assert await ask(pool) == b"55"


async def test_a_task_cancelled_in_the_middle_of_its_answer_ends_its_process(processes: Processes) -> None:
    async def read(begun: asyncio.Event) -> None:
        async with pool.run("terms", **ENDLESS) as answer:
            async for _ in answer.pieces():
                begun.set()

    async with pool_of() as pool:
        begun = asyncio.Event()
        task = asyncio.create_task(read(begun))
        await begun.wait()
        task.cancel()
        await until_killed(processes.all[0])

        assert await ask(pool) == b"55"


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 13])
async def test_a_task_cancelled_while_its_process_starts_holds_up_nothing(processes: Processes, turns: int) -> None:
    async with pool_of() as pool:
        task = asyncio.create_task(keep_busy(pool))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

        assert pool.backlog.empty
        assert await ask(pool) == b"55"
    assert processes.running == []


async def test_a_process_killed_in_the_middle_of_its_answer_loses_the_rest(processes: Processes) -> None:
    async def read_and_kill() -> None:
        async with pool.run("terms", **ENDLESS) as answer:
            async for _ in answer.pieces():
                kill(processes.all[0])

    async with pool_of() as pool:
        with pytest.raises(WorkerLost):
            await read_and_kill()

        assert await ask(pool) == b"55"


async def test_an_answer_that_is_not_read_to_its_end_costs_the_process(processes: Processes) -> None:
    async with pool_of() as pool:
        async with pool.run("terms", **ENDLESS):
            pass
        assert not is_there(processes.all[0])

        assert await ask(pool) == b"55"


async def test_a_task_that_needs_more_memory_than_there_is_is_lost_and_the_next_is_answered() -> None:
    async with pool_of(memory_bytes=160 << 20) as pool:
        for _ in range(2):
            with pytest.raises(WorkerLost):
                await ask(pool, 2_000_000_000)
            assert await ask(pool) == b"55"


async def test_a_task_that_fails_inside_the_process_is_lost_and_the_next_is_answered() -> None:
    async with pool_of() as pool:
        with pytest.raises(WorkerLost):
            await pool.whole("no_such_task", seconds=1)

        assert await ask(pool) == b"55"


@pytest.mark.slow
@pytest.mark.timeout(300)  # niced processes take long to start beside other work
async def test_kills_at_random_instants_leave_a_pool_that_answers(processes: Processes) -> None:
    chance = random.Random(20)  # noqa: S311 - repeatable on purpose
    expected = gmpy2.fib(300_000).digits().encode()
    killed: list[ChildProcess] = []
    lost = 0
    async with pool_of(size=2) as pool, asyncio.timeout(240):
        for _ in range(20):
            asked = [asyncio.create_task(ask(pool, 300_000)) for _ in range(2)]
            await asyncio.wait(asked, timeout=chance.uniform(0, 0.2))  # any instant of their lives will do
            for process in chance.sample(processes.running, min(1, len(processes.running))):
                kill(process)
                killed.append(process)
            outcomes = await asyncio.gather(*asked, return_exceptions=True)
            assert all(outcome == expected or isinstance(outcome, WorkerLost) for outcome in outcomes)
            lost += sum(isinstance(outcome, WorkerLost) for outcome in outcomes)
        await asyncio.gather(*(process.wait() for process in killed))

        assert pool.backlog.empty
        assert lost <= len(killed) <= 20
        assert [*await asyncio.gather(ask(pool, 10), ask(pool, 20))] == [b"55", b"6765"]
    assert processes.running == []


#: Starts a worker on its own standard output, gives it a small task and an endless one, and waits.
PARENT = """
import os, subprocess, sys, threading
from fibonacci_service.frames import Kind, frame
worker = subprocess.Popen(
    [sys.executable, "-m", "fibonacci_service.worker", str(os.getpid()), str(1 << 30)], stdin=subprocess.PIPE
)
for n in (10, 100_000_000):
    worker.stdin.write(frame(Kind.TASK, b'{"name": "value", "n": %d, "encoding": 1}' % n))
worker.stdin.flush()
threading.Event().wait()
"""


async def test_a_process_ends_with_its_parent_also_in_the_middle_of_a_task() -> None:
    small_answer = 5 + len(b"55") + 5 + 32
    parent = await start_child(sys.executable, "-c", PARENT, buffer_bytes=1 << 16)
    await parent.reader.readexactly(small_answer)

    kill(parent)

    async with asyncio.timeout(30):
        # Its end of the connection is the last: nothing came of the long task, for nobody was left to write it.
        assert await parent.reader.read() == b""
        await parent.wait()
