import gzip
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc
import httpx
import pytest
from google.rpc.status_pb2 import Status

from api_gateway.problems import MAX_BODY_BYTES
from tests.api_gateway.account import account_of
from tests.api_gateway.neighbours import TinyFibonacci, gateway_to

WHOLE_NUMBER = "must be a whole number, 0 or more"
TOO_LARGE = "must be at most 2147483647, and a service may allow less"
WHOLE_NUMBERS = "must be a JSON list of whole numbers, 0 or more"
BODY_TOO_LONG = "body must have at most 65536 bytes"
#: Of these, a thousand are just predicted to stay within 1 MiB, and a thousand are not.
THOUSANDTH_N, MORE_N = 5_010, 5_015


async def get(client: httpx.AsyncClient, indices: list[int]) -> httpx.Response:
    return await client.get("/fib/batch", params=[("n", n) for n in indices])


async def post(client: httpx.AsyncClient, indices: list[int]) -> httpx.Response:
    return await client.post("/fib/batch", json=indices)


Ask = Callable[[httpx.AsyncClient, list[int]], Awaitable[httpx.Response]]
JSON = {"Content-Type": "application/json"}
#: What curl says of whatever it is told to send.
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ways = pytest.mark.parametrize(("ask", "field"), [(get, "n"), (post, "body")], ids=["GET", "POST"])
both = pytest.mark.parametrize("ask", [get, post], ids=["GET", "POST"])
on_module_loop = pytest.mark.asyncio(loop_scope="module")


def assert_refused(response: httpx.Response, field: str, allowed: str) -> None:
    assert response.headers["content-type"] == "application/problem+json"
    assert response.status_code == response.json()["status"] == 400
    assert response.json()["errors"] == [{"field": field, "detail": allowed}]


@both
async def test_a_batch_is_answered_in_its_order_with_its_repeats(client: httpx.AsyncClient, ask: Ask) -> None:
    indices = [100, 0, 7, 93, 7, 92, 20_578, 0]
    response = await ask(client, indices)
    single = [(await client.get(f"/fib?n={n}")).json() for n in indices]
    assert response.status_code == 200
    assert response.json() == {"numbers": single}


@both
async def test_every_item_of_a_batch_is_counted_once(client: httpx.AsyncClient, ask: Ask) -> None:
    await ask(client, [10, 20, 20])
    account = await account_of(client, total=3)
    rows = [(row["n"], row["request_count"], row["coalesced"]) for row in account["fibonacci_stats"]]
    assert rows == [(20, 2, 1), (10, 1, 0)]


@ways
async def test_one_item_above_the_limit_refuses_the_batch_and_is_named(
    client: httpx.AsyncClient, ask: Ask, field: str
) -> None:
    response = await ask(client, [1, 2, 3, 10_000_001, 5])
    assert_refused(response, f"{field}[3]", "must be at most 10000000, not 10000001")
    assert response.json()["detail"] == f"{field}[3] must be at most 10000000, not 10000001"


@ways
async def test_a_batch_is_bounded_by_its_items(client: httpx.AsyncClient, ask: Ask, field: str) -> None:
    assert len((await ask(client, [2_147] * 1_000)).json()["numbers"]) == 1_000
    assert_refused(await ask(client, [1] * 1_001), field, "must have from 1 to 1000 items, not 1001")


@ways
async def test_a_batch_is_bounded_by_the_predicted_length_of_its_numbers(
    client: httpx.AsyncClient, ask: Ask, field: str
) -> None:
    assert (await ask(client, [THOUSANDTH_N] * 1_000)).status_code == 200
    refused = await ask(client, [MORE_N] * 1_000)
    assert_refused(refused, field, "a batch holds at most 1048576 bytes of values, not 1049000")


async def test_an_empty_batch_is_refused(client: httpx.AsyncClient) -> None:
    assert_refused(await post(client, []), "body", "must have from 1 to 1000 items, not 0")
    assert_refused(await get(client, []), "n", "is required")


@on_module_loop
@pytest.mark.parametrize("text", ["x", "-1", "+1", "01", "1.0", "", "%20 1"])
async def test_an_item_of_a_query_that_is_no_index_is_named(lasting_client: httpx.AsyncClient, text: str) -> None:
    response = await lasting_client.get("/fib/batch", params=[("n", "1"), ("n", text), ("n", "2")])
    assert_refused(response, "n[1]", f"{WHOLE_NUMBER}, in plain digits")


@on_module_loop
@pytest.mark.parametrize("text", ["1.0", "1e3", '"3"', "true", "null", "[3]", "{}", "-1", "NaN"])
async def test_an_item_of_a_body_that_is_no_index_is_named(lasting_client: httpx.AsyncClient, text: str) -> None:
    response = await lasting_client.post("/fib/batch", content=f"[1, 2, 3, {text}]", headers=JSON)
    assert_refused(response, "body[3]", WHOLE_NUMBER)


@on_module_loop
@pytest.mark.parametrize(
    ("body", "allowed"),
    [
        (b"{", "is not JSON"),
        (b"[1, 2,]", "is not JSON"),
        (b"1 2", "is not JSON"),
        (b"[\xff]", "is not JSON that can be read"),
        (b"[" * 10_000, "is not JSON that can be read"),
        (b"[" + b"9" * 5_000 + b"]", "is not JSON that can be read"),
        (b"{}", WHOLE_NUMBERS),
        (b"7", WHOLE_NUMBERS),
        (b'"[7]"', WHOLE_NUMBERS),
        (b"null", WHOLE_NUMBERS),
        (b"", "is required"),
    ],
)
async def test_a_body_that_is_no_list_is_refused(lasting_client: httpx.AsyncClient, body: bytes, allowed: str) -> None:
    response = await lasting_client.post("/fib/batch", content=body, headers=JSON)
    assert_refused(response, "body", allowed)
    assert len(response.content) < 500


