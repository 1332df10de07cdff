"""What the gateway refuses is told by its reason, and read from a real scrape of GET /metrics."""

import asyncio
from pathlib import Path

import pytest

from api_gateway.http_protocol import MAX_HEADER_BYTES, MAX_SENT_AHEAD, MAX_URL_BYTES
from service_kit.metrics import PATH
from tests.api_gateway.certified import client_of, context, serving
from tests.api_gateway.connections import HEAD, address, answer_to, asking_for, connected
from tests.api_gateway.neighbours import Gate, TinyFibonacci, gateway_to, until_ready
from tests.api_gateway.streaming_neighbour import MAX_N, StreamingFibonacci, client_before
from tests.scrapes import Scrape, scraper_of
from tests.slow_clients import connected_with_a_small_window, seconds_until_broken
from tests.tls.authority import Authority

DURATION = "http_server_request_duration_seconds"
REFUSED = "http_server_refused_total"


async def test_what_is_in_flight_is_told_and_what_was_refused_for_it() -> None:
    gate = Gate()
    async with gateway_to(TinyFibonacci(gate), max_in_flight=1) as client:
        await until_ready(client)
        waiting = asyncio.create_task(client.get("/fib?n=5000"))
        await gate.holds(1)
        assert (await client.get("/fib?n=5001")).status_code == 503
        told = await scraper_of(client)()
        gate.open()
        await waiting

    assert told.value("http_server_active_requests") == 2
    assert told.value("http_server_connections") >= 2
    assert told.value(REFUSED, reason="in_flight") == 1
    assert told.value(f"{DURATION}_count", http_route="/fib") == 0


@pytest.mark.parametrize(
    ("reason", "request_bytes"),
    [
        ("malformed", b"nonsense\r\n\r\n"),
        ("url_too_long", b"GET /" + b"x" * MAX_URL_BYTES + b" HTTP/1.1\r\n\r\n"),
        ("headers_too_large", HEAD + b"X-Large: %b\r\n\r\n" % (b"x" * MAX_HEADER_BYTES)),
        ("sent_ahead", (HEAD + b"\r\n") * (MAX_SENT_AHEAD + 10)),
        ("request_too_slow", HEAD),
    ],
)
async def test_what_a_connection_was_refused_for_is_told(reason: str, request_bytes: bytes) -> None:
    async with gateway_to(TinyFibonacci(), receive_timeout_seconds=1.5) as client:
        await answer_to(client, request_bytes)
        told = await scraper_of(client)()

    assert told.value(REFUSED, reason=reason) == 1
    assert told.value(REFUSED) == 1


async def test_a_connection_too_many_is_told() -> None:
    async with gateway_to(TinyFibonacci(), max_connections=2) as client, asyncio.timeout(20):
        # The scrapes go over one connection that was there before: a new one may come before another is taken for gone.
        assert (await client.get("/livez")).status_code == 200
        async with connected(client):
            await answer_to(client, b"")
        while (told := Scrape((await client.get(PATH)).text)).value("http_server_connections") != 1:
            pass

    assert told.value(REFUSED, reason="connections") == 1


async def test_a_client_that_does_not_read_is_told() -> None:
    async with client_before(StreamingFibonacci(), send_timeout_seconds=0.5) as client:
        async with connected_with_a_small_window(*address(client)) as connection:
            connection.send(asking_for(MAX_N))
            await seconds_until_broken([connection])
        told = await scraper_of(client)()

    assert told.value(REFUSED, reason="reader_too_slow") == 1


async def test_a_client_without_an_admitted_name_is_told(tmp_path: Path) -> None:
    ours = Authority(tmp_path)
    async with serving(ours, client_ca=str(ours.file), names="scraper") as url:
        async with client_of(url, context(ours, ours.issue("stranger"))) as stranger:
            assert (await stranger.get("/livez")).status_code == 403
        async with client_of(url, context(ours, ours.issue("scraper"))) as client:
            told = Scrape((await client.get(PATH)).text)

    assert told.value(REFUSED, reason="client_not_admitted") == 1


async def test_requests_beyond_the_rate_limit_are_told() -> None:
    async with gateway_to(TinyFibonacci(), rate_limit="1/day") as client:
        for _ in range(3):
            await client.get("/fib?n=10")
        told = await scraper_of(client)()

    assert told.value(REFUSED, reason="rate_limit") == 2
    assert told.value(f"{DURATION}_count", http_route="/fib", http_response_status_code="429") == 2
