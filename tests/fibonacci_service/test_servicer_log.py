"""What the log tells of a call and of the items of a batch."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from fibonacci_service.app import running
from fibonacci_service.ranges import SLICE_ATTEMPTS
from service_kit import logs
from service_kit.grpc_channel import open_channel
from service_kit.pb.fibonacci import fib_pb2
from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciStub
from tests.fibonacci_service.conftest import settings_of
from tests.fibonacci_service.processes import LONG, Processes, kill, until_killed
from tests.fibonacci_service.requests import ask, batch
from tests.refusal import refusal_of

if TYPE_CHECKING:
    from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciAsyncStub

    Logged = tuple[FibonacciAsyncStub, list[Any]]

DECIMAL = fib_pb2.DECIMAL
#: The longest number, or so, that a batch may ask for.
LONG_ITEM = 4_000_000
MOST_DIGITS = fib_pb2.GetResidueRequest(n="9" * 1_000, modulus="9" * 999)

#: Calls that need a worker, and what is known of each before it has one.
IN_WORKERS = [
    ("GetFib", ask(LONG, DECIMAL), {"n": LONG}),
    ("StreamFib", fib_pb2.StreamFibRequest(n=LONG, encoding=DECIMAL), {"n": LONG}),
    ("StreamRange", fib_pb2.StreamRangeRequest(start=5_000_000, count=10), {"start": 5_000_000, "count": 10}),
    ("GetResidue", MOST_DIGITS, {"n_digits": 1_000, "modulus_digits": 999}),
    ("DescribeFib", fib_pb2.DescribeFibRequest(n="9" * 100), {"n_digits": 100}),
]


@asynccontextmanager
async def logged(**changes: Any) -> "AsyncIterator[Logged]":
    """A stub, and the lines, which are all there once the service is left."""
    with structlog.testing.capture_logs() as lines:
        settings = settings_of(workers=1, max_n=LONG, range_max_n=10_000_000, **changes)
        async with running(settings) as port, open_channel(f"127.0.0.1:{port}") as channel:
            yield FibonacciStub(channel), lines


def of(event: str, lines: list[Any]) -> list[Any]:
    return [line for line in lines if line["event"] == event]


def calling(stub: "FibonacciAsyncStub", method: str, request: Any) -> tuple[Any, "asyncio.Future[Any]"]:
    """The call, and its answer or the first message of it."""
    call = getattr(stub, method)(request)
    return call, asyncio.ensure_future(call.read() if method.startswith("Stream") else call)


@pytest.mark.parametrize(("method", "request_", "facts"), IN_WORKERS)
async def test_the_line_of_a_call_that_lost_its_worker_says_what_it_was_at(
    processes: Processes, method: str, request_: Any, facts: dict[str, int]
) -> None:
    async with logged() as (stub, lines):
        _, answer = calling(stub, method, request_)
        for _ in range(SLICE_ATTEMPTS if method == "StreamRange" else 1):
            kill(await processes.next_held())  # it is not to be done before
        await refusal_of(answer)

    [served] = of("rpc.served", lines)
    assert (served["method"], served["code"]) == (f"/fibonacci.Fibonacci/{method}", "UNAVAILABLE")
    assert facts.items() <= served.items()


@pytest.mark.parametrize(
    ("method", "request_", "facts"), [*IN_WORKERS, ("BatchGetFib", batch(ask(LONG_ITEM, DECIMAL)), {"items": 1})]
)
async def test_the_line_of_a_call_that_was_cancelled_says_what_it_was_at(
    processes: Processes, method: str, request_: Any, facts: dict[str, int]
) -> None:
    async with logged(log_requests="all") as (stub, lines):
        call, answer = calling(stub, method, request_)
        process = await processes.next_held()  # it is not to be done before the call is cancelled
        call.cancel()
        await asyncio.wait([answer])
        await until_killed(process)

    [served] = of("rpc.served", lines)
    assert served["code"] == "CANCELLED"
    assert facts.items() <= served.items()


async def test_an_item_of_a_batch_that_lost_its_worker_has_a_line(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    stands = SimpleNamespace(perf_counter_ns=lambda: 0)  # so the other item is not dear, however long it is held up
    monkeypatch.setattr("fibonacci_service.calculator.time", stands)
    async with logged() as (stub, lines):
        _, answer = calling(stub, "BatchGetFib", batch(ask(10, DECIMAL), ask(LONG_ITEM, DECIMAL), ask(-1)))
        kill(await processes.next_held())
        await answer

    [line] = of("item.served", lines)
    assert (line["n"], line["error"]) == (LONG_ITEM, "the computation was interrupted; try again")
    assert "duration_ms" not in line


async def test_each_item_of_a_batch_is_logged_under_its_own_request_id() -> None:
    async with logged(log_requests="all") as (stub, lines):
        asked = batch(ask(10), ask(-1), ask(20))
        asked.items[0].request_id, asked.items[1].request_id = "first", "no good id"
        await stub.BatchGetFib(asked, metadata=(("x-request-id", "of-the-call"),))

    first, second, third = of("item.served", lines)
    assert (first["request_id"], first["n"], first["cached"]) == ("first", 10, False)
    assert first["duration_ms"] > 0
    assert (second["n"], second["error"]) == (-1, "n must be 0 or more, not -1")
    assert second["request_id"] not in ("", "no good id", "of-the-call")
    assert (third["request_id"], third["n"]) == ("of-the-call", 20)


async def test_by_default_an_item_that_was_dear_has_a_line_and_a_refused_one_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logs, "SLOW_REQUEST_SECONDS", 3600)
    async with logged() as (stub, lines):
        await stub.BatchGetFib(batch(ask(-1), ask(1_000_000, DECIMAL)))

    assert [(line["n"], line["cached"]) for line in of("item.served", lines)] == [(1_000_000, False)]


async def test_by_default_a_request_that_was_dear_has_a_line_and_a_refused_one_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logs, "SLOW_REQUEST_SECONDS", 3600)
    async with logged() as (stub, lines):
        await refusal_of(stub.GetFib(ask(-1)))
        await stub.GetFib(ask(1_000_000, DECIMAL))

    [served] = of("rpc.served", lines)
    assert (served["code"], served["n"], "dear" in served) == ("OK", 1_000_000, False)


async def test_the_line_of_a_request_says_what_was_answered_and_from_where() -> None:
    async with logged(log_requests="all") as (stub, lines):
        for _ in range(2):
            await stub.GetFib(ask(10))

    assert [(line["method"], line["code"], line["n"], line["cached"]) for line in of("rpc.served", lines)] == [
        ("/fibonacci.Fibonacci/GetFib", "OK", 10, False),
        ("/fibonacci.Fibonacci/GetFib", "OK", 10, True),
    ]
