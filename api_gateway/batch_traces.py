"""Spans of the batches that requests share.

A batch is done for many requests, so it is no child of any: it has a trace of its own, with a link to the span of each
request that is in it, and each of those has a link to the batch.
"""

import contextlib
from collections.abc import Iterator, Sequence

import grpc

from service_kit.pb.fibonacci.fib_pb2 import ExchangeFibRequest
from service_kit.trace_interceptors import describe_rpc
from service_kit.traces import Span, Tracer, active, attribute, current_span

METHOD = "fibonacci.Fibonacci/ExchangeFib"


@contextlib.contextmanager
def batch_span(tracer: Tracer | None, requests: Sequence[Span | None]) -> Iterator[None]:
    """Around a batch with all its attempts."""
    if tracer is None:
        yield
        return
    spans = [span for span in requests if span is not None]
    with active(tracer.begin_linked("batch", [span.context for span in spans])) as batch:
        batch.attributes[attribute("items")] = len(requests)
        for span in spans:
            span.link(batch.context)
        yield


@contextlib.contextmanager
def attempt_span(batch: ExchangeFibRequest) -> Iterator[None]:
    """Around one attempt to send a batch, which carries the context of it."""
    parent = current_span.get()
    if parent is None:
        yield
        return
    with parent.child(METHOD, "client") as span:
        batch.traceparent, batch.tracestate = span.context.parent, span.context.state
        yield
        describe_rpc(span, METHOD, grpc.StatusCode.OK)
