"""Clients that send too much, too slowly, or do not read: over real connections to the real gateway."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from structlog.testing import capture_logs

from api_gateway import http_server
from api_gateway.http_protocol import MAX_HEADER_BYTES, MAX_HEADERS, MAX_SENT_AHEAD, MAX_URL_BYTES
from tests.api_gateway.connections import HEAD, address, answer_to, asking_for, connected
from tests.api_gateway.neighbours import TinyFibonacci, gateway_to
from tests.api_gateway.streaming_neighbour import MAX_N, StreamingFibonacci, client_before, digits_of
from tests.slow_clients import (
    PATIENCE_SECONDS,
    connected_with_a_small_window,
    seconds_of_sending_slowly,
    seconds_until_broken,
)

#: Its answer leaves in one piece, of just under 1 MiB.
UNARY_N = 5_000_000
ANSWERS = 2
BYTES_A_SECOND = 500_000
UNFINISHED_BATCH = (
    b"POST /fib/batch HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n[1"
)
#: So that no request goes over a connection that the gateway is about to close as idle.
ONE_REQUEST = {"Connection": "close"}


def problem_in(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    assert b"connection: close" in head
    found = json.loads(body)
    assert head.startswith(b"HTTP/1.1 %d " % found["status"])
    return found["status"], found["detail"]


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with gateway_to(TinyFibonacci()) as connected:
        yield connected


@pytest.fixture
async def hasty_client() -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway that waits for half a second only."""
    impatient = {"receive_timeout_seconds": 0.5, "send_timeout_seconds": 0.5}
    async with gateway_to(TinyFibonacci(), **impatient) as connected:
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


async def test_fifty_clients_that_send_their_headers_slowly_are_gone_and_hurt_nobody(
    hasty_client: httpx.AsyncClient,
) -> None:
    async with asyncio.TaskGroup() as group:
        gone = [group.create_task(seconds_of_sending_slowly(*address(hasty_client))) for _ in range(50)]
        while not all(task.done() for task in gone):
            assert (await hasty_client.get("/fib?n=10", headers=ONE_REQUEST)).status_code == 200
            await asyncio.wait(gone, timeout=0.1)

    assert all(0.4 < task.result() < 10 for task in gone)


async def test_a_client_that_sends_nothing_is_closed_without_a_word(hasty_client: httpx.AsyncClient) -> None:
    assert await answer_to(hasty_client, b"") == b""


async def test_a_connection_that_had_a_request_is_closed_when_it_stays_idle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_server, "IDLE_SECONDS", 1)
    async with gateway_to(TinyFibonacci()) as client, contextlib.AsyncExitStack() as stack:
        idle, owing, new = [await stack.enter_async_context(connected(client)) for _ in range(3)]
        for reader, writer in (idle, owing):
            writer.write(HEAD + b"\r\n")
            await reader.readuntil(b'"alive"}')
        owing[1].write(HEAD)
        async with asyncio.timeout(PATIENCE_SECONDS):
            answered = time.monotonic()
            assert await idle[0].read() == b""
        assert 0.9 < time.monotonic() - answered < 4

        for reader, writer in (owing, new):  # these have as long as any request
            assert not reader.at_eof()
            writer.write(b"\r\n" if writer is owing[1] else HEAD + b"\r\n")
            assert (await reader.readuntil(b'"alive"}')).startswith(b"HTTP/1.1 200 ")


async def test_a_request_that_stops_in_the_middle_gets_a_408(hasty_client: httpx.AsyncClient) -> None:
    assert problem_in(await answer_to(hasty_client, HEAD)) == (408, "The request did not arrive in time.")


async def test_a_body_that_does_not_come_gets_a_408(hasty_client: httpx.AsyncClient) -> None:
    with capture_logs() as lines:
        answer = await answer_to(hasty_client, UNFINISHED_BATCH)

    assert problem_in(answer) == (408, "The request did not arrive in time.")
    assert [line["reason"] for line in lines if line["event"] == "http.refused"] == ["request_too_slow"]
    assert "http.crashed" not in [line["event"] for line in lines]


