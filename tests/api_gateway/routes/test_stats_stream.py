import asyncio
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf.duration_pb2 import Duration
from structlog.testing import capture_logs

from service_kit.pb.stats.stats_pb2 import WatchStatsRequest
from tests.api_gateway.neighbours import TinyFibonacci, failing, gateway, gateway_to, hang, serving, until_ready
from tests.api_gateway.watching_neighbour import Event, WatchingStats, events_of, message


@pytest.fixture
def log_entries() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as entries:
        yield entries


@asynccontextmanager
async def watching(client: httpx.AsyncClient, query: str = "") -> AsyncIterator[AsyncIterator[Event]]:
    """The events of a stream that has begun."""
    async with client.stream("GET", f"/stats/stream{query}") as response:
        assert response.status_code == 200
        yield events_of(response)


async def test_the_stream_is_one_of_events_that_nobody_may_keep_or_hold_back() -> None:
    async with gateway_to(WatchingStats()) as client, client.stream("GET", "/stats/stream") as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-accel-buffering"] == "no"
        assert "content-length" not in response.headers


@pytest.mark.parametrize("accept", ["application/json", "text/*;q=0", "text/event-stream;q=0, */*"])
async def test_a_reader_that_takes_no_events_is_told_that_there_is_nothing_else(accept: str) -> None:
    stats = WatchingStats()
    async with gateway_to(stats) as client:
        response = await client.get("/stats/stream", headers={"Accept": accept})
    assert response.status_code == response.json()["status"] == 406
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.headers["vary"], response.headers["cache-control"]) == ("Accept", "no-store")
    assert response.json()["detail"] == "Accept takes none of what can be sent: text/event-stream"
    assert stats.asked == []


@pytest.mark.parametrize("accept", ["", "*/*", "text/*", "application/json;q=0.9, text/event-stream"])
async def test_a_reader_that_takes_events_gets_them(accept: str) -> None:
    async with (
        gateway_to(WatchingStats()) as client,
        client.stream("GET", "/stats/stream", headers={"Accept": accept}) as response,
    ):
        assert (response.status_code, response.headers["vary"]) == (200, "Accept")


async def test_the_first_event_has_everything_and_the_others_what_changed() -> None:
    stats = WatchingStats()
    async with gateway_to(stats) as client, watching(client) as events:
        first = await anext(events)
        assert first.fields.keys() == {"event", "data", "retry"}
        assert (first.fields["event"], first.fields["retry"]) == ("stats", "1000")
        assert (first.indices, first.account["total_requests"]) == ([10, 20], 2)
        for total, indices in ((3, (20,)), (5, (7, 20))):
            stats.messages.put_nowait(message(*indices, total=total))
            event = await anext(events)
            assert event.fields.keys() == {"event", "data"}
            assert event.fields["event"] == "stats"
            assert (event.indices, event.account["total_requests"]) == (list(indices), total)


@pytest.mark.parametrize(
    ("query", "interval"),
    [
        ("", Duration(seconds=1)),
        ("?interval=0.1", Duration(nanos=100_000_000)),
        ("?interval=2.5", Duration(seconds=2, nanos=500_000_000)),
        ("?interval=59.999999999", Duration(seconds=59, nanos=999_999_999)),
        ("?interval=8.804758002280181", Duration(seconds=8, nanos=804_758_002)),
        ("?interval=8.9999999999999", Duration(seconds=9)),
        ("?interval=60", Duration(seconds=60)),
    ],
)
async def test_the_service_is_asked_for_the_interval_of_the_query(query: str, interval: Duration) -> None:
    stats = WatchingStats()
    async with gateway_to(stats) as client, watching(client, query) as events:
        await anext(events)
    assert stats.asked == [WatchStatsRequest(interval=interval)]


async def test_the_request_id_reaches_the_service_and_comes_back() -> None:
    stats = WatchingStats()
    headers = {"X-Request-ID": "mine"}
    async with gateway_to(stats) as client, client.stream("GET", "/stats/stream", headers=headers) as response:
        assert response.headers["x-request-id"] == "mine"
    assert stats.request_ids == ["mine"]


