import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from fibonacci_service.cache import MemoryCache
from fibonacci_service.calculator import Calculator
from fibonacci_service.errors import EncodingNeeded, EncodingUnknown, IndexNegative, WorkerLost, WorkersBusy
from fibonacci_service.observations import Computation, Failure, FailureKind
from fibonacci_service.sequence import Encoding
from fibonacci_service.value_workers import ValueWorkers
from fibonacci_service.values import INLINE_MAX_INDEX, EncodedValue, encoded_value
from fibonacci_service.worker_pool import WorkerPool
from tests.fibonacci_service.observing import Observed
from tests.fibonacci_service.processes import ENDLESS, LONG, Processes, kill, pool_of, until_killed

DECIMAL, BIG_ENDIAN = Encoding.DECIMAL, Encoding.BIG_ENDIAN
DEAR = INLINE_MAX_INDEX + 1


class CountingWorkers(ValueWorkers):
    """The real ones, which remember what they were asked for."""

    def __init__(self, *, pool: WorkerPool) -> None:
        super().__init__(pool=pool)
        self.asked: list[tuple[int, Encoding]] = []
        self.begun = asyncio.Event()

    async def value(self, n: int, encoding: Encoding) -> EncodedValue:
        self.asked.append((n, encoding))
        self.begun.set()
        return await super().value(n, encoding)


@dataclass
class Bench:
    """A calculator over a real pool, and what its observers saw."""

    pool: WorkerPool
    max_bytes: int = 1 << 24
    observed: Observed = field(default_factory=Observed)

    def __post_init__(self) -> None:
        self.workers = CountingWorkers(pool=self.pool)
        self.calculator = Calculator(
            cache=MemoryCache(max_bytes=self.max_bytes),
            workers=self.workers,
            max_index=LONG,
            observers=[self.observed],
        )


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with pool_of(size=2) as pool:
        yield Bench(pool)


async def test_up_to_the_bound_a_number_needs_no_worker_and_above_it_does(bench: Bench) -> None:
    await bench.calculator.compute(INLINE_MAX_INDEX, DECIMAL)
    assert bench.workers.asked == []

    answer = await bench.calculator.compute(DEAR, DECIMAL)
    assert bench.workers.asked == [(DEAR, DECIMAL)]
    assert answer.encoded == encoded_value(DEAR, DECIMAL)


async def test_a_dear_number_is_kept(bench: Bench) -> None:
    first = await bench.calculator.compute(DEAR, DECIMAL)
    second = await bench.calculator.compute(DEAR, DECIMAL)

    assert (first.cached, second.cached, second.encoded) == (False, True, first.encoded)
    assert len(bench.workers.asked) == 1


async def test_the_same_dear_number_is_computed_once_for_all_who_ask_at_the_same_time(bench: Bench) -> None:
    answers = await asyncio.gather(*(bench.calculator.compute(DEAR, DECIMAL) for _ in range(20)))

    assert bench.workers.asked == [(DEAR, DECIMAL)]
    assert {id(answer.encoded) for answer in answers} == {id(answers[0].encoded)}
    assert [answer.origin for answer in answers] == ["computed", *["coalesced"] * 19]
    assert bench.observed == Observed(computations=answers)


async def test_each_encoding_of_a_dear_number_is_computed_for_itself(bench: Bench) -> None:
    answers = await asyncio.gather(*(bench.calculator.compute(DEAR, encoding) for encoding in Encoding))

    assert [answer.encoded for answer in answers] == [encoded_value(DEAR, encoding) for encoding in Encoding]
    assert sorted(bench.workers.asked) == [(DEAR, DECIMAL), (DEAR, BIG_ENDIAN)]


async def test_small_numbers_are_answered_while_a_dear_one_is_computed(bench: Bench, processes: Processes) -> None:
    dear = asyncio.create_task(bench.calculator.compute(LONG, BIG_ENDIAN))
    process = await processes.next()

    assert (await bench.calculator.compute(10, DECIMAL)).encoded.data == b"55"

    assert process.returncode is None
    assert not dear.done()
    dear.cancel()
    await until_killed(process)


async def test_a_dear_computation_ends_with_the_last_who_waits_for_it(bench: Bench, processes: Processes) -> None:
    first, second = (asyncio.create_task(bench.calculator.compute(LONG, BIG_ENDIAN)) for _ in range(2))
    process = await processes.next()
    first.cancel()
    await asyncio.wait([first])
    assert process.returncode is None
    assert bench.observed == Observed(failures=[Failure(LONG, FailureKind.CANCELLED)])

    second.cancel()

    await until_killed(process)
    assert bench.observed == Observed(failures=[Failure(LONG, FailureKind.CANCELLED)] * 2)
    assert (await bench.calculator.compute(DEAR, DECIMAL)).encoded == encoded_value(DEAR, DECIMAL)


