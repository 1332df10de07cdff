from datetime import timedelta
from typing import Any

import grpc
import httpx
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status.rpc_status import to_status

from api_gateway.problems import HTTP_STATUS
from tests.api_gateway.neighbours import TinyFibonacci, TinyStats, failing, gateway_to

#: Those that leave the caller's own fault or the reason of a refusal to be read.
READABLE = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
}
SILENT = {
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNKNOWN: 500,
    grpc.StatusCode.DATA_LOSS: 500,
    grpc.StatusCode.PERMISSION_DENIED: 500,
    grpc.StatusCode.UNAUTHENTICATED: 500,
    grpc.StatusCode.ALREADY_EXISTS: 500,
}
TRANSIENT = {
    grpc.StatusCode.CANCELLED: 503,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}


def test_every_status_code_has_its_expected_answer() -> None:
    assert {grpc.StatusCode.OK, *READABLE, *SILENT, *TRANSIENT} == set(grpc.StatusCode)
    assert set(HTTP_STATUS) <= set(grpc.StatusCode)


async def test_an_error_that_was_written_for_the_caller_keeps_its_text() -> None:
    fibonacci = TinyFibonacci()
    async with gateway_to(fibonacci) as client:
        for code, status in READABLE.items():
            fibonacci.before = failing(code, "read me")
            for path in ("/fib?n=10", "/fib?n=5000"):
                assert_problem(await client.get(path), status=status, detail="read me")


async def test_any_other_error_of_a_service_keeps_its_text_inside() -> None:
    fibonacci = TinyFibonacci()
    async with gateway_to(fibonacci) as client:
        for code, status in SILENT.items():
            fibonacci.before = failing(code, "secret")
            for path in ("/fib?n=10", "/fib?n=5000"):
                response = await client.get(path)
                assert_problem(response, status=status, detail=None)
                assert "secret" not in response.text


@pytest.mark.parametrize(
    ("path", "tiny"), [("/fib?n=10", TinyFibonacci), ("/fib?n=5000", TinyFibonacci), ("/stats", TinyStats)]
)
async def test_a_service_that_raises_is_a_problem_without_its_text(
    path: str, tiny: type[TinyFibonacci] | type[TinyStats]
) -> None:
    async def raises(_context: Any) -> None:
        raise RuntimeError("secret")

    async with gateway_to(tiny(raises)) as client:
        response = await client.get(path)
    assert_problem(response, status=500, detail=None)
    assert "secret" not in response.text
    assert "RuntimeError" not in response.text


async def test_a_cancelled_item_of_a_batch_is_a_closed_request() -> None:
    cancelled = Status(code=grpc.StatusCode.CANCELLED.value[0], message="gone")
    async with gateway_to(TinyFibonacci(errors={10: cancelled})) as client:
        response = await client.get("/fib?n=10")
    assert (response.status_code, response.json()["title"]) == (499, "Client Closed Request")


def busy(delay_seconds: float) -> Status:
    status = Status(code=grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], message="too much waits")
    status.details.add().Pack(RetryInfo(retry_delay=timedelta(seconds=delay_seconds)))
    return status


@pytest.mark.parametrize(
    ("delay_seconds", "told"), [(0, "1"), (0.2, "1"), (1, "1"), (1.001, "2"), (7.5, "8"), (60, "60")]
)
async def test_who_comes_too_soon_is_told_in_whole_seconds_when_to_come_again(delay_seconds: float, told: str) -> None:
    refusal = to_status(busy(delay_seconds))

    async def refuse(context: Any) -> None:
        await context.abort(refusal.code, refusal.details, refusal.trailing_metadata)

    async with (
        gateway_to(TinyFibonacci(errors={10: busy(delay_seconds)})) as item_refused,
        gateway_to(TinyFibonacci(refuse)) as call_refused,
        gateway_to(TinyStats(refuse)) as stats_refused,
    ):
        responses = [
            await item_refused.get("/fib?n=10"),
            await item_refused.post("/fib/batch", json=[5, 10]),
            await call_refused.get("/fib?n=10"),
            await call_refused.get("/fib?n=5000"),
            await stats_refused.get("/stats"),
        ]
    for response in responses:
        assert_problem(response, status=429, detail="too much waits")
        assert response.headers["retry-after"] == told


@pytest.mark.parametrize("code", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE])
async def test_who_may_come_again_is_told_when(code: grpc.StatusCode) -> None:
    async with gateway_to(TinyFibonacci(failing(code))) as client:
        assert (await client.get("/fib?n=10")).headers["retry-after"] == "1"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("path", ["/", "/nowhere", "/fib/", "/fib/10", "/FIB", "/%66ib/..", "/stats/"])
async def test_an_unknown_path_is_a_problem(lasting_client: httpx.AsyncClient, path: str) -> None:
    response = await lasting_client.get(path)
    assert_problem(response, status=404, detail="There is no such resource; /openapi.json lists those there are.")
    assert response.json()["title"] == "Not Found"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "path", ["/fib?n=10", "/stats", "/stats/5", "/livez", "/readyz", "/metrics", "/docs", "/openapi.json"]
)
async def test_a_wrong_method_is_a_problem_that_lists_the_right_ones(
    lasting_client: httpx.AsyncClient, tiny_fibonacci: TinyFibonacci, path: str
) -> None:
    calls = tiny_fibonacci.calls
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
        response = await lasting_client.request(method, path)
        detail = "This resource does not take the method; the header Allow lists those it takes."
        assert_problem(response, status=405, detail=detail)
        assert response.headers["allow"] == "GET, HEAD"
    assert tiny_fibonacci.calls == calls


def assert_problem(response: httpx.Response, *, status: int, detail: str | None) -> None:
    problem = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert response.status_code == problem["status"] == status
    assert problem["type"] == "about:blank"
    assert problem.get("detail") == detail
    assert problem["request_id"] == response.headers["x-request-id"]
