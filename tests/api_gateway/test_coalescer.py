import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from google.rpc.status_pb2 import Status

from api_gateway.coalescer import EXCHANGES, MAX_BATCH_ITEMS, Coalescer
from api_gateway.errors import DeadlineExceeded, ServiceUnavailable, UpstreamError
from api_gateway.exchange import Exchange
from api_gateway.retries import Caller
from service_kit.grpc_channel import open_channel
from service_kit.pb.fibonacci.fib_pb2 import DECIMAL, ExchangeFibRequest, ExchangeFibResponse
from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciStub
from tests.api_gateway.neighbours import Gate, TinyFibonacci, failing, gateway_to, hang, serving, until_ready
from tests.api_gateway.rounds import rounds_after

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


class Coalesced:
    """A coalescer before a tiny service, asked by index."""

    def __init__(self, coalescer: Coalescer) -> None:
        self._coalescer = coalescer

    async def get(self, n: int) -> bytes:
        return await self._coalescer.ask(n, DECIMAL)

    async def waiting(self, *indices: int) -> list[asyncio.Task[bytes]]:
        """Requests that have run to their first wait: they are sent, or they wait in the queue."""
        tasks = [asyncio.create_task(self.get(n)) for n in indices]
        await asyncio.sleep(0)
        return tasks

    async def fill(self, gate: Gate) -> list[asyncio.Task[bytes]]:
        """Puts a batch on each exchange, of n = 1 and n = 2, that the service holds: whatever comes next waits."""
        first = await self.waiting(1)
        await gate.holds(1)
        second = await self.waiting(2)
        await gate.holds(1)
        return first + second


@asynccontextmanager
async def coalescing_to(
    target: str, *, max_waiting: int = 1_000, deadline_seconds: float = 20
) -> AsyncIterator[Coalesced]:
    async with open_channel(target) as channel:
        exchanges = [Exchange(stub=FibonacciStub(channel)) for _ in range(EXCHANGES)]
        caller = Caller(service="fibonacci_service", channel=channel, deadline_seconds=deadline_seconds)
        async with Coalescer(exchanges=exchanges, caller=caller, max_waiting=max_waiting) as coalescer:
            yield Coalesced(coalescer)


@asynccontextmanager
async def coalescing(fibonacci: TinyFibonacci, **limits: float) -> AsyncIterator[Coalesced]:
    async with serving(fibonacci) as target, coalescing_to(target, **limits) as coalesced:  # type: ignore[arg-type]
        yield coalesced


async def test_requests_that_arrive_while_two_batches_are_in_flight_share_the_next() -> None:
    gate = Gate()
    fibonacci = TinyFibonacci(gate)
    async with coalescing(fibonacci) as coalesced:
        tasks = await coalesced.fill(gate) + await coalesced.waiting(*range(3, 53))
        gate.open()
        await asyncio.gather(*tasks)
    assert fibonacci.batches == [[1], [2], list(range(3, 53))]


async def test_each_request_gets_its_own_answer() -> None:
    async with coalescing(TinyFibonacci()) as coalesced:
        values = await asyncio.gather(*(coalesced.get(n) for n in (10, 92, 10, 0)))
    assert values == [b"55", b"7540113804746346429", b"55", b"0"]


async def test_a_batch_has_at_most_so_many_items() -> None:
    gate = Gate()
    fibonacci = TinyFibonacci(gate)
    async with coalescing(fibonacci) as coalesced:
        tasks = await coalesced.fill(gate) + await coalesced.waiting(*range(MAX_BATCH_ITEMS + 1))
        gate.open()
        await asyncio.gather(*tasks)
    assert sorted(map(len, fibonacci.batches)) == [1, 1, 1, MAX_BATCH_ITEMS]


async def test_a_request_that_is_cancelled_while_it_waits_is_not_sent() -> None:
    gate = Gate()
    fibonacci = TinyFibonacci(gate)
    async with coalescing(fibonacci) as coalesced:
        flying = await coalesced.fill(gate)
        cancelled, left = await coalesced.waiting(3, 4)
        cancelled.cancel()
        gate.open()
        outcomes = await asyncio.gather(*flying, cancelled, left, return_exceptions=True)
    assert isinstance(outcomes[2], asyncio.CancelledError)
    assert fibonacci.batches == [[1], [2], [4]]


