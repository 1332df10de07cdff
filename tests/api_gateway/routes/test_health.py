import asyncio
from contextlib import AsyncExitStack

import httpx

from tests.api_gateway.neighbours import TinyFibonacci, gateway, gateway_to, serving, until_ready


async def test_the_gateway_is_ready_once_both_services_are_connected(client: httpx.AsyncClient) -> None:
    await until_ready(client)
    response = await client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {"status": "ready", "fibonacci_service": True, "stats_service": True}


async def test_the_gateway_is_ready_without_the_account_and_says_so(absent: str) -> None:
    async with (
        serving(TinyFibonacci()) as fibonacci_target,
        gateway(fibonacci_target=fibonacci_target, stats_target=absent) as client,
    ):
        assert (await client.get("/fib?n=10")).status_code == 200
        response = await client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {"status": "ready", "fibonacci_service": True, "stats_service": False}


async def test_the_gateway_is_not_ready_without_fibonacci_service(absent: str, stats_target: str) -> None:
    async with gateway(fibonacci_target=absent, stats_target=stats_target) as client:
        assert (await client.get("/stats")).status_code == 200
        response = await client.get("/readyz")
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["retry-after"] == "1"
    assert response.json()["detail"] == "fibonacci_service is not available"


async def test_asking_for_readiness_is_enough_to_connect_again(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(20):
        while (await client.get("/readyz")).status_code != 200:
            pass


async def test_the_gateway_is_alive_without_any_service(absent: str) -> None:
    async with gateway(fibonacci_target=absent, stats_target=absent) as client:
        response = await client.get("/livez")
    assert (response.status_code, response.json()) == (200, {"status": "alive"})


async def test_a_stopping_gateway_is_alive_and_answers_and_is_not_ready() -> None:
    async with asyncio.TaskGroup() as group, AsyncExitStack() as stack:
        client = await stack.enter_async_context(gateway_to(TinyFibonacci(), drain_delay_seconds=60))
        await until_ready(client)
        async with httpx.AsyncClient(base_url=client.base_url) as stranger:
            stopping = group.create_task(stack.aclose())
            async with asyncio.timeout(20):
                while (await stranger.get("/readyz")).status_code != 503:
                    pass
            assert (await stranger.get("/livez")).status_code == 200
            assert (await stranger.get("/fib?n=10")).status_code == 200
            assert (await stranger.get("/readyz")).json()["detail"] == "api_gateway is not available"
        stopping.cancel()


async def test_health_is_never_stored_by_a_cache(client: httpx.AsyncClient) -> None:
    await until_ready(client)
    for path in ("/livez", "/readyz"):
        assert (await client.get(path)).headers["cache-control"] == "no-store"
