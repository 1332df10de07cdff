"""What the log says of a request that failed: why, in which batch, and once of a service that is away."""

import asyncio
import gc
from collections.abc import Iterator, MutableMapping
from typing import Any

import grpc
import httpx
import pytest
from structlog.testing import capture_logs

import fibonacci_service.app
import fibonacci_service.settings
from api_gateway import circuit_breaker
from api_gateway.deadlines import HEADER
from api_gateway.errors import ServiceUnavailable, UpstreamError
from api_gateway.problems import MAX_CAUSE, cause_of
from api_gateway.request_facts import RequestFacts
from service_kit.request_id import current_request_id
from tests.api_gateway.connections import address, asking_for
from tests.api_gateway.neighbours import (
    TinyFibonacci,
    TinyStats,
    failing,
    gateway,
    gateway_to,
    hang,
    serving,
    until_ready,
)
from tests.api_gateway.streaming_neighbour import MAX_N, StreamingFibonacci, client_before
from tests.slow_clients import connected_with_a_small_window, seconds_until_broken

Line = MutableMapping[str, Any]
Lines = list[Line]
Tiny = type[TinyFibonacci] | type[TinyStats]

UNAVAILABLE, DENIED = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.PERMISSION_DENIED
FIB, STATS = "fibonacci_service", "stats_service"

each_call = pytest.mark.parametrize(
    ("path", "tiny", "callee"),
    [("/fib?n=10", TinyFibonacci, FIB), ("/fib?n=5000", TinyFibonacci, FIB), ("/stats", TinyStats, STATS)],
    ids=["batch", "alone", "stats"],
)


def add_request_id(_logger: Any, _method: str, line: Line) -> Line:
    line.setdefault("request_id", current_request_id.get())
    return line


@pytest.fixture
def lines() -> Iterator[Lines]:
    with capture_logs(processors=[add_request_id]) as captured:
        yield captured


def of(lines: Lines, *events: str) -> Lines:
    return [line for line in lines if line["event"] in events]


def last_served(lines: Lines) -> Line:
    return of(lines, "http.served")[-1]


@each_call
async def test_a_line_says_what_a_service_answered(lines: Lines, path: str, tiny: Tiny, callee: str) -> None:
    async with gateway_to(tiny(failing(DENIED, "not for you"))) as client:
        assert (await client.get(path)).status_code == 500
    assert last_served(lines)["error"] == f"{callee} answered PERMISSION_DENIED: not for you"


@each_call
async def test_a_line_says_why_a_service_is_given_up(lines: Lines, path: str, tiny: Tiny, callee: str) -> None:
    async with gateway_to(tiny(failing(UNAVAILABLE, "full"))) as client:
        assert (await client.get(path)).status_code == 503
    assert last_served(lines)["error"] == f"{callee} is not available: UNAVAILABLE: full"


@each_call
async def test_a_line_says_which_deadline_passed(lines: Lines, path: str, tiny: Tiny, callee: str) -> None:
    said = "is not available" if callee == STATS else "did not answer in time"
    async with gateway_to(tiny(hang), deadline_seconds=0.3) as client:
        await until_ready(client)
        assert (await client.get(path)).status_code in (503, 504)
        ours = last_served(lines)["error"]
        await client.get(path, headers={HEADER: "150"})
        theirs = last_served(lines)["error"]
    assert ours.startswith(f"{callee} {said}: ")
    assert ours.endswith("within the 0.3 s of a call")
    assert theirs.endswith(f"within {HEADER} of the request")


async def test_a_line_says_that_there_is_no_connection(lines: Lines, absent: str) -> None:
    async with gateway(fibonacci_target=absent, stats_target=absent, deadline_seconds=0.2) as client:
        await client.get("/fib?n=10")
        fib = last_served(lines)["error"]
        await client.get("/readyz")
        ready = last_served(lines)["error"]
    assert fib == f"{FIB} is not available: no connection, and no answer within the 0.2 s of a call"
    assert ready == f"{FIB} is not available: no connection"


