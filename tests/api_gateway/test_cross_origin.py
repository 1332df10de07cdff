"""What pages of other origins may read, over real connections to the real gateway."""

import grpc
import httpx
import pytest

from api_gateway.origins import MAX_ORIGINS
from api_gateway.settings import Settings
from tests.api_gateway.neighbours import TinyFibonacci, failing, gateway_to
from tests.api_gateway.watching_neighbour import WatchingStats, events_of
from tests.settings_bounds import refused

PAGE, OTHER = "https://app.example.org", "http://localhost:8080"
ORIGINS = f"{PAGE}, {OTHER}"
READ = "access-control-allow-origin"
SENT = ("content-type", "if-none-match", "if-range", "last-event-id", "range", "x-request-id")
EXPOSED = {
    "Accept-Ranges",
    "Content-Range",
    "ETag",
    "RateLimit",
    "RateLimit-Policy",
    "Repr-Digest",
    "Retry-After",
    "X-Request-ID",
}


def preflight(origin: str, method: str = "GET", *headers: str) -> dict[str, str]:
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    return asked | ({"Access-Control-Request-Headers": ",".join(headers)} if headers else {})


def varies_by_origin(response: httpx.Response) -> bool:
    return "Origin" in response.headers["vary"].split(", ")


async def test_by_default_no_page_of_another_origin_reads_anything() -> None:
    async with gateway_to(TinyFibonacci()) as client:
        response = await client.get("/fib?n=10", headers={"Origin": PAGE})
        assert not any(name.startswith("access-control-") for name in response.headers)
        assert (await client.options("/fib?n=10", headers=preflight(PAGE))).status_code == 405


@pytest.mark.parametrize("origin", [PAGE, OTHER])
async def test_pages_of_the_origins_read_every_answer_and_every_problem(origin: str) -> None:
    neighbour = TinyFibonacci(values={5_000: b"\xff", 6_000: b"1"})
    async with gateway_to(neighbour, cors_origins=ORIGINS) as client:
        for path, status in (
            ("/fib?n=10", 200),
            ("/fib?n=abc", 400),
            ("/nowhere", 404),
            ("/fib?n=5000", 500),
            ("/livez", 200),
        ):
            response = await client.get(path, headers={"Origin": origin})
            assert (response.status_code, response.headers[READ]) == (status, origin)
            assert set(response.headers["access-control-expose-headers"].split(", ")) == EXPOSED
            assert "access-control-allow-credentials" not in response.headers
            assert varies_by_origin(response)
        long = await client.post("/fib/batch", content=b"0" * 70_000, headers={"Origin": origin})
        assert (long.status_code, long.headers[READ]) == (413, origin)


async def test_a_problem_of_a_service_and_a_limit_are_read_too() -> None:
    unavailable = TinyFibonacci(failing(grpc.StatusCode.RESOURCE_EXHAUSTED, "every worker is busy"))
    async with gateway_to(unavailable, cors_origins=PAGE, rate_limit="1/day") as client:
        busy, limited = [await client.get("/fib?n=5000", headers={"Origin": PAGE}) for _ in range(2)]
    assert [answer.json()["detail"] for answer in (busy, limited)] == [
        "every worker is busy",
        "more requests came from this client than 1/day allows",
    ]
    assert busy.headers[READ] == limited.headers[READ] == PAGE


@pytest.mark.parametrize(
    "origin", ["https://app.example.org:8443", "http://app.example.org", "null", "https://evil.example"]
)
async def test_pages_of_other_origins_read_nothing(origin: str) -> None:
    async with gateway_to(TinyFibonacci(), cors_origins=ORIGINS) as client:
        response = await client.get("/fib?n=10", headers={"Origin": origin})
        assert READ not in response.headers
        assert varies_by_origin(response)
        refusal = await client.options("/fib?n=10", headers=preflight(origin))
        assert refusal.status_code == 400
        assert READ not in refusal.headers


async def test_a_cache_does_not_give_a_page_what_was_asked_without_an_origin() -> None:
    async with gateway_to(TinyFibonacci(), cors_origins=ORIGINS) as client:
        response = await client.get("/fib?n=10")
        assert response.headers["vary"].split(", ") == ["Accept", "Accept-Encoding", "Origin"]
        assert "immutable" in response.headers["cache-control"]


