from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl, quote

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.api_gateway.neighbours import TinyFibonacci, TinyStats

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Asks the gateway with a path and query, which have to be refused.
Refused = Callable[[str], Awaitable[httpx.Response]]

ALLOWED = "must be a whole number, 0 or more, in plain digits"
TOO_LARGE = "must be at most 2147483647, and a service may allow less"

NOT_PLAIN = {
    "empty": "",
    "letters": "abc",
    "fraction": "1.5",
    "exponent": "1e3",
    "negative": "-1",
    "minus zero": "-0",
    "space before": "%2010",
    "space after": "10%20",
    "line feed": "10%0A",
    "NUL": "10%00",
    "encoded plus": "%2B10",
    "plus": "+10",
    "underscore": "1_0",
    "leading zero": "010",
    "Arabic digit": "%D9%A3",
    "full width digit": "%EF%BC%91",
    "not UTF-8": "%FF",
    "hexadecimal": "0x10",
    "infinity": "inf",
    "true": "true",
    "a list": "[1]",
}
#: Beyond whatever a service allows, so none is asked.
BEYOND = [str(2**31), "99999999999", str(2**64), str(2**64 + 10)]


@pytest.fixture
def refused(lasting_client: httpx.AsyncClient, tiny_fibonacci: TinyFibonacci, tiny_stats: TinyStats) -> Refused:
    """Asks with a path and query; the answer has to be a problem and to reach no service."""

    async def ask(target: str) -> httpx.Response:
        calls = tiny_fibonacci.calls + tiny_stats.calls
        response = await lasting_client.get(target)
        assert response.status_code == response.json()["status"] == 400
        assert response.json()["title"] == "Bad Request"
        assert response.headers["content-type"] == "application/problem+json"
        assert tiny_fibonacci.calls + tiny_stats.calls == calls
        return response

    return ask


def assert_names(response: httpx.Response, field: str, allowed: str) -> None:
    assert response.json()["errors"] == [{"field": field, "detail": allowed}]
    assert response.json()["detail"] == f"{field} {allowed}"


@pytest.mark.parametrize("text", NOT_PLAIN.values(), ids=NOT_PLAIN.keys())
async def test_what_is_not_plainly_one_number_is_refused_with_what_is_allowed(refused: Refused, text: str) -> None:
    assert_names(await refused(f"/fib?n={text}"), "n", ALLOWED)


@pytest.mark.parametrize("text", BEYOND)
async def test_what_no_service_can_be_asked_is_too_large(refused: Refused, text: str) -> None:
    assert_names(await refused(f"/fib?n={text}"), "n", TOO_LARGE)
    assert_names(await refused(f"/stats/{text}"), "n", TOO_LARGE)
    assert_names(await refused(f"/fib/batch?n=1&n={text}"), "n[1]", TOO_LARGE)
    assert_names(await refused(f"/fib/range?count=1&start={text}"), "start", TOO_LARGE)


async def test_a_missing_index_is_refused(refused: Refused) -> None:
    assert_names(await refused("/fib?"), "n", "is required")


@pytest.mark.parametrize("query", ["n=10&n=20", "n=10&n=10", "n=&n=10", "n=10&%6E=10"])
async def test_an_index_given_twice_is_refused(refused: Refused, query: str) -> None:
    assert_names(await refused(f"/fib?{query}"), "n", "must be given once")


@pytest.mark.parametrize("name", ["m", "N", "encoding", "n%00", "n%5B%5D"])
async def test_an_unknown_parameter_is_refused_by_its_name(refused: Refused, name: str) -> None:
    field = name.replace("%00", "\0").replace("%5B%5D", "[]")
    assert_names(await refused(f"/fib?n=10&{name}=1"), field, "is not a parameter of this resource")


async def test_every_fault_of_a_query_is_named(refused: Refused) -> None:
    errors = (await refused("/fib?n=abc&m=1")).json()["errors"]
    assert {error["field"] for error in errors} == {"n", "m"}


async def test_an_index_of_ten_thousand_digits_is_refused_and_not_repeated(refused: Refused) -> None:
    response = await refused(f"/fib?n={'7' * 10_000}")
    assert response.json()["errors"] == [{"field": "n", "detail": TOO_LARGE}]
    assert "777" not in response.text


