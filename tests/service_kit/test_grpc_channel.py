import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from grpc import ChannelConnectivity

from service_kit.grpc_channel import open_channel
from service_kit.pb.fibonacci.fib_pb2 import FibonacciRequest
from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciStub
from tests.service_kit.small_service import Answer, SmallClient, client_of, double, listening
from tests.tcp_proxy import TcpProxy

if TYPE_CHECKING:
    from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciAsyncStub


def counting(answered: Counter[str], name: str) -> Answer:
    async def answer(n: int) -> int:
        answered[name] += 1
        return n

    return answer


async def ask(client: SmallClient, n: int) -> int:
    """Asks as every caller does: waiting for the server within one deadline."""
    return await client.ask(n, wait_for_ready=True, timeout=30)


@asynccontextmanager
async def stub_of_both(first: int, second: int) -> AsyncIterator["FibonacciAsyncStub"]:
    async with open_channel(f"ipv4:127.0.0.1:{first},127.0.0.1:{second}") as channel, asyncio.timeout(30):
        yield FibonacciStub(channel)


async def call_until_all_answered(stub: "FibonacciAsyncStub", answered: Counter[str]) -> None:
    while len(answered) < 2:
        await stub.GetFib(FibonacciRequest(n=1), wait_for_ready=True)


async def test_it_finds_a_server_again_soon_after_it_was_away() -> None:
    async with AsyncExitStack() as first:
        port = await first.enter_async_context(listening(double))
        async with client_of(port) as client:
            await ask(client, 1)
            await first.aclose()
            waiting = asyncio.create_task(ask(client, 21))
            started = time.monotonic()
            async with listening(double, listen_port=port):
                assert await waiting == 42

    assert time.monotonic() - started < 10


async def test_a_new_channel_does_not_wait_out_the_pause_of_another_to_the_same_server() -> None:
    async with AsyncExitStack() as first:
        port = await first.enter_async_context(listening(double))
        async with client_of(port) as left_without:
            await ask(left_without, 1)
            await first.aclose()
            # Asked once for each wait: one for the end of an outage that began in between would not end.
            while (state := left_without.channel.get_state()) is not ChannelConnectivity.TRANSIENT_FAILURE:
                await left_without.channel.wait_for_state_change(state)
            async with listening(double, listen_port=port), client_of(port) as new:
                assert await new.ask(21) == 42


async def test_a_connection_that_takes_its_time_is_made_at_the_first_attempt() -> None:
    async with listening(double) as port:
        proxy = TcpProxy(upstream_host="127.0.0.1", upstream_port=port)
        await proxy.start()
        held = asyncio.create_task(proxy.hold_replies())
        await asyncio.sleep(0)  # until it holds them
        async with client_of(proxy.port) as client:
            await held
            await asyncio.sleep(0.7)  # as long as a handshake over a bad line
            proxy.let_replies_pass()
            assert await ask(client, 21) == 42
        await proxy.stop()

    assert proxy.accepted == 1


async def test_it_spreads_the_calls_over_every_address_of_the_target() -> None:
    answered: Counter[str] = Counter()
    async with (
        listening(counting(answered, "one")) as first,
        listening(counting(answered, "other")) as second,
        stub_of_both(first, second) as stub,
    ):
        await call_until_all_answered(stub, answered)
        for _ in range(20):
            await stub.GetFib(FibonacciRequest(n=1))

    assert min(answered.values()) >= 10


async def test_a_server_that_says_it_is_leaving_gets_no_more_calls() -> None:
    answered: Counter[str] = Counter()
    async with AsyncExitStack() as leaving, listening(counting(answered, "stays")) as first:
        second = await leaving.enter_async_context(listening(counting(answered, "leaves"), drain_delay_seconds=2))
        async with stub_of_both(first, second) as stub:
            await call_until_all_answered(stub, answered)
            left = asyncio.create_task(leaving.aclose())
            row, in_time = 0, True
            while row < 10 and in_time:
                before = answered["leaves"]
                await stub.GetFib(FibonacciRequest(n=1))
                row = row + 1 if answered["leaves"] == before else 0
                in_time = not left.done()
            await left

    assert in_time
