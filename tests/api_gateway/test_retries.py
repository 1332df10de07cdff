import asyncio
import itertools
import socket
import time
from typing import Any

import grpc
import pytest

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

Tiny = type[TinyFibonacci] | type[TinyStats]

each_call = pytest.mark.parametrize(
    ("path", "tiny"),
    [("/fib?n=10", TinyFibonacci), ("/fib?n=5000", TinyFibonacci), ("/stats", TinyStats)],
    ids=["batch", "alone", "stats"],
)

UNAVAILABLE, CANCELLED = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED
NEVER_RETRIED = sorted(set(grpc.StatusCode) - {grpc.StatusCode.OK, UNAVAILABLE, CANCELLED}, key=lambda code: code.name)


@each_call
@pytest.mark.parametrize("code", [UNAVAILABLE, CANCELLED], ids=["unavailable", "cancelled by the server"])
async def test_a_call_that_failed_for_now_is_tried_again(path: str, tiny: Tiny, code: grpc.StatusCode) -> None:
    service = tiny(failing(code, times=4))
    async with gateway_to(service) as client:
        response = await client.get(path)
    assert (response.status_code, service.calls) == (200, 5)


@each_call
async def test_the_fifth_failure_is_the_answer(path: str, tiny: Tiny) -> None:
    service = tiny(failing(UNAVAILABLE, "secret"))
    async with gateway_to(service) as client:
        response = await client.get(path)
    assert (response.status_code, service.calls) == (503, 5)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["retry-after"] == "1"
    assert "secret" not in response.text


@each_call
async def test_any_other_failure_is_not_tried_again(path: str, tiny: Tiny) -> None:
    service = tiny()
    async with gateway_to(service) as client:
        for calls, code in enumerate(NEVER_RETRIED, start=1):
            service.before = failing(code)
            assert (await client.get(path)).is_error, code
            assert service.calls == calls, code


async def test_one_deadline_bounds_every_attempt_together() -> None:
    async def fail_late(context: Any) -> None:
        await asyncio.sleep(0.6)
        await context.abort(UNAVAILABLE, "late")

    fibonacci, stats = TinyFibonacci(fail_late), TinyStats(fail_late)
    async with (
        serving(fibonacci) as fibonacci_target,
        serving(stats) as stats_target,
        gateway(fibonacci_target=fibonacci_target, stats_target=stats_target, deadline_seconds=1) as client,
    ):
        await until_ready(client)
        responses = await asyncio.gather(*(client.get(path) for path in ("/fib?n=10", "/fib?n=5000", "/stats")))
    assert {response.status_code for response in responses} <= {503, 504}
    assert all(1 <= calls <= 2 for calls in (len(fibonacci.batches), len(fibonacci.alone), stats.calls))


@pytest.mark.parametrize(("path", "tiny"), [("/fib?n=5000", TinyFibonacci), ("/stats", TinyStats)])
async def test_a_service_is_told_how_long_its_answer_is_waited_for(path: str, tiny: Tiny) -> None:
    told: list[float] = []

    async def listen(context: Any) -> None:
        told.append(context.time_remaining())

    async with gateway_to(tiny(listen), deadline_seconds=20) as client:
        assert (await client.get(path)).status_code == 200
    assert len(told) == 1
    assert 0 < told[0] < 21  # gRPC rounds up


@pytest.mark.parametrize(
    ("path", "service"),
    [("/fib?n=10", "fibonacci_service"), ("/fib?n=5000", "fibonacci_service"), ("/stats", "stats_service")],
)
async def test_an_absent_service_is_waited_for_until_the_deadline(absent: str, path: str, service: str) -> None:
    async with gateway(fibonacci_target=absent, stats_target=absent, deadline_seconds=0.3) as client:
        started = time.monotonic()
        response = await client.get(path)
        seconds = time.monotonic() - started
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["retry-after"] == "1"
    assert response.json()["detail"] == f"{service} is not available"
    assert 0.3 <= seconds < 5


async def test_a_service_that_comes_within_the_deadline_answers() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{holder.getsockname()[1]}"
        async with gateway(fibonacci_target=target, stats_target=target, deadline_seconds=20) as client:
            waiting = asyncio.create_task(client.get("/fib?n=10"))
            assert (await client.get("/readyz")).status_code == 503
            holder.close()
            async with serving(TinyFibonacci(), target=target):
                assert (await waiting).status_code == 200


@pytest.mark.parametrize(
    ("path", "tiny", "status", "detail"),
    [
        ("/fib?n=10", TinyFibonacci, 504, "fibonacci_service did not answer in time"),
        ("/fib?n=5000", TinyFibonacci, 504, "fibonacci_service did not answer in time"),
        ("/stats", TinyStats, 503, "stats_service is not available"),
    ],
    ids=["batch", "alone", "stats"],
)
async def test_a_hung_service_is_given_up_at_the_deadline(path: str, tiny: Tiny, status: int, detail: str) -> None:
    service = tiny(hang)
    async with gateway_to(service, deadline_seconds=1) as client:
        await until_ready(client)
        started = time.monotonic()
        response = await client.get(path)
        seconds = time.monotonic() - started
    assert (response.status_code, response.json()["detail"]) == (status, detail)
    assert response.headers["content-type"] == "application/problem+json"
    assert 1 <= seconds < 5
    assert service.calls == 1


@pytest.mark.parametrize(
    ("path", "tiny", "status"),
    [("/fib?n=10", TinyFibonacci, 504), ("/fib?n=5000", TinyFibonacci, 504), ("/stats", TinyStats, 503)],
    ids=["batch", "alone", "stats"],
)
async def test_a_service_that_reports_its_own_deadline_is_late(path: str, tiny: Tiny, status: int) -> None:
    async with gateway_to(tiny(failing(grpc.StatusCode.DEADLINE_EXCEEDED))) as client:
        await until_ready(client)
        assert (await client.get(path)).status_code == status


async def test_other_requests_are_answered_while_one_waits_for_its_next_attempt() -> None:
    calls = itertools.count()

    async def fail_the_first(context: Any) -> None:
        if next(calls) == 0:
            await context.abort(UNAVAILABLE, "the first")

    async with gateway_to(TinyFibonacci(fail_the_first)) as client:
        responses = await asyncio.gather(*(client.get(f"/fib?n={n}") for n in range(20)))
    assert [response.json()["n"] for response in responses] == list(range(20))
