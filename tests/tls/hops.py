"""The four hops between a client and the account, each with whatever certificates a test gives its two ends."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from structlog.testing import capture_logs

import api_gateway.app
import api_gateway.settings
import fibonacci_service.app
import fibonacci_service.settings
import stats_service.app
import stats_service.settings
from service_kit.grpc_channel import open_channel
from service_kit.pb.fibonacci.fib_pb2 import FibonacciRequest
from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciStub
from tests.tls.authority import Issued

#: The name that each server of these tests admits.
ADMITTED = "caller"


@dataclass(frozen=True, slots=True)
class Ends:
    """What the two ends of a hop show, and whom they believe."""

    server: Issued
    server_believes: Path
    client: Issued | None
    client_believes: Path

    def listening(self) -> dict[str, Any]:
        """The settings of the server."""
        return {
            "listen_port": 0,
            "drain_delay_seconds": 0,
            "tls_certificate": str(self.server.certificate),
            "tls_key": str(self.server.key),
            "tls_client_ca": str(self.server_believes),
            "tls_client_names": ADMITTED,
        }

    def calling(self, callee: str) -> dict[str, Any]:
        """The settings of a service that is the client."""
        shown = {} if self.client is None else _shown(self.client)
        return {f"{callee}_ca": str(self.client_believes), **shown}

    def context(self) -> ssl.SSLContext:
        """A client that is none of the services."""
        context = ssl.create_default_context(cafile=self.client_believes)
        if self.client is not None:
            context.load_cert_chain(self.client.certificate, self.client.key)
        return context


def _shown(client: Issued) -> dict[str, Any]:
    return {"call_certificate": str(client.certificate), "call_key": str(client.key)}


def stats(**settings: Any) -> AbstractAsyncContextManager[int]:
    return stats_service.app.running(
        stats_service.settings.Settings(**{**_quiet(), "database_url": "memory:"} | settings)
    )


def fibonacci(**settings: Any) -> AbstractAsyncContextManager[int]:
    return fibonacci_service.app.running(fibonacci_service.settings.Settings(**_quiet() | settings))


def gateway(**settings: Any) -> AbstractAsyncContextManager[int]:
    return api_gateway.app.running(api_gateway.settings.Settings(**_quiet() | settings))


def _quiet() -> dict[str, Any]:
    return {"listen_port": 0, "drain_delay_seconds": 0}


async def client_to_gateway(ends: Ends, patience_seconds: float) -> bool:
    """Whether a client gets an answer."""
    async with gateway(**ends.listening()) as port, httpx.AsyncClient(verify=ends.context()) as client:
        try:
            answer = await client.get(f"https://localhost:{port}/livez", timeout=patience_seconds)
        except (httpx.TransportError, ssl.SSLError):
            return False
    return answer.status_code == 200


async def gateway_to_fibonacci(ends: Ends, patience_seconds: float) -> bool:
    async with fibonacci(**ends.listening()) as port, _asking(ends, "fibonacci", port, patience_seconds) as client:
        return (await client.get("/fib?n=10")).status_code == 200


async def gateway_to_stats(ends: Ends, patience_seconds: float) -> bool:
    async with stats(**ends.listening()) as port, _asking(ends, "stats", port, patience_seconds) as client:
        return (await client.get("/stats")).status_code == 200


@asynccontextmanager
async def _asking(ends: Ends, callee: str, port: int, patience_seconds: float) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway that calls the service at the port."""
    target = {f"{callee}_target": f"localhost:{port}", "deadline_seconds": patience_seconds}
    async with (
        gateway(**target, **ends.calling(callee)) as gateway_port,
        httpx.AsyncClient(base_url=f"http://localhost:{gateway_port}", timeout=30) as client,
    ):
        yield client


async def fibonacci_to_stats(ends: Ends, patience_seconds: float) -> bool:
    """Whether the record of an answer is acknowledged, while a stopping service goes on trying."""
    with capture_logs() as lines:
        async with stats(**ends.listening()) as port:
            target = {"stats_target": f"localhost:{port}", "stats_flush_seconds": patience_seconds}
            async with (
                fibonacci(**target, **ends.calling("stats")) as asked,
                open_channel(f"localhost:{asked}") as channel,
            ):
                await FibonacciStub(channel).GetFib(FibonacciRequest(n=10), wait_for_ready=True, timeout=30)
    [flushed] = [line for line in lines if line["event"] == "stats.flushed"]
    assert flushed["served"] == 1
    return bool(flushed["recorded"])


HOPS: dict[str, Callable[[Ends, float], Any]] = {
    "client to gateway": client_to_gateway,
    "gateway to fibonacci": gateway_to_fibonacci,
    "gateway to stats": gateway_to_stats,
    "fibonacci to stats": fibonacci_to_stats,
}
