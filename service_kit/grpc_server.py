"""A gRPC server that says when it is ready, and drains when it is left."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health

from service_kit.grpc_bounds import MAX_CALLS, server_options
from service_kit.grpc_log import tell_refused_answers
from service_kit.grpc_tls import server_credentials
from service_kit.interceptors import ServerInterceptor
from service_kit.lifecycle import bind_socket
from service_kit.rpc_handlers import WrittenStreams
from service_kit.settings import GrpcServiceSettings, ServiceSettings
from service_kit.tls import Certificates
from service_kit.unknown_methods import new_server


class HealthServicer(health.HealthServicer):  # type: ignore[misc]
    """grpc.health.v1 whose Watch streams can be ended: a drain would wait for them to its limit."""

    def __init__(self) -> None:
        super().__init__()
        self._ending = asyncio.Event()

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Any) -> None:
        # The stream has to end by returning: gRPC sends no status for a handler that is cancelled from inside.
        watch = asyncio.ensure_future(super().Watch(request, context))
        ending = asyncio.ensure_future(self._ending.wait())
        try:
            await asyncio.wait((watch, ending), return_when=asyncio.FIRST_COMPLETED)
        finally:
            watch.cancel()
            ending.cancel()

    async def List(self, request: health_pb2.HealthListRequest, context: Any) -> None:
        # The library has none, and gRPC would answer with the name of its exception.
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "health is told by Check and Watch")

    def end_watches(self) -> None:
        self._ending.set()


@asynccontextmanager
async def serving(
    settings: GrpcServiceSettings,
    *,
    service_name: str,
    register: Callable[[grpc.aio.Server], None],
    interceptors: Sequence[ServerInterceptor],
    outer_interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
    inner_interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
    max_request_bytes: int,
    max_calls: int = MAX_CALLS,
    end_streams: Callable[[], None] = lambda: None,
    certificates: Certificates | None = None,
) -> AsyncIterator[int]:
    """Serves until it is left, and yields the port.

    On leaving: health says NOT_SERVING, clients get `drain_delay_seconds` to see it, calls that would last are ended,
    by `end_streams` those of the service's own making, then calls in flight get `drain_timeout_seconds` to finish.
    `outer_interceptors` stand before those and `inner_interceptors` between them and the servicer; they keep no call
    open themselves.
    With certificates it takes TLS and nothing else. `max_calls` are those of one connection.
    Raises CannotStart when the address is taken.
    """
    bounds = server_options(
        max_request_bytes=max_request_bytes,
        max_calls=max_calls,
        max_connection_age_seconds=settings.max_connection_age_seconds,
    )
    tell_refused_answers()
    around = [WrittenStreams(), *outer_interceptors, *interceptors, *inner_interceptors]
    server = new_server(interceptors=around, options=(("grpc.so_reuseport", 0), *bounds))
    health_servicer = HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    register(server)
    end_reflection = _add_reflection(server, service_name) if settings.reflection else lambda: None
    # gRPC names no reason when it cannot bind, so the address is tried with a socket of our own first.
    bind_socket(settings).close()
    port = _add_port(server, _address(settings), certificates)
    await server.start()
    for name in ("", service_name):
        await health_servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    try:
        yield port
    finally:
        await health_servicer.enter_graceful_shutdown()
        await asyncio.sleep(settings.drain_delay_seconds)
        health_servicer.end_watches()
        end_streams()
        end_reflection()
        for interceptor in interceptors:
            interceptor.end_exchanges()
        await server.stop(settings.drain_timeout_seconds)


def _add_reflection(server: grpc.aio.Server, service_name: str) -> Callable[[], None]:
    """Returns what ends its streams."""
    from service_kit.reflection import ReflectionServicer  # noqa: PLC0415 - only where a setting turns it on

    servicer = ReflectionServicer(service_name, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
    servicer.add_to(server)
    return servicer.end_streams


def _add_port(server: grpc.aio.Server, address: str, certificates: Certificates | None) -> int:
    if certificates is None:
        return server.add_insecure_port(address)
    return server.add_secure_port(address, server_credentials(certificates))


def _address(settings: ServiceSettings) -> str:
    host = settings.listen_host
    return f"[{host}]:{settings.listen_port}" if ":" in host else f"{host}:{settings.listen_port}"