async def test_a_line_says_that_the_circuit_is_open(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circuit_breaker, "OPEN_SECONDS", 3600)
    async with gateway_to(TinyStats(failing(UNAVAILABLE))) as client:
        for _ in range(6):
            await client.get("/stats")
    assert last_served(lines)["error"] == f"{STATS} is not available: the last 5 calls got no answer"


async def test_a_line_says_what_was_wrong_with_a_request(lines: Lines) -> None:
    async with gateway_to(TinyFibonacci(), log_requests="all") as client:
        await client.get("/fib?m=1")
        invalid = last_served(lines)["error"]
        await client.post("/fib/batch", content="[1", headers={"Content-Type": "application/json"})
        unreadable = last_served(lines)["error"]
        await client.get("/fib?n=10")
    assert invalid == "n is required; m is not a parameter of this resource"
    assert unreadable == "body is not JSON"
    assert not {"error", "batch_id"} & last_served(lines).keys()


async def test_a_line_says_of_what_defect_a_request_failed(lines: Lines) -> None:
    async with gateway_to(TinyFibonacci(values={5_000: b"\xff"})) as client:
        await client.get("/fib?n=5000")
    assert last_served(lines)["error"] == f"ValueError: {FIB} answered F(5000) with what is no number"


async def test_a_line_without_a_status_says_that_the_client_was_gone(lines: Lines) -> None:
    async with gateway_to(TinyStats(hang), deadline_seconds=30) as client:
        await until_ready(client)
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/stats/stream", timeout=httpx.Timeout(30, read=0.2))
        async with asyncio.timeout(20):
            while not (told := [line for line in of(lines, "http.served") if line["path"] == "/stats/stream"]):
                await client.get("/livez")
    assert [(line["status"], line["error"]) for line in told] == [(0, "the client closed its connection")]


async def test_a_client_that_does_not_read_is_told_as_such_and_by_its_request(lines: Lines) -> None:
    async with client_before(StreamingFibonacci(), send_timeout_seconds=0.5) as client:
        async with connected_with_a_small_window(*address(client)) as connection:
            connection.send(asking_for(MAX_N, b"X-Request-Id: slow-reader\r\n"))
            await seconds_until_broken([connection])
        async with asyncio.timeout(20):
            while not (served := [line for line in of(lines, "http.served") if line["path"] == "/fib"]):
                await client.get("/livez")

    [refused] = of(lines, "http.refused")
    assert (refused["reason"], refused["request_id"]) == ("reader_too_slow", "slow-reader")
    assert [(line["request_id"], line["error"]) for line in served] == [
        ("slow-reader", "the client did not take its answer in time")
    ]


async def test_no_request_leaves_behind_what_has_to_be_collected() -> None:
    service = TinyFibonacci(failing(DENIED))
    async with gateway_to(service) as client:
        gc.collect()
        gc.disable()
        try:
            for path in ("/fib?n=abc", "/fib?n=6000", "/fib/batch?n=5", "/nowhere", "/fib/range?count=0"):
                assert (await client.get(path)).is_error
            service.before = TinyFibonacci().before
            for path in ("/fib?n=10", "/fib?n=6000", "/fib/batch?n=5", "/livez"):
                assert (await client.get(path)).status_code == 200
            left = [kept for kept in gc.get_objects() if isinstance(kept, RequestFacts)]
        finally:
            gc.enable()
    assert left == []


def test_a_cause_is_one_line_and_not_long() -> None:
    error = UpstreamError(DENIED, "a\nb\x1b[31m\u202e" + "é" * 1_000)
    error.service = FIB
    cause = cause_of(error)
    assert cause.isprintable()
    assert cause.startswith(f"{FIB} answered PERMISSION_DENIED: a\\nb\\x1b[31m\\u202eéé")
    assert len(cause) < MAX_CAUSE + 20
    assert len(cause_of(ServiceUnavailable(FIB, "x" * 10_000))) == MAX_CAUSE


