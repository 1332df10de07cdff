import asyncio
from collections.abc import Sequence

import pytest
from starlette.types import Message, Receive, Scope, Send

from api_gateway.errors import ReaderTooSlow
from api_gateway.http_counts import HttpCounts, RouteTemplates
from api_gateway.http_spans import MAX_TEXT, RequestSpans
from api_gateway.middleware import RequestLayer
from api_gateway.request_facts import note_error
from api_gateway.security_headers import SecurityHeaders
from service_kit.logs import RequestLog
from service_kit.spans import Span
from service_kit.traces import current_span
from tests.tracing import Exported

CALLER = (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
START: Message = {"type": "http.response.start", "status": 200, "headers": []}
END: Message = {"type": "http.response.body", "body": b"", "more_body": False}
PIECE: Message = {"type": "http.response.body", "body": b"1", "more_body": True}


async def span_of(
    *answers: Message,
    method: str = "GET",
    path: str = "/stats/7",
    query: bytes = b"",
    headers: Sequence[tuple[bytes, bytes]] = (),
    client_leaves: bool = False,
    client_leaves_then: bool = False,
    error: Exception | None = None,
) -> Span:
    """The span of one request that is answered so."""
    exported = Exported()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if error:
            note_error(scope, error)
        if client_leaves:
            await receive()
        for answer in answers:
            await send(answer)
        if client_leaves_then:
            await receive()

    routes = RouteTemplates(["/stats/{n}"])
    layer = RequestLayer(
        app,
        counts=HttpCounts(routes),
        request_log=RequestLog(policy="errors"),
        security_headers=SecurityHeaders(policies={}, hsts_seconds=0),
        max_deadline_seconds=60,
        draining=asyncio.Event(),
        spans=RequestSpans(tracer=exported.tracer, routes=routes),
    )
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query,
        "headers": list(headers),
        "scheme": "http",
        "http_version": "1.1",
    }
    # In a task of its own, as uvicorn does.
    await asyncio.create_task(layer(scope, received, sent))
    assert current_span.get() is None
    [span] = exported.spans
    return span


async def received() -> Message:
    return {"type": "http.disconnect"}


async def sent(message: Message) -> None:
    assert message


async def test_a_client_that_leaves_with_its_answer_has_it() -> None:
    span = await span_of(START, PIECE, END, client_leaves_then=True)

    assert (span.error_type, span.is_error) == ("", False)


async def test_a_request_is_described_by_the_route_that_it_took() -> None:
    span = await span_of(START, END, query=b"a=1")
    assert span.describe is not None

    described = span.describe(span)

    assert (span.name, described["http.route"]) == ("GET /stats/{n}", "/stats/{n}")
    assert (described["url.path"], described["url.query"]) == ("/stats/7", "a=1")
    assert (span.error_type, span.is_error) == ("", False)


async def test_a_path_and_a_method_that_there_are_not_make_no_names() -> None:
    span = await span_of({**START, "status": 404}, END, method="BREW", path="/" + "x" * 1_000)
    assert span.describe is not None

    described = span.describe(span)

    assert (span.name, described["http.request.method"]) == ("HTTP", "_OTHER")
    assert "http.route" not in described
    assert len(str(described["url.path"])) == MAX_TEXT
    assert not span.is_error


@pytest.mark.parametrize(
    ("headers", "is_joined"),
    [
        ([CALLER], True),
        ([], False),
        ([CALLER, CALLER], False),
        ([(b"traceparent", b"00-\xff")], False),
        ([(b"tracestate", b"a=1")], False),
    ],
)
async def test_it_joins_the_caller_whose_traceparent_can_be_read(
    headers: list[tuple[bytes, bytes]], *, is_joined: bool
) -> None:
    span = await span_of(START, END, headers=headers)

    assert (span.parent is not None) is is_joined
    assert (f"{span.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c") is is_joined


async def test_a_response_that_fails_is_an_error() -> None:
    span = await span_of({**START, "status": 503}, END)

    assert (span.error_type, span.is_error, span.failed) == ("503", True, True)


@pytest.mark.parametrize("answers", [[], [START], [START, PIECE]])
async def test_a_response_that_is_not_completed_is_an_error(answers: list[Message]) -> None:
    span = await span_of(*answers)

    assert (span.error_type, span.is_error) == ("broken_off", True)


@pytest.mark.parametrize("answers", [[], [START, PIECE], [{**START, "status": 499}, END]])
async def test_a_client_that_leaves_is_no_error_of_ours(answers: list[Message]) -> None:
    span = await span_of(*answers, client_leaves=True)

    assert (span.error_type, span.is_error) == ("client_left", False)


async def test_a_client_that_did_not_take_its_answer_is_not_told_as_one_that_left() -> None:
    span = await span_of(START, PIECE, client_leaves=True, error=ReaderTooSlow())

    assert (span.error_type, span.is_error) == ("reader_too_slow", False)