async def test_where_a_reader_was_before_makes_no_difference() -> None:
    headers = {"Last-Event-ID": "41"}
    async with gateway_to(WatchingStats()) as client, client.stream("GET", "/stats/stream", headers=headers) as stream:
        assert (await anext(events_of(stream))).indices == [10, 20]


async def test_head_is_the_head_of_get_and_ends_the_call() -> None:
    stats = WatchingStats()
    async with gateway_to(stats, max_streams=1) as client:
        for _ in range(3):
            stats.cancelled.clear()
            response = await client.head("/stats/stream")
            assert (response.status_code, response.content) == (200, b"")
            assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
            await stats.cancelled.wait()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_service_that_is_away_is_a_problem(absent: str, method: str) -> None:
    async with (
        serving(TinyFibonacci()) as fibonacci,
        gateway(fibonacci_target=fibonacci, stats_target=absent, deadline_seconds=0.5) as client,
    ):
        response = await client.request(method, "/stats/stream")
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"


async def test_a_service_that_does_not_begin_by_the_deadline_counts_as_away() -> None:
    stats = WatchingStats(hang)
    async with gateway_to(stats, deadline_seconds=1) as client:
        await until_ready(client)
        response = await client.get("/stats/stream")
        assert (response.status_code, response.json()["detail"]) == (503, "stats_service is not available")
        await stats.cancelled.wait()


async def test_a_service_that_has_too_many_readers_is_a_problem_in_its_words() -> None:
    async with gateway_to(WatchingStats(failing(grpc.StatusCode.RESOURCE_EXHAUSTED, "5 watch already"))) as client:
        response = await client.get("/stats/stream")
    assert (response.status_code, response.headers["retry-after"]) == (429, "1")
    assert response.json()["detail"] == "5 watch already"


@pytest.mark.parametrize(
    "stats",
    [lambda: WatchingStats(failing(grpc.StatusCode.UNAVAILABLE, times=2)), lambda: WatchingStats(unbegun=2)],
    ids=["fails", "ends"],
)
async def test_a_stream_that_fails_or_ends_before_it_begins_is_asked_for_again(stats: Any) -> None:
    stats = stats()
    async with gateway_to(stats) as client, watching(client) as events:
        assert (await anext(events)).indices == [10, 20]
    assert stats.calls == 3


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL])
async def test_a_stream_that_fails_in_the_middle_ends_as_if_it_were_complete(
    code: grpc.StatusCode, log_entries: list[MutableMapping[str, Any]]
) -> None:
    stats = WatchingStats()
    async with gateway_to(stats) as client, watching(client) as events:
        await anext(events)
        stats.messages.put_nowait(code)
        assert [event async for event in events] == []
    ended = [entry for entry in log_entries if entry["event"] == "watch.ended"]
    error = f"{code.name}: told to fail"
    assert ended == [{"event": "watch.ended", "log_level": "info", "callee": "stats_service", "error": error}]


async def test_a_stream_that_the_service_ends_is_complete(log_entries: list[MutableMapping[str, Any]]) -> None:
    stats = WatchingStats()
    async with gateway_to(stats) as client, watching(client) as events:
        await anext(events)
        stats.messages.put_nowait(None)
        assert [event async for event in events] == []
    assert "watch.ended" not in {entry["event"] for entry in log_entries}


async def test_a_reader_comes_back_to_a_service_that_went_away_and_starts_with_everything() -> None:
    async with AsyncExitStack() as stack, serving(TinyFibonacci()) as fibonacci:
        first = AsyncExitStack()
        target = await first.enter_async_context(serving(WatchingStats()))
        client = await stack.enter_async_context(gateway(fibonacci_target=fibonacci, stats_target=target))
        async with watching(client) as events:
            await anext(events)
            await first.aclose()
            assert [event async for event in events] == []
        async with serving(WatchingStats(), target=target), watching(client) as events:
            assert (await anext(events)).indices == [10, 20]


