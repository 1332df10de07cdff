"""Faults in the real gateway, and those of fibonacci_service as a client of the gateway sees them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

import fibonacci_service.app
import fibonacci_service.settings
from api_gateway.faults import protocol_of, with_faults
from api_gateway.http_protocol import BoundedProtocol
from api_gateway.settings import Settings
from tests.api_gateway.neighbours import TinyFibonacci, gateway, gateway_to, until_ready

LogEntries = list[MutableMapping[str, Any]]

each_way = pytest.mark.parametrize("path", ["/fib?n=10", "/fib?n=5000"], ids=["batch", "alone"])


@pytest.fixture
def log_entries() -> Iterator[LogEntries]:
    with capture_logs() as entries:
        yield entries


@asynccontextmanager
async def faulty_fibonacci(stats_target: str, **faults: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway without faults before a real fibonacci_service that injects them."""
    settings = fibonacci_service.settings.Settings(
        listen_port=0, drain_delay_seconds=0, stats_target=stats_target, stats_flush_seconds=0, **faults
    )
    async with (
        fibonacci_service.app.running(settings) as port,
        gateway(fibonacci_target=f"127.0.0.1:{port}", stats_target=stats_target, deadline_seconds=30) as client,
    ):
        yield client


async def outcome(client: httpx.AsyncClient, path: str) -> int | str:
    try:
        return (await client.get(path)).status_code
    except httpx.RemoteProtocolError as error:
        return str(error)


def served_lines(entries: LogEntries) -> LogEntries:
    return [entry for entry in entries if entry["event"] == "http.served"]


async def nothing(_scope: Any, _receive: Any, _send: Any) -> None:
    """An app that is not asked."""


def test_without_a_probability_the_app_and_its_connections_are_the_plain_ones() -> None:
    settings = Settings(fault_seed=1, fault_error_status=599)

    assert with_faults(nothing, settings) is nothing
    assert protocol_of(settings) is BoundedProtocol


async def test_the_start_says_that_faults_are_injected(log_entries: LogEntries) -> None:
    async with gateway_to(TinyFibonacci(), fault_error_probability=0.5, fault_error_status=418, fault_seed=9):
        pass
    async with gateway_to(TinyFibonacci()):
        pass
    enabled = [entry for entry in log_entries if entry["event"] == "faults.enabled"]

    assert [(entry["log_level"], entry["error_status"], entry["seed"]) for entry in enabled] == [("warning", 418, 9)]


async def test_requests_fail_as_often_as_the_probabilities_say() -> None:
    rates = {"fault_error_probability": 0.3, "fault_abort_probability": 0.2}
    fibonacci = TinyFibonacci()
    async with gateway_to(fibonacci, **rates, fault_error_status=500, fault_seed=1) as client:
        outcomes = Counter([await outcome(client, "/fib?n=10") for _ in range(200)])

    assert outcomes == {200: 102, 500: 64, "Server disconnected without sending a response.": 34}
    assert fibonacci.calls == outcomes[200]


async def test_requests_at_once_are_hit_as_often() -> None:
    async with gateway_to(TinyFibonacci(), fault_error_probability=0.3, fault_seed=1) as client:
        outcomes = Counter(await asyncio.gather(*(outcome(client, f"/fib?n={n}") for n in range(200))))

    assert outcomes == {200: 136, 503: 64}


@pytest.mark.parametrize(
    ("status", "title"), [(429, "Too Many Requests"), (503, "Service Unavailable"), (599, "Unassigned Status")]
)
async def test_an_injected_error_is_a_problem_that_says_so(status: int, title: str) -> None:
    async with gateway_to(TinyFibonacci(), fault_error_probability=1, fault_error_status=status) as client:
        response = await client.get("/fib?n=10", headers={"X-Request-ID": "mine"})
        headed = await client.head("/fib?n=10")

    assert (response.status_code, headed.status_code, headed.content) == (status, status, b"")
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-request-id"] == "mine"
    assert response.json() == {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": "This error was injected.",
        "request_id": "mine",
    }