async def test_with_an_asterisk_pages_of_every_origin_read_and_none_with_credentials() -> None:
    async with gateway_to(TinyFibonacci(), cors_origins="*") as client:
        for fields in ({"Origin": PAGE}, {"Origin": "null"}, {"Origin": OTHER, "Cookie": "a=b"}):
            response = await client.get("/fib?n=10", headers=fields)
            assert response.headers[READ] == "*"
            assert "access-control-allow-credentials" not in response.headers


@pytest.mark.parametrize("origins", [PAGE, "*"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_a_preflight_allows_the_methods_and_the_fields_that_requests_have(origins: str, method: str) -> None:
    async with gateway_to(TinyFibonacci(), cors_origins=origins, rate_limit="1/day") as client:
        for _ in range(3):  # it counts for nobody's limit
            response = await client.options(
                "/fib/batch",
                headers=preflight(PAGE, method, *SENT),
            )
            assert (response.status_code, response.headers[READ]) == (200, origins)
            assert len(response.headers.get_list("x-request-id")) == 1
        assert response.headers["access-control-allow-methods"] == "GET, HEAD, POST"
        assert (await client.request(method, "/fib/batch?n=1", headers={"Origin": PAGE})).status_code != 429


@pytest.mark.parametrize("fields", [preflight(PAGE, "DELETE"), preflight(PAGE, "GET", "authorization")])
async def test_a_preflight_for_more_is_refused(fields: dict[str, str]) -> None:
    async with gateway_to(TinyFibonacci(), cors_origins=PAGE) as client:
        refusal = await client.options("/fib?n=10", headers={**fields, "X-Request-ID": "mine"})
        again = await client.options("/fib?n=10", headers=fields)
        usual = await client.get("/fib?n=10", headers={"Origin": PAGE})
    named = "headers" if "Access-Control-Request-Headers" in fields else "method"
    assert refusal.headers["content-type"] == "application/problem+json"
    assert refusal.json() == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": f"Disallowed CORS {named}",
        "request_id": "mine",
    }
    assert refusal.headers["x-request-id"] == "mine"
    assert again.headers["x-request-id"] == again.json()["request_id"] != "mine"
    assert (refusal.headers[READ], varies_by_origin(refusal)) == (PAGE, True)
    for name in ("x-content-type-options", "content-security-policy", "cross-origin-resource-policy"):
        assert refusal.headers.get_list(name) == usual.headers.get_list(name)


@pytest.mark.parametrize("origins", [PAGE, "*"])
async def test_an_event_source_of_another_origin_reads_a_stream(origins: str) -> None:
    fields = {"Origin": PAGE, "Accept": "text/event-stream", "Cache-Control": "no-store"}
    async with (
        gateway_to(WatchingStats(), cors_origins=origins) as client,
        client.stream("GET", "/stats/stream", headers=fields) as response,
    ):
        assert response.headers[READ] == origins
        assert (await anext(events_of(response))).indices == [10, 20]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("app.example.org", "is not an origin as browsers send it"),
        ("https://app.example.org/", "without a path"),
        ("https://app.example.org/path", "without a path"),
        ("HTTPS://app.example.org", "in lower case"),
        ("https://user@app.example.org", "is not an origin"),
        ("https://*.example.org", "is not an origin"),
        ("https://app.example.org,", "'' is not an origin"),
        ("*, https://app.example.org", "'*' is not an origin"),
        ("null", "is not an origin"),
        ("https://app.example.org:443", "has the port that browsers leave out"),
        ("http://app.example.org:80", "has the port that browsers leave out"),
        (",".join(["http://a"] * (MAX_ORIGINS + 1)), f"there may be {MAX_ORIGINS}"),
    ],
)
def test_what_no_browser_sends_as_an_origin_is_refused(
    capsys: pytest.CaptureFixture[str], text: str, reason: str
) -> None:
    line = refused(Settings, capsys, "--cors-origins", text)
    assert "--cors-origins=" in line
    assert reason in line


@pytest.mark.parametrize("text", ["*", PAGE, ORIGINS, "http://[::1]:3000", "http://127.0.0.1", "capacitor://localhost"])
def test_origins_as_browsers_send_them_are_taken(text: str) -> None:
    assert Settings(cors_origins=text).cors_origins == text
