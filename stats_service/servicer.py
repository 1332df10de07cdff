"""The Stats gRPC service: protobuf in, protobuf out."""

from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty

from service_kit.interceptors import note
from service_kit.pb.stats import stats_pb2, stats_pb2_grpc
from service_kit.rpc_status import StatusTable
from stats_service.errors import PageSizeOutOfRange, RecordRefused
from stats_service.store import StatsStore
from stats_service.summary import DEFAULT_PAGE_SIZE, Batch, NumberTotals, page_size_of, single_record

#: The full name, as health checks and reflection call it.
SERVICE_NAME = stats_pb2.DESCRIPTOR.services_by_name["Stats"].full_name

STATUS_TABLE: StatusTable = {
    RecordRefused: grpc.StatusCode.INVALID_ARGUMENT,
    PageSizeOutOfRange: grpc.StatusCode.INVALID_ARGUMENT,
}


class StatsServicer(stats_pb2_grpc.StatsServicer):
    """Translates between protobuf and the store."""

    def __init__(self, *, store: StatsStore) -> None:
        self._store = store

    async def RecordNo(self, request: stats_pb2.RecordRequest, context: Any) -> stats_pb2.RecordResponse:
        batch = _batch(request)
        applied = await self._store.record(batch)
        note(source=batch.source, sequence=batch.sequence, requests=batch.count, duplicate=not applied)
        return stats_pb2.RecordResponse(success=True, duplicate=not applied)

    async def GetStats(self, request: Empty, context: Any) -> stats_pb2.StatsResponse:
        summary = await self._store.summary(limit=DEFAULT_PAGE_SIZE)
        return stats_pb2.StatsResponse(
            total_requests=summary.total_requests,
            total_cache_hits=summary.total_cache_hits,
            fibonacci_stats=map(_stat, summary.numbers),
        )

    async def ListStats(self, request: stats_pb2.ListStatsRequest, context: Any) -> stats_pb2.ListStatsResponse:
        summary = await self._store.summary(limit=page_size_of(request.page_size))
        return stats_pb2.ListStatsResponse(
            total_requests=summary.total_requests,
            total_cache_hits=summary.total_cache_hits,
            fibonacci_stats=map(_stat, summary.numbers),
        )


def _batch(request: stats_pb2.RecordRequest) -> Batch:
    """The batch of a request, checked. Raises RecordRefused."""
    if not request.source:
        if request.records or request.sequence:
            raise RecordRefused("source", "must be set where records or sequence is")
        return single_record(request.n, request.duration)
    if request.n or request.duration:
        raise RecordRefused("n" if request.n else "duration", "must be 0 where source is set")
    batch = Batch(tuple(map(_totals, request.records)), source=request.source, sequence=request.sequence)
    batch.check()
    return batch


def _totals(record: stats_pb2.NumberRecord) -> NumberTotals:
    return NumberTotals(
        n=record.n,
        count=record.count,
        cache_hits=record.cache_hits,
        total_ns=record.total_duration,
        min_ns=record.min_duration,
        max_ns=record.max_duration,
    )


def _stat(number: NumberTotals) -> stats_pb2.FibonacciStat:
    return stats_pb2.FibonacciStat(
        n=number.n,
        request_count=number.count,
        average_time_ms=number.total_ns / number.count / 1e6,
        cache_hits=number.cache_hits,
        min_time_ms=number.min_ns / 1e6,
        max_time_ms=number.max_ns / 1e6,
    )
