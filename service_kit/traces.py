"""Begins traces, and knows which span is the current one."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from random import getrandbits

from service_kit.spans import MAX_LINKS, KeepingBudget, Kind, RootSpan, Span, attribute
from service_kit.trace_context import TraceContext

#: Whether the head of a trace is sampled: of the trace's id, what the caller said, the name and the kind.
Sampler = Callable[[int, TraceContext | None, str, Kind], bool]

#: In the place of a span where nothing is traced.
NOTHING: AbstractContextManager[None] = nullcontext()

current_span: ContextVar[Span | None] = ContextVar("current_span", default=None)


class Tracer:
    """Begins traces in this process, whether at a caller's or of their own."""

    def __init__(self, *, sampler: Sampler, export: Callable[[Span], None]) -> None:
        self._sampler = sampler
        self._export = export
        self._budget = KeepingBudget()

    def begin(
        self, name: str, kind: Kind = "internal", *, parent: TraceContext | None = None, sampled: bool | None = None
    ) -> RootSpan:
        """A span whose parent, if any, is in another process; `sampled` where that is decided already."""
        trace_id = parent.trace_id if parent else getrandbits(128)
        if sampled is None:
            sampled = self._sampler(trace_id, parent, name, kind)
        context = TraceContext(trace_id, getrandbits(64), sampled, parent.state if parent else "")
        return RootSpan(name, kind, context, parent, export=self._export, budget=self._budget)

    def begin_linked(self, name: str, causes: Sequence[TraceContext], kind: Kind = "internal") -> RootSpan:
        """Of work that is done for several traces, and so is a child of none: it is sampled where one of them is."""
        chosen = [cause for cause in causes if cause.sampled]
        span = self.begin(name, kind, sampled=bool(chosen))
        span.links.extend((chosen or causes)[:MAX_LINKS])
        return span


class Active:
    """Makes a span the current one, the parent of what is begun inside, and ends it."""

    __slots__ = ("_span", "_token")

    def __init__(self, span: Span) -> None:
        self._span = span

    def __enter__(self) -> Span:
        self._token = current_span.set(self._span)
        return self._span

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        current_span.reset(self._token)
        self._span.__exit__(kind, error, traceback)


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
