import base64
import gzip
import hashlib
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from api_gateway.schemas import FibonacciNumber
from service_kit.pb.fibonacci.fib_pb2 import BIG_ENDIAN, DECIMAL
from tests.api_gateway.streaming_neighbour import (
    LARGE_BINARY_N,
    LARGE_N,
    MAX_N,
    StreamingFibonacci,
    bytes_of,
    client_before,
    digits_of,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = {"Accept": "application/json"}
TEXT = {"Accept": "text/plain"}
OCTETS = {"Accept": "application/octet-stream"}
GZIP = {"Accept-Encoding": "gzip"}
CACHING = {"cache-control": "public, max-age=31536000, immutable", "vary": "Accept, Accept-Encoding"}
#: A number of each size in each form: its index, what asks for it and its body.
FORMS = [
    (10, JSON, b'{"n":10,"x":55,"value":"55"}'),
    (10, TEXT, b"55"),
    (10, OCTETS, bytes_of(10)),
    (20_000, JSON, b'{"n":20000,"value":"%b"}' % digits_of(20_000)),
    (20_000, TEXT, digits_of(20_000)),
    (900_000, OCTETS, bytes_of(900_000)),
    (LARGE_N, JSON, b'{"n":%d,"value":"%b"}' % (LARGE_N, digits_of(LARGE_N))),
    (LARGE_N, TEXT, digits_of(LARGE_N)),
    (LARGE_BINARY_N, OCTETS, bytes_of(LARGE_BINARY_N)),
]
RESUMABLE = [form for form in FORMS if form[1] is not JSON]
every_form = pytest.mark.parametrize(("n", "accept", "body"), FORMS, ids=[f"{n}-{a['Accept']}" for n, a, _ in FORMS])
every_resumable_form = pytest.mark.parametrize(
    ("n", "accept", "body"), RESUMABLE, ids=[f"{n}-{a['Accept']}" for n, a, _ in RESUMABLE]
)


@pytest.fixture(scope="module")
def lasting_fibonacci() -> StreamingFibonacci:
    return StreamingFibonacci()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(lasting_fibonacci: StreamingFibonacci) -> AsyncIterator[httpx.AsyncClient]:
    """A client of one gateway for the whole module."""
    async with client_before(lasting_fibonacci) as connected:
        yield connected


@pytest.fixture
def fibonacci(lasting_fibonacci: StreamingFibonacci) -> StreamingFibonacci:
    """The service behind that gateway, which remembers nothing of the tests before."""
    lasting_fibonacci.forget()
    return lasting_fibonacci


@every_form
async def test_a_number_is_sent_in_the_form_that_is_asked_for(
    client: httpx.AsyncClient, n: int, accept: dict[str, str], body: bytes
) -> None:
    response = await client.get(f"/fib?n={n}", headers=accept)
    assert (response.status_code, response.content) == (200, body)
    assert response.headers["content-type"].partition(";")[0] == accept["Accept"]
    assert int(response.headers["content-length"]) == len(body)
    assert "content-encoding" not in response.headers
    assert CACHING.items() <= dict(response.headers).items()


async def test_whoever_does_not_mind_gets_json_as_the_schema_says(client: httpx.AsyncClient) -> None:
    for n in (0, 1, 92, 93, 20_000):
        value = digits_of(n).decode()
        expected = FibonacciNumber(n=n, x=int(value) if n <= 92 else None, value=value)
        for accept in ({}, {"Accept": "*/*"}, {"Accept": "text/html, */*;q=0.8"}):
            response = await client.get(f"/fib?n={n}", headers=accept)
            assert response.headers["content-type"] == "application/json"
            assert response.text == expected.model_dump_json(exclude_none=True)


async def test_a_number_comes_over_the_call_that_fits_its_size(
    client: httpx.AsyncClient, fibonacci: StreamingFibonacci
) -> None:
    for n, accept in ((1_000, TEXT), (1_001, OCTETS), (LARGE_N, OCTETS), (LARGE_N, TEXT), (LARGE_BINARY_N, OCTETS)):
        await client.get(f"/fib?n={n}", headers=accept)
    assert fibonacci.calls == [
        ("ExchangeFib", 1_000, DECIMAL),
        ("GetFib", 1_001, BIG_ENDIAN),
        ("GetFib", LARGE_N, BIG_ENDIAN),
        ("StreamFib", LARGE_N, DECIMAL),
        ("StreamFib", LARGE_BINARY_N, BIG_ENDIAN),
    ]


async def test_a_form_that_cannot_be_sent_is_a_problem_that_lists_those_that_can(
    client: httpx.AsyncClient, fibonacci: StreamingFibonacci
) -> None:
    asked = (("Accept", "image/png", "text/plain"), ("Accept-Encoding", "identity;q=0", "gzip"))
    for header, value, offer in asked:
        response = await client.get("/fib?n=10", headers={header: value})
        assert response.status_code == response.json()["status"] == 406
        assert response.headers["content-type"] == "application/problem+json"
        assert response.headers["vary"] == header
        assert offer in response.json()["detail"]
    assert fibonacci.calls == []


@every_form
async def test_whoever_has_the_number_is_told_so_without_asking_for_it(
    client: httpx.AsyncClient, fibonacci: StreamingFibonacci, n: int, accept: dict[str, str], body: bytes
) -> None:
    etag = (await client.get(f"/fib?n={n}", headers=accept)).headers["etag"]
    asked = len(fibonacci.calls)
    for named in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        response = await client.get(f"/fib?n={n}", headers=accept | {"If-None-Match": named})
        assert (response.status_code, response.content) == (304, b"")
        assert CACHING.items() <= dict(response.headers).items()
        assert response.headers["etag"] == etag
        assert "content-type" not in response.headers
    lines = [("Accept", accept["Accept"]), ("If-None-Match", '"other"'), ("If-None-Match", etag)]
    assert (await client.get(f"/fib?n={n}", headers=lines)).status_code == 304
    assert len(fibonacci.calls) == asked
    assert (await client.get(f"/fib?n={n}", headers=accept | {"If-None-Match": '"other"'})).content == body


@every_form
async def test_a_number_that_is_to_have_another_entity_tag_is_not_sent(
    client: httpx.AsyncClient, fibonacci: StreamingFibonacci, n: int, accept: dict[str, str], body: bytes
) -> None:
    etag = (await client.get(f"/fib?n={n}", headers=accept)).headers["etag"]
    for named in (etag, f'"other", {etag}', "*"):
        assert (await client.get(f"/fib?n={n}", headers=accept | {"If-Match": named})).content == body
    asked = len(fibonacci.calls)
    for named in ('"other"', f"W/{etag}", etag.strip('"'), ""):
        refused = await client.get(f"/fib?n={n}", headers=accept | {"If-Match": named, "If-None-Match": etag})
        assert refused.status_code == refused.json()["status"] == 412
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["detail"] == "If-Match does not name the entity tag of the answer"
    assert len(fibonacci.calls) == asked


async def test_every_form_and_coding_of_every_number_has_its_own_strong_entity_tag(client: httpx.AsyncClient) -> None:
    wanted = [accept | coding for accept in (JSON, TEXT, OCTETS) for coding in ({}, GZIP)]
    etags = [(await client.get(f"/fib?n={n}", headers=form)).headers["etag"] for n in (8_000, 8_001) for form in wanted]
    assert len(set(etags)) == 10  # bytes are not compressed, so their two are one
    assert not any(etag.startswith("W/") for etag in etags)


@every_form
async def test_head_has_the_header_of_get_and_does_not_fetch_the_number(
    client: httpx.AsyncClient, fibonacci: StreamingFibonacci, n: int, accept: dict[str, str], body: bytes
) -> None:
    for coding in ({}, GZIP):
        headers = accept | coding | {"X-Request-ID": "same"}
        got = await client.get(f"/fib?n={n}", headers=headers)
        sent = fibonacci.sent_pieces
        headed = await client.head(f"/fib?n={n}", headers=headers | {"Range": "bytes=0-0"})
        assert (headed.status_code, headed.content) == (200, b"")
        assert comparable(headed) == comparable(got)
        assert fibonacci.sent_pieces <= sent + 1
        assert "content-encoding" in headed.headers or int(headed.headers["content-length"]) == len(body)


@every_resumable_form
async def test_a_range_is_a_part_with_the_digest_of_the_whole(
    client: httpx.AsyncClient, n: int, accept: dict[str, str], body: bytes
) -> None:
    total = len(body)
    digest = f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
    ranges = (("0-0", 0, 1), ("1-", 1, total), ("-1", total - 1, total), ("0-999999999", 0, total))
    for asked, start, stop in ranges:
        response = await client.get(f"/fib?n={n}", headers=accept | {"Range": f"bytes={asked}"})
        if start >= total:
            assert response.status_code == 416
            continue
        assert (response.status_code, response.content) == (206, body[start:stop])
        assert response.headers["content-range"] == f"bytes {start}-{stop - 1}/{total}"
        assert response.headers["content-length"] == str(stop - start)
        assert response.headers["repr-digest"] == digest
    whole = await client.get(f"/fib?n={n}", headers=accept)
    assert (whole.headers["accept-ranges"], whole.headers["repr-digest"]) == ("bytes", digest)


@every_resumable_form
async def test_a_range_behind_the_end_is_a_problem_that_tells_the_length(
    client: httpx.AsyncClient, n: int, accept: dict[str, str], body: bytes
) -> None:
    for asked in (f"{len(body)}-", "99999999999999999999-", "-0"):
        response = await client.get(f"/fib?n={n}", headers=accept | {"Range": f"bytes={asked}"})
        assert response.status_code == response.json()["status"] == 416
        assert response.headers["content-range"] == f"bytes */{len(body)}"
        assert "cache-control" not in response.headers


@every_form
async def test_a_range_that_cannot_be_served_as_asked_is_answered_with_the_whole(
    client: httpx.AsyncClient, n: int, accept: dict[str, str], body: bytes
) -> None:
    for asked in ("bytes=0-0,1-1", "digits=0-0", "bytes=1-0", "bytes=x"):
        response = await client.get(f"/fib?n={n}", headers=accept | {"Range": asked})
        assert (response.status_code, response.content) == (200, body)
    json = await client.get(f"/fib?n={n}", headers=JSON | {"Range": "bytes=0-0"})
    assert json.status_code == 200
    assert "accept-ranges" not in json.headers


@every_resumable_form
async def test_a_download_goes_on_only_if_it_is_of_the_same_bytes(
    client: httpx.AsyncClient, n: int, accept: dict[str, str], body: bytes
) -> None:
    etag = (await client.get(f"/fib?n={n}", headers=accept)).headers["etag"]
    part = accept | {"Range": "bytes=0-0"}
    for if_range, status in ((etag, 206), (f"W/{etag}", 200), ('"other"', 200)):
        response = await client.get(f"/fib?n={n}", headers=part | {"If-Range": if_range})
        assert (response.status_code, response.content) == (status, body[:1] if status == 206 else body)
    assert (await client.get(f"/fib?n={n}", headers=part | {"If-None-Match": etag})).status_code == 304


async def test_only_the_part_that_is_asked_for_leaves_the_service(
    client: httpx.AsyncClient, fibonacci: StreamingFibonacci
) -> None:
    for asked in ("bytes=700000-700009", "bytes=1000-", "bytes=-10"):
        await client.get(f"/fib?n={LARGE_N}", headers=TEXT | {"Range": asked})
    total = len(digits_of(LARGE_N))
    assert fibonacci.slices == [(700_000, 10), (1_000, 0), (0, 1), (total - 10, 0)]


@pytest.mark.parametrize("n", [5_000, 1_000_000, LARGE_N])
async def test_long_text_is_compressed_for_whoever_asks(client: httpx.AsyncClient, n: int) -> None:
    for accept in (JSON, TEXT):
        plain = (await client.get(f"/fib?n={n}", headers=accept)).content
        async with client.stream("GET", f"/fib?n={n}", headers=accept | GZIP | {"Range": "bytes=0-0"}) as response:
            compressed = b"".join([piece async for piece in response.aiter_raw()])
        assert response.status_code == 200
        assert response.headers["content-encoding"] == "gzip"
        assert not {"accept-ranges", "repr-digest"} & set(response.headers)
        assert response.headers.get("content-length", str(len(compressed))) == str(len(compressed))
        assert gzip.decompress(compressed) == plain
        assert len(compressed) < len(plain) / 2 + 100


async def test_short_text_and_bytes_are_not_compressed(client: httpx.AsyncClient) -> None:
    for n, accept in ((4_000, JSON), (4_000, TEXT), (900_000, OCTETS)):
        response = await client.get(f"/fib?n={n}", headers=accept | GZIP)
        assert "content-encoding" not in response.headers
    only_gzip = await client.get("/fib?n=10", headers={"Accept-Encoding": "identity;q=0, gzip"})
    assert only_gzip.headers["content-encoding"] == "gzip"
    assert only_gzip.json()["value"] == "55"


async def test_an_error_before_the_first_byte_is_a_problem(client: httpx.AsyncClient) -> None:
    for headers in (TEXT, JSON, TEXT | GZIP, TEXT | {"Range": "bytes=5-"}, TEXT | {"Range": "bytes=-5"}):
        response = await client.get(f"/fib?n={MAX_N + 1}", headers=headers)
        assert response.status_code == 400
        assert response.json()["detail"] == f"n must be at most {MAX_N}"
        assert not {"etag", "cache-control"} & set(response.headers)
    assert (await client.head(f"/fib?n={MAX_N + 1}")).status_code == 400


@pytest.mark.parametrize(("n", "headers"), [(10, JSON), (10, OCTETS), (5_000, TEXT), (LARGE_N, TEXT)])
async def test_an_answer_without_a_number_is_never_passed_on(n: int, headers: dict[str, str]) -> None:
    async with client_before(StreamingFibonacci(empty=True)) as client:
        response = await client.get(f"/fib?n={n}", headers=headers)
    assert response.status_code == 500
    assert not {"etag", "cache-control"} & set(response.headers)


def comparable(response: httpx.Response) -> dict[str, str]:
    ours = dict(response.headers)
    return {name: value for name, value in ours.items() if name not in ("date", "transfer-encoding")}
