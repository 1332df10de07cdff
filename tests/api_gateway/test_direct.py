import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import grpc
import pytest
import uvloop
from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request, Response
from google.rpc.status_pb2 import Status
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp, Message, Scope
from structlog.testing import capture_logs

from api_gateway.app import create_app, fibonacci_client, stats_client
from api_gateway.direct import MAX_QUERY_BYTES, DirectRoute, DirectRoutes
from api_gateway.http_counts import HttpCounts, RouteTemplates
from api_gateway.middleware import RequestLayer
from api_gateway.queries import FibonacciQuery
from api_gateway.security_headers import SecurityHeaders
from api_gateway.settings import Settings
from service_kit.grpc_channel import open_channel
from service_kit.logs import RequestLog
from service_kit.metrics import Metrics
from tests.api_gateway.neighbours import TinyFibonacci, serving

REFUSED_N, NO_NUMBER_N = 7, 13

INDICES = st.one_of(
    st.integers(0, 100),
    st.integers(900, 1_100),
    st.sampled_from([REFUSED_N, NO_NUMBER_N, 4_900, 20_000, 2**31, 2**63, 10**30]),
).map(str)
ODD_VALUES = st.one_of(
    st.sampled_from(["", "+5", "%2B5", "-0", "05", "1_0", "5.0", "1e1", " 5", "%205", "%35", "٣", "5%00", "5;n=6"]),
    st.text("0123456789+-_.~%abcN =&;", max_size=8),
)
PARAMETERS = st.tuples(st.sampled_from(["n"] * 12 + ["N", "n%20", "%6E", "x", "", "limit"]), INDICES | ODD_VALUES)
QUERIES = st.one_of(
    INDICES.map("n={}".format),
    st.lists(PARAMETERS.map("=".join), max_size=3).map("&".join),
    st.text("n=&;?%+0123456789", max_size=12),
    st.just("n=" + "1" * 100),
)
#: Whatever chooses another answer, and some fields that choose none.
FIELDS = st.sampled_from(
    [
        ("accept", "*/*"),
        ("accept", "application/json"),
        ("accept", "text/plain"),
        ("accept", "application/octet-stream;q=0.5, text/html"),
        ("accept", "image/png"),
        ("accept-encoding", "gzip, deflate, br"),
        ("accept-encoding", "gzip, identity;q=0"),
        ("accept-encoding", "*;q=0"),
        ("if-none-match", '"10-json-1"'),
        ("if-none-match", "*"),
        ("range", "bytes=0-1"),
        ("range", "bytes=900000-"),
        ("if-range", '"10-text-1"'),
        ("content-length", "0"),
        ("content-length", "5"),
        ("content-length", "100000"),
        ("transfer-encoding", "chunked"),
        ("x-request-id", "not accepted"),
        ("user-agent", "curl/8.0"),
    ]
)
METHODS = st.sampled_from(["GET"] * 8 + ["HEAD", "POST", "OPTIONS", "get"])
PATHS = st.sampled_from(["/fib"] * 12 + ["/fib/", "/FIB", "/fib/batch", "/fib/range", "/livez", "/nowhere"])


@dataclass(frozen=True)
class Asked:
    method: str = "GET"
    path: str = "/fib"
    query: str = "n=10"
    fields: tuple[tuple[str, str], ...] = ()

    def scope(self) -> Scope:
        # The id comes first, so that both answers have the same one.
        fields = (*self.fields, ("x-request-id", "same"))
        return {
            "type": "http",
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
            "root_path": "",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": self.query.encode(),
            "headers": [(name.encode(), text.encode()) for name, text in fields],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }


REQUESTS = st.builds(Asked, METHODS, PATHS, QUERIES, st.lists(FIELDS, max_size=4).map(tuple))


class Ways:
    """One app, asked the ordinary way and with its direct routes in front."""

    def __init__(self, app: FastAPI, runner: asyncio.Runner) -> None:
        layer = partial(
            RequestLayer,
            counts=HttpCounts(RouteTemplates([])),
            request_log=RequestLog(policy="errors"),
            security_headers=SecurityHeaders(policies={}, hsts_seconds=0),
            max_deadline_seconds=60,
            draining=asyncio.Event(),
        )
        self._ordinary, self._direct = layer(app), layer(DirectRoutes(app))
        self._runner = runner

    def answers(self, asked: list[Asked]) -> tuple[list[list[Message]], list[list[Message]]]:
        with capture_logs():  # a crash that is told to a console takes its time
            return self._runner.run(_all(self._ordinary, asked)), self._runner.run(_all(self._direct, asked))

    def reaches_the_app(self, asked: Asked) -> bool:
        scope = asked.scope()
        with capture_logs():
            self._runner.run(_answer(self._direct, scope))
        return "app" in scope  # FastAPI leaves itself there


