import asyncio
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status
from grpc_status.rpc_status import to_status

from api_gateway import stats_client, stats_json
from service_kit.pb.stats.stats_pb2 import (
    BUSIEST,
    LEAST_BUSY,
    N_DESCENDING,
    FibonacciStat,
    GetNumberStatsRequest,
    GetNumberStatsResponse,
    ListMinutesRequest,
    ListMinutesResponse,
    ListStatsRequest,
    ListStatsResponse,
    MinuteStat,
    N,
)
from tests.api_gateway.neighbours import TinyStats, failing, gateway, gateway_to, hang

PATHS = ["/stats", "/stats/10", "/stats/minutes"]


async def test_the_service_is_asked_for_what_the_query_says() -> None:
    stats = TinyStats()
    queries = ("", "?limit=1", "?order=least_busy&limit=1000", "?order=n&page_token=aZ09-_.~%3D", "?order=n_descending")
    async with gateway_to(stats) as client:
        for query in (*queries, "?order=busiest"):
            assert (await client.get(f"/stats{query}")).status_code == 200
    assert stats.asked == [
        ListStatsRequest(page_size=100, order=BUSIEST),
        ListStatsRequest(page_size=1, order=BUSIEST),
        ListStatsRequest(page_size=1_000, order=LEAST_BUSY),
        ListStatsRequest(page_size=100, order=N, page_token="aZ09-_.~="),  # noqa: S106 - no secret
        ListStatsRequest(page_size=100, order=N_DESCENDING),
        ListStatsRequest(page_size=100, order=BUSIEST),
    ]


async def test_a_number_and_the_minutes_are_asked_for_by_themselves() -> None:
    stats = TinyStats()
    async with gateway_to(stats) as client:
        for path in ("/stats/0", "/stats/2147483647", "/stats/minutes"):
            assert (await client.get(path)).status_code == 200
    assert stats.asked == [GetNumberStatsRequest(n=0), GetNumberStatsRequest(n=2**31 - 1), ListMinutesRequest()]


async def test_a_page_is_written_once_for_as_long_as_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []

    def page_json(page: ListStatsResponse) -> bytes:
        written.append(page.total_requests)
        return stats_json.page_json(page)

    stats = TinyStats()
    async with gateway_to(stats) as client:
        monkeypatch.setattr(stats_client, "page_json", page_json)
        told = []
        for total in (3, 3, 4, 4, 3):
            stats.page = ListStatsResponse(total_requests=total)
            told.append((await client.get("/stats")).json()["total_requests"])

    assert (told, written) == ([3, 3, 4, 4, 3], [3, 4, 3])


async def test_what_the_service_answers_is_what_is_told() -> None:
    stats = TinyStats()
    row = FibonacciStat(n=7, request_count=3)
    stats.page = ListStatsResponse(total_requests=3, fibonacci_stats=[row], next_page_token="on")  # noqa: S106
    stats.number = GetNumberStatsResponse(stat=row)
    stats.minutes = ListMinutesResponse(minutes=[MinuteStat(request_count=3)])
    async with gateway_to(stats) as client:
        page, number, minutes = [(await client.get(path)).json() for path in ("/stats", "/stats/7", "/stats/minutes")]
    assert (page["total_requests"], page["next_page_token"]) == (3, "on")
    assert page["fibonacci_stats"] == [number]
    assert (number["n"], number["request_count"]) == (7, 3)
    assert [minute["request_count"] for minute in minutes["minutes"]] == [3]


async def test_a_page_that_changed_is_told_as_it_is_now() -> None:
    stats = TinyStats()
    told = []
    async with gateway_to(stats) as client:
        for count in (3, 3, 4, 0, 3):
            stats.page = ListStatsResponse(fibonacci_stats=[FibonacciStat(n=7, request_count=count)])
            page = (await client.get("/stats")).json()
            told.append(page["fibonacci_stats"][0]["request_count"])
    assert told == [3, 3, 4, 0, 3]