async def test_nothing_is_sent_where_every_waiting_request_is_cancelled() -> None:
    gate = Gate()
    fibonacci = TinyFibonacci(gate)
    async with coalescing(fibonacci) as coalesced:
        flying = await coalesced.fill(gate)
        for task in await coalesced.waiting(3, 4):
            task.cancel()
        gate.open()
        await asyncio.gather(*flying)
        assert await coalesced.get(5) == b"5"
    assert fibonacci.batches == [[1], [2], [5]]


async def test_a_request_that_is_cancelled_in_flight_leaves_the_rest_their_answers() -> None:
    gate = Gate()
    async with coalescing(TinyFibonacci(gate)) as coalesced:
        cancelled, left = await coalesced.waiting(10, 11)
        await gate.holds(1)
        cancelled.cancel()
        gate.open()
        assert await left == b"89"


async def test_the_error_of_an_item_reaches_its_own_request_alone() -> None:
    refusal = Status(code=grpc.StatusCode.INVALID_ARGUMENT.value[0], message="not seven")
    fibonacci = TinyFibonacci(errors={7: refusal})
    async with coalescing(fibonacci) as coalesced:
        six, seven, eight = await asyncio.gather(*map(coalesced.get, (6, 7, 8)), return_exceptions=True)
    assert fibonacci.batches == [[6, 7, 8]]
    assert (six, eight) == (b"8", b"21")
    assert isinstance(seven, UpstreamError)
    assert (seven.code, seven.message) == (grpc.StatusCode.INVALID_ARGUMENT, "not seven")


async def test_the_error_of_a_whole_batch_reaches_each_of_its_requests() -> None:
    fibonacci = TinyFibonacci(failing(grpc.StatusCode.RESOURCE_EXHAUSTED, times=1))
    async with coalescing(fibonacci) as coalesced:
        outcomes = await asyncio.gather(*map(coalesced.get, (6, 7)), return_exceptions=True)
        assert [outcome.code for outcome in outcomes if isinstance(outcome, UpstreamError)] == [
            grpc.StatusCode.RESOURCE_EXHAUSTED
        ] * 2
        assert await coalesced.get(8) == b"21"


class Forgetful(TinyFibonacci):
    def exchanged(self, batch: ExchangeFibRequest) -> ExchangeFibResponse:
        response = super().exchanged(batch)
        return ExchangeFibResponse(sequence=batch.sequence, values=response.values[1:])


class Confused(TinyFibonacci):
    def exchanged(self, batch: ExchangeFibRequest) -> ExchangeFibResponse:
        response = super().exchanged(batch)
        response.sequence -= 1
        return response


