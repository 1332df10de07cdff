"""The typed client of stats_service: schemas out, protobuf inside."""

from typing import TYPE_CHECKING

from api_gateway.calls import answered
from api_gateway.errors import DeadlineExceeded, ServiceUnavailable
from api_gateway.retries import Caller
from api_gateway.schemas import NumberStats, Stats
from service_kit.pb.stats.stats_pb2 import FibonacciStat, ListStatsRequest, ListStatsResponse

if TYPE_CHECKING:
    from service_kit.pb.stats.stats_pb2_grpc import StatsAsyncStub


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
            return _stats(await self._caller.call(lambda deadline: answered(self._stub.ListStats, request, deadline)))
        except DeadlineExceeded as error:
            raise ServiceUnavailable(error.service) from error

    def connected(self) -> bool:
        return self._caller.connected()


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
