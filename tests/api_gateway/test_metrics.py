"""Each metric of the gateway is caused once, and read from a real scrape of GET /metrics."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import grpc
import httpx
import pytest
from structlog.testing import capture_logs

from api_gateway import circuit_breaker
from api_gateway.circuit_breaker import FAILURES_TO_OPEN
from api_gateway.number_responses import WATCHED_ABOVE_N
from service_kit.metrics import PATH
from tests.api_gateway.connections import answer_to, asking_for, connected
from tests.api_gateway.neighbours import (
    Gate,
    TinyFibonacci,
    TinyStats,
    failing,
    gateway,
    gateway_to,
    hang,
    until_ready,
)
from tests.api_gateway.watching_neighbour import WatchingStats
from tests.scrapes import scraper_of

DURATION = "http_server_request_duration_seconds"
ATTEMPTS = "rpc_client_attempt_duration_seconds_count"
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/fib?n=10", "/fib", 200),
        ("GET", "/fib?n=+10", "/fib", 400),
        ("HEAD", "/fib?n=10", "/fib", 200),
        ("GET", "/stats/5?", "/stats/{n}", 200),
        ("GET", "/stats/minutes", "/stats/minutes", 200),
        ("GET", "/stats/5/6", "", 404),
        ("GET", "/fib/", "", 404),
        ("GET", "/docs", "", 200),
        ("DELETE", "/fib?n=10", "/fib", 405),
    ],
)
async def test_requests_are_told_by_method_route_and_status(method: str, path: str, route: str, status: int) -> None:
    async with gateway_to(TinyFibonacci()) as client:
        await client.request(method, path)
        told = await scraper_of(client)()

    labels = {"http_request_method": method, "http_route": route, "http_response_status_code": str(status)}
    assert told.value(f"{DURATION}_count", **labels) == 1
    assert told.value(f"{DURATION}_count") == 1
    assert told.value(f"{DURATION}_bucket", le="+Inf") == 1
    assert 0 < told.value(f"{DURATION}_sum", **labels) < 10


async def test_a_method_that_nobody_knows_is_other() -> None:
    async with gateway_to(TinyFibonacci()) as client:
        await answer_to(client, b"MKCOL /fib HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n")
        told = await scraper_of(client)()

    assert told.value(f"{DURATION}_count", http_request_method="_OTHER", http_route="/fib") == 1


async def test_a_request_whose_client_went_away_is_told() -> None:
    async with gateway_to(TinyFibonacci(hang), deadline_seconds=1) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/fib?n=5000", timeout=httpx.Timeout(30, read=0.2))
        told = await scraper_of(client).until(f"{DURATION}_count", 1, http_route="/fib")

    assert told.value("http_server_active_requests") == 1  # which is the scrape


async def test_batches_are_told_by_their_size_and_what_waits_for_one() -> None:
    gate = Gate()
    async with gateway_to(TinyFibonacci(gate), max_waiting=5) as client:
        await until_ready(client)
        tasks = [asyncio.create_task(client.get("/fib?n=1"))]
        await gate.holds(1)
        tasks.append(asyncio.create_task(client.get("/fib?n=2")))
        await gate.holds(1)
        tasks += [asyncio.create_task(client.get(f"/fib?n={n}")) for n in range(3, 8)]
        waiting = await scraper_of(client).until("gateway_batch_waiting", 5)
        assert (await client.get("/fib?n=8")).status_code == 503
        gate.open()
        await asyncio.gather(*tasks)
        told = await scraper_of(client)()

    assert waiting.value("gateway_batch_requests_count") == 2
    assert told.value("gateway_batch_requests_sum") == 7
    assert told.value("gateway_batch_requests_count") == 3
    assert told.value("gateway_batch_requests_bucket", le="1.0") == 2
    assert told.value("gateway_batch_refused_total") == 1
    assert told.value("gateway_batch_waiting") == 0


@pytest.mark.parametrize(
    ("path", "service", "callee"),
    [
        ("/fib?n=10", TinyFibonacci, "fibonacci_service"),
        ("/fib?n=5000", TinyFibonacci, "fibonacci_service"),
        ("/stats", TinyStats, "stats_service"),
    ],
    ids=["batch", "alone", "stats"],
)
async def test_attempts_are_told_by_callee_and_status_code_and_retries(
    path: str, service: Callable[[Any], TinyFibonacci | TinyStats], callee: str
) -> None:
    async with gateway_to(service(failing(UNAVAILABLE, times=2))) as client:
        assert (await client.get(path)).status_code == 200
        told = await scraper_of(client)()

    assert told.value(ATTEMPTS, callee=callee, rpc_response_status_code="UNAVAILABLE") == 2
    assert told.value(ATTEMPTS, callee=callee, rpc_response_status_code="OK") == 1
    assert told.value(ATTEMPTS) == 3
    assert told.value("rpc_client_retries_total", callee=callee) == 2
    assert told.value("rpc_client_retries_total") == 2
    assert told.value("rpc_client_retries_refused_total") == 0


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/fib?n=10", {}),
        ("/fib?n=5000", {}),
        ("/fib?n=10", {"X-Request-Timeout-Ms": "800"}),
        ("/stats", {}),
    ],
    ids=["batch", "alone", "the client's deadline", "stats"],
)
async def test_an_attempt_that_the_deadline_ended_says_so(path: str, headers: dict[str, str]) -> None:
    service = TinyStats if path == "/stats" else TinyFibonacci
    async with gateway_to(service(hang), deadline_seconds=1) as client:
        await until_ready(client)
        assert (await client.get(path, headers=headers)).status_code in {503, 504}
        told = await scraper_of(client).until(ATTEMPTS, 1)

    assert told.value(ATTEMPTS, rpc_response_status_code="DEADLINE_EXCEEDED") == 1


async def test_an_attempt_that_the_client_left_is_told_as_cancelled() -> None:
    async with gateway_to(TinyFibonacci(hang)) as client:
        await until_ready(client)
        async with connected(client) as (_, writer):
            writer.write(asking_for(WATCHED_ABOVE_N + 1))
            await scraper_of(client).until("http_server_active_requests", 2)  # the scrape is one
        told = await scraper_of(client).until(ATTEMPTS, 1)

    assert told.value(ATTEMPTS, rpc_response_status_code="CANCELLED") == 1


async def test_retries_beyond_the_budget_are_told() -> None:
    async with gateway_to(TinyFibonacci(failing(UNAVAILABLE))) as client:
        await until_ready(client)
        async with asyncio.timeout(30):
            while (told := await scraper_of(client)()).value("rpc_client_retries_refused_total") == 0:
                await asyncio.gather(*(client.get(f"/fib?n={5000 + n}") for n in range(60)))

    assert told.value("rpc_client_retries_refused_total", callee="stats_service") == 0
    assert told.value("rpc_client_retries_total", callee="fibonacci_service") >= 200


async def test_the_circuit_breaker_is_told(absent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circuit_breaker, "OPEN_SECONDS", 3600)
    async with gateway(fibonacci_target=absent, stats_target=absent, deadline_seconds=0.05) as client:
        before = await scraper_of(client)()
        for _ in range(FAILURES_TO_OPEN + 1):
            assert (await client.get("/stats")).status_code == 503
        told = await scraper_of(client)()

    assert before.value("rpc_client_circuit_open", callee="stats_service") == 0
    assert told.value("rpc_client_circuit_open", callee="stats_service") == 1
    assert told.value("rpc_client_circuit_refused_total", callee="stats_service") == 1


async def test_readers_of_the_stream_are_told_and_those_that_were_refused() -> None:
    async with gateway_to(WatchingStats(), max_streams=1) as client:
        async with client.stream("GET", "/stats/stream"):
            assert (await client.get("/stats/stream")).status_code == 503
            told = await scraper_of(client)()
        await scraper_of(client).until("gateway_stats_streams", 0)

    assert told.value("gateway_stats_streams") == 1
    assert told.value("gateway_stats_streams_refused_total") == 1


async def test_the_event_loop_and_the_process_are_told() -> None:
    async with gateway_to(TinyFibonacci()) as client:
        told = await scraper_of(client).until_above("event_loop_lag_seconds_count", 0)

    assert told.value("build_info", service="api_gateway") == 1
    assert told.value("process_resident_memory_bytes") > 1 << 20


async def test_a_scrape_is_answered_in_an_overload_and_is_not_limited_and_not_logged() -> None:
    gate = Gate()
    async with gateway_to(TinyFibonacci(gate), max_in_flight=1, rate_limit="1/day", log_requests="all") as client:
        await until_ready(client)
        waiting = asyncio.create_task(client.get("/fib?n=5000"))
        await gate.holds(1)
        with capture_logs() as lines:
            responses = [await client.get(PATH) for _ in range(3)]
        gate.open()
        await waiting

    assert {response.status_code for response in responses} == {200}
    assert responses[0].headers["cache-control"] == "no-store"
    assert "ratelimit" not in responses[0].headers
    assert lines == []


async def test_a_scraper_may_ask_for_openmetrics_and_for_the_head_alone() -> None:
    wanted = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    async with gateway_to(TinyFibonacci()) as client:
        response = await client.get(PATH, headers={"Accept": wanted})
        head = await client.head(PATH)

    assert response.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert response.text.endswith("# EOF\n")
    assert (head.status_code, head.text) == (200, "")


async def test_no_number_no_path_and_no_id_makes_a_series_of_its_own() -> None:
    async def ask(client: httpx.AsyncClient, number: int) -> None:
        fields = {"X-Request-ID": f"id-{number}"}
        for path in (f"/fib?n={number}", f"/stats/{number}", f"/{number}", f"/fib/{number}", f"/stats/{number}/x"):
            await client.get(path, headers=fields)
        with contextlib.suppress(httpx.HTTPError):
            await client.request(f"METHOD{number}", "/fib", headers=fields)

    async with gateway_to(TinyFibonacci()) as client:
        await ask(client, 0)
        await scraper_of(client)()  # which is a request itself
        before = await scraper_of(client)()
        for number in range(1, 60):
            await ask(client, number)
        after = await scraper_of(client)()

    assert after.value(f"{DURATION}_count", http_route="/fib") >= 60
    assert after.series == before.series
