"""Puts stats_service together; the only place that constructs its parts."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from service_kit.grpc_server import serving
from service_kit.interceptors import ServerInterceptor
from service_kit.lifecycle import supervise
from service_kit.logs import RequestLog
from service_kit.pb.stats.stats_pb2_grpc import add_StatsServicer_to_server
from stats_service.servicer import SERVICE_NAME, STATUS_TABLE, StatsServicer
from stats_service.settings import Settings
from stats_service.store import MemoryStore, StatsStore
from stats_service.store_sql import open_sqlite

log = structlog.get_logger()

#: How often the sources that fell silent are looked for.
FORGET_INTERVAL_SECONDS = 3600.0


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[int]:
    """Serves until it is left, and yields the port. On leaving it drains, then closes the store."""
    request_log = RequestLog(policy=settings.log_requests)
    async with _store(settings) as store, _forgetting(store, settings):
        servicer = StatsServicer(store=store)
        async with serving(
            settings,
            service_name=SERVICE_NAME,
            register=lambda server: add_StatsServicer_to_server(servicer, server),
            interceptors=[ServerInterceptor(status_table=STATUS_TABLE, request_log=request_log)],
        ) as port:
            yield port


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[StatsStore]:
    if settings.sqlite_path is None:
        yield MemoryStore(clock=time.time)
        return
    async with open_sqlite(settings.sqlite_path) as store:
        yield store


@asynccontextmanager
async def _forgetting(store: StatsStore, settings: Settings) -> AsyncIterator[None]:
    async def forget() -> None:
        while True:
            forgotten = await store.forget_sources(idle_seconds=settings.source_retention_seconds)
            log.debug("sources.forgotten", count=forgotten)
            await asyncio.sleep(FORGET_INTERVAL_SECONDS)

    task = asyncio.create_task(supervise("forget_sources", forget))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
