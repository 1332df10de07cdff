"""Clients that send too slowly, fall idle or do not read: over real connections to the real gateway."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from structlog.testing import capture_logs

from api_gateway import http_server
from service_kit import refusals
from tests.api_gateway.connections import HEAD, UNFINISHED_BATCH, address, answer_to, asking_for, connected, problem_in
from tests.api_gateway.neighbours import TinyFibonacci, gateway_to
from tests.api_gateway.streaming_neighbour import MAX_N, StreamingFibonacci, client_before, digits_of
from tests.scrapes import scraper_of
from tests.slow_clients import (
    PATIENCE_SECONDS,
    connected_with_a_small_window,
    seconds_of_sending_slowly,
    seconds_until_broken,
)

DURATION_COUNT = "http_server_request_duration_seconds_count"
#: Its answer leaves in one piece, of just under 1 MiB.
UNARY_N = 5_000_000
ANSWERS = 2
BYTES_A_SECOND = 400_000
#: How long the gateway waits for its clients: more than a process that is held up loses between two steps.
IMPATIENT_SECONDS = 1.5
#: So that no request goes over a connection that the gateway is about to close as idle.
ONE_REQUEST = {"Connection": "close"}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with gateway_to(TinyFibonacci()) as connected:
        yield connected


@pytest.fixture
async def hasty_client() -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway that waits for a request for a short time only."""
    async with gateway_to(TinyFibonacci(), receive_timeout_seconds=IMPATIENT_SECONDS) as connected:
        yield connected


async def test_fifty_clients_that_send_their_headers_slowly_are_gone_and_hurt_nobody(
    hasty_client: httpx.AsyncClient,
) -> None:
    async with asyncio.TaskGroup() as group:
        gone = [group.create_task(seconds_of_sending_slowly(*address(hasty_client))) for _ in range(50)]
        while not all(task.done() for task in gone):
            assert (await hasty_client.get("/fib?n=10", headers=ONE_REQUEST)).status_code == 200
            await asyncio.wait(gone, timeout=0.1)

    assert all(IMPATIENT_SECONDS - 0.1 < task.result() < 10 for task in gone)


async def test_a_client_that_sends_nothing_is_closed_without_a_word(hasty_client: httpx.AsyncClient) -> None:
    assert await answer_to(hasty_client, b"") == b""


async def test_a_connection_that_had_a_request_is_closed_when_it_stays_idle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_server, "IDLE_SECONDS", 1)
    async with gateway_to(TinyFibonacci()) as client, contextlib.AsyncExitStack() as stack:
        idle, owing, new = [await stack.enter_async_context(connected(client)) for _ in range(3)]
        asked = time.monotonic()  # no later than the clock of the gateway
        for reader, writer in (idle, owing):
            writer.write(HEAD + b"\r\n")
            await reader.readuntil(b'"alive"}')
        owing[1].write(HEAD)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await idle[0].read() == b""
        assert 0.9 < time.monotonic() - asked < 4

        for reader, writer in (owing, new):  # these have as long as any request
            assert not reader.at_eof()
            writer.write(b"\r\n" if writer is owing[1] else HEAD + b"\r\n")
            assert (await reader.readuntil(b'"alive"}')).startswith(b"HTTP/1.1 200 ")


async def test_a_request_that_stops_in_the_middle_gets_a_408(hasty_client: httpx.AsyncClient) -> None:
    assert problem_in(await answer_to(hasty_client, HEAD)) == (408, "The request did not arrive in time.")


async def test_a_body_that_does_not_come_gets_a_408(hasty_client: httpx.AsyncClient) -> None:
    with capture_logs() as lines:
        answer = await answer_to(hasty_client, UNFINISHED_BATCH)
        told = await scraper_of(hasty_client).until(DURATION_COUNT, 1, http_route="/fib/batch")
    [served] = [line for line in lines if line["event"] == "http.served" and line["path"] == "/fib/batch"]

    assert problem_in(answer) == (408, "The request did not arrive in time.")
    assert (served["status"], served["error"]) == problem_in(answer)
    assert b"x-request-id: of-the-client\r\n" in answer
    assert told.value(DURATION_COUNT, http_route="/fib/batch", http_response_status_code="408") == 1
    assert [line["reason"] for line in lines if line["event"] == "http.refused"] == ["request_too_slow"]
    assert "http.crashed" not in [line["event"] for line in lines]


async def test_a_body_that_does_not_come_behind_another_request_gets_a_408(hasty_client: httpx.AsyncClient) -> None:
    answers = await answer_to(hasty_client, HEAD + b"\r\n" + UNFINISHED_BATCH)

    alive, refused = answers.split(b'"alive"}')
    assert alive.startswith(b"HTTP/1.1 200 ")
    assert problem_in(refused)[0] == 408


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
        client_before(StreamingFibonacci(), send_timeout_seconds=IMPATIENT_SECONDS) as client,
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
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "LOG_INTERVAL_SECONDS", 3600)
    with capture_logs() as lines:
        answers = [await answer_to(client, b"nonsense\r\n\r\n") for _ in range(20)]

    refused = [line for line in lines if line["event"] == "http.refused"]
    assert len({problem_in(answer) for answer in answers}) == 1
    assert [(line["reason"], line["client"], line["total"]) for line in refused] == [("malformed", "127.0.0.1", 1)]
    assert "uvicorn.error" not in [record.name for record in caplog.records]