@pytest.mark.parametrize("query", [f"n=10&{'m' * 10_000}=1", f"n=10&{'m' * 5_000}=1&{'m' * 5_000}=1"])
async def test_a_long_unknown_name_is_not_repeated_whole(refused: Refused, query: str) -> None:
    response = await refused(f"/fib?{query}")
    assert response.json()["errors"][0]["field"] == "m" * 64
    assert len(response.content) < 1_000


async def test_a_thousand_unknown_names_are_not_all_repeated(refused: Refused) -> None:
    response = await refused("&".join(["/fib?n=10", *(f"m{number}=1" for number in range(1_000))]))
    assert len(response.json()["errors"]) == 5
    assert len(response.content) < 2_000


@pytest.mark.parametrize("limit", ["0", "1001", "abc", "", "-1", "%2B1", "1.0", "010"])
async def test_a_limit_out_of_bounds_is_refused_with_the_bounds(refused: Refused, limit: str) -> None:
    response = await refused(f"/stats?limit={limit}")
    assert_names(response, "limit", "must be a whole number from 1 to 1000 in plain digits")


@pytest.mark.parametrize("order", ["", "BUSIEST", "busy", "busiest%20", "1", "n,", "%00", "m" * 1_000])
async def test_an_unknown_order_is_refused_with_those_there_are(refused: Refused, order: str) -> None:
    response = await refused(f"/stats?order={order}")
    assert_names(response, "order", "must be one of busiest, least_busy, n, n_descending")


@pytest.mark.parametrize("token", ["", "%20", "a%0A", "%00", "a+b", "a/b", "%C3%A9", "a%2Fb", "{}", "t" * 201])
async def test_what_cannot_be_a_page_token_is_refused(refused: Refused, token: str) -> None:
    assert_names(
        await refused(f"/stats?page_token={token}"), "page_token", "must be the next_page_token of the page before"
    )


@pytest.mark.parametrize("text", [text for text in NOT_PLAIN.values() if text])
async def test_a_number_of_the_account_is_as_plain_as_any(refused: Refused, text: str) -> None:
    assert_names(await refused(f"/stats/{text}"), "n", ALLOWED)


@pytest.mark.parametrize(
    "interval",
    [
        "",
        "0",
        "0.0",
        "0.09",
        "60.1",
        "61",
        "-1",
        "%2B1",
        ".5",
        "1.",
        "1e1",
        "1,5",
        "01",
        "1_0",
        "nan",
        "inf",
        "0.1234567890123456789",
    ],
)
async def test_an_interval_out_of_bounds_is_refused_with_the_bounds(refused: Refused, interval: str) -> None:
    response = await refused(f"/stats/stream?interval={interval}")
    assert_names(response, "interval", "must be a plain decimal number from 0.1 to 60")


@pytest.mark.parametrize("query", ["/stats?order=n&order=n", "/stats/stream?interval=1&interval=1"])
async def test_no_parameter_of_the_account_is_given_twice(refused: Refused, query: str) -> None:
    assert (await refused(query)).json()["errors"][0]["detail"] == "must be given once"


@pytest.mark.parametrize("path", ["/stats", "/stats/5", "/stats/minutes", "/stats/stream", "/livez", "/readyz"])
async def test_no_resource_takes_parameters_that_it_does_not_know(refused: Refused, path: str) -> None:
    assert_names(await refused(f"{path}?verbose=1"), "verbose", "is not a parameter of this resource")


@settings(deadline=None, max_examples=200)
@given(
    text=st.text(max_size=40).map(str.encode) | st.binary(max_size=40) | st.integers(0, 99_999).map(lambda n: b"%d" % n)
)
@example(text=b"10&")
@example(text=b"10&n=10")
@example(text=b"10;n=10")
async def test_whatever_the_index_says_it_is_answered_or_refused(
    lasting_client: httpx.AsyncClient, text: bytes
) -> None:
    query = "n=" + quote(text, safe="&=+;")
    response = await lasting_client.get(f"/fib?{query}")
    assert response.status_code in {200, 400}
    if response.status_code == 200:
        assert parse_qsl(query) == [("n", str(response.json()["n"]))]


@settings(deadline=None, max_examples=200)
@given(n=st.integers(0, 20_000))
async def test_every_plain_index_is_answered(lasting_client: httpx.AsyncClient, n: int) -> None:
    response = await lasting_client.get(f"/fib?n={n}")
    assert (response.status_code, response.json()["n"]) == (200, n)
