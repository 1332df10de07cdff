from collections.abc import AsyncIterator

import gmpy2
import httpx

from api_gateway.problems import MAX_BODY_BYTES
from tests.api_gateway.neighbours import TinyFibonacci, gateway_to, hang


def summed(n: int) -> int:
    """F(n) by n additions, which the service never does."""
    number, following = 0, 1
    for _ in range(n):
        number, following = following, number + following
    return number


async def test_a_number_that_fits_int64_is_answered_as_a_number_and_as_digits(client: httpx.AsyncClient) -> None:
    for n, x in ((0, 0), (1, 1), (10, 55), (92, 7540113804746346429)):
        response = await client.get(f"/fib?n={n}")
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        assert response.json() == {"n": n, "x": x, "value": str(x)}


async def test_a_number_beyond_int64_is_answered_as_digits_alone(client: httpx.AsyncClient) -> None:
    for n, value in ((93, "12200160415121876738"), (100, "354224848179261915075")):
        assert (await client.get(f"/fib?n={n}")).json() == {"n": n, "value": value}


async def test_a_long_number_is_exact_to_its_last_digit(client: httpx.AsyncClient) -> None:
    for n in (1_000, 1_001, 20_578, 100_000):
        answer = (await client.get(f"/fib?n={n}")).json()
        assert set(answer) == {"n", "value"}
        assert gmpy2.mpz(answer["value"]) == summed(n)


async def test_an_index_above_the_limit_of_the_service_is_a_problem_that_names_the_limit(
    client: httpx.AsyncClient,
) -> None:
    response = await client.get("/fib?n=10000001")
    problem = response.json()
    assert response.status_code == problem["status"] == 400
    assert problem["detail"] == "n must be at most 10000000, not 10000001"
    assert problem["errors"] == [{"field": "n", "detail": "must be at most 10000000, not 10000001"}]


async def test_the_same_number_again_is_the_same_answer(client: httpx.AsyncClient) -> None:
    first, second = [await client.get("/fib?n=5000") for _ in range(2)]
    assert first.content == second.content


async def test_a_body_that_is_too_long_ends_the_wait_for_a_dear_number() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(2 * MAX_BODY_BYTES // 1_024):
            yield b" " * 1_024

    async with gateway_to(TinyFibonacci(hang), deadline_seconds=60) as client:
        response = await client.request("GET", "/fib?n=100001", content=pieces())
    assert (response.status_code, response.json()["status"]) == (413, 413)


async def test_cheap_numbers_travel_in_batches_and_dear_ones_alone() -> None:
    fibonacci = TinyFibonacci()
    async with gateway_to(fibonacci) as client:
        for n in (0, 1_000, 1_001, 100_000):
            assert (await client.get(f"/fib?n={n}")).status_code == 200
    assert (fibonacci.batches, fibonacci.alone) == ([[0], [1_000]], [1_001, 100_000])
