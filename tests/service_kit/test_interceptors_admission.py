"""Places and queue before real servers: who waits, who is refused, and who is left alone."""

import asyncio
import threading
import time
from typing import Any

import grpc
import pytest
import structlog
from grpc_health.v1 import health_pb2

from service_kit import logs, refusals
from service_kit.admission import RETRY_DELAY_SECONDS, Admission
from service_kit.pb.fibonacci import fib_pb2, fib_pb2_grpc
from tests.refusal import Refusal, refusal_of
from tests.service_kit.small_service import SmallClient, exchanged, served

SERVING = health_pb2.HealthCheckResponse.SERVING
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


class Held:
    """Answers each number with itself once it is released, and notes the order in which they were begun."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.release = asyncio.Event()

    async def __call__(self, n: int) -> int:
        self.begun.append(n)
        await self.release.wait()
        return n


async def until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - nothing else tells of it
            await asyncio.sleep(0.001)


async def asked_in_order(client: SmallClient, admission: Admission, numbers: range) -> list[asyncio.Task[int]]:
    """Calls of which each waits in the queue before the next is made."""
    asked = []
    for length, n in enumerate(numbers, start=len(admission._queue) + 1):
        asked.append(asyncio.create_task(client.ask(n)))
        await until(lambda length=length: len(admission._queue) == length)
    return asked


async def test_calls_wait_for_their_turn_in_the_order_they_came() -> None:
    held, admission = Held(), Admission(max_calls=1, max_queued=10)
    async with served(held, admission=admission) as client:
        first = asyncio.create_task(client.ask(0))
        await until(lambda: held.begun)
        rest = await asked_in_order(client, admission, range(1, 6))
        assert held.begun == [0]
        held.release.set()

        assert await asyncio.gather(first, *rest) == [0, 1, 2, 3, 4, 5]
    assert held.begun == [0, 1, 2, 3, 4, 5]


async def test_what_finds_the_queue_full_is_told_when_to_come_again_and_leaves_no_line_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logs, "SLOW_REQUEST_SECONDS", 3600)  # a test that is held up is not slow
    monkeypatch.setattr(refusals, "LOG_INTERVAL_SECONDS", 3600)
    held, admission = Held(), Admission(max_calls=1, max_queued=1)
    with structlog.testing.capture_logs() as lines:
        async with served(held, admission=admission, policy="errors") as client:
            first = asyncio.create_task(client.ask(0))
            await until(lambda: held.begun)
            [second] = await asked_in_order(client, admission, range(1, 2))
            refused = [await refusal_of(client.ask(n)) for n in (2, 3)]
            held.release.set()
            assert [await first, await second, await client.ask(4)] == [0, 1, 4]

    message = "no more than 1 calls may wait at a time; try again in a moment"
    assert refused == [Refusal(EXHAUSTED, message, "OVERLOADED", "", {"limit": "1"}, RETRY_DELAY_SECONDS)] * 2
    assert held.begun == [0, 1, 4]
    assert [line["event"] for line in lines if line.get("code") == "RESOURCE_EXHAUSTED"] == []
    assert [line["total"] for line in lines if line["event"] == "overload.refused"] == [1]


async def test_a_call_leaves_the_queue_at_its_deadline_and_when_its_client_cancels_it() -> None:
    held, admission = Held(), Admission(max_calls=1, max_queued=2)
    async with served(held, admission=admission) as client:
        first = asyncio.create_task(client.ask(0))
        await until(lambda: held.begun)
        late = asyncio.create_task(client.ask(1, timeout=1))
        await until(lambda: admission._queue)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await late
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await until(lambda: not admission._queue)  # the client's clock may have been the first to say so
        [left, _] = await asked_in_order(client, admission, range(2, 4))
        left.cancel()
        await until(lambda: len(admission._queue) == 1)
        held.release.set()

        assert await first == 0
        await until(lambda: held.begun == [0, 3])  # the two that left were never begun


async def test_health_and_a_call_that_its_client_keeps_open_need_no_place() -> None:
    held, admission = Held(), Admission(max_calls=1, max_queued=0, max_lasting=1)
    async with served(held, admission=admission) as client, asyncio.timeout(30):
        exchange = client.exchange()
        await exchange.wait_for_connection()
        first, stream = asyncio.create_task(client.ask(0)), client.stream(0, 1)
        streaming = asyncio.create_task(stream.read())
        await until(lambda: len(held.begun) == 2)  # there is no place left of either kind
        check = await client.health.Check(health_pb2.HealthCheckRequest())
        watch = client.health.Watch(health_pb2.HealthCheckRequest())
        watched = await watch.read()
        answer = asyncio.create_task(exchanged(exchange, 7))
        await until(lambda: len(held.begun) == 3)
        held.release.set()

        assert await answer == [7]
        assert (check.status, watched.status) == (SERVING, SERVING)
        await asyncio.gather(first, streaming)
        watch.cancel()


async def test_streams_are_counted_for_themselves() -> None:
    held, admission = Held(), Admission(max_calls=1, max_queued=0, max_lasting=2)
    async with served(held, admission=admission) as client, asyncio.timeout(30):
        streams = [client.stream(n, 1) for n in (1, 2)]
        reading = [asyncio.create_task(stream.read()) for stream in streams]
        await until(lambda: len(held.begun) == 2)
        refusal = await refusal_of(client.stream(3, 1).read())
        asked = asyncio.create_task(client.ask(4))  # streams take no place of others
        await until(lambda: len(held.begun) == 3)
        held.release.set()

        assert (refusal.code, refusal.reason, refusal.facts) == (EXHAUSTED, "OVERLOADED", {"limit": "2"})
        assert [int((await answer).lines) for answer in reading] == [1, 2]
        assert await asked == 4


async def test_a_stream_that_its_client_leaves_makes_room_for_another() -> None:
    held, admission = Held(), Admission(max_calls=1, max_queued=0, max_lasting=1)
    async with served(held, admission=admission) as client, asyncio.timeout(30):
        left = client.stream(1, 1)
        reading = asyncio.ensure_future(left.read())
        await until(lambda: held.begun == [1])
        left.cancel()
        await asyncio.wait([reading])
        await until(lambda: admission._lasting == 0)
        held.release.set()

        assert int((await client.stream(2, 1).read()).lines) == 2


async def test_bytes_that_are_no_message_wait_for_no_place() -> None:
    held, admission = Held(), Admission(max_calls=1, max_queued=0)
    async with served(held, admission=admission) as client:
        first = asyncio.create_task(client.ask(0))
        await until(lambda: held.begun)
        channel: Any = client.channel  # the bytes go as they are
        refusal = await refusal_of(channel.unary_unary("/fibonacci.Fibonacci/GetFib")(b"\xff\xff"))
        held.release.set()
        await first

    assert refusal.reason == "MESSAGE_MALFORMED"


async def test_a_call_whose_deadline_passed_while_the_loop_was_late_is_not_begun() -> None:
    begun: list[int] = []

    async def answer(n: int) -> int:
        begun.append(n)
        return n

    async with served(answer) as client:
        connected, held_up, told = threading.Event(), threading.Event(), threading.Event()

        def ask_in_time() -> grpc.StatusCode:
            alone = (("grpc.use_local_subchannel_pool", 1),)
            with grpc.insecure_channel(f"127.0.0.1:{client.port}", options=alone) as channel:
                grpc.channel_ready_future(channel).result(timeout=20)
                connected.set()
                held_up.wait(20)
                with pytest.raises(grpc.RpcError) as caught:
                    fib_pb2_grpc.FibonacciStub(channel).GetFib(fib_pb2.FibonacciRequest(n=1), timeout=0.2)
                told.set()
                code: grpc.StatusCode = caught.value.code()
                return code

        late = asyncio.create_task(asyncio.to_thread(ask_in_time))
        await asyncio.to_thread(connected.wait, 20)
        held_up.set()
        assert told.wait(20)  # the loop is late: it runs nothing before the deadline has passed
        time.sleep(1)  # noqa: ASYNC251 - at the server too, which counts it from when the call came
        assert await late is grpc.StatusCode.DEADLINE_EXCEEDED
        assert await client.ask(2) == 2
    assert begun == [2]
