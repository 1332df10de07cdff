"""Spans around the RPCs that a service makes, each with its trace's context on the way.

Not by gRPC's interceptors: a call that goes through one is iterated over inside, and keeps the last message of a stream
until the garbage is collected.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import grpc

from service_kit.call_reading import was_given_up
from service_kit.trace_interceptors import describe_rpc
from service_kit.traces import Tracer, current_span

if TYPE_CHECKING:
    from service_kit.spans import Span

T = TypeVar("T")


def traced_channel(channel: grpc.aio.Channel, tracer: Tracer | None) -> grpc.aio.Channel:
    """The channel, whose calls have spans where there is a tracer and a trace under way."""
    traced: Any = _TracedChannel(channel) if tracer else channel
    return traced  # type: ignore[no-any-return]


class _TracedChannel:
    """A call that takes one message after another has no span: it lasts, and its messages have their own."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    def unary_unary(self, method: str, *arguments: Any, **options: Any) -> Callable[..., Any]:
        return _traced(self._channel.unary_unary(method, *arguments, **options), method.removeprefix("/"))

    def unary_stream(self, method: str, *arguments: Any, **options: Any) -> Callable[..., Any]:
        return _traced(self._channel.unary_stream(method, *arguments, **options), method.removeprefix("/"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)


def _traced(begin: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A span lasts until the call's status has come, which of a stream is behind its last message."""

    def call(request: Any, *, metadata: Any = None, **options: Any) -> Any:
        parent = current_span.get()
        if parent is None:
            return begin(request, metadata=metadata, **options)
        span = parent.child(name, "client")
        begun = begin(request, metadata=(*(metadata or ()), *span.context.fields()), **options)
        begun.add_done_callback(lambda ended: _end(span, name, ended))
        return begun

    return call


def _end(span: Span, name: str, call: Any) -> None:
    code, details = _at_once(call.code()), _at_once(call.details()) or ""
    # A server that cancels what it had queued does so over the wire, and that is an error here.
    given_up = code is grpc.StatusCode.CANCELLED and was_given_up(call)
    describe_rpc(span, name, code, details, given_up=given_up)
    span.end()


def _at_once(known: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that has nothing to wait for."""
    try:
        known.send(None)
    except StopIteration as result:
        value: T = result.value
        return value
    known.close()
    raise RuntimeError("the call has ended, and its status is not there")
