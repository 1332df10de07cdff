"""The typed client of stats_service: JSON out, protobuf inside."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from google.protobuf.duration_pb2 import Duration

from api_gateway.calls import answered, metadata, opened
from api_gateway.circuit_breaker import CircuitBreaker
from api_gateway.deadlines import current_deadline
from api_gateway.errors import DeadlineExceeded, ServiceUnavailable, TooManyStreams, UpstreamError
from api_gateway.retries import Caller
from api_gateway.stats_json import minutes_json, number_json, page_json
from api_gateway.stats_stream import StatsStream
from service_kit.pb.stats.stats_pb2 import (
    GetNumberStatsRequest,
    ListMinutesRequest,
    ListStatsRequest,
    ListStatsResponse,
    Order,
    WatchStatsRequest,
)

if TYPE_CHECKING:
    from service_kit.pb.stats.stats_pb2_grpc import StatsAsyncStub

T = TypeVar("T")


class StatsClient:
    """Statistics are never urgent: a service that is reached and does not answer counts as unavailable too."""

    def __init__(self, *, stub: "StatsAsyncStub", caller: Caller, max_streams: int) -> None:
        self._stub = stub
        self.caller = caller
        self.breaker = CircuitBreaker(service=caller.service)
        self._max_streams = max_streams
        self.streams = 0
        self.streams_refused = 0
        self._page = ListStatsResponse()
        self._page_json = page_json(self._page)

    async def list(self, *, limit: int, order: str, page_token: str | None) -> bytes:
        """The totals and a page of numbers. Raises UpstreamError or ServiceUnavailable."""
        request = ListStatsRequest(page_size=limit, order=Order.Value(order.upper()), page_token=page_token or "")
        try:
            page = await self._call(lambda deadline: answered(self._stub.ListStats, request, deadline))
        except UpstreamError as error:
            raise _as_asked(error) from None
        # A fibonacci_service reports every 50 ms; between two reports all get the same page, and to see that costs far
        # less than to write it again.
        if page != self._page:
            self._page, self._page_json = page, page_json(page)
        return self._page_json

    async def get(self, n: int) -> bytes:
        """What is known of one number. Raises what `list` raises; its code is NOT_FOUND where nothing is."""
        request = GetNumberStatsRequest(n=n)
        return number_json(await self._call(lambda deadline: answered(self._stub.GetNumberStats, request, deadline)))

    async def minutes(self) -> bytes:
        """The last 24 hours, minute by minute. Raises what `list` raises."""
        request = ListMinutesRequest()
        return minutes_json(await self._call(lambda deadline: answered(self._stub.ListMinutes, request, deadline)))

    @asynccontextmanager
    async def watch(self, *, interval_seconds: float) -> AsyncIterator[StatsStream]:
        """The changes as they come, and no more calls when it is left. The deadline and the retries end with the first.

        Raises what `list` raises, or TooManyStreams.
        """
        if self.streams >= self._max_streams:
            self.streams_refused += 1
            raise TooManyStreams(self._max_streams)
        self.streams += 1
        try:
            seconds, nanos = divmod(round(interval_seconds * 1e9), 10**9)
            interval = Duration(seconds=seconds, nanos=nanos)
            request = WatchStatsRequest(interval=interval)
            stream = await self._call(lambda _deadline: self._open_stream(request))
            try:
                yield stream
            finally:
                stream.close()
        finally:
            self.streams -= 1

    async def _open_stream(self, request: WatchStatsRequest) -> StatsStream:
        call = self._stub.WatchStats(request, wait_for_ready=True, metadata=metadata())
        return await opened(StatsStream(call, service=self.caller.service))

    async def _call(self, attempt: Callable[[float], Awaitable[T]]) -> T:
        try:
            # What has a deadline of its own may have been given too little time.
            with self.breaker.call(telling=current_deadline.get() is None):
                return await self.caller.call(attempt)
        except DeadlineExceeded as error:
            raise ServiceUnavailable(error.service, error.cause) from error

    def connected(self) -> bool:
        return self.caller.connected()


def _as_asked(error: UpstreamError) -> UpstreamError:
    """The same error in the caller's words, for whom a page_size is a limit."""
    fields = [(_asked(field), _asked(allowed)) for field, allowed in error.fields]
    return error.reworded(_asked(error.message), fields)


def _asked(text: str) -> str:
    return text.replace("page_size", "limit")