@pytest.mark.parametrize("path", ["/fib?n=10", "/fib?n=5000", "/stats/5"])
async def test_of_a_service_that_is_away_two_lines_tell_one_when_and_one_till_when(lines: Lines, path: str) -> None:
    fibonacci, stats = TinyFibonacci(), TinyStats()
    callee = STATS if path == "/stats/5" else FIB
    async with serving(fibonacci) as fibonacci_target, serving(stats) as stats_target:
        targets = {"fibonacci_target": fibonacci_target, "stats_target": stats_target}
    async with gateway(**targets, deadline_seconds=0.3) as client:
        for _ in range(3):
            assert (await client.get(path)).status_code == 503
        await asyncio.gather(*(client.get(path) for _ in range(5)))
        [told] = _reached(lines)
        assert (told["event"], told["log_level"]) == ("callee.unreachable", "warning")
        assert (told["callee"], told["target"]) == (callee, targets[f"{callee.removesuffix('_service')}_target"])
        async with (
            serving(fibonacci, target=fibonacci_target),
            serving(stats, target=stats_target),
            asyncio.timeout(20),
        ):
            while (await client.get(path)).status_code != 200:
                pass
            for _ in range(3):
                await client.get(path)
    assert [(line["event"], line["log_level"]) for line in _reached(lines)] == [
        ("callee.unreachable", "warning"),
        ("callee.reachable", "info"),
    ]


async def test_a_service_that_answers_late_or_with_an_error_is_not_unreachable(lines: Lines) -> None:
    service = TinyFibonacci(hang)
    async with gateway_to(service, deadline_seconds=0.2) as client:
        await until_ready(client)
        for path in ("/fib?n=10", "/fib?n=5000"):
            assert (await client.get(path)).status_code == 504
        service.before = failing(UNAVAILABLE)
        assert (await client.get("/fib?n=5000")).status_code in (503, 504)
    assert _reached(lines) == []


def _reached(lines: Lines) -> Lines:
    return of(lines, "callee.unreachable", "callee.reachable")


async def test_the_line_of_a_small_request_leads_to_the_attempts_of_its_batch(lines: Lines) -> None:
    service = TinyFibonacci()
    async with gateway_to(service) as client:
        assert (await client.get("/fib?n=9")).status_code == 200
        service.before = failing(UNAVAILABLE)
        assert (await client.get("/fib?n=10", headers={"X-Request-ID": "i1"})).status_code == 503
        first, attempts = last_served(lines), set(service.request_ids[1:])
        retried = of(lines, "call.retried")
        service.before = failing(DENIED)
        await client.get("/fib?n=11", headers={"X-Request-ID": "i2"})
    assert first["request_id"] == "i1"
    assert attempts == {first["batch_id"]}
    assert [line["request_id"] for line in retried] == [first["batch_id"]] * 4
    assert last_served(lines)["request_id"] == "i2"
    assert last_served(lines)["batch_id"] == service.request_ids[-1] != first["batch_id"]


async def test_the_line_of_a_small_request_that_was_late_names_its_batch(lines: Lines) -> None:
    service = TinyFibonacci(hang)
    async with gateway_to(service, deadline_seconds=1) as client:
        await until_ready(client)
        await client.get("/fib?n=10")
    assert last_served(lines)["batch_id"] == service.request_ids[-1]


async def test_a_line_of_a_batch_leads_to_the_crash_in_the_real_service(lines: Lines, stats_target: str) -> None:
    settings = fibonacci_service.settings.Settings(
        listen_port=0,
        drain_delay_seconds=0,
        stats_target=stats_target,
        fault_error_probability=1,
        fault_error_status="INTERNAL",
    )
    async with (
        fibonacci_service.app.running(settings) as port,
        gateway(fibonacci_target=f"127.0.0.1:{port}", stats_target=stats_target) as client,
    ):
        assert (await client.get("/fib?n=10")).status_code == 500
    served = last_served(lines)
    assert [line["request_id"] for line in of(lines, "rpc.crashed")] == [served["batch_id"]]
    assert served["error"] == f"{FIB} answered INTERNAL: this error was injected"


async def test_a_batch_that_waits_for_no_server_has_no_id_of_another_request(lines: Lines, absent: str) -> None:
    async with gateway(fibonacci_target=absent, stats_target=absent, deadline_seconds=0.2) as client:
        await client.get("/fib?n=10", headers={"X-Request-ID": "i1"})
    assert "i1" not in {line["request_id"] for line in _reached(lines)}
    assert last_served(lines)["request_id"] == "i1"
