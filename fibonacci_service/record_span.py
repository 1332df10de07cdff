"""The span of a record, which is sent later than the requests that it tells of, and for many of them at once.

So it is a part of none of their traces: it has one of its own, with links to some of theirs.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager

from service_kit.spans import attribute
from service_kit.trace_context import TraceContext
from service_kit.traces import NOTHING, Active, Tracer


def record_span(
    tracer: Tracer | None, causes: Sequence[TraceContext], *, sequence: int, entries: int
) -> AbstractContextManager[None] | Active:
    """Around a batch until it is acknowledged, with all attempts to send it."""
    if tracer is None:
        return NOTHING
    span = tracer.begin_linked("record", causes)
    span.attributes[attribute("sequence")] = sequence
    span.attributes[attribute("entries")] = entries
    return Active(span)
