import asyncio

import httpx

from tests.api_gateway.account import account_of
from tests.api_gateway.neighbours import TinyStats, gateway, gateway_to


async def test_an_account_of_nothing_is_empty(client: httpx.AsyncClient) -> None:
    response = await client.get("/stats")
    assert response.status_code == 200
    assert response.json() == {"total_requests": 0, "total_cache_hits": 0, "fibonacci_stats": []}


async def test_every_answer_is_counted_and_the_busiest_number_comes_first(client: httpx.AsyncClient) -> None:
    for n in (10, 20, 20, 5_000, 20):
        assert (await client.get(f"/fib?n={n}")).status_code == 200
    account = await account_of(client, total=5)
    rows = account["fibonacci_stats"]
    assert account["total_cache_hits"] == 2
    assert [(row["n"], row["request_count"], row["cache_hits"]) for row in rows] == [
        (20, 3, 2),
        (10, 1, 0),
        (5_000, 1, 0),
    ]
    assert all(0 < row["min_time_ms"] <= row["average_time_ms"] <= row["max_time_ms"] for row in rows)


async def test_the_limit_bounds_the_rows_and_not_the_totals(client: httpx.AsyncClient) -> None:
    for n in range(4):
        await client.get(f"/fib?n={n}")
    account = await account_of(client, total=4, query="?limit=2")
    assert [row["n"] for row in account["fibonacci_stats"]] == [0, 1]


async def test_what_was_refused_is_not_counted(client: httpx.AsyncClient) -> None:
    for n in ("10000001", "abc", "10"):
        await client.get(f"/fib?n={n}")
    account = await account_of(client, total=1)
    assert [row["n"] for row in account["fibonacci_stats"]] == [10]


async def test_the_service_is_asked_for_as_many_rows_as_the_query_says() -> None:
    stats = TinyStats()
    async with gateway_to(stats) as client:
        for query in ("", "?limit=1", "?limit=1000"):
            assert (await client.get(f"/stats{query}")).status_code == 200
    assert stats.limits == [100, 1, 1_000]


async def test_an_account_is_never_stored_by_a_cache(client: httpx.AsyncClient) -> None:
    assert (await client.get("/stats")).headers["cache-control"] == "no-store"


async def test_numbers_are_answered_while_the_account_is_away(fibonacci_target: str, absent: str) -> None:
    async with gateway(fibonacci_target=fibonacci_target, stats_target=absent, deadline_seconds=2) as client:
        numbers, account = await asyncio.gather(client.get("/fib?n=10"), client.get("/stats"))
    assert (numbers.status_code, account.status_code) == (200, 503)
    assert account.headers["retry-after"] == "1"
    assert account.json()["detail"] == "stats_service is not available"
