"""Puts stats_service together; the only place that constructs its parts."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress

import structlog

from service_kit.admission import Admission
from service_kit.grpc_bounds import MAX_CALLS
from service_kit.grpc_server import serving
from service_kit.interceptors import ServerInterceptor
from service_kit.lifecycle import supervise
from service_kit.logs import RequestLog
from service_kit.metrics import Metrics
from service_kit.metrics_server import serving_metrics
from service_kit.pb.stats.stats_pb2_grpc import add_StatsServicer_to_server
from service_kit.rpc_metrics import register_rpc
from service_kit.tls import listening_tls
from service_kit.trace_interceptors import server_interceptors
from service_kit.tracing import tracing
from stats_service.contract import SERVICE_NAME, STATUS_TABLE
from stats_service.errors import StoreUnavailable
from stats_service.metrics import register
from stats_service.servicer import StatsServicer
from stats_service.settings import Settings
from stats_service.store import Bounds, StatsStore
from stats_service.store_memory import MemoryStore

log = structlog.get_logger()

#: A thousand numbers, each with a histogram in which no bucket is empty, take 2.2 MB.
MAX_REQUEST_BYTES = 5 << 19


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[int]:
    """Serves until it is left, and yields the port. On leaving it drains, then closes the store."""
    request_log = RequestLog(policy=settings.log_requests)
    async with (
        tracing("stats_service") as tracer,
        listening_tls(settings) as certificates,
        _store(settings) as store,
        _tidying(store, settings),
    ):
        log.info("store.opened", url=settings.shown_database_url)
        servicer = StatsServicer(store=store, max_watchers=settings.max_watchers)
        metrics = Metrics(service="stats_service")
        # Its streams are watchers, of which the servicer counts and bounds its own.
        admission = Admission(max_calls=settings.max_concurrent_calls, max_queued=settings.max_queued_calls)
        interceptor = _interceptor(settings, request_log, admission)
        register_rpc(metrics, interceptor=interceptor, admission=admission, shed=[servicer.watchers.refusals])
        register(metrics, servicer=servicer, store=store)
        async with (
            serving_metrics(settings, metrics) as metrics_port,
            serving(
                settings,
                service_name=SERVICE_NAME,
                register=lambda server: add_StatsServicer_to_server(servicer, server),
                interceptors=[interceptor],
                outer_interceptors=server_interceptors(tracer),
                max_request_bytes=MAX_REQUEST_BYTES,
                max_calls=MAX_CALLS + settings.max_watchers,  # watching takes nobody's turn
                end_streams=servicer.end_streams,
                certificates=certificates,
            ) as port,
        ):
            log.info("metrics.started", host=settings.metrics_host, port=metrics_port)
            yield port


def _interceptor(settings: Settings, request_log: RequestLog, admission: Admission) -> ServerInterceptor:
    return ServerInterceptor(
        status_table=STATUS_TABLE,
        request_log=request_log,
        admission=admission,
        admitted_names=settings.admitted_names,
    )


def _store(settings: Settings) -> AbstractAsyncContextManager[StatsStore]:
    """The store that the URL names; the code of another, and its driver, is not loaded."""
    bounds = Bounds(
        max_numbers=settings.max_numbers,
        max_histograms=settings.max_histograms,
        source_retention_seconds=settings.source_retention_seconds,
    )
    if settings.database_url.startswith("postgresql:"):
        from stats_service.store_postgresql import open_postgresql  # noqa: PLC0415

        return open_postgresql(settings.database_url, clock=time.time, bounds=bounds)
    if settings.sqlite_path is not None:
        from stats_service.store_sqlite import open_sqlite  # noqa: PLC0415

        return open_sqlite(settings.sqlite_path, clock=time.time, bounds=bounds)
    return nullcontext(MemoryStore(clock=time.time, bounds=bounds))


@asynccontextmanager
async def _tidying(store: StatsStore, settings: Settings) -> AsyncIterator[None]:
    """Once before anything is served, so that what an earlier life left is within its bounds, and then for ever."""
    await _tidy(store)

    async def tidy_for_ever() -> None:
        while True:
            await asyncio.sleep(settings.tidy_interval_seconds)
            await _tidy(store)

    task = asyncio.create_task(supervise("tidy", tidy_for_ever))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _tidy(store: StatsStore) -> None:
    """A store that cannot be reached says so itself, and is tidied the next time."""
    with suppress(StoreUnavailable):
        tidied = await store.tidy()
        if tidied.folded:
            log.info("numbers.folded", count=tidied.folded)
