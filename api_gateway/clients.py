"""Typed clients of the two gRPC services: schemas out, protobuf inside."""

import asyncio
from typing import TYPE_CHECKING

import grpc

from api_gateway.coalescer import Coalescer
from api_gateway.errors import DeadlineExceeded, ServiceUnavailable, UpstreamError
from api_gateway.retries import Caller
from api_gateway.schemas import FibonacciNumber, NumberStats, Stats
from service_kit.pb.fibonacci.fib_pb2 import DECIMAL, FibonacciRequest, FibonacciResponse
from service_kit.pb.stats.stats_pb2 import FibonacciStat, ListStatsRequest, ListStatsResponse
from service_kit.request_id import METADATA_KEY, current_request_id

if TYPE_CHECKING:
    from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciAsyncStub
    from service_kit.pb.stats.stats_pb2_grpc import StatsAsyncStub

#: The largest index whose request may share a batch; a dearer one goes alone, so that nothing waits behind it.
COALESCED_MAX_N = 1_000
#: The largest index whose number fits the int64 field of the contract.
INT64_MAX_INDEX = 92


class FibonacciClient:
    def __init__(self, *, stub: "FibonacciAsyncStub", caller: Caller, coalescer: Coalescer) -> None:
        self._stub = stub
        self._caller = caller
        self._coalescer = coalescer

    async def get(self, n: int) -> FibonacciNumber:
        """F(n). Raises UpstreamError, ServiceUnavailable or DeadlineExceeded."""
        request = FibonacciRequest(n=n, encoding=DECIMAL)
        attempt = self._coalescer.get if n <= COALESCED_MAX_N else self._get_alone
        response = await self._caller.call(lambda deadline: attempt(request, deadline))
        return _number(n, response)

    async def _get_alone(self, request: FibonacciRequest, deadline: float) -> FibonacciResponse:
        try:
            return await self._stub.GetFib(
                request, timeout=_remaining(deadline), wait_for_ready=True, metadata=_metadata()
            )
        except grpc.aio.AioRpcError as error:
            raise UpstreamError.from_call(error) from None

    def connected(self) -> bool:
        return self._caller.connected()


class StatsClient:
    def __init__(self, *, stub: "StatsAsyncStub", caller: Caller) -> None:
        self._stub = stub
        self._caller = caller

    async def list(self, *, limit: int) -> Stats:
        """The totals and the busiest numbers. Raises UpstreamError or ServiceUnavailable.

        Statistics are never urgent: a service that is reached and does not answer counts as unavailable too.
        """
        request = ListStatsRequest(page_size=limit)
        try:
            return _stats(await self._caller.call(lambda deadline: self._list(request, deadline)))
        except DeadlineExceeded as error:
            raise ServiceUnavailable(error.service) from error

    async def _list(self, request: ListStatsRequest, deadline: float) -> ListStatsResponse:
        try:
            return await self._stub.ListStats(
                request, timeout=_remaining(deadline), wait_for_ready=True, metadata=_metadata()
            )
        except grpc.aio.AioRpcError as error:
            raise UpstreamError.from_call(error) from None

    def connected(self) -> bool:
        return self._caller.connected()


def _remaining(deadline: float) -> float:
    return deadline - asyncio.get_running_loop().time()


def _metadata() -> tuple[tuple[str, str], ...]:
    return ((METADATA_KEY, current_request_id.get()),)


def _number(n: int, response: FibonacciResponse) -> FibonacciNumber:
    x = response.x if n <= INT64_MAX_INDEX else None
    return FibonacciNumber(n=n, x=x, value=response.value.decode("ascii"))


def _stats(response: ListStatsResponse) -> Stats:
    return Stats(
        total_requests=response.total_requests,
        total_cache_hits=response.total_cache_hits,
        fibonacci_stats=[_number_stats(stat) for stat in response.fibonacci_stats],
    )


def _number_stats(stat: FibonacciStat) -> NumberStats:
    return NumberStats(
        n=stat.n,
        request_count=stat.request_count,
        average_time_ms=stat.average_time_ms,
        min_time_ms=stat.min_time_ms,
        max_time_ms=stat.max_time_ms,
        cache_hits=stat.cache_hits,
    )