@pytest.mark.parametrize("path", PATHS)
async def test_an_account_is_json_that_no_cache_stores(path: str) -> None:
    async with gateway_to(TinyStats()) as client:
        response = await client.get(path)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    [*PATHS, "/stats/stream", "/stats/x", "/stats?limit=0", "/stats?limit=1&limit=1", "/stats/stream?interval=0"],
)
async def test_no_cache_stores_that_there_was_no_account(path: str) -> None:
    async with gateway_to(TinyStats(failing(grpc.StatusCode.NOT_FOUND))) as client:
        response = await client.get(path)
    assert response.status_code in {400, 404}
    assert response.headers["cache-control"] == "no-store"


async def test_a_number_that_was_never_asked_for_is_not_found() -> None:
    async with gateway_to(TinyStats(failing(grpc.StatusCode.NOT_FOUND, "nothing is known of n = 7"))) as client:
        response = await client.get("/stats/7")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"] == "nothing is known of n = 7"


@pytest.mark.parametrize(
    ("field", "allowed", "told_field"),
    [
        ("page_token", "must be ours", "page_token"),
        ("page_size", "must be from 1 to 50, not 100", "limit"),
        ("order", "must be one that I know", "order"),
    ],
)
async def test_what_the_service_refuses_is_named_as_the_caller_named_it(
    field: str, allowed: str, told_field: str
) -> None:
    async with gateway_to(TinyStats(refusing(field, f"{field} {allowed}"))) as client:
        response = await client.get("/stats?page_token=foreign")
    assert response.status_code == 400
    assert response.json()["detail"] == f"{told_field} {allowed}"
    assert response.json()["errors"] == [{"field": told_field, "detail": allowed}]


def refusing(field: str, text: str) -> Any:
    """Refuses every call with INVALID_ARGUMENT and the field at fault."""
    violation = BadRequest.FieldViolation(field=field, description=text)
    status = Status(code=grpc.StatusCode.INVALID_ARGUMENT.value[0], message=text)
    status.details.add().Pack(BadRequest(field_violations=[violation]))

    async def refuse(context: Any) -> None:
        await context.abort(*abortion)

    refusal = to_status(status)
    abortion = (refusal.code, refusal.details, refusal.trailing_metadata)
    return refuse


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("fault", [failing(grpc.StatusCode.UNAVAILABLE), hang], ids=["failing", "hanging"])
async def test_an_account_that_does_not_answer_is_away_and_may_be_asked_again(path: str, fault: Any) -> None:
    async with gateway_to(TinyStats(fault), deadline_seconds=0.3) as client:
        response = await client.get(path)
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert response.json()["detail"] == "stats_service is not available"


@pytest.mark.parametrize("path", PATHS)
async def test_a_call_that_fails_once_is_made_again(path: str) -> None:
    stats = TinyStats(failing(grpc.StatusCode.UNAVAILABLE, times=1))
    async with gateway_to(stats) as client:
        assert (await client.get(path)).status_code == 200
    assert stats.calls == 2


async def test_numbers_are_answered_while_the_account_is_away(fibonacci_target: str, absent: str) -> None:
    async with gateway(fibonacci_target=fibonacci_target, stats_target=absent, deadline_seconds=2) as client:
        paths = ("/fib?n=10", *PATHS, "/stats/stream")
        number, *accounts = await asyncio.gather(*map(client.get, paths))
    assert number.status_code == 200
    for account in accounts:
        assert (account.status_code, account.headers["retry-after"]) == (503, "1")
        assert account.json()["detail"] == "stats_service is not available"


@pytest.mark.parametrize("path", PATHS)
async def test_head_asks_as_get_does(path: str) -> None:
    stats = TinyStats()
    async with gateway_to(stats) as client:
        got, headed = await client.get(path), await client.head(path)
    assert (headed.status_code, headed.content) == (200, b"")
    assert headed.headers["content-length"] == str(len(got.content))
    assert stats.asked[0] == stats.asked[1]


async def test_the_path_of_a_number_takes_no_other_method() -> None:
    async with gateway_to(TinyStats()) as client:
        for path in ("/stats/7", "/stats/minutes", "/stats/stream"):
            response = await client.post(path)
            assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD"), path