async def test_a_lost_worker_reaches_all_who_wait_and_the_next_request_is_computed(
    bench: Bench, processes: Processes
) -> None:
    asked = [asyncio.create_task(bench.calculator.compute(LONG, BIG_ENDIAN)) for _ in range(3)]
    kill(await processes.next())

    outcomes = await asyncio.gather(*asked, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [WorkerLost] * 3
    assert bench.observed == Observed(failures=[Failure(LONG, FailureKind.WORKER_LOST)] * 3)
    assert (await bench.calculator.compute(DEAR, BIG_ENDIAN)).encoded == encoded_value(DEAR, BIG_ENDIAN)


async def test_busy_workers_refuse_dear_numbers_and_no_others() -> None:
    async with pool_of(max_queued_seconds=0) as pool, pool.run("terms", **ENDLESS):
        bench = Bench(pool)
        with pytest.raises(WorkersBusy):
            await bench.calculator.compute(DEAR, DECIMAL)

        assert bench.observed == Observed(failures=[Failure(DEAR, FailureKind.WORKERS_BUSY)])
        assert (await bench.calculator.compute(10, DECIMAL)).encoded.data == b"55"


async def test_a_batch_with_dear_items_keeps_its_order(bench: Bench) -> None:
    requests = [(DEAR, DECIMAL), (10, DECIMAL), (-1, DECIMAL), (DEAR + 1, BIG_ENDIAN), (DEAR, 0), (DEAR, DECIMAL)]

    outcomes = await bench.calculator.compute_each(requests)

    assert [type(outcome) for outcome in outcomes[2:5:2]] == [IndexNegative, EncodingNeeded]
    answers = [outcomes[position] for position in (0, 1, 3, 5)]
    expected = [encoded_value(n, Encoding(requests[place][1])) for place, n in ((0, DEAR), (1, 10), (3, DEAR + 1))]
    assert [answer.encoded for answer in answers if isinstance(answer, Computation)] == [*expected, expected[0]]
    assert sorted(bench.workers.asked) == [(DEAR, DECIMAL), (DEAR + 1, BIG_ENDIAN)]


async def test_in_a_batch_only_the_dear_items_fail_with_the_workers() -> None:
    async with pool_of(max_queued_seconds=0) as pool, pool.run("terms", **ENDLESS):
        bench = Bench(pool)
        outcomes = await bench.calculator.compute_each([(DEAR, DECIMAL), (10, DECIMAL), (DEAR + 1, DECIMAL)])

    assert [type(outcome) for outcome in outcomes] == [WorkersBusy, Computation, WorkersBusy]
    assert bench.observed.failures == [Failure(n, FailureKind.WORKERS_BUSY) for n in (DEAR, DEAR + 1)]


@pytest.mark.parametrize("encoding", [0, 3, -1])
async def test_who_reads_bytes_only_has_to_name_an_encoding(bench: Bench, encoding: int) -> None:
    with pytest.raises(EncodingUnknown):
        await bench.calculator.compute_encoded(10, encoding)

    assert (await bench.calculator.compute_encoded(10, DECIMAL)).encoded.data == b"55"


async def test_a_batch_that_its_caller_leaves_fails_its_dear_items_each_for_itself() -> None:
    async with pool_of() as pool, pool.run("terms", **ENDLESS):
        bench = Bench(pool)
        batch = asyncio.create_task(bench.calculator.compute_each([(10, DECIMAL), (DEAR, DECIMAL), (DEAR, DECIMAL)]))
        async with asyncio.timeout(30):
            await bench.workers.begun.wait()
        batch.cancel()
        await asyncio.wait([batch])

    assert [computation.n for computation in bench.observed.computations] == [10]
    assert bench.observed.failures == [Failure(DEAR, FailureKind.CANCELLED)] * 2


@pytest.mark.parametrize("turns", range(6))
async def test_whenever_a_batch_is_left_each_of_its_dear_items_fails_once(
    bench: Bench, processes: Processes, turns: int
) -> None:
    dear = [(DEAR, DECIMAL), (DEAR, DECIMAL), (DEAR + 1, DECIMAL)]
    with processes.held():  # none is to be done before the batch is left
        batch = asyncio.create_task(bench.calculator.compute_each(dear))
        for _ in range(1 + turns):
            await asyncio.sleep(0)
        batch.cancel()
        await asyncio.wait([batch])
        async with asyncio.timeout(30):
            while not bench.pool.backlog.empty:  # noqa: ASYNC110 - a process may have been about to start
                await asyncio.sleep(0)

    assert sorted(failure.n for failure in bench.observed.failures) == [DEAR, DEAR, DEAR + 1]
