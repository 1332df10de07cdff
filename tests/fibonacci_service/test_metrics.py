"""Each metric of fibonacci_service is caused once, and read from a real scrape."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import structlog

from fibonacci_service import worker_usage
from fibonacci_service.app import running
from service_kit.grpc_channel import open_channel
from service_kit.pb.fibonacci import fib_pb2
from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciStub
from tests.fibonacci_service.conftest import settings_of
from tests.fibonacci_service.processes import LONG, Processes, kill, until_killed
from tests.fibonacci_service.scripted_stats import ScriptedStats, accept, listening
from tests.refusal import refusal_of
from tests.scrapes import Scraper, scraped

if TYPE_CHECKING:
    from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciAsyncStub

    Told = tuple[FibonacciAsyncStub, Scraper]

DEAR_N = 300_000


@asynccontextmanager
async def told(**changes: Any) -> "AsyncIterator[Told]":
    async with (
        scraped(running, settings_of(max_n=LONG, **changes)) as (port, scraper),
        open_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield FibonacciStub(channel), scraper


def number(n: int) -> fib_pb2.FibonacciRequest:
    return fib_pb2.FibonacciRequest(n=n, encoding=fib_pb2.DECIMAL)


async def cancelled(call: Any) -> None:
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_computations_are_told_by_their_origin() -> None:
    async with told() as (stub, scraper):
        await stub.GetFib(number(10))
        await stub.GetFib(number(10))
        await asyncio.gather(*(stub.GetFib(number(DEAR_N)) for _ in range(3)))
        scrape = await scraper()

    origins = {
        origin: scrape.value("fibonacci_computations_total", origin=origin)
        for origin in ("cache", "computed", "coalesced")
    }
    assert origins["computed"] == 2
    assert origins["cache"] >= 1
    assert sum(origins.values()) == 5


class TurningClock:
    """In place of `time`: a clock that goes on by a step whenever it is read, so that what it measures takes one."""

    def __init__(self, *, step_seconds: float) -> None:
        self.step_seconds = step_seconds
        self._now_ns = 0

    def perf_counter_ns(self) -> int:
        self._now_ns += round(self.step_seconds * 1e9)
        return self._now_ns


async def test_how_long_computations_took_is_told_and_nothing_of_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = TurningClock(step_seconds=0.004)
    monkeypatch.setattr("fibonacci_service.calculator.time", clock)
    async with told() as (stub, scraper):
        for _ in range(3):
            await stub.GetFib(number(10))
        clock.step_seconds = 2
        await stub.GetFib(number(DEAR_N))
        scrape = await scraper()

    durations = "fibonacci_computation_duration_seconds"
    assert scrape.value(f"{durations}_count") == 2
    assert [scrape.value(f"{durations}_bucket", le=bound) for bound in ("0.005", "1.0", "2.5")] == [1, 1, 2]
    assert scrape.value(f"{durations}_sum") == pytest.approx(2.004)


async def test_of_equal_numbers_in_a_batch_the_further_ones_are_told_as_well() -> None:
    async with told() as (stub, scraper):
        items = [fib_pb2.BatchGetFibItem(request=number(10))] * 3
        await stub.BatchGetFib(fib_pb2.BatchGetFibRequest(items=items))
        scrape = await scraper()

    assert scrape.value("fibonacci_computations_total", origin="computed") == 1
    assert scrape.value("fibonacci_computations_total", origin="coalesced") == 2


async def test_a_lost_worker_is_told_and_the_failure_of_its_request(processes: Processes) -> None:
    async with told(workers=1) as (stub, scraper):
        asked = asyncio.ensure_future(refusal_of(stub.GetFib(number(LONG))))
        kill(await processes.next())
        await asked
        scrape = await scraper()

    assert scrape.value("fibonacci_workers_started_total") == 1
    assert scrape.value("fibonacci_workers_lost_total") == 1
    assert scrape.value("fibonacci_workers_killed_total") == 0
    assert scrape.value("fibonacci_failures_total", kind="worker_lost") == 1
    assert scrape.value("fibonacci_failures_total") == 1


@pytest.mark.skipif(not worker_usage.is_told(), reason="this system does not tell it")
async def test_memory_and_processor_time_of_the_workers_are_told(processes: Processes) -> None:
    memory, cpu = "fibonacci_worker_resident_memory_bytes", "fibonacci_worker_cpu_seconds_total"
    async with told(workers=2) as (stub, scraper):
        before = await scraper()
        await asyncio.gather(*(stub.GetFib(number(5_000_000 + n)) for n in range(2)))
        working = await scraper()
        for process in processes.all:
            kill(process)
        gone = await scraper.until("fibonacci_workers_lost_total", 2)

    assert before.value(memory) == 0
    assert working.value(memory) > 2 * 5_000_000
    assert 0.01 < working.value(cpu) - before.value(cpu) < 60
    assert gone.value(memory) == 0
    assert gone.value(cpu) >= working.value(cpu)


async def test_an_abandoned_computation_is_told_and_what_waits_behind_it(processes: Processes) -> None:
    async with told(workers=1) as (stub, scraper):
        first, second = stub.GetFib(number(LONG)), stub.GetFib(number(LONG - 1))
        await processes.next_held()
        scrape = await scraper.until("fibonacci_worker_tasks", 1, state="waiting")
        assert scrape.value("fibonacci_worker_tasks", state="at_work") == 1
        assert scrape.value("fibonacci_worker_wait_seconds") > 1
        assert scrape.value("rpc_server_calls", state="lasting") == 2

        await cancelled(second)
        await cancelled(first)
        scrape = await scraper.until("fibonacci_worker_tasks", 0)

    assert scrape.value("fibonacci_failures_total", kind="cancelled") == 2
    assert scrape.value("fibonacci_workers_killed_total") == 1
    assert scrape.value("fibonacci_workers_lost_total") == 0


async def test_operations_are_told() -> None:
    async with told() as (stub, scraper):
        await stub.GetResidue(fib_pb2.GetResidueRequest(n="100", modulus="7"))
        await stub.DescribeFib(fib_pb2.DescribeFibRequest(n="1000"))
        async for _ in stub.StreamRange(fib_pb2.StreamRangeRequest(start=1, count=3)):
            pass
        scrape = await scraper()

    for operation in ("residue", "description", "range"):
        assert scrape.value("fibonacci_operations_total", operation=operation) == 1


async def test_the_cache_tells_what_it_holds_and_what_it_has_pushed_out() -> None:
    async with told(cache_bytes=8_000) as (stub, scraper):
        for n in range(5):
            await stub.GetFib(number(n))
        scrape = await scraper()

    assert scrape.value("fibonacci_cache_entries") == 3
    assert 1_500 < scrape.value("fibonacci_cache_bytes") <= 2_000
    assert scrape.value("fibonacci_cache_evictions_total") == 2


async def test_records_are_told_until_they_are_acknowledged() -> None:
    async def refuse_once(_request: Any, context: Any) -> None:
        if not refused.is_set():
            refused.set()
            await context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")

    refused = asyncio.Event()
    async with (
        listening(ScriptedStats(refuse_once), "127.0.0.1:0") as stats_port,
        told(stats_target=f"127.0.0.1:{stats_port}", stats_interval_seconds=0.001) as (stub, scraper),
    ):
        await stub.GetFib(number(10))
        scrape = await scraper.until("fibonacci_records_recorded_total", 1)

    assert scrape.value("fibonacci_records_served_total") == 1
    assert scrape.value("fibonacci_records_pending") == 0
    assert scrape.value("fibonacci_records_pending_seconds") == 0
    assert scrape.value("fibonacci_records_dropped_total") == 0
    assert scrape.value("fibonacci_record_batches_resent_total") == 1


async def test_records_that_wait_and_those_that_found_no_room_are_told() -> None:
    async with told(stats_max_pending=1) as (stub, scraper):
        for n in (1, 2, 3):
            await stub.GetFib(number(n))
        scrape = await scraper()
        later = await scraper()

    assert scrape.value("fibonacci_records_served_total") == 3
    assert scrape.value("fibonacci_records_pending") == 1
    assert scrape.value("fibonacci_records_dropped_total") == 2
    assert 0 < scrape.value("fibonacci_records_pending_seconds") < later.value("fibonacci_records_pending_seconds") < 20


async def test_a_batch_that_is_recorded_leaves_the_next_one_with_its_own_age() -> None:
    async with (
        listening(ScriptedStats(accept), "127.0.0.1:0") as stats_port,
        told(stats_target=f"127.0.0.1:{stats_port}", stats_interval_seconds=0.001) as (stub, scraper),
    ):
        for n in (1, 2, 3):
            await stub.GetFib(number(n))
        scrape = await scraper.until("fibonacci_records_recorded_total", 3)

    assert scrape.value("fibonacci_records_pending_seconds") == 0


async def test_what_is_shed_is_told_by_kind_and_the_log_has_the_same_names(processes: Processes) -> None:
    bounds = {"workers": 1, "workers_max_queued_seconds": 0, "max_lasting_calls": 1}
    async with told(**bounds) as (stub, scraper):
        with structlog.testing.capture_logs() as lines:
            first = stub.GetFib(number(LONG))
            process = await processes.next_held()
            await refusal_of(stub.GetFib(number(LONG - 1)))
            await refusal_of(stub.StreamRange(fib_pb2.StreamRangeRequest(start=1, count=1)).read())
        scrape = await scraper()
        await cancelled(first)
        await until_killed(process)

    # The second is refused as a further one that lasts, before it comes to the workers.
    assert scrape.value("rpc_server_shed_total", kind="lasting_calls") == 2
    assert scrape.value("rpc_server_shed_total", kind="long_computations") == 1
    assert scrape.value("rpc_server_shed_total", kind="calls") == 0
    assert scrape.value("fibonacci_failures_total", kind="workers_busy") == 1
    logged = {line["refused"] for line in lines if line["event"] == "overload.refused"}
    assert logged == {"lasting_calls", "long_computations"}


async def test_calls_and_streams_are_told_by_method_and_status_code() -> None:
    async with told() as (stub, scraper):
        await stub.GetFib(number(10))
        await refusal_of(stub.GetFib(number(-1)))
        async for _ in stub.StreamFib(fib_pb2.StreamFibRequest(n=10, encoding=fib_pb2.DECIMAL)):
            pass
        exchange = stub.ExchangeFib()
        await exchange.write(fib_pb2.ExchangeFibRequest(n=[10], encodings=[fib_pb2.DECIMAL]))
        await exchange.read()
        await exchange.done_writing()
        assert await exchange.read() is grpc.aio.EOF
        scrape = await scraper()

    calls, streams = "rpc_server_call_duration_seconds", "rpc_server_stream_duration_seconds"
    get_fib = {"rpc_method": "fibonacci.Fibonacci/GetFib"}
    assert scrape.value(f"{calls}_count", **get_fib, rpc_response_status_code="OK") == 1
    assert scrape.value(f"{calls}_count", **get_fib, rpc_response_status_code="INVALID_ARGUMENT") == 1
    assert scrape.value(f"{calls}_count") == 2
    assert 0 < scrape.value(f"{calls}_sum") < 10
    assert scrape.value(f"{calls}_bucket", le="+Inf") == 2
    for method in ("StreamFib", "ExchangeFib"):
        labels = {"rpc_method": f"fibonacci.Fibonacci/{method}", "rpc_response_status_code": "OK"}
        assert scrape.value(f"{streams}_count", **labels) == 1


async def test_no_number_and_no_id_makes_a_series_of_its_own() -> None:
    async with told() as (stub, scraper):
        await stub.GetFib(number(1))
        await refusal_of(stub.GetFib(number(-1)))
        before = await scraper()
        for n in range(200):
            await stub.GetFib(number(n), metadata=(("x-request-id", f"id-{n}"),))
            await refusal_of(stub.GetFib(number(-n - 1)))
        after = await scraper()

    assert after.value("fibonacci_records_served_total") == 201
    assert after.series == before.series
