"""Spans of the batches that requests share.

A batch is done for many requests, so it is no child of any: it has a trace of its own, with a link to the span of each
request that is in it, and each of those has a link to the batch.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager

import grpc

from api_gateway.errors import UpstreamError
from service_kit.pb.fibonacci.fib_pb2 import DESCRIPTOR, ExchangeFibRequest
from service_kit.spans import Span, attribute
from service_kit.trace_interceptors import describe_rpc
from service_kit.traces import NOTHING, Active, Tracer, current_span

_METHOD = f"{DESCRIPTOR.services_by_name['Fibonacci'].full_name}/ExchangeFib"


def batch_span(tracer: Tracer, requests: Sequence[Span | None]) -> Active:
    """Around a batch with all its attempts."""
    spans = [span for span in requests if span is not None]
    batch = tracer.begin_linked("batch", [span.context for span in spans])
    batch.attributes[attribute("items")] = len(requests)
    for span in spans:
        span.link(batch.context)
    return Active(batch)


def attempt_span(batch: ExchangeFibRequest) -> "AbstractContextManager[None] | _Attempt":
    """Around one attempt to send a batch, which carries the context of it."""
    parent = current_span.get()
    if parent is None:
        return NOTHING
    span = parent.child(_METHOD, "client")
    batch.traceparent, batch.tracestate = span.context.parent, span.context.state
    return _Attempt(span)


class _Attempt:
    __slots__ = ("_span",)

    def __init__(self, span: Span) -> None:
        self._span = span

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, UpstreamError):
            describe_rpc(self._span, _METHOD, error.code)
        else:
            code = grpc.StatusCode.OK if error is None else grpc.StatusCode.CANCELLED
            describe_rpc(self._span, _METHOD, code, given_up=isinstance(error, asyncio.CancelledError))
        self._span.end()
