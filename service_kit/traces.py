"""Spans as light as the hot path needs them, and which of them are worth exporting.

A span of OpenTelemetry's own costs as much as the rest of a small request. These are a few assignments; what is to be
exported is made into one of those when it has ended (trace_export.py).
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from random import getrandbits
from typing import Literal, Self

from service_kit.trace_context import TraceContext

Kind = Literal["internal", "server", "client"]
Attributes = Mapping[str, str | int | float | bool]
#: Whether the head of a trace is sampled: of the trace's id, what the caller said, the name and the kind.
Sampler = Callable[[int, TraceContext | None, str, Kind], bool]

#: A request that took longer is kept, sampled or not; so long is what has its line in the log, too.
SLOW_NS = 100_000_000
#: The spans of one trace that wait to be kept or let go; more of it are not kept.
MAX_WAITING_SPANS = 64
#: What one span may be linked to, at most.
MAX_LINKS = 128
#: The most of an error's text.
MAX_DESCRIPTION = 200

#: In the place of a span where nothing is traced.
NOTHING: AbstractContextManager[None] = nullcontext()

current_span: ContextVar["Span | None"] = ContextVar("current_span", default=None)


class LocalTrace:
    """The spans of one trace in this process. Unless it is sampled they wait until one fails, or it is slow.

    They never wait for longer than a request that is not slow takes: what ends later finds it decided.
    """

    __slots__ = ("_export", "_over", "_root", "_waiting", "kept")

    def __init__(self, *, export: Callable[["Span"], None], sampled: bool) -> None:
        self._export = export
        self._over = False
        self._waiting: list[Span] = []
        self._root: Span | None = None
        #: Why its spans are exported; empty while they are not.
        self.kept: Literal["", "sampled", "error", "slow"] = "sampled" if sampled else ""

    def begun(self, span: "Span") -> None:
        self._root = self._root or span

    def ended(self, span: "Span") -> None:
        if not self.kept and self._root is not None and (why := _worth(span, self._root)):
            self.kept = why
            for waiting in self._waiting:
                self._export(waiting)
        if self.kept:
            self._export(span)
        elif not self._over and len(self._waiting) < MAX_WAITING_SPANS:
            self._waiting.append(span)
        if span is self._root:
            self._over = True
            self._waiting = []


def _worth(span: "Span", root: "Span") -> Literal["", "error", "slow"]:
    if span.failed:
        return "error"
    return "slow" if span.end_ns - root.start_ns > SLOW_NS else ""


class Span:
    """One piece of work, from when it is made until it is ended, which `with` does; `active` makes it a parent as well.

    `describe` gives further attributes, and may give the span a better name. It is asked when the span is exported.
    """

    __slots__ = (
        "attributes",
        "context",
        "describe",
        "description",
        "end_ns",
        "error_type",
        "failed",
        "is_error",
        "kind",
        "links",
        "name",
        "parent",
        "parent_is_remote",
        "start_ns",
        "trace",
    )

    def __init__(
        self,
        trace: LocalTrace,
        name: str,
        kind: Kind,
        context: TraceContext,
        parent: TraceContext | None,
        *,
        remote: bool,
    ) -> None:
        self.trace = trace
        self.name = name
        self.kind = kind
        self.context = context
        self.parent = parent
        self.parent_is_remote = remote
        self.attributes: dict[str, str | int | float | bool] = {}
        self.describe: Callable[[], Attributes] | None = None
        self.links: list[TraceContext] = []
        self.error_type = self.description = ""
        self.is_error = self.failed = False
        self.end_ns = 0
        self.start_ns = time.time_ns()
        trace.begun(self)

    def child(self, name: str, kind: Kind = "internal") -> "Span":
        own = self.context
        context = TraceContext(own.trace_id, getrandbits(64), own.sampled, own.state)
        return Span(self.trace, name, kind, context, own, remote=False)

    def link(self, context: TraceContext) -> None:
        if len(self.links) < MAX_LINKS:
            self.links.append(context)

    def fail(self, error_type: str, description: str = "", *, is_error: bool = True, failed: bool = True) -> None:
        """Says how it ended; not `is_error` where nobody here is at fault, not `failed` where it need not be kept."""
        self.error_type, self.description = error_type, description[:MAX_DESCRIPTION]
        self.is_error, self.failed = is_error, is_error and failed

    def end(self) -> None:
        if not self.end_ns:
            self.end_ns = max(time.time_ns(), self.start_ns)  # the clock may have been set back
            self.trace.ended(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            self.fail("cancelled", is_error=False)
        elif error is not None:
            self.fail(type(error).__qualname__, str(error))
        self.end()


class Tracer:
    """Begins traces in this process, whether at a caller's or of their own."""

    def __init__(self, *, sampler: Sampler, export: Callable[[Span], None]) -> None:
        self._sampler = sampler
        self._export = export

    def begin(
        self, name: str, kind: Kind = "internal", *, parent: TraceContext | None = None, sampled: bool | None = None
    ) -> Span:
        """A span whose parent, if any, is in another process; `sampled` where that is decided already."""
        trace_id = parent.trace_id if parent else getrandbits(128)
        if sampled is None:
            sampled = self._sampler(trace_id, parent, name, kind)
        context = TraceContext(trace_id, getrandbits(64), sampled, parent.state if parent else "")
        trace = LocalTrace(export=self._export, sampled=sampled)
        return Span(trace, name, kind, context, parent, remote=parent is not None)

    def begin_linked(self, name: str, causes: Sequence[TraceContext], kind: Kind = "internal") -> Span:
        """Of work that is done for several traces, and so is a child of none: it is sampled where one of them is."""
        chosen = [cause for cause in causes if cause.sampled]
        span = self.begin(name, kind, sampled=bool(chosen))
        span.links.extend((chosen or causes)[:MAX_LINKS])
        return span


@contextlib.contextmanager
def active(span: Span) -> Iterator[Span]:
    """Makes the span the current one, the parent of what is begun inside, and ends it."""
    token = current_span.set(span)
    try:
        with span:
            yield span
    finally:
        current_span.reset(token)


def timed(name: str, **facts: str | float) -> AbstractContextManager[Span | None]:
    """A span around a part of what the current one is for; nothing where there is none."""
    parent = current_span.get()
    if parent is None:
        return NOTHING
    span = parent.child(name)
    for fact, value in facts.items():
        span.attributes[attribute(fact)] = value
    return span


def follow(span: Span | None) -> None:
    """Links the current span, where there is one, to another whose work it waits for and did not begin."""
    current = current_span.get()
    if current is not None and span is not None and span is not current:
        current.link(span.context)


def attribute(fact: str) -> str:
    """The name of an attribute that is no convention of OpenTelemetry's."""
    return f"exact_fibonacci.{fact}"
