"""Spans of the batches that requests share.

A batch is done for many requests, so it is no child of any: it has a trace of its own, with a link to the span of each
request that is in it, and each of those has a link to the batch.
"""

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

import grpc

from api_gateway.errors import UpstreamError
from service_kit.pb.fibonacci.fib_pb2 import ExchangeFibRequest
from service_kit.spans import Span, attribute
from service_kit.trace_interceptors import describe_rpc
from service_kit.traces import NOTHING, Tracer, active, current_span

METHOD = "fibonacci.Fibonacci/ExchangeFib"


@contextlib.contextmanager
def batch_span(tracer: Tracer, requests: Sequence[Span | None]) -> Iterator[None]:
    """Around a batch with all its attempts."""
    spans = [span for span in requests if span is not None]
    with active(tracer.begin_linked("batch", [span.context for span in spans])) as batch:
        batch.attributes[attribute("items")] = len(requests)
        for span in spans:
            span.link(batch.context)
        yield


def attempt_span(batch: ExchangeFibRequest) -> AbstractContextManager[None]:
    """Around one attempt to send a batch, which carries the context of it."""
    parent = current_span.get()
    return NOTHING if parent is None else _attempt_span(parent, batch)


@contextlib.contextmanager
def _attempt_span(parent: Span, batch: ExchangeFibRequest) -> Iterator[None]:
    span = parent.child(METHOD, "client")
    batch.traceparent, batch.tracestate = span.context.parent, span.context.state
    code = grpc.StatusCode.CANCELLED
    try:
        yield
        code = grpc.StatusCode.OK
    except UpstreamError as error:
        code = error.code
        raise
    finally:
        describe_rpc(span, METHOD, code)
        span.end()