@on_module_loop
@pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/plain"}, FORM, {"Content-Type": "nonsense"}])
async def test_a_body_of_another_type_is_refused(lasting_client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    for body in (b"[7]", spaces(1)):
        response = await lasting_client.post("/fib/batch", content=body, headers=headers)
        assert_unsupported(response, "Content-Type", "application/json")
        assert response.headers["accept"] == "application/json"


@on_module_loop
@pytest.mark.parametrize("coding", ["gzip", "GZIP", "identity, br", "none"])
async def test_a_body_that_is_coded_is_refused(lasting_client: httpx.AsyncClient, coding: str) -> None:
    coded = {**JSON, "Content-Encoding": coding}
    response = await lasting_client.post("/fib/batch", content=gzip.compress(b"[7]"), headers=coded)
    assert_unsupported(response, "Content-Encoding", "identity")
    assert response.headers["accept-encoding"] == "identity"


def assert_unsupported(response: httpx.Response, field: str, allowed: str) -> None:
    assert response.headers["content-type"] == "application/problem+json"
    assert response.status_code == response.json()["status"] == 415
    assert response.json()["detail"] == f"{field} must be {allowed}"
    assert response.json()["errors"] == [{"field": field, "detail": f"must be {allowed}"}]
    assert response.json()["request_id"] == response.headers["x-request-id"]


@on_module_loop
@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "Application/JSON; charset=utf-8"},
        {"Content-Type": "application/vnd.indices+json"},
        {**JSON, "Content-Encoding": "Identity"},
    ],
)
async def test_a_body_that_says_in_another_way_that_it_is_json_is_read(
    lasting_client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    response = await lasting_client.post("/fib/batch", content=b"[7]", headers=headers)
    assert response.json()["numbers"] == [{"n": 7, "x": 13, "value": "13"}]


@on_module_loop
async def test_a_get_may_have_a_body_of_any_type(lasting_client: httpx.AsyncClient) -> None:
    response = await lasting_client.request("GET", "/fib/batch?n=7", content=b"a=b", headers=FORM)
    assert response.status_code == 200


@on_module_loop
@pytest.mark.parametrize("text", ["2147483648", "9" * 4_000])
async def test_an_item_that_no_service_can_be_asked_is_too_large(lasting_client: httpx.AsyncClient, text: str) -> None:
    response = await lasting_client.post("/fib/batch", content=f"[1, {text}]", headers=JSON)
    assert_refused(response, "body[1]", TOO_LARGE)


@on_module_loop
async def test_a_post_takes_no_parameters(lasting_client: httpx.AsyncClient) -> None:
    response = await lasting_client.post("/fib/batch?n=1", json=[7])
    assert_refused(response, "n", "is not a parameter of this resource")


async def spaces(count: int) -> AsyncIterator[bytes]:
    """A body of unknown length."""
    for _ in range(count):
        yield b" " * 1_024


@on_module_loop
async def test_a_body_above_the_bound_is_a_problem_that_names_it(lasting_client: httpx.AsyncClient) -> None:
    for body in (b" " * (MAX_BODY_BYTES + 1), b" " * (4 << 20), spaces(65)):
        response = await lasting_client.post("/fib/batch", content=body, headers=JSON)
        assert response.headers["content-type"] == "application/problem+json"
        assert (response.status_code, response.json()["detail"]) == (413, BODY_TOO_LONG)
        assert response.json()["request_id"] == response.headers["x-request-id"]


@on_module_loop
async def test_a_body_at_the_bound_is_read(lasting_client: httpx.AsyncClient) -> None:
    for body in (b"[7]".rjust(MAX_BODY_BYTES), spaces(64)):
        response = await lasting_client.post("/fib/batch", content=body, headers=JSON)
        assert response.status_code == (200 if isinstance(body, bytes) else 400)


@on_module_loop
@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS"])
async def test_a_wrong_method_is_told_both_right_ones(lasting_client: httpx.AsyncClient, method: str) -> None:
    response = await lasting_client.request(method, "/fib/batch")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD, POST")


async def test_a_batch_is_one_call() -> None:
    fibonacci = TinyFibonacci()
    async with gateway_to(fibonacci) as client:
        assert (await post(client, [5, 5_000, 5])).status_code == 200
    assert (fibonacci.batches, fibonacci.alone) == ([[5, 5_000, 5]], [])


async def test_a_batch_of_which_an_item_was_interrupted_is_asked_again() -> None:
    lost = Status(code=grpc.StatusCode.UNAVAILABLE.value[0], message="the computation was interrupted")
    fibonacci = TinyFibonacci(errors={7: lost})
    async with gateway_to(fibonacci) as client:
        response = await post(client, [5, 7])
    assert response.status_code == 503
    assert fibonacci.batches == [[5, 7]] * 5


@pytest.mark.parametrize("value", [b"", b"12x", b"\xff"])
async def test_a_batch_of_which_an_item_is_no_number_is_a_problem(value: bytes) -> None:
    async with gateway_to(TinyFibonacci(values={100: value})) as client:
        assert (await post(client, [5, 100])).status_code == 500


async def test_a_batch_that_finds_no_free_worker_is_to_come_again() -> None:
    busy = Status(code=grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], message="too many wait")
    async with gateway_to(TinyFibonacci(errors={7: busy})) as client:
        response = await post(client, [5, 7])
    assert (response.status_code, response.json()["detail"]) == (429, "too many wait")
    assert response.headers["retry-after"] == "1"
