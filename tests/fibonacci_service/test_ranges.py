import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fibonacci_service import ranges
from fibonacci_service.errors import CountTooSmall, FibonacciError, IndexNegative, RangeTooHigh, WorkerLost, WorkersBusy
from fibonacci_service.observations import Operation
from fibonacci_service.ranges import RangeReader
from fibonacci_service.sequence import Encoding, encode, fibonacci
from fibonacci_service.worker_pool import Answer, WorkerPool
from tests.fibonacci_service.observing import Observed
from tests.fibonacci_service.processes import ENDLESS, Processes, kill, pool_of

MAX_INDEX = 1_000_000


class ObservedPool(WorkerPool):
    """A real pool that remembers which slices it was given: the start and the count."""

    def __init__(self) -> None:
        super().__init__(size=1, max_queued_seconds=0, memory_bytes=1 << 30)
        self.slices: list[tuple[int, int]] = []

    @asynccontextmanager
    async def run(self, name: str, **task: Any) -> AsyncIterator[Answer]:
        self.slices.append((task["start"], task["count"]))
        async with super().run(name, **task) as answer:
            yield answer


@pytest.fixture
async def pool() -> AsyncIterator[ObservedPool]:
    async with ObservedPool() as pool:
        yield pool


@pytest.fixture
def observed() -> Observed:
    return Observed()


@pytest.fixture
def reader(pool: ObservedPool, observed: Observed) -> RangeReader:
    return RangeReader(pool=pool, max_index=MAX_INDEX, observers=[observed])


async def read(reader: RangeReader, start: int, count: int) -> list[tuple[int, bytes]]:
    return [piece async for piece in reader.read(start, count)]


def lines(start: int, count: int) -> bytes:
    """The oracle: every number for itself."""
    return b"".join(encode(fibonacci(n), Encoding.DECIMAL) + b"\n" for n in range(start, start + count))


@pytest.mark.parametrize(("start", "count"), [(0, 1), (0, 2), (0, 100), (93, 1), (1_000, 500), (20_000, 300)])
async def test_the_terms_of_a_range_are_the_numbers(reader: RangeReader, start: int, count: int) -> None:
    pieces = await read(reader, start, count)

    assert b"".join(piece for _, piece in pieces) == lines(start, count)


async def test_every_piece_says_which_number_is_its_first(reader: RangeReader) -> None:
    following = 50_000
    for first, piece in await read(reader, 50_000, 300):
        assert first == following
        assert piece.startswith(encode(fibonacci(first), Encoding.DECIMAL) + b"\n")
        following += piece.count(b"\n")

    assert following == 50_300


async def test_a_short_range_needs_no_worker_and_a_long_one_does(reader: RangeReader, pool: ObservedPool) -> None:
    await read(reader, 0, 100)
    assert pool.slices == []

    await read(reader, 0, 5_000)
    assert pool.slices != []


@pytest.mark.parametrize("inline_seconds", [0, 3600])
async def test_what_workers_compute_and_what_is_computed_here_agree(
    reader: RangeReader, pool: ObservedPool, monkeypatch: pytest.MonkeyPatch, inline_seconds: float
) -> None:
    monkeypatch.setattr(ranges, "INLINE_SECONDS", inline_seconds)

    pieces = await read(reader, 5_000, 800)

    assert b"".join(piece for _, piece in pieces) == lines(5_000, 800)
    assert (pool.slices == []) is (inline_seconds > 0)


async def test_the_slices_of_a_range_adjoin_and_grow_to_their_full_size(
    reader: RangeReader, pool: ObservedPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "INLINE_SECONDS", 0)
    monkeypatch.setattr(ranges, "SLICE_BYTES", 1 << 30)  # so that their time alone bounds them
    await read(reader, 100_000, 1_800)

    following = 100_000
    for start, count in pool.slices:
        assert start == following
        following += count
    assert following == 101_800
    counts = [count for _, count in pool.slices]
    assert counts[:5] == sorted(counts[:5])
    assert len(counts) > 7
    assert max(counts[5:]) <= counts[5]


async def test_a_slice_never_holds_more_than_its_bytes(
    reader: RangeReader, pool: ObservedPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "SLICE_SECONDS", 3600)
    monkeypatch.setattr(ranges, "FIRST_SLICE_SECONDS", 3600)
    monkeypatch.setattr(ranges, "SLICE_BYTES", 1 << 18)
    await read(reader, 1_000, 5_000)

    sizes = [len(lines(start, 1)) * count for start, count in pool.slices]
    assert len(sizes) > 1
    assert max(sizes) <= 1 << 18