@pytest.mark.parametrize("servicer", [Forgetful, Confused])
async def test_an_answer_that_does_not_fit_its_batch_is_nobodys(servicer: type[TinyFibonacci]) -> None:
    async with coalescing(servicer()) as coalesced:
        outcomes = await asyncio.gather(*map(coalesced.get, (6, 7)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ValueError, ValueError]


async def test_a_batch_that_is_sent_again_is_the_same_to_its_name() -> None:
    fibonacci = TinyFibonacci(failing(UNAVAILABLE, times=2))
    async with coalescing(fibonacci) as coalesced:
        assert await asyncio.gather(*map(coalesced.get, (6, 7))) == [b"8", b"13"]
        assert await coalesced.get(8) == b"21"
    assert fibonacci.batches == [[6, 7]] * 3 + [[8]]
    assert len(set(fibonacci.batch_names[:3])) == 1
    assert fibonacci.batch_names[3] not in fibonacci.batch_names[:3]


async def test_a_call_that_the_server_ended_is_opened_again() -> None:
    class Brief(TinyFibonacci):
        """Ends each call after one answer, as a stopping server would."""

        async def ExchangeFib(
            self, requests: AsyncIterator[ExchangeFibRequest], context: object
        ) -> AsyncIterator[ExchangeFibResponse]:
            async for response in super().ExchangeFib(requests, context):
                yield response
                return

    fibonacci = Brief()
    async with coalescing(fibonacci) as coalesced:
        assert [await coalesced.get(n) for n in range(30)] == [await coalesced.get(n) for n in range(30)]
    assert len(fibonacci.batches) == 60


async def test_every_request_is_given_up_at_its_own_deadline() -> None:
    fibonacci = TinyFibonacci(hang)
    loop = asyncio.get_running_loop()
    lasted: list[float] = []
    late: list[int] = []

    async def lasting(n: int) -> None:
        started, overdue = loop.time(), asyncio.create_task(rounds_after(0.5))
        with pytest.raises(DeadlineExceeded):
            await coalesced.get(n)
        lasted.append(loop.time() - started)
        overdue.cancel()
        late.append(await overdue)

    async with coalescing(fibonacci, deadline_seconds=0.5) as coalesced, asyncio.TaskGroup() as group:
        for n in range(10):
            group.create_task(lasting(n))
            await asyncio.sleep(0.07)
    assert len(lasted) == 10
    assert min(lasted) >= 0.5
    assert max(late) < 25


async def test_two_servers_share_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api_gateway.exchange.CALL_SECONDS", 0.005)
    first, second = TinyFibonacci(), TinyFibonacci()
    async with (
        serving(first) as target,
        serving(second) as other,
        coalescing_to(f"ipv4:{target},{other}") as coalesced,
        asyncio.timeout(20),
    ):
        while not (first.batches and second.batches):  # the one that is connected first has all of it meanwhile
            await coalesced.get(1)
        first.batches.clear()
        second.batches.clear()
        while min(len(first.batches), len(second.batches)) < 100:
            await coalesced.get(1)
    assert max(len(first.batches), len(second.batches)) < 400


async def test_a_server_that_comes_later_gets_work_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api_gateway.exchange.CALL_SECONDS", 0.01)
    first, second = TinyFibonacci(), TinyFibonacci()
    async with serving(first) as target:
        async with serving(TinyFibonacci()) as other:
            pass
        async with coalescing_to(f"ipv4:{target},{other}") as coalesced:
            await coalesced.get(1)
            async with serving(second, target=other), asyncio.timeout(20):
                while not second.batches:
                    await coalesced.get(1)


async def test_one_request_more_than_may_wait_is_refused_at_once() -> None:
    gate = Gate()
    async with coalescing(TinyFibonacci(gate), max_waiting=3) as coalesced:
        tasks = await coalesced.fill(gate) + await coalesced.waiting(3, 4, 5)
        with pytest.raises(ServiceUnavailable, match="fibonacci_service is not available"):
            await coalesced.get(6)
        gate.open()
        assert await asyncio.gather(*tasks) == [b"1", b"1", b"2", b"3", b"5"]


async def test_a_request_that_may_not_wait_is_a_problem_that_says_to_come_again() -> None:
    gate = Gate()
    async with gateway_to(TinyFibonacci(gate), max_waiting=1, deadline_seconds=60) as client:
        await until_ready(client)
        flying = []
        for n in (1, 2):
            flying.append(asyncio.create_task(client.get(f"/fib?n={n}")))
            await gate.holds(1)
        rest = [asyncio.create_task(client.get(f"/fib?n={n}")) for n in (3, 4)]
        done, _ = await asyncio.wait(rest, return_when=asyncio.FIRST_COMPLETED)
        refused = done.pop().result()
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        gate.open()
        responses = await asyncio.gather(*flying, *rest)
    assert sorted(response.status_code for response in responses) == [200, 200, 200, 503]


async def test_a_dear_number_does_not_wait_behind_batches() -> None:
    gate = Gate()
    fibonacci = TinyFibonacci(gate)
    async with gateway_to(fibonacci, deadline_seconds=60) as client:
        await until_ready(client)
        flying = []
        for path in ("/fib?n=1", "/fib?n=2", "/fib?n=5000"):
            flying.append(asyncio.create_task(client.get(path)))
            await gate.holds(1)
        assert fibonacci.alone == [5_000]
        gate.open()
        assert [response.status_code for response in await asyncio.gather(*flying)] == [200] * 3


async def test_concurrent_http_requests_share_calls() -> None:
    fibonacci = TinyFibonacci()
    async with gateway_to(fibonacci) as client:
        responses = await asyncio.gather(*(client.get(f"/fib?n={n}") for n in range(200)))
    assert [response.json()["n"] for response in responses] == list(range(200))
    assert sorted(n for batch in fibonacci.batches for n in batch) == list(range(200))
    assert len(fibonacci.batches) < 200
