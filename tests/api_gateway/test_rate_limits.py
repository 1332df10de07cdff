"""Limits by client address, over real connections to the real gateway."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from api_gateway.deadlines import HEADER
from tests.api_gateway.neighbours import Gate, TinyFibonacci, gateway_to, hang, until_ready

LOOPBACK = "127.0.0.0/8, ::1"
#: Beyond what one connection may send ahead of its answers, the gateway takes no more of them.
SENT_AHEAD = 16


def limits(response: httpx.Response, field: str = "ratelimit") -> dict[str, dict[str, int]]:
    """The items of a field by name, each with its parameters."""
    items = [re.fullmatch(r'"([^"]+)"((?:;\w=\d+)+)', item) for item in response.headers[field].split(", ")]
    return {item[1]: {name: int(value) for name, value in re.findall(r"(\w)=(\d+)", item[2])} for item in items if item}


@asynccontextmanager
async def from_address(client: httpx.AsyncClient, address: str) -> AsyncIterator[httpx.AsyncClient]:
    """Another client of the same gateway, which calls from that address of this machine."""
    transport = httpx.AsyncHTTPTransport(local_address=address)
    async with httpx.AsyncClient(base_url=client.base_url, transport=transport, timeout=30) as other:
        yield other


async def statuses(client: httpx.AsyncClient, *forwarded_for: str) -> list[int]:
    fields = [{"X-Forwarded-For": addresses} for addresses in forwarded_for]
    return [(await client.get("/fib?n=10", headers=each)).status_code for each in fields]


async def test_by_default_nobody_is_limited_and_no_answer_speaks_of_limits() -> None:
    async with gateway_to(TinyFibonacci()) as client:
        for path in ("/fib?n=10", "/fib?n=abc", "/livez"):
            assert not {"ratelimit", "ratelimit-policy"} & set((await client.get(path)).headers)


async def test_every_answer_tells_what_is_left_of_each_rate() -> None:
    async with gateway_to(TinyFibonacci(), rate_limit="1000/minute; 3000/day") as client:
        for left, path in enumerate(("/fib?n=10", "/fib?n=abc", "/nowhere", "/fib/batch?n=1&n=2", "/stats")):
            response = await client.get(path)
            assert response.headers["ratelimit-policy"] == '"1000/minute";q=1000;w=60, "3000/day";q=3000;w=86400'
            told = limits(response)
            assert told["3000/day"]["r"] == 2_999 - left
            assert 0 <= told["1000/minute"]["t"] <= 60
            assert 0 <= told["3000/day"]["t"] <= 86_400


async def test_a_failure_tells_what_is_left_too() -> None:
    async with gateway_to(TinyFibonacci(hang), rate_limit="1000/day") as client:
        await until_ready(client)
        response = await client.head("/fib?n=10", headers={HEADER: "1"})
    assert response.status_code == 504
    assert limits(response)["1000/day"]["r"] < 1_000


async def test_beyond_the_limit_a_request_is_a_problem_that_says_when_to_ask_again() -> None:
    neighbour = TinyFibonacci()
    async with gateway_to(neighbour, rate_limit="100/second;2/day") as client:
        for _ in range(2):
            assert (await client.get("/fib?n=10")).status_code == 200
        response = await client.get("/fib?n=10", headers={"X-Request-ID": "mine"})
        assert response.json() == {
            "type": "about:blank",
            "title": "Too Many Requests",
            "status": 429,
            "detail": "more requests came from this client than 2/day allows",
            "request_id": "mine",
        }
        assert response.headers["content-type"] == "application/problem+json"
        assert response.headers["x-request-id"] == "mine"
        assert response.headers["ratelimit-policy"] == '"100/second";q=100;w=1, "2/day";q=2;w=86400'
        told = limits(response)["2/day"]
        assert told["r"] == 0
        assert int(response.headers["retry-after"]) == told["t"] > 0
    assert neighbour.batches == [[10], [10]]


@pytest.mark.parametrize(("method", "path"), [("HEAD", "/fib?n=10"), ("POST", "/fib/batch"), ("GET", "/openapi.json")])
async def test_every_resource_counts_but_those_for_whoever_watches_over_the_process(method: str, path: str) -> None:
    async with gateway_to(TinyFibonacci(), rate_limit="1/day") as client:
        await until_ready(client)
        assert (await client.request(method, path)).status_code != 429
        assert (await client.request(method, path)).status_code == 429
        for watched in ("/livez", "/readyz"):
            response = await client.get(watched)
            assert response.status_code == 200
            assert "ratelimit" not in response.headers


async def test_who_waits_as_long_as_told_is_answered() -> None:
    async with gateway_to(TinyFibonacci(), rate_limit="2/second") as client:
        while (refused := await client.get("/fib?n=10")).status_code != 429:
            pass
        await asyncio.sleep(int(refused.headers["retry-after"]))
        assert (await client.get("/fib?n=10")).status_code == 200


async def test_who_exceeds_a_short_rate_is_not_told_to_wait_for_a_longer_one() -> None:
    async with gateway_to(TinyFibonacci(), rate_limit="1/minute;1000/day") as client:
        while (refused := await client.get("/fib?n=10")).status_code != 429:
            pass
    told = limits(refused)
    assert int(refused.headers["retry-after"]) == max(1, told["1/minute"]["t"]) <= 120


async def test_what_a_short_rate_refuses_is_not_counted_by_a_longer_one() -> None:
    async with gateway_to(TinyFibonacci(), rate_limit="2/minute;100/day") as client:
        told = [limits(await client.get("/fib?n=10"))["100/day"]["r"] for _ in range(20)]
    # A minute may begin while the test runs.
    assert 100 - 4 <= told[-1] <= 98


async def test_requests_at_the_same_time_are_each_counted() -> None:
    gate = Gate()
    async with gateway_to(TinyFibonacci(gate), rate_limit="5/day") as client:
        asked = [asyncio.create_task(client.get(f"/fib?n={n}")) for n in range(20)]
        await gate.holds(1)
        gate.open()
        answered = [(await task).status_code for task in asked]
    assert sorted(answered) == [200] * 5 + [429] * 15


async def test_each_address_has_limits_of_its_own() -> None:
    async with gateway_to(TinyFibonacci(), rate_limit="1/day") as client, from_address(client, "127.0.0.2") as other:
        assert [(await each.get("/fib?n=10")).status_code for each in (client, other, client, other)] == [
            200,
            200,
            429,
            429,
        ]


async def test_a_peer_that_is_not_trusted_gains_nothing_by_naming_other_addresses() -> None:
    async with gateway_to(TinyFibonacci(), rate_limit="3/day", trusted_proxies="10.0.0.0/8") as client:
        named = [f"198.51.100.{n}" for n in range(4)]
        assert await statuses(client, *named, "10.0.0.1", "127.0.0.1, 10.0.0.1") == [200, 200, 200, 429, 429, 429]


async def test_behind_a_trusted_proxy_each_client_has_limits_of_its_own_and_spoofs_nothing() -> None:
    async with gateway_to(TinyFibonacci(), rate_limit="2/day", trusted_proxies=LOOPBACK) as client:
        assert await statuses(client, "198.51.100.1", "9.9.9.9, 198.51.100.1", "8.8.8.8, 198.51.100.1") == [
            200,
            200,
            429,
        ]
        assert await statuses(client, "198.51.100.1, 198.51.100.2") == [200]
        assert await statuses(client, *(f"2001:db8:1:2::{n:x}" for n in range(3))) == [200, 200, 429]
        assert await statuses(client, "2001:db8:1:3::1") == [200]
        assert await statuses(client, "unknown", "9.9.9.9, unknown", "") == [200, 200, 429]


@pytest.mark.slow
async def test_ten_thousand_addresses_are_each_counted() -> None:
    async with gateway_to(TinyFibonacci(), rate_limit="1/day", trusted_proxies=LOOPBACK) as client:
        for expected in (b"HTTP/1.1 404", b"HTTP/1.1 429"):
            assert await _ask_each(client.base_url, range(10_000)) == {expected: 10_000}


async def _ask_each(url: httpx.URL, numbers: range) -> dict[bytes, int]:
    """How often each status line came, asked once for each of so many addresses, several ahead of the answers."""
    reader, writer = await asyncio.open_connection(url.host, url.port)
    counts: dict[bytes, int] = {}
    for first in numbers[::SENT_AHEAD]:
        asked = range(first, min(first + SENT_AHEAD, numbers.stop))
        for n in asked:
            address = f"198.{n // 256}.{n % 256}.1"
            writer.write(b"HEAD /nowhere HTTP/1.1\r\nHost: gateway\r\nX-Forwarded-For: %b\r\n\r\n" % address.encode())
        for _ in asked:
            status = (await reader.readuntil(b"\r\n\r\n"))[:12]
            counts[status] = counts.get(status, 0) + 1
    writer.close()
    await writer.wait_closed()
    return counts
