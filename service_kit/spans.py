"""Spans as light as the hot path needs them, and which of them are worth exporting.

A span of OpenTelemetry's own costs several times as much. These are a few assignments; what is to be exported is made
into one of those when it has ended (trace_export.py).
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from random import getrandbits
from typing import Literal, Self

from service_kit.trace_context import TraceContext

Kind = Literal["internal", "server", "client"]
Attributes = Mapping[str, str | int | float | bool]
#: Why the spans of a trace are exported; empty while they are not.
Kept = Literal["", "sampled", "error", "slow"]

#: A request that took longer is kept, sampled or not; so long is what has its line in the log, too.
SLOW_NS = 100_000_000
#: The spans of one trace that wait to be kept or let go; more of it are not kept.
MAX_WAITING_SPANS = 64
#: The spans of one trace in one process that are exported, beside its root. A long range or an outage could have more.
MAX_SPANS = 256
#: The traces that are kept for a reason in one second: where everything fails, to export it all would add to that.
MAX_KEPT_A_SECOND = 100
#: What one span may be linked to, at most.
MAX_LINKS = 128
#: The most of an error's text.
MAX_DESCRIPTION = 200


class KeepingBudget:
    """How many traces may still be kept for a reason in this second."""

    def __init__(self) -> None:
        self._second = 0
        self._left = 0

    def take(self, now_ns: int) -> bool:
        second = now_ns // 10**9
        if second != self._second:
            self._second, self._left = second, MAX_KEPT_A_SECOND
        self._left -= 1
        return self._left >= 0


class Span:
    """One piece of work, from when it is made until it is ended, which `with` does; `Active` makes it a parent as well.

    `describe` gives further attributes, and may give the span a better name. It is asked when the span is exported.
    """

    __slots__ = (
        "_root",
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
        "start_ns",
    )

    def __init__(
        self, root: "RootSpan | None", name: str, kind: Kind, context: TraceContext, parent: TraceContext | None
    ) -> None:
        """`root` is the first of its trace in this process; None where it is that itself."""
        self._root = root
        self.name = name
        self.kind = kind
        self.context = context
        self.parent = parent
        self.attributes: dict[str, str | int | float | bool] = {}
        self.describe: Callable[[Span], Attributes] | None = None
        self.links: list[TraceContext] = []
        self.error_type = self.description = ""
        self.is_error = self.failed = False
        self.end_ns = 0
        self.start_ns = time.time_ns()

    @property
    def root(self) -> "RootSpan":
        if self._root is None:
            raise TypeError("a span without a root has to be one")
        return self._root

    @property
    def is_root(self) -> bool:
        """Whether it is the first of its trace in this process, so that its parent, if it has one, is in another."""
        return self._root is None

    def child(self, name: str, kind: Kind = "internal") -> "Span":
        own = self.context
        context = TraceContext(own.trace_id, getrandbits(64), own.sampled, own.state)
        return Span(self.root, name, kind, context, own)

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
            self.root.ended(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            self.fail("cancelled", is_error=False)
        elif error is not None:
            self.fail(type(error).__qualname__, str(error))
        self.end()


class RootSpan(Span):
    """The first span of a trace in this process, which decides whether those of the trace are exported.

    Unless it is sampled they wait until one fails, or it is slow. They never wait for longer than a request that is not
    slow takes: what ends later finds it decided.
    """

    __slots__ = ("__weakref__", "_budget", "_export", "_exported", "_waiting", "kept")

    def __init__(
        self,
        name: str,
        kind: Kind,
        context: TraceContext,
        parent: TraceContext | None,
        *,
        export: Callable[[Span], None],
        budget: KeepingBudget,
    ) -> None:
        super().__init__(None, name, kind, context, parent)
        self._export = export
        self._budget = budget
        self._exported = 0
        self._waiting: list[Span] | None = None
        self.kept: Kept = "sampled" if context.sampled else ""

    @property
    def root(self) -> "RootSpan":
        return self

    def ended(self, span: Span) -> None:
        """Exports a span of the trace, has it wait, or lets it go."""
        if not self.kept and (reason := self._reason(span)) and self._budget.take(span.end_ns):
            self.kept = reason
            for waiting in self._waiting or ():
                self._send(waiting)
        if self.kept:
            self._send(span)
        elif span is not self and not self.end_ns:
            self._wait(span)
        if span is self:
            self._waiting = None

    def _wait(self, span: Span) -> None:
        if self._waiting is None:
            self._waiting = []
        if len(self._waiting) < MAX_WAITING_SPANS:
            self._waiting.append(span)

    def _reason(self, span: Span) -> Kept:
        if span.failed:
            return "error"
        return "slow" if span.end_ns - self.start_ns > SLOW_NS else ""

    def _send(self, span: Span) -> None:
        self._exported += 1
        if self._exported <= MAX_SPANS or span is self:
            self._export(span)


def attribute(fact: str) -> str:
    """The name of an attribute that is no convention of OpenTelemetry's."""
    return f"exact_fibonacci.{fact}"
