"""Spans around the RPCs that a service answers, begun where the caller's context says."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc

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


def describe_rpc(
    span: Span, method: str, code: grpc.StatusCode, description: str = "", *, given_up: bool = False
) -> None:
    """What an RPC was and how it ended. A client has an error in whatever is not OK, a server in its own faults.

    What its own side has `given_up` is no error: it wanted no more of it, or nobody waited for it any longer.
    """
    span.attributes |= {
        "rpc.system.name": "grpc",
        "rpc.method": method,
        "rpc.response.status_code": code.name,
    }
    if code is not grpc.StatusCode.OK:
        failed = code in _FAILURES
        span.fail(code.name, description, is_error=(failed or span.kind == "client") and not given_up, failed=failed)


def server_interceptors(tracer: Tracer | None) -> list[grpc.aio.ServerInterceptor]:
    return [ServerTraces(tracer)] if tracer else []


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
        try:
            yield
        finally:
            span.describe = _described(noted())
            code = context.code() or grpc.StatusCode.OK  # None where nothing was set
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
