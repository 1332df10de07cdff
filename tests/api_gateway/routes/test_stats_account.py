"""The account over HTTP, as the two real services make it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.api_gateway.account import account_of

CLOCK_SKEW = timedelta(seconds=1)


async def test_an_account_of_nothing_is_empty(client: httpx.AsyncClient) -> None:
    account = (await client.get("/stats")).json()
    assert (account["total_requests"], account["total_cache_hits"], account["fibonacci_stats"]) == (0, 0, [])
    assert account["next_page_token"] is None
    totals = account["totals"]
    assert (totals["request_count"], totals["numbers"], totals["operations"], totals["folded"]) == (0, 0, {}, None)
    assert (await client.get("/stats/minutes")).json() == {"minutes": []}


async def test_every_answer_is_counted_and_the_busiest_number_comes_first(client: httpx.AsyncClient) -> None:
    await ask(client, 10, 20, 20, 5_000, 20)
    account = await account_of(client, total=5)
    rows = account["fibonacci_stats"]
    assert account["total_cache_hits"] == 2
    assert [(row["n"], row["request_count"], row["cache_hits"]) for row in rows] == [
        (20, 3, 2),
        (10, 1, 0),
        (5_000, 1, 0),
    ]
    assert all(0 < row["min_time_ms"] <= row["average_time_ms"] <= row["max_time_ms"] for row in rows)


async def test_every_request_is_a_hit_a_miss_or_shared(client: httpx.AsyncClient) -> None:
    await ask(client, 10, 20, 20)
    account = await account_of(client, total=3)
    for measures in (*account["fibonacci_stats"], account["totals"]):
        parts = measures["cache_hits"] + measures["cache_misses"] + measures["coalesced"]
        assert parts == measures["request_count"]
        assert measures["errors"] == {}
    assert account["totals"]["cache_misses"] == 2


async def test_the_percentiles_lie_between_the_shortest_and_the_longest_time(client: httpx.AsyncClient) -> None:
    await ask(client, 10, 20, 20)
    account = await account_of(client, total=3)
    for measures in (*account["fibonacci_stats"], account["totals"]):
        times = [measures[f"{name}_time_ms"] for name in ("min", "p50", "p90", "p99", "max")]
        assert times == sorted(times)


async def test_first_and_last_seen_are_times_of_the_requests(client: httpx.AsyncClient) -> None:
    before = datetime.now(UTC) - CLOCK_SKEW
    await ask(client, 10, 20)
    account = await account_of(client, total=2)
    for measures in (*account["fibonacci_stats"], account["totals"]):
        assert measures["first_seen"].endswith("Z")
        first, last = (datetime.fromisoformat(measures[name]) for name in ("first_seen", "last_seen"))
        assert before <= first <= last <= datetime.now(UTC) + CLOCK_SKEW


async def test_the_totals_are_the_sum_of_the_numbers(client: httpx.AsyncClient) -> None:
    await ask(client, 10, 20, 20, 30)
    account = await account_of(client, total=4)
    rows, totals = account["fibonacci_stats"], account["totals"]
    for name in ("request_count", "cache_hits", "cache_misses", "coalesced"):
        assert totals[name] == sum(row[name] for row in rows)
    assert (totals["request_count"], totals["numbers"], totals["folded"]) == (4, 3, None)


async def test_a_range_a_residue_and_a_description_are_operations_of_no_number(client: httpx.AsyncClient) -> None:
    for path in ("/fib/range?count=5", "/fib/residue?n=10&modulus=7", "/fib/describe?n=10", "/fib/describe?n=11"):
        assert (await client.get(path)).status_code == 200
    async with asyncio.timeout(20):
        while (totals := (await client.get("/stats")).json()["totals"])["operations"].get("description") != 2:
            pass
    assert totals["operations"] == {"range": 1, "residue": 1, "description": 2}
    assert (totals["request_count"], totals["numbers"]) == (0, 0)


async def test_the_limit_bounds_the_rows_and_not_the_totals(client: httpx.AsyncClient) -> None:
    await ask(client, *range(4))
    account = await account_of(client, total=4, query="?limit=2")
    assert [row["n"] for row in account["fibonacci_stats"]] == [0, 1]
    assert account["totals"]["numbers"] == 4


async def test_what_was_refused_is_not_counted(client: httpx.AsyncClient) -> None:
    for n in ("10000001", "abc", "10"):
        await client.get(f"/fib?n={n}")
    account = await account_of(client, total=1)
    assert [row["n"] for row in account["fibonacci_stats"]] == [10]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("busiest", [2, 1, 0, 3, 4]),
        ("least_busy", [4, 3, 0, 1, 2]),
        ("n", [0, 1, 2, 3, 4]),
        ("n_descending", [4, 3, 2, 1, 0]),
    ],
)
@pytest.mark.parametrize("limit", [1, 2, 5, 1_000])
async def test_the_pages_of_an_order_are_the_whole_account(
    client: httpx.AsyncClient, order: str, expected: list[int], limit: int
) -> None:
    await ask(client, 0, 1, 1, 2, 2, 2, 3, 4)
    await account_of(client, total=8)
    pages = await every_page(client, order=order, limit=limit)
    assert [row["n"] for page in pages for row in page["fibonacci_stats"]] == expected
    assert len(pages) == -(-len(expected) // limit)
    assert all(page["total_requests"] == 8 for page in pages)


async def test_a_page_token_of_another_order_or_of_nobody_is_refused_by_its_name(client: httpx.AsyncClient) -> None:
    await ask(client, 0, 1)
    account = await account_of(client, total=2, query="?limit=1")
    token = account["next_page_token"]
    for query in (f"order=n&page_token={token}", "page_token=AAAA", f"page_token={token[:-1]}"):
        response = await client.get(f"/stats?{query}")
        assert response.status_code == 400
        assert [error["field"] for error in response.json()["errors"]] == ["page_token"]


async def test_a_number_by_itself_is_its_row_of_the_page(client: httpx.AsyncClient) -> None:
    await ask(client, 10, 20, 20)
    account = await account_of(client, total=3)
    for row in account["fibonacci_stats"]:
        response = await client.get(f"/stats/{row['n']}")
        assert (response.status_code, response.json()) == (200, row)


async def test_a_number_that_was_never_asked_for_is_not_found(client: httpx.AsyncClient) -> None:
    for n in (0, 2**31 - 1):
        response = await client.get(f"/stats/{n}")
        assert (response.status_code, response.headers["cache-control"]) == (404, "no-store")
        assert response.json()["detail"] == f"nothing is known of n = {n}"


async def test_no_cache_keeps_that_a_resource_of_the_account_takes_no_other_method(client: httpx.AsyncClient) -> None:
    for path in ("/stats", "/stats/10", "/stats/minutes", "/stats/stream"):
        response = await client.delete(path)
        assert (response.status_code, response.headers["cache-control"]) == (405, "no-store")


async def test_the_minutes_add_up_to_the_totals(client: httpx.AsyncClient) -> None:
    before = datetime.now(UTC) - timedelta(minutes=1) - CLOCK_SKEW
    await ask(client, 10, 20, 20)
    account = await account_of(client, total=3)
    minutes = (await client.get("/stats/minutes")).json()["minutes"]
    assert sum(minute["request_count"] for minute in minutes) == 3
    assert sum(minute["cache_hits"] for minute in minutes) == account["total_cache_hits"]
    starts = [datetime.fromisoformat(minute["start_time"]) for minute in minutes]
    assert starts == sorted(set(starts))
    for start in starts:
        assert before <= start <= datetime.now(UTC) + CLOCK_SKEW
        assert (start.second, start.microsecond) == (0, 0)


async def ask(client: httpx.AsyncClient, *indices: int) -> None:
    """Asks for one number after the other."""
    for n in indices:
        assert (await client.get(f"/fib?n={n}")).status_code == 200


async def every_page(client: httpx.AsyncClient, *, order: str, limit: int) -> list[dict[str, Any]]:
    pages, query = [], f"order={order}&limit={limit}"
    page = (await client.get(f"/stats?{query}")).json()
    pages.append(page)
    while page["next_page_token"]:
        page = (await client.get(f"/stats?{query}&page_token={page['next_page_token']}")).json()
        pages.append(page)
    return pages