async def _all(app: ASGIApp, asked: list[Asked]) -> list[list[Message]]:
    return await asyncio.gather(*(_answer(app, one.scope()) for one in asked))


async def _answer(app: ASGIApp, scope: Scope) -> list[Message]:
    sent: list[Message] = []
    body_came = False

    async def receive() -> Message:
        nonlocal body_came
        if body_came:
            await asyncio.Event().wait()
        body_came = True
        return {"type": "http.request", "body": b"[1]", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


@pytest.fixture(scope="module")
def ways() -> Iterator[Ways]:
    refusal = Status(code=grpc.StatusCode.INVALID_ARGUMENT.value[0], message="not seven")
    fibonacci = TinyFibonacci(errors={REFUSED_N: refusal}, values={NO_NUMBER_N: b"\xff secret"})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        stack = AsyncExitStack()
        yield Ways(runner.run(_started(stack, fibonacci)), runner)
        runner.run(stack.aclose())


async def _started(stack: AsyncExitStack, fibonacci: TinyFibonacci) -> FastAPI:
    target = await stack.enter_async_context(serving(fibonacci))
    channel = await stack.enter_async_context(open_channel(target))
    client = fibonacci_client(Settings(fibonacci_target=target), channel)
    await stack.enter_async_context(client.coalescer)
    stats, metrics = stats_client(Settings(), channel), Metrics(service="api_gateway")
    return create_app(fibonacci=client, stats=stats, metrics=metrics, draining=asyncio.Event())


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=st.lists(REQUESTS, min_size=8, max_size=24))
@example(asked=[Asked(query=f"n={n}") for n in (*range(20), 92, 93, 1_000, 1_001)])
def test_both_ways_give_the_same_answer_to_any_request(ways: Ways, asked: list[Asked]) -> None:
    ordinary, direct = ways.answers(asked)
    for one, expected, given_answer in zip(asked, ordinary, direct, strict=True):
        assert given_answer == expected, one


@pytest.mark.parametrize(
    "asked",
    [
        Asked(),
        Asked(fields=(("user-agent", "curl/8.0"), ("accept", "*/*"))),
        Asked(fields=(("accept", "text/html"), ("accept", "*/*;q=0.1"), ("accept-encoding", "gzip, deflate, br"))),
        Asked(fields=(("if-none-match", '"10-json-1"'),)),
        Asked(method="HEAD"),
        Asked(query=f"n={REFUSED_N}"),
    ],
)
def test_a_plain_request_is_answered_without_the_app(ways: Ways, asked: Asked) -> None:
    assert not ways.reaches_the_app(asked)


@pytest.mark.parametrize(
    "asked",
    [
        Asked(method="POST"),
        Asked(path="/fib/"),
        Asked(query=""),
        Asked(query="n=1&n=1"),
        Asked(query="n=%31"),
        Asked(query="n=1&x=2"),
        Asked(query="n=2147483648"),
        Asked(query="n=" + "1" * MAX_QUERY_BYTES),
        Asked(fields=(("content-length", "5"),)),
        Asked(fields=(("transfer-encoding", "chunked"),)),
    ],
)
def test_any_other_request_goes_the_ordinary_way(ways: Ways, asked: Asked) -> None:
    assert ways.reaches_the_app(asked)


Query_ = Annotated[FibonacciQuery, Query()]


async def without_request(query: Query_) -> Response:
    return Response(str(query.n))


async def with_a_header(query: Query_, request: Request, token: Annotated[str, Header()]) -> Response:
    return Response(f"{query.n}{token}{request.method}")


async def plain(query: Query_, request: Request) -> Response:
    return Response(f"{query.n}{request.method}")


async def nothing_but_the_request(request: Request) -> Response:
    return Response(request.method)


async def checked() -> None:
    """A dependency that the direct way would leave out."""


@pytest.mark.parametrize(
    ("endpoint", "dependencies"),
    [(without_request, []), (with_a_header, []), (nothing_but_the_request, []), (plain, [Depends(checked)])],
)
def test_a_route_that_needs_fastapi_cannot_be_direct(endpoint: Any, dependencies: list[Any]) -> None:
    app = FastAPI()
    router = APIRouter(route_class=DirectRoute)
    router.get("/it")(endpoint)
    app.include_router(router, dependencies=dependencies)
    with pytest.raises(ValueError, match="GET /it cannot be direct"):
        DirectRoutes(app)
