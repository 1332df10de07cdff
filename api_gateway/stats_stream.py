"""The changes of the account on their way from stats_service to a client, as server-sent events."""

import asyncio
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

import grpc
import structlog
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from api_gateway.errors import UpstreamError
from api_gateway.stats_json import changes_json
from api_gateway.stream_reading import next_message
from service_kit.pb.stats.stats_pb2 import WatchStatsRequest, WatchStatsResponse

if TYPE_CHECKING:
    WatchStatsCall = grpc.aio.UnaryStreamCall[WatchStatsRequest, WatchStatsResponse]

log = structlog.get_logger()

#: A connection on which nothing was sent for this long gets a comment, so that no proxy takes it for dead.
KEEP_ALIVE_SECONDS = 15.0
#: What a browser waits before it connects again; a service that restarts is back within it.
RETRY_MS = 1_000


class StatsStream:
    """Reads a call of WatchStats no faster than its reader asks: what is ahead of it waits in stats_service."""

    def __init__(self, call: "WatchStatsCall", *, service: str, keep_alive_seconds: float = KEEP_ALIVE_SECONDS) -> None:
        self._call = call
        self._service = service
        self._keep_alive_seconds = keep_alive_seconds
        self._first = WatchStatsResponse()

    async def open(self) -> None:
        """Awaits the first message, as long as the caller likes. Raises AioRpcError or UpstreamError."""
        first = await next_message(self._call)
        if first is None:  # a service that stops ends its streams
            raise UpstreamError(grpc.StatusCode.UNAVAILABLE, "the stream ended before it began")
        self._first = first

    async def events(self, ending: asyncio.Event) -> AsyncGenerator[bytes, None]:
        """Everything at once, then the changes as they come, until `ending` is set or the service ends.

        They have no ids, for there is nothing to resume: a reader that comes again starts with everything.
        """
        yield _event(self._first, retry=RETRY_MS)
        stopping = asyncio.create_task(ending.wait())
        reading = asyncio.create_task(self._next())
        try:
            while True:
                timeout = self._keep_alive_seconds
                await asyncio.wait((reading, stopping), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                if stopping.done():
                    return
                if not reading.done():
                    yield KEEPALIVE_COMMENT
                elif (message := reading.result()) is not None:
                    yield _event(message)
                    reading = asyncio.create_task(self._next())
                else:
                    return
        finally:
            stopping.cancel()
            self.close()  # which ends the read that is under way
            await asyncio.wait((reading, stopping))

    def close(self) -> None:
        """Ends the call, wherever it is."""
        self._call.cancel()

    async def _next(self) -> WatchStatsResponse | None:
        """The next message; None where the service has ended it or is gone. The reader need not know: it reconnects."""
        try:
            return await next_message(self._call)
        except grpc.aio.AioRpcError as error:
            log.info("watch.ended", callee=self._service, error=f"{error.code().name}: {error.details()}")
            return None


def _event(message: WatchStatsResponse, *, retry: int | None = None) -> bytes:
    return format_sse_event(event="stats", data_str=changes_json(message).decode(), retry=retry)
