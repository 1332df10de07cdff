import asyncio
import gc
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast

import grpc
import pytest

from service_kit.call_reading import give_up, unbroken
from service_kit.grpc_channel import open_channel
from tests.system.resources import own_bytes

#: Those in which the heap gets as large as it has to be for both ends, and those that follow.
FIRST_CALLS, CALLS = 10, 40
ANSWER_BYTES = 2 << 20
ARRIVAL_SECONDS = 0.02
#: Of the 80 MiB that are answered.
MORE_BYTES = 40 << 20


class Reading:
    """A read that lasts until its call is ended, and what became of it."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.ended = asyncio.Event()
        self.was_cancelled = False

    async def read(self) -> None:
        self.began.set()
        try:
            await self.ended.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        raise ConnectionError


async def test_what_is_read_and_what_fails_is_the_readers() -> None:
    async def one() -> int:
        return 1

    assert await unbroken(one(), end_call=pytest.fail) == 1
    reading = Reading()
    reading.ended.set()
    with pytest.raises(ConnectionError):
        await unbroken(reading.read(), end_call=pytest.fail)


async def given_up() -> Reading:
    """A read whose reader was cancelled in the middle of it."""
    reading = Reading()
    reader = asyncio.create_task(unbroken(reading.read(), end_call=reading.ended.set))
    await reading.began.wait()
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    return reading


async def test_a_reader_that_is_cancelled_ends_the_call_and_not_the_read() -> None:
    reading = await given_up()
    assert reading.ended.is_set()
    await asyncio.sleep(0)
    assert not reading.was_cancelled


async def test_nobody_is_told_how_a_read_ended_that_was_given_up() -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
    await given_up()
    await asyncio.sleep(0.01)
    gc.collect()

    assert told == []


@asynccontextmanager
async def calling(answer: Callable[[bytes, Any], bytes]) -> AsyncIterator[Any]:
    """A method that a server in threads answers, so that it does so while the loop of the test stands still."""
    method: Any = grpc.unary_unary_rpc_method_handler(answer)
    with ThreadPoolExecutor(2) as threads:
        server = grpc.server(threads)
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("large", {"Get": method})])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        async with open_channel(f"127.0.0.1:{port}", leave_out_not_serving=False) as channel:
            yield channel.unary_unary("/large/Get")
        await asyncio.to_thread(server.stop(0).wait)


async def answer_of(call: Any) -> bytes:
    return cast("bytes", await call)


async def test_an_answer_that_arrives_while_its_call_is_given_up_is_freed() -> None:
    loop, arrived, standing = asyncio.get_running_loop(), asyncio.Semaphore(0), threading.Semaphore(0)

    def answer(_request: bytes, _context: Any) -> bytes:
        loop.call_soon_threadsafe(arrived.release)
        standing.acquire(timeout=20)
        return bytes(ANSWER_BYTES)

    async with calling(answer) as ask:
        held_before = 0
        for place in range(FIRST_CALLS + CALLS):
            if place == FIRST_CALLS:
                held_before = own_bytes(os.getpid())
            call = ask(b"", wait_for_ready=True)
            reader = asyncio.create_task(unbroken(answer_of(call), end_call=partial(give_up, call)))
            await arrived.acquire()
            standing.release()
            time.sleep(ARRIVAL_SECONDS)  # noqa: ASYNC251 - the answer arrives, and nobody has read it yet
            reader.cancel()
            await asyncio.wait([reader])
            assert reader.cancelled()
            give_up(call)  # once more changes nothing
        assert own_bytes(os.getpid()) - held_before < MORE_BYTES


async def test_a_call_that_is_given_up_after_its_answer_keeps_it() -> None:
    async with calling(lambda _request, _context: b"answer") as ask:
        call = ask(b"", wait_for_ready=True)
        await call.code()
        give_up(call)
        assert await call == b"answer"


async def test_a_call_that_is_given_up_ends_at_the_server() -> None:
    loop, arrived, ended = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def wait(_request: bytes, context: Any) -> bytes:
        context.add_callback(ended.set)
        loop.call_soon_threadsafe(arrived.set)
        ended.wait(10)
        return b""

    async with calling(wait) as ask:
        call = ask(b"", wait_for_ready=True)
        await arrived.wait()
        give_up(call)
        assert await asyncio.to_thread(ended.wait, 5)
        with pytest.raises(asyncio.CancelledError):
            await call
