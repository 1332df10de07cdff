"""More than can be done: what of it is answered, what is refused, and what none of it may harm."""

import asyncio
import itertools
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import structlog
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

import stats_service.app
import stats_service.settings
from fibonacci_service.app import running
from fibonacci_service.appraisals import RESIDUE_MAX_DIGITS
from fibonacci_service.price import REFERENCE
from service_kit.admission import RETRY_DELAY_SECONDS
from service_kit.grpc_channel import open_channel
from service_kit.pb.fibonacci import fib_pb2
from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciStub
from service_kit.pb.stats import stats_pb2
from service_kit.pb.stats.stats_pb2_grpc import StatsStub
from tests.fibonacci_service.conftest import settings_of
from tests.fibonacci_service.doubling import number_modulo
from tests.fibonacci_service.processes import LONG, Processes, until_killed
from tests.refusal import Refusal, refusal_in, refusal_of

if TYPE_CHECKING:
    from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciAsyncStub
    from service_kit.pb.stats.stats_pb2_grpc import StatsAsyncStub

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
#: The longest operand of a residue.
LONGEST = 10**RESIDUE_MAX_DIGITS - 1


@asynccontextmanager
async def one_worker(**changes: Any) -> AsyncIterator["FibonacciAsyncStub"]:
    settings = settings_of(workers=1, max_n=LONG, **changes)
    async with running(settings) as port, open_channel(f"127.0.0.1:{port}") as channel:
        yield FibonacciStub(channel)


def asking(stub: "FibonacciAsyncStub", n: int) -> Any:
    return stub.GetFib(fib_pb2.FibonacciRequest(n=n, encoding=fib_pb2.DECIMAL))


async def small(stub: "FibonacciAsyncStub") -> int:
    return (await stub.GetFib(fib_pb2.FibonacciRequest(n=10), timeout=30)).x


@pytest.mark.parametrize("n", [1_000_000, 10_000_000])
async def test_dear_requests_wait_by_their_predicted_seconds_and_small_ones_are_answered_all_the_while(
    processes: Processes, n: int
) -> None:
    max_seconds = 0.3
    predicted = itertools.accumulate(REFERENCE.seconds(n + place) for place in range(1_000))
    room = 1 + next(place for place, seconds in enumerate(predicted) if seconds >= max_seconds)
    async with one_worker(workers_max_queued_seconds=max_seconds) as stub, asyncio.timeout(60):
        first = asking(stub, LONG)
        process = await processes.next_held()
        waiting = [asyncio.ensure_future(refusal_or_digits(stub, n + place)) for place in range(room + 5)]
        refused, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        while len(refused) < 5:
            assert await small(stub) == 55
            refused = {task for task in waiting if task.done()}
        first.cancel()  # and those that wait have their turn
        await until_killed(process)
        outcomes = await asyncio.gather(*waiting)

    refusals = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    assert len(refusals) == 5
    for refusal in refusals:
        assert (refusal.code, refusal.reason) == (EXHAUSTED, "WORKERS_BUSY")
        assert refusal.retry_delay_seconds is not None
        assert max_seconds < refusal.retry_delay_seconds < max_seconds + REFERENCE.seconds(n) + REFERENCE.seconds(LONG)
    assert len([outcome for outcome in outcomes if isinstance(outcome, int)]) == room


async def test_dear_residues_wait_by_their_predicted_seconds(processes: Processes) -> None:
    async with one_worker(workers_max_queued_seconds=0.03) as stub, asyncio.timeout(30):
        first = asking(stub, LONG)
        process = await processes.next_held()
        asked = [asyncio.ensure_future(dear_residue(stub)) for _ in range(2)]  # of about 0.04 s each
        [refused], [waiting] = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        assert (await refusal_of(refused)).reason == "WORKERS_BUSY"
        first.cancel()
        await until_killed(process)
        assert int((await waiting).residue) == number_modulo(LONGEST, LONGEST)


async def dear_residue(stub: "FibonacciAsyncStub") -> fib_pb2.GetResidueResponse:
    return await stub.GetResidue(fib_pb2.GetResidueRequest(n=str(LONGEST), modulus=str(LONGEST)))


async def refusal_or_digits(stub: "FibonacciAsyncStub", n: int) -> Refusal | int:
    try:
        return len((await asking(stub, n)).value)
    except grpc.aio.AioRpcError as error:
        return await refusal_of(raising(error))


async def raising(error: grpc.aio.AioRpcError) -> None:
    raise error


async def test_requests_that_wait_for_a_worker_take_no_place_of_small_ones(processes: Processes) -> None:
    async with one_worker(max_concurrent_calls=1, max_queued_calls=0) as stub, asyncio.timeout(30):
        dear = [asking(stub, LONG), asking(stub, LONG), asking(stub, LONG - 1)]
        process = await processes.next_held()
        assert [await small(stub) for _ in range(20)] == [55] * 20
        assert not any(call.done() for call in dear)
        for call in dear:
            call.cancel()
        await until_killed(process)


