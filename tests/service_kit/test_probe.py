import asyncio
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service_kit.grpc_server import HealthServicer
from service_kit.probe import WITHOUT_TLS, probe
from service_kit.tls_files import TlsFile, TlsFiles
from tests.service_kit.small_service import double, listening
from tests.tls.authority import Authority, Issued


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


@pytest.mark.parametrize(
    ("url", "target"),
    [("", "/"), ("/readyz", "/readyz"), ("/readyz?full=1&x=2", "/readyz?full=1&x=2"), ("?full=1", "/?full=1")],
)
async def test_an_http_service_is_asked_for_the_path_and_the_query(url: str, target: str) -> None:
    asked = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).split()[1].decode())
        writer.write(response("200 OK"))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        assert await probed(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{url}") is None

    assert asked == [target]


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


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:many/",
        "http://[::1/",
        "grpc://[::1",
        f"http://{'a' * 64}/",
        "http://local host/",
        "http://127.0.0.1:1/\xe9",
    ],
)
def test_a_url_that_cannot_be_asked_is_unhealthy(url: str) -> None:
    assert str(probe(url)).startswith(f"{url}: ")


async def probe_process(url: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "service_kit.probe", url]
    return await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=30, check=False)


async def test_its_exit_status_says_whether_the_service_is_healthy(silent_port: int) -> None:
    async with listening(double) as port:
        healthy = await probe_process(f"grpc://127.0.0.1:{port}")
    away = await probe_process(f"grpc://127.0.0.1:{silent_port}")

    assert (healthy.returncode, healthy.stdout, healthy.stderr) == (0, "", "")
    assert (away.returncode, away.stdout, away.stderr) == (1, "", f"127.0.0.1:{silent_port}: UNAVAILABLE\n")


def believing(file: Path) -> TlsFiles:
    return replace(WITHOUT_TLS, ca=TlsFile("--ca", str(file)))


@asynccontextmanager
async def answering_over_tls(issued: Issued) -> AsyncIterator[int]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(issued.certificate, issued.key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response("200 OK"))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def serving_over_tls(issued: Issued) -> AsyncIterator[int]:
    async with listening(double, tls_certificate=str(issued.certificate), tls_key=str(issued.key)) as port:
        yield port


over_tls = pytest.mark.parametrize(
    ("scheme", "serving"), [("https", answering_over_tls), ("grpcs", serving_over_tls)], ids=["https", "grpcs"]
)
Serving = Callable[[Issued], AbstractAsyncContextManager[int]]


@over_tls
async def test_over_tls_the_server_has_to_carry_the_name_of_the_url(
    tmp_path: Path, scheme: str, serving: Serving
) -> None:
    ours = Authority(tmp_path)
    async with serving(ours.issue("127.0.0.1")) as good, serving(ours.issue("elsewhere")) as bad:
        faults = [
            await asyncio.to_thread(probe, f"{scheme}://127.0.0.1:{port}", files=believing(ours.file))
            for port in (good, bad)
        ]

    assert faults[0] is None
    assert faults[1] is not None


@over_tls
async def test_over_tls_the_server_has_to_carry_the_name_that_is_given(
    tmp_path: Path, scheme: str, serving: Serving
) -> None:
    ours = Authority(tmp_path)
    async with serving(ours.issue("service.example")) as port:
        url, files = f"{scheme}://127.0.0.1:{port}", believing(ours.file)
        named = await asyncio.to_thread(probe, url, files=files, server_name="service.example")
        misnamed = await asyncio.to_thread(probe, url, files=files, server_name="other.example")

    assert named is None
    assert misnamed is not None


@over_tls
async def test_over_tls_only_known_authorities_are_believed(tmp_path: Path, scheme: str, serving: Serving) -> None:
    async with serving(Authority(tmp_path).issue("127.0.0.1")) as port:
        url = f"{scheme}://127.0.0.1:{port}"
        by_another = await asyncio.to_thread(probe, url, files=believing(Authority(tmp_path).file))
        by_the_system = await asyncio.to_thread(probe, url)

    assert by_another is not None
    assert by_the_system is not None


@pytest.mark.parametrize("scheme", ["https", "grpcs"])
def test_a_bad_file_is_named_with_its_flag(tmp_path: Path, scheme: str) -> None:
    missing = tmp_path / "missing.pem"

    fault = probe(f"{scheme}://127.0.0.1:1", files=believing(missing))

    assert fault == f"--ca='{missing}': No such file or directory"
