import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service_kit.grpc_server import HealthServicer
from service_kit.probe import probe
from tests.service_kit.small_service import double, listening


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that is taken and where nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    """The URL of a server that gives the same bytes to each who asks."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/readyz"


async def probed(url: str) -> str | None:
    return await asyncio.to_thread(probe, url)


def response(status: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()


async def test_a_grpc_service_that_serves_is_healthy() -> None:
    async with listening(double) as port:
        assert await probed(f"grpc://127.0.0.1:{port}") is None


async def test_a_grpc_service_that_says_it_is_not_serving_is_unhealthy() -> None:
    server, health = grpc.aio.server(), HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)

    assert await probed(f"grpc://127.0.0.1:{port}") == f"127.0.0.1:{port}: NOT_SERVING"

    await server.stop(None)


def test_a_grpc_service_that_is_away_is_unhealthy(silent_port: int) -> None:
    assert probe(f"grpc://127.0.0.1:{silent_port}") == f"127.0.0.1:{silent_port}: UNAVAILABLE"


@pytest.mark.parametrize("status", ["200 OK", "204 No Content"])
async def test_an_http_service_that_answers_is_healthy(status: str) -> None:
    async with answering(response(status)) as url:
        assert await probed(url) is None


@pytest.mark.parametrize("status", ["503 Service Unavailable", "404 Not Found"])
async def test_an_http_service_that_answers_with_an_error_is_unhealthy(status: str) -> None:
    async with answering(response(status)) as url:
        assert await probed(url) == f"{url}: HTTP Error {status.replace(' ', ': ', 1)}"


@pytest.mark.parametrize("answer", [b"", b"what?\r\n\r\n", b"HTTP/1.1 many\r\n\r\n"])
async def test_an_http_service_that_answers_with_something_else_is_unhealthy(answer: bytes) -> None:
    async with answering(answer) as url:
        assert str(await probed(url)).startswith(f"{url}: ")


def test_an_http_service_that_is_away_is_unhealthy(silent_port: int) -> None:
    assert "Connection refused" in str(probe(f"http://127.0.0.1:{silent_port}/readyz"))


@pytest.mark.parametrize("url", ["localhost:5001", "ftp://localhost", "file:///etc/hostname"])
def test_another_kind_of_url_is_refused(url: str) -> None:
    assert "grpc://, grpcs://, http:// or https://" in str(probe(url))


async def probe_process(url: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "service_kit.probe", url]
    return await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=30, check=False)


async def test_its_exit_status_says_whether_the_service_is_healthy(silent_port: int) -> None:
    async with listening(double) as port:
        healthy = await probe_process(f"grpc://127.0.0.1:{port}")
    away = await probe_process(f"grpc://127.0.0.1:{silent_port}")

    assert (healthy.returncode, healthy.stdout, healthy.stderr) == (0, "", "")
    assert (away.returncode, away.stdout, away.stderr) == (1, "", f"127.0.0.1:{silent_port}: UNAVAILABLE\n")
