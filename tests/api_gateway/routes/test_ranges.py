import json
from typing import Any

import httpx
import pytest

from tests.api_gateway.neighbours import gateway_to
from tests.api_gateway.ranging_neighbour import RangingFibonacci

EVENTS = {"Accept": "text/event-stream"}


def events_in(text: str) -> list[tuple[int, Any]]:
    """The events of a stream: the id and the data of each."""
    assert text.endswith("\n\n")
    found = []
    for event in text.removesuffix("\n\n").split("\n\n"):
        first, second = event.split("\n")
        found.append((int(first.removeprefix("id: ")), json.loads(second.removeprefix("data: "))))
    return found


def assert_refused(response: httpx.Response, field: str, allowed: str) -> None:
    assert response.headers["content-type"] == "application/problem+json"
    assert response.status_code == 400
    assert response.json()["errors"] == [{"field": field, "detail": allowed}]


@pytest.mark.parametrize(("start", "count"), [(0, 1), (0, 12), (85, 20), (20_000, 30), (200_000, 3), (1_000_000, 1)])
async def test_the_lines_of_a_range_are_the_single_answers(client: httpx.AsyncClient, start: int, count: int) -> None:
    response = await client.get(f"/fib/range?start={start}&count={count}")
    assert response.headers["content-type"] == "application/jsonl"
    assert response.headers["cache-control"] == "no-store"
    single = [(await client.get(f"/fib?n={n}")).text for n in range(start, start + count)]
    assert response.text == "".join(f"{line}\n" for line in single)


async def test_a_long_range_is_complete_and_in_order(client: httpx.AsyncClient) -> None:
    number, following = 0, 1
    async with client.stream("GET", "/fib/range?count=4000") as response:
        lines = [json.loads(line) async for line in response.aiter_lines()]
    for n, line in enumerate(lines):
        assert (line["n"], line["value"]) == (n, str(number))
        number, following = following, number + following
    assert len(lines) == 4_000


async def test_an_event_stream_has_the_indices_as_ids(client: httpx.AsyncClient) -> None:
    response = await client.get("/fib/range?start=90&count=5", headers=EVENTS)
    assert response.headers["content-type"].startswith("text/event-stream")
    lines = (await client.get("/fib/range?start=90&count=5")).text.splitlines()
    assert events_in(response.text) == [(n, json.loads(line)) for n, line in zip(range(90, 95), lines, strict=True)]


async def test_an_event_stream_goes_on_behind_the_last_event(client: httpx.AsyncClient) -> None:
    whole = await client.get("/fib/range?start=90&count=500", headers=EVENTS)
    rest = await client.get("/fib/range?start=90&count=500", headers=EVENTS | {"Last-Event-ID": "400"})
    assert events_in(rest.text) == events_in(whole.text)[311:]


async def test_a_complete_event_stream_is_not_sent_again(client: httpx.AsyncClient) -> None:
    response = await client.get("/fib/range?start=90&count=5", headers=EVENTS | {"Last-Event-ID": "94"})
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("last", ["89", "95", "-1", "090", "x", "", "9" * 400])
async def test_a_last_event_of_another_range_is_refused(client: httpx.AsyncClient, last: str) -> None:
    response = await client.get("/fib/range?start=90&count=5", headers=EVENTS | {"Last-Event-ID": last})
    assert_refused(response, "Last-Event-ID", "must be a whole number from 90 to 94 in plain digits")


async def test_lines_have_no_last_event(client: httpx.AsyncClient) -> None:
    response = await client.get("/fib/range?start=90&count=5", headers={"Last-Event-ID": "94"})
    assert len(response.text.splitlines()) == 5


async def test_a_form_that_is_not_offered_is_a_problem(client: httpx.AsyncClient) -> None:
    response = await client.get("/fib/range?count=5", headers={"Accept": "application/xml"})
    assert (response.status_code, response.headers["vary"]) == (406, "Accept")
    assert "application/jsonl, text/event-stream" in response.json()["detail"]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("count", ["0", "-1", "x", "1.0", ""])
async def test_a_count_out_of_bounds_is_refused(lasting_client: httpx.AsyncClient, count: str) -> None:
    response = await lasting_client.get(f"/fib/range?count={count}")
    assert_refused(response, "count", "must be a whole number, 1 or more, in plain digits")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("count", ["2147483648", "9" * 100])
async def test_a_count_beyond_whatever_a_service_allows_is_too_large(
    lasting_client: httpx.AsyncClient, count: str
) -> None:
    assert_refused(
        await lasting_client.get(f"/fib/range?count={count}"),
        "count",
        "must be at most 2147483647, and a service may allow less",
    )


@pytest.mark.asyncio(loop_scope="module")
async def test_a_count_is_required_and_a_start_is_not_negative(lasting_client: httpx.AsyncClient) -> None:
    assert_refused(await lasting_client.get("/fib/range?start=5"), "count", "is required")
    response = await lasting_client.get("/fib/range?start=-1&count=1")
    assert_refused(response, "start", "must be a whole number, 0 or more, in plain digits")


@pytest.mark.parametrize("headers", [{}, EVENTS], ids=["lines", "events"])
@pytest.mark.parametrize(
    ("start", "count", "field"),
    [
        (1_000_001, 1, "start"),
        (1_000_000, 2, "count"),
        (0, 1_000_002, "count"),
        (2**31 - 1, 2**31 - 1, "start"),
    ],
)
async def test_a_range_that_ends_above_the_limit_is_refused_before_its_first_byte(
    client: httpx.AsyncClient, headers: dict[str, str], start: int, count: int, field: str
) -> None:
    for ask in (client.get, client.head):
        response = await ask(f"/fib/range?start={start}&count={count}", headers=headers)
        assert response.status_code == 400
    response = await client.get(f"/fib/range?start={start}&count={count}", headers=headers)
    assert_refused(response, field, f"a range must end at n = 1000000 at most, not at {start + count - 1}")


async def test_a_range_is_not_in_the_account(client: httpx.AsyncClient) -> None:
    await client.get("/fib/range?count=100")
    assert (await client.get("/stats")).json()["total_requests"] == 0


async def test_head_is_the_head_of_get_and_ends_the_computation() -> None:
    fibonacci = RangingFibonacci(digits=1 << 16)
    async with gateway_to(fibonacci) as client:
        response = await client.head("/fib/range?start=5&count=100000")
        await fibonacci.cancelled.wait()
    assert (response.status_code, response.headers["content-type"]) == (200, "application/jsonl")
    assert fibonacci.ranges == [(5, 100_000)]
    assert fibonacci.sent_pieces < 1_000


async def test_what_is_left_of_an_event_stream_is_all_that_the_service_is_asked_for() -> None:
    fibonacci = RangingFibonacci()
    async with gateway_to(fibonacci) as client:
        await client.get("/fib/range?start=5&count=10", headers=EVENTS | {"Last-Event-ID": "7"})
        await client.get("/fib/range?start=5&count=10", headers=EVENTS | {"Last-Event-ID": "14"})
    assert fibonacci.ranges == [(8, 7)]
