from typing import Any

import httpx
import pytest

from service_kit.pb.fibonacci import fib_pb2
from tests.api_gateway.neighbours import TinyFibonacci, gateway_to
from tests.fibonacci_service.doubling import number_modulo

THOUSAND_DIGITS = "9" * 1_000
NO_NUMERAL = "must be plain decimal digits without sign or leading zeros"


async def residue_of(client: httpx.AsyncClient, n: int | str, modulus: int | str) -> httpx.Response:
    return await client.get("/fib/residue", params={"n": n, "modulus": modulus})


def assert_refused(response: httpx.Response, *errors: tuple[str, str]) -> None:
    assert response.headers["content-type"] == "application/problem+json"
    assert response.status_code == 400
    assert [(error["field"], error["detail"]) for error in response.json()["errors"]] == list(errors)


@pytest.mark.parametrize(
    ("n", "modulus", "residue"),
    [(0, 7, 0), (1, 7, 1), (10, 7, 6), (10, 55, 0), (10, 56, 55), (100, 10**9, 261_915_075)],
)
async def test_a_known_residue_is_exact(client: httpx.AsyncClient, n: int, modulus: int, residue: int) -> None:
    response = await residue_of(client, n, modulus)
    assert response.status_code == 200
    assert response.json() == {"n": str(n), "modulus": str(modulus), "residue": str(residue)}


async def test_the_last_digits_of_a_number_are_its_residue(client: httpx.AsyncClient) -> None:
    value = (await client.get("/fib?n=100000")).json()["value"]
    answer: dict[str, Any] = (await residue_of(client, 100_000, 10**40)).json()
    assert answer["residue"] == value[-40:].lstrip("0")


async def test_operands_of_a_thousand_digits_are_answered(client: httpx.AsyncClient) -> None:
    modulus = int(THOUSAND_DIGITS) - 10**500
    response = await residue_of(client, THOUSAND_DIGITS, modulus)
    assert int(response.json()["residue"]) == number_modulo(int(THOUSAND_DIGITS), modulus)


async def test_modulo_one_everything_is_zero(client: httpx.AsyncClient) -> None:
    assert (await residue_of(client, 12_345, 1)).json()["residue"] == "0"


async def test_a_residue_is_kept_by_caches_as_long_as_a_number(client: httpx.AsyncClient) -> None:
    number, residue = await client.get("/fib?n=10"), await residue_of(client, 10, 7)
    assert residue.headers["cache-control"] == number.headers["cache-control"]
    assert "immutable" in residue.headers["cache-control"]
    assert "cache-control" not in (await residue_of(client, 10, 0)).headers


async def test_a_modulus_of_zero_is_refused(client: httpx.AsyncClient) -> None:
    assert_refused(await residue_of(client, 10, 0), ("modulus", "must be 1 or more, not 0"))


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("text", ["-1", "-0", "+1", "01", "", " 1", "1\n", "1.0", "1e3", "1_0", "\u0663", "x"])
async def test_an_operand_that_is_no_plain_number_is_refused(lasting_client: httpx.AsyncClient, text: str) -> None:
    assert_refused(await residue_of(lasting_client, text, 7), ("n", NO_NUMERAL))
    assert_refused(await residue_of(lasting_client, 7, text), ("modulus", NO_NUMERAL))


@pytest.mark.asyncio(loop_scope="module")
async def test_an_operand_of_more_than_a_thousand_digits_is_refused(lasting_client: httpx.AsyncClient) -> None:
    too_long = "must have at most 1000 digits"
    response = await residue_of(lasting_client, THOUSAND_DIGITS + "9", THOUSAND_DIGITS + "9")
    assert_refused(response, ("n", too_long), ("modulus", too_long))
    assert "999" not in response.text


@pytest.mark.asyncio(loop_scope="module")
async def test_both_operands_are_required(lasting_client: httpx.AsyncClient) -> None:
    assert_refused(await lasting_client.get("/fib/residue"), ("n", "is required"), ("modulus", "is required"))


class WordyFibonacci(TinyFibonacci):
    """Answers with something that is no residue."""

    def __init__(self, residue: str) -> None:
        super().__init__()
        self.residue = residue

    async def GetResidue(self, request: fib_pb2.GetResidueRequest, context: Any) -> fib_pb2.GetResidueResponse:
        return fib_pb2.GetResidueResponse(residue=self.residue)


@pytest.mark.parametrize("residue", ["", "-1", "\u0663"])
async def test_what_is_no_residue_is_a_problem_that_no_cache_keeps_for_a_year(residue: str) -> None:
    async with gateway_to(WordyFibonacci(residue)) as client:
        response = await residue_of(client, 5, 3)
    assert response.status_code == 500
    assert "cache-control" not in response.headers
