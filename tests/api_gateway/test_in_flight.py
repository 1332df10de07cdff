import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from structlog.testing import capture_logs

from service_kit import refusals
from tests.api_gateway.neighbours import Gate, TinyFibonacci, gateway_to, until_ready

CALLS = 4


async def ask(client: httpx.AsyncClient, n: int) -> httpx.Response:
    return await client.get(f"/fib?n={n}")


async def test_what_comes_beyond_the_bound_is_refused_at_once_and_the_rest_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(refusals, "LOG_INTERVAL_SECONDS", 3600)
    gate = Gate()
    async with gateway_to(TinyFibonacci(gate), max_in_flight=CALLS) as client:
        await until_ready(client)
        with capture_logs() as lines:
            admitted = [asyncio.create_task(ask(client, 5000 + number)) for number in range(CALLS)]
            await gate.holds(CALLS)
            refused = await asyncio.gather(*(ask(client, number) for number in range(20)))
            health = await client.get("/readyz")
            gate.open()
            answered = await asyncio.gather(*admitted)
        after = await ask(client, 10)

    assert {response.status_code for response in answered} == {200}
    assert (health.status_code, after.status_code) == (200, 200)
    assert {response.status_code for response in refused} == {503}
    told = refused[0]
    assert told.headers["retry-after"] == "1"
    assert told.headers["content-type"] == "application/problem+json"
    assert told.headers["x-content-type-options"] == "nosniff"
    assert told.headers["x-request-id"] == told.json()["request_id"]
    assert told.json()["detail"] == f"{CALLS} requests are in flight, as many as may be"
    assert len({response.headers["x-request-id"] for response in refused}) == len(refused)
    refusals_told = [(line["reason"], line["client"]) for line in lines if line["event"] == "http.refused"]
    assert refusals_told.count(("in_flight", "127.0.0.1")) == 1
    assert 503 not in [line.get("status") for line in lines]


@asynccontextmanager
async def full(gate: Gate) -> AsyncIterator[tuple[httpx.AsyncClient, "asyncio.Task[httpx.Response]"]]:
    """A client of a gateway that has as much in flight as may be, and the request that is."""
    async with gateway_to(TinyFibonacci(gate), max_in_flight=1) as client:
        await until_ready(client)
        admitted = asyncio.create_task(ask(client, 5000))
        await gate.holds(1)
        yield client, admitted


async def test_a_client_that_goes_away_leaves_its_place() -> None:
    gate = Gate()
    async with full(gate) as (client, gone):
        assert (await ask(client, 5001)).status_code == 503
        gone.cancel()
        gate.open()
        async with asyncio.timeout(20):
            while (await ask(client, 5002)).status_code != 200:
                pass


async def test_a_refusal_has_the_id_that_its_client_gave_the_request() -> None:
    gate = Gate()
    async with full(gate) as (client, admitted):
        refused = await client.get("/fib?n=5001", headers={"X-Request-ID": "of-the-client"})
        gate.open()
        await admitted

    assert (refused.status_code, refused.headers["x-request-id"]) == (503, "of-the-client")
