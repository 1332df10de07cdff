import asyncio
from collections.abc import AsyncIterator

import pytest

from fibonacci_service.errors import WorkerLost
from fibonacci_service.sequence import Encoding, predicted_bytes
from fibonacci_service.value_workers import SHARED_MIN_INDEX, ValueWorkers
from fibonacci_service.values import encoded_value
from fibonacci_service.worker_pool import WorkerPool
from tests.fibonacci_service.processes import ENDLESS, LONG, Processes, is_there, kill, pool_of, until_killed

DECIMAL, BIG_ENDIAN = Encoding.DECIMAL, Encoding.BIG_ENDIAN
#: The lower half of F(2,000,008) begins with two zeros.
ZEROS_IN_THE_MIDDLE = 2_000_008


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    async with pool_of(size=2) as pool:
        yield pool


@pytest.mark.parametrize(
    ("n", "encoding", "workers"),
    [
        (150_001, DECIMAL, 1),
        (SHARED_MIN_INDEX - 1, DECIMAL, 1),
        (SHARED_MIN_INDEX, DECIMAL, 2),
        (ZEROS_IN_THE_MIDDLE, DECIMAL, 2),
        (SHARED_MIN_INDEX, BIG_ENDIAN, 1),
    ],
)
async def test_a_value_from_workers_is_the_one_computed_directly(
    pool: WorkerPool, processes: Processes, n: int, encoding: Encoding, workers: int
) -> None:
    assert await ValueWorkers(pool=pool).value(n, encoding) == encoded_value(n, encoding)
    assert len(processes.all) == workers


async def test_two_halves_make_any_number(pool: WorkerPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fibonacci_service.value_workers.SHARED_MIN_INDEX", 0)
    workers = ValueWorkers(pool=pool)

    for n in (7, 60, 61, 62, *range(93, 400)):
        assert await workers.value(n, DECIMAL) == encoded_value(n, DECIMAL), n


def test_the_halves_were_tried_where_the_lower_one_begins_with_zeros() -> None:
    digits = encoded_value(ZEROS_IN_THE_MIDDLE, DECIMAL).data
    low = predicted_bytes(ZEROS_IN_THE_MIDDLE, DECIMAL) // 2

    assert digits[-low:].startswith(b"00")


async def test_a_busy_pool_computes_a_long_number_in_one_worker(processes: Processes) -> None:
    n = SHARED_MIN_INDEX
    async with pool_of(size=3) as pool, pool.run("terms", **ENDLESS):  # two are free
        assert await ValueWorkers(pool=pool).value(n, DECIMAL) == encoded_value(n, DECIMAL)

    assert len(processes.all) == 2


async def test_a_pool_of_one_computes_a_long_number_in_one_worker(processes: Processes) -> None:
    n = SHARED_MIN_INDEX
    async with pool_of(size=1) as pool:
        assert await ValueWorkers(pool=pool).value(n, DECIMAL) == encoded_value(n, DECIMAL)

    assert len(processes.all) == 1


@pytest.mark.parametrize("victim", [0, 1])
async def test_when_one_half_is_lost_so_is_the_number_and_the_other_half_ends(
    pool: WorkerPool, processes: Processes, victim: int
) -> None:
    asked = asyncio.create_task(ValueWorkers(pool=pool).value(LONG, DECIMAL))
    started = [await processes.next(), await processes.next()]
    kill(started[victim])

    with pytest.raises(WorkerLost):
        await asked
    assert [is_there(process) for process in started] == [False, False]
    assert await ValueWorkers(pool=pool).value(200_000, DECIMAL) == encoded_value(200_000, DECIMAL)


async def test_leaving_a_shared_computation_ends_both_halves(pool: WorkerPool, processes: Processes) -> None:
    asked = asyncio.create_task(ValueWorkers(pool=pool).value(LONG, DECIMAL))
    started = [await processes.next(), await processes.next()]
    asked.cancel()

    for process in started:
        await until_killed(process)
