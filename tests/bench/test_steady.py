"""Against a small server in this process's thread, which answers as it is told."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest

from bench.answers import answer
from bench.errors import BenchmarkFailed
from bench.steady import SMALL_NUMBER, latencies_ms


def test_every_request_of_the_rate_has_its_latency() -> None:
    with _server(answer(10)) as port:
        latencies = latencies_ms(port, SMALL_NUMBER, per_second=100, seconds=0.2)

    assert len(latencies) == 20
    assert all(0 < latency < 10_000 for latency in latencies)


def test_a_wrong_answer_fails_the_run() -> None:
    with _server(answer(11)) as port, pytest.raises(BenchmarkFailed, match="at a steady rate"):
        latencies_ms(port, SMALL_NUMBER, per_second=100, seconds=0.1)


@contextmanager
def _server(body: bytes) -> Iterator[int]:
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(_answering(body), "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.run_until_complete(_settled())
        loop.close()


async def _settled() -> None:
    """Ends every task, and those that they start: a connection that is being accepted starts the one that serves it."""
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)


def _answering(body: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    return serve
