import asyncio
import os
import signal
from typing import TYPE_CHECKING

import grpc
import pytest

from fibonacci_service.app import running
from service_kit.grpc_channel import open_channel
from service_kit.pb.fibonacci import fib_pb2
from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciStub
from tests.fibonacci_service.conftest import settings_of
from tests.fibonacci_service.doubling import number_modulo
from tests.fibonacci_service.processes import LONG, Processes, kill, until_killed
from tests.refusal import refusal_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciAsyncStub

DEAR = fib_pb2.FibonacciRequest(n=LONG, encoding=fib_pb2.DECIMAL)
SMALL = fib_pb2.FibonacciRequest(n=10)


@pytest.fixture
async def narrow() -> "AsyncIterator[FibonacciAsyncStub]":
    """A stub of a service with one worker, that no request may wait for."""
    settings = settings_of(workers=1, workers_max_queued_seconds=0, max_n=LONG)
    async with running(settings) as port, open_channel(f"127.0.0.1:{port}") as channel:
        yield FibonacciStub(channel)


async def test_a_killed_worker_is_unavailable_and_the_next_request_is_answered(
    narrow: "FibonacciAsyncStub", processes: Processes
) -> None:
    asked = asyncio.ensure_future(refusal_of(narrow.GetFib(DEAR)))
    kill(await processes.next())
    refusal = await asked

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "WORKER_LOST")
    assert refusal.facts == {"exit_status": "-9"}
    answer = await narrow.GetFib(fib_pb2.FibonacciRequest(n=200_000, encoding=fib_pb2.DECIMAL))
    assert int(answer.value[-9:]) == number_modulo(200_000, 10**9)


async def test_when_every_worker_computes_dear_requests_are_refused_and_small_ones_answered(
    narrow: "FibonacciAsyncStub", processes: Processes
) -> None:
    first = narrow.GetFib(DEAR)
    process = await processes.next_held()
    other = fib_pb2.FibonacciRequest(n=LONG - 1, encoding=fib_pb2.DECIMAL)
    refusal = await refusal_of(narrow.GetFib(other))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "WORKERS_BUSY")
    assert (await narrow.GetFib(SMALL)).x == 55
    first.cancel()
    await until_killed(process)


async def test_a_deadline_that_passes_ends_the_computation(narrow: "FibonacciAsyncStub", processes: Processes) -> None:
    await narrow.GetFib(fib_pb2.FibonacciRequest(n=200_000, encoding=fib_pb2.DECIMAL))  # starting one takes its time
    process = await processes.next()
    os.kill(process.pid, signal.SIGSTOP)  # it is not to be done before its time is up

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await narrow.GetFib(DEAR, timeout=1)

    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await until_killed(process)


async def test_a_cancelled_stream_ends_the_computation(narrow: "FibonacciAsyncStub", processes: Processes) -> None:
    call = narrow.StreamFib(fib_pb2.StreamFibRequest(n=LONG, encoding=fib_pb2.DECIMAL))
    reading = asyncio.ensure_future(call.read())
    process = await processes.next_held()
    call.cancel()

    await until_killed(process)
    await asyncio.wait([reading])
    assert reading.cancelled()


async def test_get_residue_answers_about_numbers_that_nobody_could_write_down(stub: "FibonacciAsyncStub") -> None:
    for n, modulus in ((10, 7), (10**100, 10**20), (10**999, 10**999 + 1)):
        answer = await stub.GetResidue(fib_pb2.GetResidueRequest(n=f"{n}", modulus=f"{modulus}"))
        assert answer.residue == f"{number_modulo(n, modulus)}"


@pytest.mark.parametrize(
    ("n", "modulus", "reason", "field"),
    [
        ("-1", "10", "NUMERAL_MALFORMED", "n"),
        ("1" * 1_001, "10", "NUMERAL_TOO_LONG", "n"),
        ("10", "", "NUMERAL_MALFORMED", "modulus"),
        ("10", "0", "NUMERAL_TOO_SMALL", "modulus"),
    ],
)
async def test_get_residue_refuses_bad_operands(
    stub: "FibonacciAsyncStub", n: str, modulus: str, reason: str, field: str
) -> None:
    refusal = await refusal_of(stub.GetResidue(fib_pb2.GetResidueRequest(n=n, modulus=modulus)))

    assert (refusal.code, refusal.reason, refusal.field) == (grpc.StatusCode.INVALID_ARGUMENT, reason, field)


async def test_describe_fib_answers_exactly_and_with_a_price(stub: "FibonacciAsyncStub") -> None:
    answer = await stub.DescribeFib(fib_pb2.DescribeFibRequest(n="100"))

    assert (answer.digit_count, answer.bit_count) == ("21", "69")
    assert (answer.leading_digits, answer.trailing_digits) == ("35422484817926191507", "54224848179261915075")
    assert (answer.way, answer.max_n) == ("unary", 10_000_000)
    assert answer.predicted_seconds > 0
    assert answer.predicted_bytes > 0


@pytest.mark.parametrize(("n", "way"), [("0", "unary"), ("10000000", "stream"), ("10000001", ""), ("9" * 100, "")])
async def test_describe_fib_names_the_way_to_ask_for_the_number(stub: "FibonacciAsyncStub", n: str, way: str) -> None:
    assert (await stub.DescribeFib(fib_pb2.DescribeFibRequest(n=n))).way == way


@pytest.mark.parametrize(("n", "reason"), [("1e3", "NUMERAL_MALFORMED"), ("9" * 101, "NUMERAL_TOO_LONG")])
async def test_describe_fib_refuses_what_is_no_index(stub: "FibonacciAsyncStub", n: str, reason: str) -> None:
    refusal = await refusal_of(stub.DescribeFib(fib_pb2.DescribeFibRequest(n=n)))

    assert (refusal.code, refusal.reason, refusal.field) == (grpc.StatusCode.INVALID_ARGUMENT, reason, "n")