async def test_an_abort_closes_the_connection_without_a_byte(log_entries: LogEntries) -> None:
    async with gateway_to(TinyFibonacci(), fault_abort_probability=1) as client:
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        writer.write(b'POST /fib/batch HTTP/1.1\r\nHost: gateway\r\nContent-Length: 8\r\n\r\n{"n":[1]')
        async with asyncio.timeout(20):
            assert await reader.read() == b""
        writer.close()

    [line] = served_lines(log_entries)
    assert (line["status"], line["fault"], line["path"]) == (0, "abort", "/fib/batch")


async def test_a_fault_is_in_the_line_of_its_request_whatever_the_policy(log_entries: LogEntries) -> None:
    delay = {"fault_delay_probability": 1, "fault_delay_seconds": 0.2}
    async with gateway_to(TinyFibonacci(), **delay) as client:
        assert (await client.get("/fib?n=10")).status_code == 200
    async with gateway_to(TinyFibonacci(), **delay, fault_error_probability=1, fault_error_status=404) as client:
        assert (await client.head("/fib?n=10")).status_code == 404

    lines = served_lines(log_entries)
    assert [(line["status"], line["fault"]) for line in lines] == [(200, "delay"), (404, "delay+error")]
    assert all(line["duration_ms"] >= 100 for line in lines)  # a timer begins at the loop's last look at the clock


async def test_health_is_spared() -> None:
    async with gateway_to(TinyFibonacci(), fault_abort_probability=1) as client:
        assert (await client.get("/livez")).status_code == 200
        await until_ready(client)


async def test_no_header_turns_faults_on(log_entries: LogEntries) -> None:
    asked = {
        "x-envoy-fault-abort-request": "503",
        "x-envoy-fault-abort-request-percentage": "100",
        "x-envoy-fault-delay-request": "5000",
        "fault": "abort",
    }
    async with gateway_to(TinyFibonacci(), log_requests="all") as client:
        assert (await client.get("/fib?n=10", headers=asked)).status_code == 200

    assert all("fault" not in entry for entry in log_entries)


@each_way
async def test_retries_hide_a_fibonacci_service_that_is_unavailable_now_and_then(
    stats_target: str, path: str, log_entries: LogEntries
) -> None:
    async with faulty_fibonacci(stats_target, fault_error_probability=0.1, fault_seed=1) as client:
        outcomes = Counter([await outcome(client, path) for _ in range(200)])

    retried = sum(entry["event"] == "call.retried" for entry in log_entries)
    assert outcomes == {200: 200}
    assert retried == 29


@each_way
@pytest.mark.parametrize("fault", ["error", "abort"])
async def test_a_fibonacci_service_that_always_fails_is_not_available(stats_target: str, path: str, fault: str) -> None:
    async with faulty_fibonacci(stats_target, **{f"fault_{fault}_probability": 1}) as client:
        response = await client.get(path)

    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert "injected" not in response.text


@each_way
async def test_a_code_that_is_not_tried_again_reaches_the_client(stats_target: str, path: str) -> None:
    async with faulty_fibonacci(
        stats_target, fault_error_probability=1, fault_error_status="RESOURCE_EXHAUSTED"
    ) as client:
        assert (await client.get(path)).status_code == 429


@each_way
async def test_a_delay_beyond_the_deadline_is_late(stats_target: str, path: str) -> None:
    settings = fibonacci_service.settings.Settings(
        listen_port=0,
        drain_delay_seconds=0,
        drain_timeout_seconds=0,
        stats_target=stats_target,
        fault_delay_probability=1,
        fault_delay_seconds=30,
    )
    async with (
        fibonacci_service.app.running(settings) as port,
        gateway(fibonacci_target=f"127.0.0.1:{port}", stats_target=stats_target, deadline_seconds=1) as client,
    ):
        await until_ready(client)
        assert (await client.get(path)).status_code == 504
