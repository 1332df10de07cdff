"""Spans around the RPCs that a service answers and those that it makes, with the trace's context on the way between."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc

from service_kit.call_reading import give_up
from service_kit.interceptors import noted
from service_kit.rpc_handlers import wrapped
from service_kit.spans import Attributes, Span, attribute
from service_kit.trace_context import TraceContext, context_of
from service_kit.traces import Tracer, current_span

if TYPE_CHECKING:  # gRPC's types take parameters in their stubs only
    from service_kit.rpc_handlers import Answer, Answers, Context, Handler

#: What is an error of the server in OpenTelemetry's conventions, and worth to be kept at either end.
_FAILURES = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)


def describe_rpc(span: Span, method: str, code: grpc.StatusCode, description: str = "") -> None:
    """What an RPC was and how it ended. A client has an error in whatever is not OK, a server in its own faults."""
    span.attributes |= {
        "rpc.system.name": "grpc",
        "rpc.method": method,
        "rpc.response.status_code": code.name,
    }
    if code is not grpc.StatusCode.OK:
        failed = code in _FAILURES
        span.fail(code.name, description, is_error=failed or span.kind == "client", failed=failed)


def server_interceptors(tracer: Tracer | None) -> list[grpc.aio.ServerInterceptor]:
    return [ServerTraces(tracer)] if tracer else []


def client_interceptors(tracer: Tracer | None) -> list[grpc.aio.ClientInterceptor]:
    return [UnaryCallTraces(), StreamedCallTraces()] if tracer else []


class ServerTraces(grpc.aio.ServerInterceptor):
    """Stands outside ServerInterceptor, so that the line in the log knows the span.

    Health checks have none, and neither have calls that take one message after another: there each message has its own.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith("/grpc."):
            return handler
        return wrapped(handler, one=partial(self._wrap, method), stream=partial(self._wrap_stream, method))

    def _wrap(self, method: str, answer: Answer) -> Answer:
        async def call(request: Any, context: Context) -> Any:
            with self._around(method, context):
                return await answer(request, context)

        return call

    def _wrap_stream(self, method: str, answers: Answers) -> Answers:
        async def call(request: Any, context: Context) -> AsyncGenerator[Any, None]:
            with self._around(method, context):
                async with contextlib.aclosing(answers(request, context)) as stream:
                    async for response in stream:
                        yield response

        return call

    @contextlib.contextmanager
    def _around(self, method: str, context: Context) -> Iterator[None]:
        name = method.removeprefix("/")
        span = self._tracer.begin(name, "server", parent=_offered(context))
        # Each call has a task of its own, so nothing needs to be set back.
        current_span.set(span)
        code = grpc.StatusCode.CANCELLED
        try:
            yield
            code = context.code() or grpc.StatusCode.OK  # None where nothing was set
        finally:
            span.describe = _described(noted())
            describe_rpc(span, name, code, str(context.details() or ""))
            span.end()


def _offered(context: Context) -> TraceContext | None:
    metadata: Any = context.invocation_metadata() or ()  # of a server's call it is a tuple of pairs
    return context_of(metadata)


def _described(facts: dict[str, Any]) -> Callable[[Span], Attributes]:
    """The facts of the call's log line."""
    return lambda _span: {
        attribute(name): value if isinstance(value, str | int | float | bool) else str(value)
        for name, value in facts.items()
    }


class UnaryCallTraces(grpc.aio.UnaryUnaryClientInterceptor):
    """A span for each attempt; nothing where no trace is under way."""

    async def intercept_unary_unary(
        self,
        continuation: Callable[[grpc.aio.ClientCallDetails, Any], Awaitable[Any]],
        client_call_details: grpc.aio.ClientCallDetails,
        request: Any,
    ) -> Any:
        parent = current_span.get()
        if parent is None:
            return await continuation(client_call_details, request)
        name = _name(client_call_details)
        span = parent.child(name, "client")
        call = await continuation(_carrying(client_call_details, span), request)
        try:
            await _end_with(span, name, call)
        except asyncio.CancelledError:
            give_up(call)
            raise
        return call


class StreamedCallTraces(grpc.aio.UnaryStreamClientInterceptor):
    """The same for answers in pieces. A span lasts until the last of them was read, or the call was given up."""

    def __init__(self) -> None:
        self._open: set[asyncio.Task[None]] = set()

    async def intercept_unary_stream(
        self,
        continuation: Callable[[grpc.aio.ClientCallDetails, Any], Awaitable[Any]],
        client_call_details: grpc.aio.ClientCallDetails,
        request: Any,
    ) -> Any:
        parent = current_span.get()
        if parent is None:
            return await continuation(client_call_details, request)
        name = _name(client_call_details)
        span = parent.child(name, "client")
        call = await continuation(_carrying(client_call_details, span), request)
        watching = asyncio.create_task(_end_with(span, name, call))
        self._open.add(watching)
        watching.add_done_callback(self._open.discard)
        return call


async def _end_with(span: Span, name: str, call: Any) -> None:
    code, details = grpc.StatusCode.CANCELLED, ""
    try:
        code = await call.code()
        details = await call.details()
    finally:
        describe_rpc(span, name, code, details or "")
        span.end()


def _name(details: grpc.aio.ClientCallDetails) -> str:
    method = details.method
    return (method.decode() if isinstance(method, bytes) else method).removeprefix("/")


def _carrying(details: grpc.aio.ClientCallDetails, span: Span) -> grpc.aio.ClientCallDetails:
    metadata = grpc.aio.Metadata(*(details.metadata or ()), *span.context.fields())
    return grpc.aio.ClientCallDetails(
        details.method, details.timeout, metadata, details.credentials, details.wait_for_ready
    )
