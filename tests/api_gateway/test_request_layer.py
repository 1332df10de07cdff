"""The layer around an app that ends in ways that the app of the gateway rarely does."""

import asyncio
import json
from collections.abc import Iterator, MutableMapping
from typing import Any

import grpc
import pytest
from starlette.types import Message, Receive, Scope, Send
from structlog.testing import capture_logs

from api_gateway.errors import UpstreamError
from api_gateway.http_counts import HttpCounts, RouteTemplates
from api_gateway.middleware import RequestLayer
from api_gateway.security_headers import SecurityHeaders
from service_kit.logs import RequestLog

START: Message = {"type": "http.response.start", "status": 200, "headers": []}
END: Message = {"type": "http.response.body", "body": b"", "more_body": False}


@pytest.fixture
def lines() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as entries:
        yield entries


async def answered(*steps: Message | BaseException, path: str = "/fib") -> tuple[list[Message], Scope]:
    """What goes out where the app sends and raises that, and the scope as it is left behind."""
    sent: list[Message] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        for step in steps:
            if isinstance(step, BaseException):
                raise step
            await send({**step})

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    layer = RequestLayer(
        app,
        counts=HttpCounts(RouteTemplates(["/fib"])),
        request_log=RequestLog(policy="all"),
        security_headers=SecurityHeaders(policies={}, hsts_seconds=0),
        max_deadline_seconds=60,
        draining=asyncio.Event(),
    )
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}
    await asyncio.create_task(layer(scope, receive, send))
    return sent, scope


async def test_a_request_that_the_drain_ends_before_its_answer_gets_one() -> None:
    [start, body], _ = await answered(asyncio.CancelledError())

    assert (start["status"], json.loads(body["body"])["detail"]) == (503, "api_gateway is stopping")


async def test_an_answer_that_the_drain_ends_in_its_middle_stays_without_its_end() -> None:
    messages, _ = await answered(START, asyncio.CancelledError())

    assert [message["type"] for message in messages] == ["http.response.start"]


@pytest.mark.parametrize("error", [ValueError("broken"), UpstreamError(grpc.StatusCode.NOT_FOUND, "no such n")])
async def test_an_error_in_the_middle_of_an_answer_is_told_whatever_it_is(
    error: Exception, lines: list[MutableMapping[str, Any]]
) -> None:
    messages, _ = await answered(START, error)

    assert [message["type"] for message in messages] == ["http.response.start"]
    assert [line["exc_info"] for line in lines if line["event"] == "http.crashed"] == [error]


@pytest.mark.parametrize("last", [END, ValueError("broken")], ids=["answered", "crashed"])
async def test_nothing_is_left_behind_in_the_scope(last: Message | Exception) -> None:
    _, scope = await answered(START, last)

    assert not [name for name in scope if name.startswith("api_gateway.")]


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
async def test_what_is_asked_all_the_time_has_a_line_only_where_it_fails(
    path: str, lines: list[MutableMapping[str, Any]]
) -> None:
    await answered(START, END, path=path)
    assert lines == []

    await answered({**START, "status": 503}, END, path=path)
    assert [(line["event"], line["status"]) for line in lines] == [("http.served", 503)]