async def test_a_body_that_does_not_come_behind_another_request_gets_a_408(hasty_client: httpx.AsyncClient) -> None:
    answers = await answer_to(hasty_client, HEAD + b"\r\n" + UNFINISHED_BATCH)

    alive, refused = answers.split(b'"alive"}')
    assert alive.startswith(b"HTTP/1.1 200 ")
    assert problem_in(refused)[0] == 408


async def test_nonsense_in_a_body_is_refused_at_once(client: httpx.AsyncClient) -> None:
    chunked = UNFINISHED_BATCH.replace(b"Content-Length: 10", b"Transfer-Encoding: chunked")

    assert problem_in(await answer_to(client, chunked + b"nonsense\r\n"))[0] == 400


async def test_empty_lines_do_not_keep_a_connection_open(hasty_client: httpx.AsyncClient) -> None:
    async with connected(hasty_client) as (reader, writer), asyncio.timeout(PATIENCE_SECONDS):
        writer.write(HEAD + b"\r\n")
        await reader.readuntil(b'"alive"}')
        closed = asyncio.ensure_future(reader.read())
        while not closed.done():
            writer.write(b"\r\n")
            await asyncio.wait([closed], timeout=0.05)


async def test_fifty_clients_that_do_not_read_are_gone_and_hurt_nobody() -> None:
    async with (
        client_before(StreamingFibonacci(), send_timeout_seconds=0.5) as client,
        contextlib.AsyncExitStack() as stack,
    ):
        slow = [await stack.enter_async_context(connected_with_a_small_window(*address(client))) for _ in range(50)]
        for connection in slow:
            connection.send(asking_for(MAX_N))
        gone = asyncio.ensure_future(seconds_until_broken(slow))
        while not gone.done():
            assert (await client.get("/fib", params={"n": 10})).status_code == 200
            await asyncio.wait([gone], timeout=0.1)

    assert all(0.4 < seconds < 10 for seconds in gone.result())


async def test_a_client_that_reads_slowly_and_steadily_gets_all_of_a_long_answer() -> None:
    """The gateway has a part of each answer in hand for longer than the timeout."""
    loop, value = asyncio.get_running_loop(), digits_of(UNARY_N)
    async with (
        client_before(StreamingFibonacci(), send_timeout_seconds=0.5) as client,
        connected_with_a_small_window(*address(client)) as connection,
    ):
        connection.send(asking_for(UNARY_N) * ANSWERS)
        started, answers = time.monotonic(), b""
        while answers.count(b"}") < ANSWERS:
            piece = await loop.sock_recv(connection, 48 << 10)
            assert piece, f"closed after {len(answers)} bytes"
            answers += piece
            await asyncio.sleep(len(answers) / BYTES_A_SECOND - (time.monotonic() - started))  # the pace is the subject

    assert answers.count(value) == ANSWERS


async def test_a_client_that_reads_next_to_nothing_is_gone() -> None:
    """Each byte that it takes is progress, and not enough."""
    loop = asyncio.get_running_loop()
    async with (
        client_before(StreamingFibonacci(), send_timeout_seconds=0.5) as client,
        connected_with_a_small_window(*address(client)) as connection,
    ):
        connection.send(asking_for(UNARY_N) * ANSWERS)
        gone = asyncio.ensure_future(seconds_until_broken([connection]))
        while not gone.done():
            with contextlib.suppress(ConnectionResetError):
                await loop.sock_recv(connection, 512)
            await asyncio.wait([gone], timeout=0.05)

    assert gone.result()[0] < 10


async def test_many_refusals_have_one_line_that_says_whose_the_first_is(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with capture_logs() as lines:
        answers = [await answer_to(client, b"nonsense\r\n\r\n") for _ in range(20)]

    refused = [line for line in lines if line["event"] == "http.refused"]
    assert len({problem_in(answer) for answer in answers}) == 1
    assert 1 <= len(refused) <= 2
    assert (refused[0]["reason"], refused[0]["client"], refused[0]["total"]) == ("malformed", "127.0.0.1", 1)
    assert "uvicorn.error" not in [record.name for record in caplog.records]


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
