"""A tiny stats_service that streams what it is told to, and bare readers of server-sent events."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx

from service_kit.pb.stats import stats_pb2
from tests.api_gateway.neighbours import Before, TinyStats


async def _nothing(_context: Any) -> None:
    """Answers well at once."""


def message(*indices: int, total: int = 0) -> stats_pb2.WatchStatsResponse:
    """The totals, and one row for each index."""
    rows = [stats_pb2.FibonacciStat(n=n, request_count=1) for n in indices]
    return stats_pb2.WatchStatsResponse(total_requests=total, fibonacci_stats=rows)


class WatchingStats(TinyStats):
    """Sends what is in `messages` as it comes: a status is a failure, and None the end.

    Every stream begins with two numbers, but for the first `unbegun`, which end at once.
    """

    def __init__(self, before: Before = _nothing, *, unbegun: int = 0) -> None:
        super().__init__(before)
        self.messages: asyncio.Queue[stats_pb2.WatchStatsResponse | grpc.StatusCode | None] = asyncio.Queue()
        self.unbegun = unbegun
        self.sent = 0
        self.cancelled = asyncio.Event()

    async def WatchStats(
        self, request: stats_pb2.WatchStatsRequest, context: Any
    ) -> AsyncIterator[stats_pb2.WatchStatsResponse]:
        try:
            await self.arrived(request, context)
            if self.calls <= self.unbegun:
                return
            yield message(10, 20, total=2)
            while (told := await self.messages.get()) is not None:
                if isinstance(told, grpc.StatusCode):
                    await context.abort(told, "told to fail")
                else:
                    self.sent += 1
                    yield told
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled.set()
            raise


@dataclass
class Event:
    fields: dict[str, str] = field(default_factory=dict)
    comments: list[str] = field(default_factory=list)

    @property
    def account(self) -> dict[str, Any]:
        account: dict[str, Any] = json.loads(self.fields["data"])
        return account

    @property
    def indices(self) -> list[int]:
        return [row["n"] for row in self.account["fibonacci_stats"]]


async def events_of(response: httpx.Response) -> AsyncIterator[Event]:
    """What a browser makes of the stream; every event is complete."""
    event = Event()
    async for line in response.aiter_lines():
        name, _, value = line.partition(": ")
        if not line:
            yield event
            event = Event()
        elif name:
            assert name not in event.fields
            event.fields[name] = value
        else:
            event.comments.append(value)
    assert event == Event()
