from collections.abc import Iterator, MutableMapping
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from tests.api_gateway.neighbours import TinyFibonacci, TinyStats, gateway_to, until_ready

LogEntries = list[MutableMapping[str, Any]]


@pytest.fixture
def log_entries() -> Iterator[LogEntries]:
    with capture_logs() as entries:
        yield entries


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("offered", ["a", "order-7.retry_2", "Z" * 64])
async def test_an_acceptable_request_id_comes_back(lasting_client: httpx.AsyncClient, offered: str) -> None:
    for path in ("/fib?n=10", "/fib?n=abc", "/stats", "/livez", "/nowhere"):
        response = await lasting_client.get(path, headers={"X-Request-ID": offered})
        assert response.headers.get_list("x-request-id") == [offered]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("offered", ["", "Z" * 65, "with space", "semi;colon", 'quote"', "<b>", "%0A", "\xe9"])
async def test_any_other_request_id_is_replaced(lasting_client: httpx.AsyncClient, offered: str) -> None:
    headers = [(b"X-Request-ID", offered.encode("latin-1"))]
    made = [(await lasting_client.get("/livez", headers=headers)).headers["x-request-id"] for _ in range(2)]
    assert offered not in made
    assert len(set(made)) == 2
    assert all(1 <= len(request_id) <= 64 for request_id in made)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_problem_carries_its_request_id(lasting_client: httpx.AsyncClient) -> None:
    for path in ("/fib?n=abc", "/nowhere"):
        response = await lasting_client.get(path, headers={"X-Request-ID": "mine"})
        assert response.json()["request_id"] == "mine"


@pytest.mark.asyncio(loop_scope="module")
async def test_the_request_id_reaches_the_services(
    lasting_client: httpx.AsyncClient, tiny_fibonacci: TinyFibonacci, tiny_stats: TinyStats
) -> None:
    for path, offered in (("/fib?n=10", "batched"), ("/fib?n=5000", "alone"), ("/stats", "listed")):
        await lasting_client.get(path, headers={"X-Request-ID": offered})
    made = (await lasting_client.get("/fib?n=5000", headers={"X-Request-ID": "b;d"})).headers["x-request-id"]
    assert tiny_fibonacci.request_ids[-2:] == ["alone", made]
    assert tiny_fibonacci.item_ids[-1] == "batched"
    assert tiny_stats.request_ids[-1] == "listed"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "path",
    [
        "/fib?n=10",
        "/fib?n=20578",
        "/fib?n=abc",
        "/stats",
        "/stats/5",
        "/stats/minutes",
        "/livez",
        "/readyz",
        "/openapi.json",
        "/docs",
        "/nowhere",
    ],
)
async def test_head_is_get_without_its_body(lasting_client: httpx.AsyncClient, path: str) -> None:
    await until_ready(lasting_client)
    same_id = {"X-Request-ID": "same", "Accept-Encoding": "identity"}
    got = await lasting_client.get(path, headers=same_id)
    headed = await lasting_client.head(path, headers=same_id)
    assert (headed.status_code, headed.content) == (got.status_code, b"")
    assert int(headed.headers["content-length"]) == len(got.content) > 0
    assert without_date(headed) == without_date(got)


async def test_an_unexpected_exception_is_a_problem_without_its_text(log_entries: LogEntries) -> None:
    async with gateway_to(TinyFibonacci(values={5_000: b"\xff secret", 10: b"\xff secret"})) as client:
        for path in ("/fib?n=5000", "/fib?n=10"):
            response = await client.get(path, headers={"X-Request-ID": "mine"})
            assert response.status_code == 500
            assert response.headers["content-type"] == "application/problem+json"
            assert response.json() == {
                "type": "about:blank",
                "title": "Internal Server Error",
                "status": 500,
                "request_id": "mine",
            }
            assert (await client.get("/livez")).status_code == 200
    crashes = [entry for entry in log_entries if entry["event"] == "http.crashed"]
    assert [str(entry.pop("exc_info")) for entry in crashes] == [
        f"fibonacci_service answered F({n}) with what is no number" for n in (5_000, 10)
    ]
    assert crashes == [{"event": "http.crashed", "log_level": "error", "path": "/fib"}] * 2


async def test_a_request_leaves_one_line(log_entries: LogEntries) -> None:
    async with gateway_to(TinyFibonacci(), log_requests="all") as client:
        await client.head("/fib?n=10")
    duration_ms = log_entries[0].pop("duration_ms")
    assert 0 < duration_ms < 60_000
    assert log_entries == [
        {"event": "http.served", "log_level": "info", "method": "HEAD", "path": "/fib", "query": "n=10", "status": 200}
    ]


async def test_a_long_path_and_query_are_logged_in_part(log_entries: LogEntries) -> None:
    async with gateway_to(TinyFibonacci(), log_requests="all") as client:
        await client.get(f"/{'p' * 1_000}?{'q' * 1_000}")
    assert (log_entries[0]["path"], log_entries[0]["query"]) == ("/" + "p" * 199, "q" * 200)


async def test_of_quick_requests_only_the_failed_are_logged_unless_told_otherwise(log_entries: LogEntries) -> None:
    async with gateway_to(TinyFibonacci(values={5_000: b"\xff"})) as client:
        for path in ("/livez", "/fib?n=abc", "/nowhere", "/fib?n=5000"):
            await client.get(path)
    lines = [entry for entry in log_entries if entry["event"] == "http.served" and entry["duration_ms"] <= 100]
    assert {(line["path"], line["status"]) for line in lines} <= {("/fib", 500)}
    assert any(entry["event"] == "http.served" and entry["status"] == 500 for entry in log_entries)


def without_date(response: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name != "date"}
