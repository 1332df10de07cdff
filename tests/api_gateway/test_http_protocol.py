"""Clients that send too much, or what is no HTTP: over real connections to the real gateway."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from api_gateway.http_protocol import MAX_HEADER_BYTES, MAX_HEADERS, MAX_SENT_AHEAD, MAX_URL_BYTES
from tests.api_gateway.connections import HEAD, UNFINISHED_BATCH, answer_to, connected, problem_in
from tests.api_gateway.neighbours import TinyFibonacci, gateway_to


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with gateway_to(TinyFibonacci()) as connected:
        yield connected


async def test_a_url_may_have_its_bound_and_no_more(client: httpx.AsyncClient) -> None:
    padding = "x" * (MAX_URL_BYTES - len("/?"))
    assert (await client.get(f"/?{padding}")).status_code == 404

    refused = await answer_to(client, f"GET /?{padding}x HTTP/1.1\r\nHost: gateway\r\n\r\n".encode())
    assert problem_in(refused) == (414, f"The URL must have at most {MAX_URL_BYTES} bytes.")


async def test_a_url_that_never_ends_is_refused_before_its_end(client: httpx.AsyncClient) -> None:
    assert problem_in(await answer_to(client, b"GET /" + b"x" * (2 * MAX_URL_BYTES)))[0] == 414


@pytest.mark.parametrize(
    "headers",
    [b"X-Large: %b\r\n" % (b"x" * MAX_HEADER_BYTES), b"X-One: 1\r\n" * MAX_HEADERS],
    ids=["bytes", "count"],
)
async def test_header_fields_beyond_the_bounds_are_refused(client: httpx.AsyncClient, headers: bytes) -> None:
    status, detail = problem_in(await answer_to(client, HEAD + headers + b"\r\n"))

    assert status == 431
    assert str(MAX_HEADERS) in detail
    assert str(MAX_HEADER_BYTES) in detail


async def test_header_fields_within_the_bounds_are_accepted(client: httpx.AsyncClient) -> None:
    fields = {f"X-{number}": "x" * 250 for number in range(MAX_HEADERS - 10)}

    assert (await client.get("/livez", headers=fields)).status_code == 200


async def test_the_bounds_are_of_one_request_and_not_of_a_connection(client: httpx.AsyncClient) -> None:
    fields = {"X-Large": "x" * (MAX_HEADER_BYTES * 3 // 4)}

    assert [(await client.get("/livez", headers=fields)).status_code for _ in range(3)] == [200, 200, 200]


@pytest.mark.parametrize(
    "request_text",
    [
        b"FOO / HTTP/1.1\r\nHost: gateway\r\n\r\n",
        b"GET /\xc3\xa9 HTTP/1.1\r\nHost: gateway\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: gateway\r\nno colon\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: gateway\r\nContent-Length: x\r\n\r\n",
    ],
    ids=["method", "URL", "field", "framing"],
)
async def test_what_cannot_be_read_gets_all_that_may_be_wrong_with_it(
    client: httpx.AsyncClient, request_text: bytes
) -> None:
    status, detail = problem_in(await answer_to(client, request_text))
    assert status == 400
    for cause in ("method", "URL", "header field", "framing of its body"):
        assert cause in detail


@pytest.mark.parametrize(
    "head",
    [
        b"GET /livez HTTP/1.1\r\n",
        b"GET /livez HTTP/1.1\r\nHosts: gateway\r\nOst1: gateway\r\n",
        b"GET /livez HTTP/1.1\r\nHost: gateway\r\nhost: gateway\r\n",
        b"GET /livez HTTP/1.0\r\nHost: gateway\r\nHost: other\r\n",
    ],
    ids=["none", "others", "two", "two of 1.0"],
)
async def test_a_request_without_one_host_is_refused(client: httpx.AsyncClient, head: bytes) -> None:
    answer = await answer_to(client, head + b"Connection: close\r\n\r\n")
    assert problem_in(answer) == (400, "A request of HTTP/1.1 must have one header field Host.")


async def test_a_refused_request_has_an_id_in_its_fields_as_in_its_problem(client: httpx.AsyncClient) -> None:
    fields, _, body = (await answer_to(client, b"nonsense\r\n\r\n")).partition(b"\r\n\r\n")
    assert b"\r\nx-request-id: " + json.loads(body)["request_id"].encode() + b"\r\n" in fields


@pytest.mark.parametrize(
    "head",
    [
        b"GET /livez HTTP/1.1\r\nAccept: */*\r\nHOST: gateway\r\n",
        b"GET /livez HTTP/1.1\r\nHost:\r\n",
        b"GET /livez HTTP/1.0\r\n",
    ],
    ids=["one", "an empty one", "none of 1.0"],
)
async def test_a_request_with_the_host_that_its_version_wants_is_answered(
    client: httpx.AsyncClient, head: bytes
) -> None:
    answer = await answer_to(client, head + b"Connection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_the_hosts_are_those_of_one_request_and_not_of_a_connection(client: httpx.AsyncClient) -> None:
    lasting = HEAD + b"\r\n"
    assert (await answer_to(client, lasting + lasting + HEAD + b"Connection: close\r\n\r\n")).count(b" 200 OK") == 3


async def test_connections_beyond_the_bound_get_a_503_and_those_before_live_on() -> None:
    async with gateway_to(TinyFibonacci(), max_connections=2) as client, connected(client) as first:
        async with connected(client):
            status, detail = problem_in(await answer_to(client, b""))
            assert (status, detail) == (503, "2 connections are open already.")
        reader, writer = first
        writer.write(HEAD + b"\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


async def test_nonsense_in_a_body_is_refused_at_once(client: httpx.AsyncClient) -> None:
    chunked = UNFINISHED_BATCH.replace(b"Content-Length: 10", b"Transfer-Encoding: chunked")

    assert problem_in(await answer_to(client, chunked + b"nonsense\r\n"))[0] == 400


async def test_requests_sent_ahead_without_end_are_not_kept_without_end(client: httpx.AsyncClient) -> None:
    answers = await answer_to(client, (HEAD + b"\r\n") * 10_000)

    assert 1 <= answers.count(b"HTTP/1.1 200 ") <= MAX_SENT_AHEAD + 2


async def test_a_second_request_sent_ahead_is_answered_in_order(client: httpx.AsyncClient) -> None:
    two = HEAD + b"\r\n" + b"GET /fib?n=10 HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n"

    first, second = (await answer_to(client, two)).split(b"HTTP/1.1 200 ")[1:]

    assert first.endswith(b'{"status":"alive"}')
    assert second.endswith(b'"value":"55"}')


async def test_nonsense_behind_a_request_does_not_break_into_its_answer(client: httpx.AsyncClient) -> None:
    answer = await answer_to(client, b"GET /fib?n=10 HTTP/1.1\r\nHost: gateway\r\n\r\nnonsense\r\n\r\n")

    assert answer.count(b"HTTP/1.1") == 1
    assert answer.endswith(b'"value":"55"}')
