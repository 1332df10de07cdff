import gmpy2
import httpx
import pytest

HUGE_N = "9" * 100


@pytest.mark.parametrize("n", [0, 1, 10, 92, 93, 100, 1_000, 20_578, 200_000])
async def test_a_description_is_true_of_the_number(client: httpx.AsyncClient, n: int) -> None:
    described = (await client.get(f"/fib/describe?n={n}")).json()
    value = (await client.get(described["url"])).json()["value"]
    assert described.pop("predicted").keys() == {"seconds", "memory_bytes"}
    assert described == {
        "n": str(n),
        "digit_count": str(len(value)),
        "bit_count": str(gmpy2.mpz(value).bit_length()),
        "leading_digits": value[:20],
        "trailing_digits": value[-20:],
        "url": f"/fib?n={n}",
        "max_n": 10_000_000,
    }


async def test_the_largest_number_has_an_address_and_the_next_has_none(client: httpx.AsyncClient) -> None:
    largest, beyond = [(await client.get(f"/fib/describe?n={n}")).json() for n in (10_000_000, 10_000_001)]
    assert largest["url"] == "/fib?n=10000000"
    assert "url" not in beyond
    assert (largest["digit_count"], beyond["digit_count"]) == ("2089877", "2089877")


async def test_an_index_of_a_hundred_digits_is_described(client: httpx.AsyncClient) -> None:
    described = (await client.get(f"/fib/describe?n={HUGE_N}")).json()
    with gmpy2.context(precision=800):
        phi = (1 + gmpy2.sqrt(5)) / 2
        digits = gmpy2.mpz(gmpy2.floor(gmpy2.mpfr(HUGE_N) * gmpy2.log10(phi) - gmpy2.log10(5) / 2)) + 1
    residue = (await client.get("/fib/residue", params={"n": HUGE_N, "modulus": 10**20})).json()["residue"]
    assert described["digit_count"] == str(digits)
    assert described["trailing_digits"] == residue.zfill(20)
    assert "url" not in described


async def test_a_dearer_number_has_a_higher_price(client: httpx.AsyncClient) -> None:
    prices = [(await client.get(f"/fib/describe?n={n}")).json()["predicted"] for n in (10_000, 1_000_000, 10**9)]
    assert 0 < prices[0]["seconds"] < prices[1]["seconds"] < prices[2]["seconds"]
    assert 0 < prices[0]["memory_bytes"] < prices[1]["memory_bytes"] < prices[2]["memory_bytes"]


async def test_a_description_is_never_stored_by_a_cache(client: httpx.AsyncClient) -> None:
    assert (await client.get("/fib/describe?n=10")).headers["cache-control"] == "no-store"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("query", "allowed"),
    [
        ("", "is required"),
        ("n=", "must be plain decimal digits without sign or leading zeros"),
        ("n=-1", "must be plain decimal digits without sign or leading zeros"),
        ("n=007", "must be plain decimal digits without sign or leading zeros"),
        ("n=7%0A", "must be plain decimal digits without sign or leading zeros"),
        (f"n={HUGE_N}9", "must have at most 100 digits"),
        ("n=7&n=7", "must be given once"),
    ],
)
async def test_what_is_not_plainly_one_index_is_refused(
    lasting_client: httpx.AsyncClient, query: str, allowed: str
) -> None:
    response = await lasting_client.get(f"/fib/describe?{query}")
    assert response.status_code == 400
    assert response.json()["errors"] == [{"field": "n", "detail": allowed}]
