"""A Stats service that does as it is told, over a real socket."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc

from service_kit.grpc_channel import open_channel
from service_kit.pb.stats import stats_pb2, stats_pb2_grpc
from stats_service.servicer import StatsServicer
from stats_service.store import MemoryStore

#: What answers one batch; it may wait, or abort the call.
Script = Callable[[stats_pb2.RecordRequest, Any], Awaitable[None]]


class ScriptedStats(StatsServicer):
    """Puts every batch that arrives into a queue, follows its script, and then counts as the real service does."""

    def __init__(self, script: Script) -> None:
        super().__init__(store=MemoryStore(clock=time.time))
        self._script = script
        self._arrived: asyncio.Queue[stats_pb2.RecordRequest] = asyncio.Queue()

    async def RecordNo(self, request: stats_pb2.RecordRequest, context: Any) -> stats_pb2.RecordResponse:
        self._arrived.put_nowait(request)
        await self._script(request, context)
        return await super().RecordNo(request, context)

    async def next_batch(self) -> stats_pb2.RecordRequest:
        async with asyncio.timeout(30):
            return await self._arrived.get()

    def batches(self) -> list[stats_pb2.RecordRequest]:
        """What arrived and was not asked for yet."""
        return [self._arrived.get_nowait() for _ in range(self._arrived.qsize())]


async def accept(_request: stats_pb2.RecordRequest, _context: Any) -> None:
    """The script of a service that is well."""


async def hang(_request: stats_pb2.RecordRequest, _context: Any) -> None:
    await asyncio.Event().wait()


@asynccontextmanager
async def listening(servicer: stats_pb2_grpc.StatsServicer, address: str) -> AsyncIterator[int]:
    """Serves on the address, and yields the port."""
    server = grpc.aio.server()
    stats_pb2_grpc.add_StatsServicer_to_server(servicer, server)
    port = server.add_insecure_port(address)
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


@asynccontextmanager
async def served(servicer: stats_pb2_grpc.StatsServicer) -> AsyncIterator[grpc.aio.Channel]:
    """Serves on a free port, and yields a channel to it."""
    async with listening(servicer, "127.0.0.1:0") as port, open_channel(f"127.0.0.1:{port}") as channel:
        yield channel