@pytest.mark.parametrize("begun", [False, True])
async def test_the_call_is_cancelled_when_the_reader_goes_away(begun: bool) -> None:  # noqa: FBT001
    stats = WatchingStats() if begun else WatchingStats(hang)
    async with gateway_to(stats, deadline_seconds=600) as client:
        reader, writer = await asked(client)
        if begun:
            await reader.readuntil(b"event: stats")
        while not stats.calls:  # noqa: ASYNC110 - the call arrives on another connection
            await asyncio.sleep(0.01)
        writer.transport.abort()
        await stats.cancelled.wait()


async def asked(client: httpx.AsyncClient) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A bare connection on which the stream was asked for."""
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    writer.write(b"GET /stats/stream HTTP/1.1\r\nHost: test\r\n\r\n")
    return reader, writer


async def test_more_readers_than_allowed_are_told_to_come_again() -> None:
    stats = WatchingStats()
    async with gateway_to(stats, max_streams=2) as client:
        async with watching(client) as first, watching(client) as second:
            await asyncio.gather(anext(first), anext(second))
            for method in ("GET", "HEAD"):
                response = await client.request(method, "/stats/stream")
                assert (response.status_code, response.headers["retry-after"]) == (503, "1")
            problem = (await client.get("/stats/stream")).json()
            assert problem["detail"] == "there are 2 streams already, as many as may be"
            assert (await client.get("/stats")).status_code == 200
        assert stats.calls == 3
        await until_let_in(client)


async def until_let_in(client: httpx.AsyncClient) -> None:
    """Asks until a stream begins."""
    async with asyncio.timeout(20):
        while (await client.head("/stats/stream")).status_code == 503:
            pass


async def test_a_stream_that_could_not_begin_takes_no_place() -> None:
    stats = WatchingStats(failing(grpc.StatusCode.INTERNAL, times=3))
    async with gateway_to(stats, max_streams=1) as client:
        statuses = [(await client.head("/stats/stream")).status_code for _ in range(4)]
    assert statuses == [500, 500, 500, 200]


async def test_a_drain_ends_the_streams_and_waits_for_none() -> None:
    stats = WatchingStats()
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(gateway_to(stats, drain_timeout_seconds=600))
        await until_ready(client)
        async with httpx.AsyncClient(base_url=client.base_url, timeout=30) as reader, watching(reader) as events:
            await anext(events)
            async with asyncio.timeout(20):
                await stack.aclose()
            assert [event async for event in events] == []
    assert stats.cancelled.is_set()


async def test_a_stream_that_begins_during_the_drain_delay_has_everything_and_ends() -> None:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(gateway_to(WatchingStats(), drain_delay_seconds=2))
        async with httpx.AsyncClient(base_url=client.base_url, timeout=30) as stranger:
            await until_ready(stranger)
            async with asyncio.TaskGroup() as group:
                group.create_task(stack.aclose())
                while (await stranger.get("/readyz")).status_code == 200:
                    pass
                async with watching(stranger) as events:
                    assert [event.indices async for event in events] == [[10, 20]]


async def test_the_account_is_watched_from_the_first_request_to_the_last(client: httpx.AsyncClient) -> None:
    async with watching(client, "?interval=0.1") as events:
        first = await anext(events)
        assert (first.account["total_requests"], first.indices) == (0, [])
        for n in (10, 20, 20):
            await client.get(f"/fib?n={n}")
        seen: dict[int, int] = {}
        async with asyncio.timeout(20):
            while seen != {10: 1, 20: 2}:
                event = await anext(events)
                assert set(event.indices) <= {10, 20}
                seen |= {row["n"]: row["request_count"] for row in event.account["fibonacci_stats"]}
        assert event.account["total_requests"] == event.account["totals"]["request_count"] == 3
