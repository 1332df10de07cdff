"""Puts api_gateway together: this constructs its parts, and layers.py what is around them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

import grpc
from fastapi import Depends, FastAPI

from api_gateway import problems
from api_gateway.coalescer import EXCHANGES, Coalescer
from api_gateway.exchange import Exchange
from api_gateway.faults import protocol_of
from api_gateway.fibonacci_client import FibonacciClient
from api_gateway.http_counts import HttpCounts, RouteTemplates, documented_templates
from api_gateway.http_server import serving
from api_gateway.layers import layered
from api_gateway.metrics import register
from api_gateway.queries import refuse_repeated_parameters
from api_gateway.retries import Caller
from api_gateway.routes.batches import batch_routes
from api_gateway.routes.descriptions import description_routes
from api_gateway.routes.fibonacci import fibonacci_routes
from api_gateway.routes.health import health_routes
from api_gateway.routes.metrics import metrics_routes
from api_gateway.routes.ranges import range_routes
from api_gateway.routes.residues import residue_routes
from api_gateway.routes.stats import stats_routes
from api_gateway.routes.stats_stream import stats_stream_routes
from api_gateway.schemas import Problem
from api_gateway.settings import Settings
from api_gateway.stats_client import StatsClient
from service_kit.grpc_channel import open_channel
from service_kit.loop_lag import measuring_lag
from service_kit.metrics import Metrics
from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciStub
from service_kit.pb.stats.stats_pb2_grpc import StatsStub
from service_kit.tls import CallTls, calling_tls, listening_tls
from service_kit.traced_channel import traced_channel
from service_kit.traces import Tracer
from service_kit.tracing import tracing

DESCRIPTION = "Exact Fibonacci numbers, and the account of every answer."


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[int]:
    """Serves until it is left, and yields the port. On leaving it stops being ready, then drains."""
    async with (
        tracing("api_gateway") as tracer,
        listening_tls(settings) as certificates,
        _channel(settings.fibonacci_target, calling_tls(settings, "fibonacci"), tracer) as to_fibonacci,
        _channel(settings.stats_target, calling_tls(settings, "stats"), tracer) as to_stats,
    ):
        draining = asyncio.Event()
        metrics = Metrics(service="api_gateway")
        fibonacci, stats = fibonacci_client(settings, to_fibonacci, tracer), stats_client(settings, to_stats)
        app = create_app(fibonacci=fibonacci, stats=stats, metrics=metrics, draining=draining)
        counts = HttpCounts(RouteTemplates(documented_templates(app)))
        register(metrics, http=counts, fibonacci=fibonacci, stats=stats)
        served = await layered(app, settings, counts=counts, draining=draining, tracer=tracer)
        async with (
            measuring_lag(metrics),
            fibonacci.coalescer,
            serving(
                served,
                settings,
                counts=counts,
                certificates=certificates,
                protocol=protocol_of(settings),
                tracer=tracer,
            ) as port,
        ):
            try:
                yield port
            finally:
                draining.set()
                await asyncio.sleep(settings.drain_delay_seconds)


@asynccontextmanager
async def _channel(target: str, tls: CallTls | None, tracer: Tracer | None) -> AsyncIterator[grpc.aio.Channel]:
    async with open_channel(target, tls=tls) as channel:
        yield traced_channel(channel, tracer)


def create_app(*, fibonacci: FibonacciClient, stats: StatsClient, metrics: Metrics, draining: asyncio.Event) -> FastAPI:
    app = FastAPI(
        title="Exact Fibonacci",
        description=DESCRIPTION,
        version=version("exact-fibonacci"),
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},
        max_body_size=problems.MAX_BODY_BYTES,
        responses={"default": {"model": Problem, "description": "A problem (RFC 9457)"}},
    )
    for router in (
        fibonacci_routes(fibonacci),
        range_routes(fibonacci),
        residue_routes(fibonacci),
        description_routes(fibonacci),
        stats_stream_routes(stats, draining),  # before /stats/{n}
        stats_routes(stats),
    ):
        app.include_router(
            router, dependencies=[Depends(refuse_repeated_parameters)], responses=problems.TOO_MANY_REQUESTS
        )
    app.include_router(
        health_routes(fibonacci=fibonacci, stats=stats, draining=draining.is_set),
        dependencies=[Depends(refuse_repeated_parameters)],
    )
    app.include_router(metrics_routes(metrics))
    app.include_router(batch_routes(fibonacci), responses=problems.TOO_MANY_REQUESTS)
    problems.install(app)
    return app


def fibonacci_client(settings: Settings, channel: grpc.aio.Channel, tracer: Tracer | None = None) -> FibonacciClient:
    stub = FibonacciStub(channel)
    caller = Caller(
        service="fibonacci_service",
        target=settings.fibonacci_target,
        channel=channel,
        deadline_seconds=settings.deadline_seconds,
    )
    exchanges = [Exchange(stub=stub) for _ in range(EXCHANGES)]
    return FibonacciClient(
        stub=stub,
        caller=caller,
        coalescer=Coalescer(exchanges=exchanges, caller=caller, max_waiting=settings.max_waiting, tracer=tracer),
        stall_seconds=settings.deadline_seconds,
    )


def stats_client(settings: Settings, channel: grpc.aio.Channel) -> StatsClient:
    caller = Caller(
        service="stats_service",
        target=settings.stats_target,
        channel=channel,
        deadline_seconds=settings.deadline_seconds,
    )
    return StatsClient(stub=StatsStub(channel), caller=caller, max_streams=settings.max_streams)