async def test_as_many_requests_wait_for_a_worker_as_may_also_where_they_share_a_computation(
    processes: Processes,
) -> None:
    async with one_worker(max_lasting_calls=1) as stub, asyncio.timeout(30):
        first = asking(stub, LONG)
        process = await processes.next_held()
        alike = await refusal_of(asking(stub, LONG))
        described = await refusal_of(stub.DescribeFib(fib_pb2.DescribeFibRequest(n="10")))
        reduced = await refusal_of(dear_residue(stub))
        streamed = await refusal_of(stub.StreamFib(fib_pb2.StreamFibRequest(n=10, encoding=fib_pb2.DECIMAL)).read())
        first.cancel()
        await until_killed(process)

    assert [(refusal.code, refusal.reason) for refusal in (alike, described, reduced, streamed)] == [
        (EXHAUSTED, "WORKERS_BUSY"),
        (EXHAUSTED, "WORKERS_BUSY"),
        (EXHAUSTED, "WORKERS_BUSY"),
        (EXHAUSTED, "OVERLOADED"),
    ]


async def test_batches_over_a_call_that_stays_open_take_their_turns_and_a_refused_one_leaves_it_open() -> None:
    async with one_worker(max_concurrent_calls=1, max_queued_calls=0) as stub, asyncio.timeout(30):
        calls = [stub.ExchangeFib(), stub.ExchangeFib()]
        await asyncio.gather(*(call.wait_for_connection() for call in calls))
        for rounds in itertools.count(1):  # both may come one after the other: the pause between them is the machine's
            both = await asyncio.gather(*(exchanged(call, long_batch(rounds)) for call in calls))
            if any(response.errors for response in both):
                break
        afterwards = [await exchanged(call, small_batch(rounds + 1)) for call in calls]
        served = (await stub.GetRecorder(Empty())).served
        for call in calls:
            call.cancel()

    answered, refused = sorted(both, key=lambda response: len(response.errors))
    assert all(answered.values)
    assert list(refused.values) == [b""] * 30
    assert (refused.sequence, sorted(refused.errors)) == (rounds, list(range(30)))
    message = "no more than 0 calls may wait at a time; try again in a moment"
    expected = Refusal(EXHAUSTED, message, "OVERLOADED", "", {"limit": "0"}, RETRY_DELAY_SECONDS)
    assert {place: refusal_in(status) for place, status in refused.errors.items()} == dict.fromkeys(range(30), expected)
    assert [list(response.values) for response in afterwards] == [[b"55"], [b"55"]]
    assert served == (2 * rounds - 1) * 30 + 2


def long_batch(sequence: int) -> fib_pb2.ExchangeFibRequest:
    """It takes some 15 ms, and lets others have their turn between its numbers, which no other batch has."""
    first = 150_000 - 30 * sequence
    return fib_pb2.ExchangeFibRequest(n=range(first, first + 30), encodings=[fib_pb2.DECIMAL] * 30, sequence=sequence)


def small_batch(sequence: int) -> fib_pb2.ExchangeFibRequest:
    return fib_pb2.ExchangeFibRequest(n=[10], encodings=[fib_pb2.DECIMAL], sequence=sequence)


async def exchanged(call: Any, batch: fib_pb2.ExchangeFibRequest) -> fib_pb2.ExchangeFibResponse:
    await call.write(batch)
    response: fib_pb2.ExchangeFibResponse = await call.read()
    return response


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Nobody else can write to the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


async def full(stats: "StatsAsyncStub") -> None:
    """Returns once the service refuses what it is asked."""
    while True:
        try:
            await stats.ListMinutes(stats_pb2.ListMinutesRequest())
        except grpc.aio.AioRpcError as error:
            assert error.code() is EXHAUSTED  # noqa: PT017 - any other is the fault
            return


async def recorded(stats: "StatsAsyncStub") -> None:
    """Records one answer, and tries again where the service refuses to."""
    while True:
        try:
            await stats.RecordNo(stats_pb2.RecordRequest(n=7, duration=1))
        except grpc.aio.AioRpcError as error:
            assert error.code() is EXHAUSTED  # noqa: PT017 - any other is the fault
        else:
            return


def outages(lines: list[Any]) -> list[str]:
    """Why the recorder had to try again."""
    return [line["error"] for line in lines if line["event"] == "stats.unreachable"]


async def test_while_stats_service_is_overloaded_no_record_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "stats.sqlite3"
    settings = stats_service.settings.Settings(
        listen_port=0,
        drain_delay_seconds=0,
        database_url=f"sqlite:///{path}",
        max_concurrent_calls=1,
        max_queued_calls=0,
    )
    with structlog.testing.capture_logs() as lines, ExitStack() as lock:
        async with (
            asyncio.timeout(30),
            stats_service.app.running(settings) as stats_port,
            open_channel(f"127.0.0.1:{stats_port}") as channel,
            one_worker(stats_target=f"127.0.0.1:{stats_port}", stats_flush_seconds=30) as stub,
        ):
            stats: StatsAsyncStub = StatsStub(channel)
            lock.enter_context(locked(path))
            # It waits for the file, and has the one place that there is.
            other = asyncio.create_task(recorded(stats))
            await full(stats)
            health = await HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            assert [await small(stub) for _ in range(100)] == [55] * 100
            while not outages(lines):
                await stub.GetRecorder(Empty())
            shed = await stub.GetRecorder(Empty())
            lock.close()
            await other
            while (account := await stub.GetRecorder(Empty())).pending:
                pass
            summary = await stats.GetStats(Empty())

    assert outages(lines) == ["RESOURCE_EXHAUSTED"]
    assert (shed.served, shed.recorded, shed.pending, shed.dropped) == (100, 0, 100, 0)
    assert (account.served, account.recorded, account.dropped) == (100, 100, 0)
    assert [(stat.n, stat.request_count) for stat in summary.fibonacci_stats] == [(10, 100), (7, 1)]
    assert health.status == health_pb2.HealthCheckResponse.SERVING
