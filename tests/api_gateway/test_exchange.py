import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest

from api_gateway.exchange import Exchange
from service_kit.grpc_channel import open_channel
from service_kit.pb.fibonacci.fib_pb2 import DECIMAL, ExchangeFibRequest, ExchangeFibResponse
from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciStub
from service_kit.traces import Active
from tests.api_gateway.neighbours import Gate, TinyFibonacci, serving
from tests.tracing import Exported


def observed_exchange(channel: grpc.aio.Channel) -> tuple[Exchange, list[Any]]:
    """An exchange, and every call that it opens, in order."""
    stub = FibonacciStub(channel)
    calls: list[Any] = []

    def open_call(**arguments: Any) -> Any:
        calls.append(stub.ExchangeFib(**arguments))
        return calls[-1]

    return Exchange(stub=cast("Any", SimpleNamespace(ExchangeFib=open_call))), calls


async def test_a_call_that_is_replaced_is_ended_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api_gateway.exchange.CALL_SECONDS", 0.02)
    async with serving(TinyFibonacci()) as target, open_channel(target) as channel, asyncio.timeout(10):
        exchange, calls = observed_exchange(channel)
        ended: list[grpc.StatusCode] = []
        while ended.count(grpc.StatusCode.OK) < 5:
            batch = ExchangeFibRequest(sequence=1, n=[10], encodings=[DECIMAL])
            assert (await exchange.answer(batch)).values == [b"55"]
            ended = [await call.code() for call in calls if call.done()]
        exchange.close()
        assert [await call.code() for call in calls[-1:]] == [grpc.StatusCode.CANCELLED]


class Lingering(TinyFibonacci):
    """Does not end a call of which the client has said that no more comes."""

    async def ExchangeFib(
        self, requests: AsyncIterator[ExchangeFibRequest], context: Any
    ) -> AsyncIterator[ExchangeFibResponse]:
        async for batch in requests:
            yield self.exchanged(batch)
        await asyncio.Event().wait()


async def test_a_call_that_its_server_does_not_end_is_cancelled_when_the_next_one_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("api_gateway.exchange.CALL_SECONDS", -1)  # each batch has a call of its own
    async with serving(Lingering()) as target, open_channel(target) as channel, asyncio.timeout(10):
        exchange, calls = observed_exchange(channel)
        for sequence in range(5):
            await exchange.answer(ExchangeFibRequest(sequence=sequence, n=[10], encodings=[DECIMAL]))
        assert [call.done() for call in calls] == [True] * 3 + [False] * 2
        exchange.close()
        assert {await call.code() for call in calls} == {grpc.StatusCode.CANCELLED}


async def test_an_attempt_that_is_given_up_is_no_error_of_its_span() -> None:
    exported, gate = Exported(), Gate()
    async with serving(TinyFibonacci(gate)) as target, open_channel(target) as channel, asyncio.timeout(10):
        exchange = Exchange(stub=cast("Any", FibonacciStub(channel)))
        with Active(exported.tracer.begin("batch")):
            batch = ExchangeFibRequest(sequence=1, n=[10], encodings=[DECIMAL])
            attempt = asyncio.create_task(exchange.answer(batch))
            await gate.holds(1)
            attempt.cancel()
            await asyncio.wait([attempt])
        span = await exported.one("client")

    assert (span.attributes["rpc.response.status_code"], span.is_error) == ("CANCELLED", False)
