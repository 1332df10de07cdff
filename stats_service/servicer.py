"""The Stats gRPC service: protobuf in, protobuf out."""

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from google.protobuf.empty_pb2 import Empty

from service_kit.interceptors import note
from service_kit.pb.stats import stats_pb2, stats_pb2_grpc
from stats_service import messages
from stats_service.batch import Batch
from stats_service.paging import PageRequest, index_of, page_request
from stats_service.remembered import Remembered
from stats_service.store import StatsStore
from stats_service.summary import Page
from stats_service.tally import Tally
from stats_service.uncancelled import uncancelled
from stats_service.watchers import DEFAULT_INTERVAL_SECONDS, Watchers

#: How old the first page may be when another process wrote since; after a write through this one it is read anew.
FRONT_PAGE_SECONDS = 0.1


class StatsServicer(stats_pb2_grpc.StatsServicer):
    """Translates between protobuf and the store. The first page is read once for all who ask at the same time."""

    def __init__(self, *, store: StatsStore, max_watchers: int) -> None:
        self._store = store
        self._front = Remembered(self._read_front, seconds=FRONT_PAGE_SECONDS)
        self.watchers = Watchers(look=self._front_page, limit=max_watchers)
        self.tally = Tally()

    async def RecordNo(self, request: stats_pb2.RecordRequest, context: Any) -> stats_pb2.RecordResponse:
        batch = messages.batch_of(request)
        applied = await self._recorded(batch)
        note(source=batch.source, sequence=batch.sequence, requests=batch.count, duplicate=not applied)
        return stats_pb2.RecordResponse(success=True, duplicate=not applied)

    async def GetStats(self, request: Empty, context: Any) -> stats_pb2.StatsResponse:
        _, front = await self._front.get()
        return stats_pb2.StatsResponse(
            total_requests=front.total_requests,
            total_cache_hits=front.total_cache_hits,
            fibonacci_stats=front.fibonacci_stats,
            totals=front.totals,
        )

    async def ListStats(self, request: stats_pb2.ListStatsRequest, context: Any) -> stats_pb2.ListStatsResponse:
        asked = page_request(page_size=request.page_size, order=request.order, page_token=request.page_token)
        if asked == PageRequest():
            return (await self._front.get())[1]
        return messages.list_response(await self._store.page(asked), asked.order)

    async def GetNumberStats(
        self, request: stats_pb2.GetNumberStatsRequest, context: Any
    ) -> stats_pb2.GetNumberStatsResponse:
        number = await self._store.number(index_of(request.n))
        return stats_pb2.GetNumberStatsResponse(stat=messages.stat(number))

    async def WatchStats(
        self, request: stats_pb2.WatchStatsRequest, context: Any
    ) -> AsyncGenerator[stats_pb2.WatchStatsResponse, None]:
        interval = request.interval
        seconds = interval.seconds + interval.nanos / 1e9 if request.HasField("interval") else DEFAULT_INTERVAL_SECONDS
        async with contextlib.aclosing(self.watchers.changes(seconds)) as changes:
            async for totals, numbers in changes:
                yield stats_pb2.WatchStatsResponse(
                    total_requests=totals.all.count,
                    total_cache_hits=totals.all.cache_hits,
                    fibonacci_stats=map(messages.stat, numbers),
                    totals=messages.totals(totals),
                )

    async def ListMinutes(self, request: stats_pb2.ListMinutesRequest, context: Any) -> stats_pb2.ListMinutesResponse:
        return stats_pb2.ListMinutesResponse(minutes=map(messages.minute, await self._store.minutes()))

    def end_streams(self) -> None:
        """Ends every WatchStats."""
        self.watchers.end()

    @uncancelled
    async def _recorded(self, batch: Batch) -> bool:
        """Whether it was applied, which is counted here also where its sender went away meanwhile."""
        applied = await self._store.record(batch)
        self._front.forget()
        self.tally.add(batch, applied=applied)
        return applied

    async def _front_page(self) -> Page:
        return (await self._front.get())[0]

    async def _read_front(self) -> tuple[Page, stats_pb2.ListStatsResponse]:
        page = await self._store.page(PageRequest())
        return page, messages.list_response(page, PageRequest().order)
