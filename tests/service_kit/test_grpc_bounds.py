"""What a client may demand of a gRPC server, and what becomes of old connections and of silent peers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from service_kit import grpc_bounds
from service_kit.pb.fibonacci.fib_pb2 import BatchGetFibItem, BatchGetFibRequest, FibonacciRequest
from tests.service_kit.small_service import (
    MAX_REQUEST_BYTES,
    Answer,
    SmallClient,
    careless_client_of,
    client_of,
    double,
    listening,
    served,
)
from tests.tcp_proxy import TcpProxy, proxying
from tests.tls.authority import Authority

#: The deadline of a request, by default; what a peer that fell silent was asked has to fail well before it.
DEADLINE_SECONDS = 5


class Waiting:
    """Answers 0 at once, and anything else when it is released."""

    def __init__(self) -> None:
        self.started = 0
        self.start = asyncio.Semaphore(0)
        self.release, self.given_up = asyncio.Event(), asyncio.Event()

    async def __call__(self, n: int) -> int:
        if n:
            self.started += 1
            self.start.release()
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                self.given_up.set()
                raise
        return await double(n)


@asynccontextmanager
async def proxied(answer: Answer, **changes: Any) -> AsyncIterator[tuple[SmallClient, TcpProxy]]:
    async with listening(answer, **changes) as port, proxying(port) as proxy, client_of(proxy.port) as client:
        yield client, proxy


async def code_of_batch(client: SmallClient, size_bytes: int) -> grpc.StatusCode:
    request = BatchGetFibRequest(items=[BatchGetFibItem(request_id="x" * (size_bytes - 6))])
    assert request.ByteSize() == size_bytes
    return await client.stub.BatchGetFib(request).code()


async def code_of_call(client: SmallClient, note_bytes: int) -> grpc.StatusCode:
    return await client.stub.GetFib(FibonacciRequest(n=1), metadata=(("x-note", "x" * note_bytes),)).code()


async def test_a_message_that_is_too_large_is_refused() -> None:
    async with served(double) as client:
        codes = [await code_of_batch(client, size) for size in (MAX_REQUEST_BYTES, MAX_REQUEST_BYTES + 1)]

    assert codes == [grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED]


async def test_metadata_that_is_too_large_is_refused() -> None:
    async with served(double) as client:
        codes = [await code_of_call(client, size) for size in (15 << 10, 17 << 10)]

    assert codes == [grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED]


async def test_a_call_beyond_those_of_a_connection_waits_for_its_turn() -> None:
    waiting = Waiting()
    async with listening(waiting, max_calls=2) as port, careless_client_of(port) as client:
        first = [asyncio.ensure_future(client.ask(n)) for n in (1, 2)]
        for _ in first:
            await waiting.start.acquire()
        third = asyncio.ensure_future(client.ask(3))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(third), 0.3)
        started_before = waiting.started
        waiting.release.set()

        assert await asyncio.gather(*first, third) == [2, 4, 6]
        assert (started_before, waiting.started) == (2, 3)


async def test_an_old_connection_gets_no_new_calls_and_those_that_it_has_go_on() -> None:
    waiting = Waiting()
    async with proxied(waiting, max_connection_age_seconds=1) as (client, proxy), asyncio.timeout(30):
        long = asyncio.ensure_future(client.ask(21))
        while proxy.accepted < 3:
            assert await client.ask(0) == 0
        waiting.release.set()

        assert await long == 42


async def test_a_call_to_a_server_that_falls_silent_fails_before_its_deadline() -> None:
    async with proxied(double) as (client, proxy):
        await client.ask(1)
        proxy.fall_silent()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.ask(1, timeout=DEADLINE_SECONDS)

    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_what_a_client_asked_that_falls_silent_is_given_up() -> None:
    waiting = Waiting()
    async with proxied(waiting) as (client, proxy):
        asked = asyncio.ensure_future(client.ask(1))
        await waiting.start.acquire()
        proxy.fall_silent()

        await asyncio.wait_for(waiting.given_up.wait(), DEADLINE_SECONDS)
        with pytest.raises(grpc.aio.AioRpcError):
            await asked


async def test_a_client_that_does_not_finish_its_handshake_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpc_bounds, "_HANDSHAKE_MS", 300)
    issued = Authority(tmp_path).issue("localhost")
    certificate, key = str(issued.certificate), str(issued.key)
    async with listening(double, tls_certificate=certificate, tls_key=key) as port, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_a_client_may_ping_every_second_or_so() -> None:
    """A server allows two pings more often than it likes, by default once in five minutes, and then ends the calls."""
    waiting = Waiting()
    pings = (
        ("grpc.keepalive_time_ms", 1_200),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.use_local_subchannel_pool", 1),
    )
    async with (
        listening(waiting) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=pings) as channel,
    ):
        long = asyncio.ensure_future(SmallClient(port, channel).ask(21))
        done, _ = await asyncio.wait([long], timeout=6)
        waiting.release.set()

        assert (done, await long) == (set(), 42)


@pytest.mark.slow
async def test_a_server_whose_python_computes_for_long_is_not_silent() -> None:
    async def compute(n: int) -> int:
        sum(range(4 * 10**8))  # it lets no other thread run Python meanwhile
        return n

    async with served(compute) as client:
        assert await client.ask(7, timeout=120) == 7
