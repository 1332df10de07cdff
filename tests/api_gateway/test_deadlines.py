"""A client says how long it waits: through the real gateway, to services that are told."""

import asyncio
import time
from typing import Any

import pytest

from api_gateway.deadlines import HEADER
from api_gateway.errors import ServiceUnavailable
from api_gateway.retries import Caller
from service_kit.grpc_channel import open_channel
from tests.api_gateway.neighbours import TinyFibonacci, TinyStats, gateway_to, hang, until_ready

Tiny = type[TinyFibonacci] | type[TinyStats]

each_call = pytest.mark.parametrize(
    ("path", "tiny"),
    [("/fib?n=10", TinyFibonacci), ("/fib?n=5000", TinyFibonacci), ("/stats", TinyStats)],
    ids=["small", "large", "stats"],
)


@each_call
async def test_a_service_is_told_how_long_the_client_waits(path: str, tiny: Tiny) -> None:
    told: list[float] = []

    async def listen(context: Any) -> None:
        told.append(context.time_remaining())

    async with gateway_to(tiny(listen)) as client:
        assert (await client.get(path, headers={HEADER: "50000"})).status_code == 200
    assert len(told) == 1
    assert 40 < told[0] < 51  # gRPC rounds up


@pytest.mark.parametrize(
    ("path", "tiny", "status"),
    [("/fib?n=10", TinyFibonacci, 504), ("/fib?n=5000", TinyFibonacci, 504), ("/stats", TinyStats, 503)],
    ids=["small", "large", "stats"],
)
async def test_the_answer_comes_when_the_client_wants_it_at_the_latest(path: str, tiny: Tiny, status: int) -> None:
    async with gateway_to(tiny(hang), deadline_seconds=30) as client:
        await until_ready(client)
        started = time.monotonic()
        response = await client.get(path, headers={HEADER: "300"})
        seconds = time.monotonic() - started
    assert response.status_code == status
    assert 0.3 <= seconds < 5


@each_call
async def test_a_request_without_the_header_is_not_hurried_by_one_that_has_it(path: str, tiny: Tiny) -> None:
    service = tiny(hang)
    async with gateway_to(service) as client:
        await until_ready(client)
        assert (await client.get(path, headers={HEADER: "1"})).is_error
        service.before = TinyFibonacci().before
        assert (await client.get(path)).status_code == 200


async def test_what_is_late_already_is_not_begun(absent: str) -> None:
    async def attempt(_deadline: float) -> None:
        pytest.fail("it was begun")

    async with open_channel(absent) as channel:
        caller = Caller(service="fibonacci_service", channel=channel, deadline_seconds=30)
        with pytest.raises(ServiceUnavailable, match=r"^fibonacci_service is not available$"):
            await caller.call(attempt, deadline=asyncio.get_running_loop().time())

    assert dict(caller.attempts) == {}


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "", "soon", "01", "2001", "9" * 30, "1, 2"])
async def test_a_time_beyond_its_bounds_is_refused_and_reaches_no_service(value: str) -> None:
    service = TinyFibonacci()
    async with gateway_to(service, max_deadline_seconds=2) as client:
        response = await client.get("/fib?n=10", headers={HEADER: value, "X-Request-ID": "late-1"})
        good = await client.get("/fib?n=10", headers={HEADER: "2000"})
    assert response.status_code == 400
    assert response.json() == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": f"{HEADER} must be an integer from 1 to 2000",
        "errors": [{"field": HEADER, "detail": "must be an integer from 1 to 2000"}],
        "request_id": "late-1",
    }
    assert good.status_code == 200
    assert service.calls == 1