async def test_numbers_that_take_longer_than_a_slice_have_one_each(pool: ObservedPool) -> None:
    reader = RangeReader(pool=pool, max_index=5_000_000, observers=[])

    pieces = await read(reader, 4_000_000, 3)

    assert b"" not in [piece for _, piece in pieces]
    assert pool.slices[0] == (4_000_000, 1)
    assert sum(count for _, count in pool.slices) == 3


async def test_at_most_one_slice_is_computed_ahead_of_the_one_that_is_read(
    reader: RangeReader, pool: ObservedPool
) -> None:
    async with contextlib.aclosing(reader.read(100_000, 1_000)) as pieces:
        async for first, _ in pieces:
            assert sum(start > first for start, _ in pool.slices) <= 1

    assert len(pool.slices) > 5


async def test_a_range_that_is_left_asks_for_no_more(reader: RangeReader, pool: ObservedPool) -> None:
    async with contextlib.aclosing(reader.read(0, MAX_INDEX)) as pieces:
        await anext(pieces)
        await anext(pieces)

    assert len(pool.slices) <= 2
    assert pool.backlog.empty


@pytest.mark.parametrize(
    ("start", "count", "error", "field"),
    [
        (-1, 1, IndexNegative, "start"),
        (0, 0, CountTooSmall, "count"),
        (0, -1, CountTooSmall, "count"),
        (MAX_INDEX, 2, RangeTooHigh, "count"),
        (MAX_INDEX + 1, 1, RangeTooHigh, "start"),
    ],
)
def test_a_range_outside_its_bounds_is_refused(start: int, count: int, error: type[FibonacciError], field: str) -> None:
    with pytest.raises(error) as caught:
        RangeReader(pool=pool_of(), max_index=MAX_INDEX, observers=[]).check(start, count)

    assert caught.value.field == field


@pytest.mark.parametrize(("start", "count"), [(0, 1), (MAX_INDEX, 1), (0, MAX_INDEX + 1)])
def test_the_bounds_themselves_are_a_range(start: int, count: int) -> None:
    RangeReader(pool=pool_of(), max_index=MAX_INDEX, observers=[]).check(start, count)


async def test_busy_workers_refuse_a_long_range(reader: RangeReader, pool: ObservedPool) -> None:
    async with pool.run("terms", **ENDLESS):
        with pytest.raises(WorkersBusy):
            await read(reader, 100_000, 1_000)


async def test_a_slice_that_loses_one_worker_after_another_ends_its_range(
    processes: Processes, reader: RangeReader
) -> None:
    asked = asyncio.create_task(read(reader, 900_000, 10_000))
    for _ in range(3):
        kill(await processes.next_held())

    with pytest.raises(WorkerLost):
        await asked


async def test_a_worker_that_is_lost_during_a_range_is_not_noticed(processes: Processes, reader: RangeReader) -> None:
    read_so_far = b""
    killed = False
    async for _, piece in reader.read(100_000, 500):
        read_so_far += piece
        if not killed and processes.running:
            kill(processes.running[0])
            killed = True

    assert read_so_far == lines(100_000, 500)
    assert len(processes.all) > 1


@pytest.mark.parametrize("count", [1, 5_000])
async def test_a_range_is_one_operation_however_long_it_is(reader: RangeReader, observed: Observed, count: int) -> None:
    await read(reader, 0, count)

    assert observed == Observed(operations=[Operation.RANGE])


async def test_a_range_counts_from_its_first_piece_on_whatever_its_reader_does_then(
    reader: RangeReader, observed: Observed
) -> None:
    async with contextlib.aclosing(reader.read(0, MAX_INDEX)) as pieces:
        assert observed == Observed()
        await anext(pieces)
        assert observed == Observed(operations=[Operation.RANGE])

    assert observed == Observed(operations=[Operation.RANGE])


async def test_a_range_without_a_first_piece_is_no_operation(
    reader: RangeReader, pool: ObservedPool, observed: Observed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "INLINE_SECONDS", 0)
    async with pool.run("terms", **ENDLESS):
        with pytest.raises(WorkersBusy):
            await read(reader, 100_000, 1_000)

    assert observed == Observed()


async def test_a_range_that_has_begun_waits_for_its_turns_however_much_is_refused(
    reader: RangeReader, pool: ObservedPool
) -> None:
    rest = b""
    async with contextlib.aclosing(reader.read(100_000, 2_000)) as pieces:
        _, first = await anext(pieces)  # the next slice is computed from now on, and the others are to come
        async with pool.run("terms", admitted=True, **ENDLESS):
            reading = asyncio.create_task(read_on(pieces))
            with pytest.raises(WorkersBusy):
                await read(reader, 100_000, 2_000)
            assert not reading.done()
        rest = await reading

    assert first + rest == lines(100_000, 2_000)


async def read_on(pieces: AsyncIterator[tuple[int, bytes]]) -> bytes:
    return b"".join([piece async for _, piece in pieces])
